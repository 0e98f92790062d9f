//! One pass over one cluster, step by step.

use crate::context::Context;
use crate::next::next;
use crate::observe::{self, ObserveError};
use crate::report::{self, ReportError};
use crate::requeue::{Next, in_a_row};
use crate::watch::Guarded;
use crate::{act, invalid};
use kube::ResourceExt;
use kube::runtime::controller::Action;
use porpoise_core::decide;
use porpoise_crds::MySQLCluster;
use std::sync::Arc;
use std::time::Instant;

/// Why a pass ended early. The printed chain is the path through the steps.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ReconcileError {
    /// Reading failed.
    #[error("observe the cluster")]
    ObserveCluster(#[source] ObserveError),
    /// Reporting failed.
    #[error("report on the cluster")]
    ReportOutcome(#[source] ReportError),
    /// The stored object is unreadable and that cannot be reported.
    #[error("report an unreadable object")]
    ReportUnreadable(#[source] crate::kubernetes::CallError),
}

/// One pass. kube calls it for one cluster at a time, and for many clusters at once.
pub async fn reconcile(object: Arc<Guarded>, context: Arc<Context>) -> Result<Action, ReconcileError> {
    let started = Instant::now();
    let result = match &object.0 {
        // On the heap: thousands of these wait in the queue.
        Ok(cluster) => in_a_row(|| Box::pin(pass(cluster, &context))).await,
        Err(unreadable) => {
            invalid::report(&context, unreadable).await.map_err(ReconcileError::ReportUnreadable)
        }
    };
    context.metrics.passed(if result.is_ok() { "ok" } else { "error" }, started.elapsed());
    result.map(|next| Action::requeue(context.requeue.pause(next)))
}

async fn pass(cluster: &MySQLCluster, context: &Context) -> Result<Next, ReconcileError> {
    // Reads the API server and the agents.
    let Some(observation) =
        observe::cluster(context, cluster).await.map_err(ReconcileError::ObserveCluster)?
    else {
        report::gone(context, &cluster.uid().unwrap_or_default());
        return Ok(Next::Gone);
    };
    // Pure.
    let plan = decide::plan(&observation.view, &context.settings);
    // Writes.
    let outcome = act::on(context, &observation, &plan).await;
    let reported = Box::pin(report::pass(context, &observation, &plan, &outcome)).await;
    let reported = reported.map_err(ReconcileError::ReportOutcome)?;
    Ok(next(context, &observation, &plan, &outcome, reported))
}
