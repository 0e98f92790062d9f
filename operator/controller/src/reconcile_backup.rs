//! One pass over one backup, step by step.

use crate::context::Context;
use crate::kubernetes::chain;
use crate::observe::{self, ObserveError};
use crate::outcome::BackupOutcome;
use crate::requeue::Next;
use crate::watch::GuardedBackup;
use crate::{act, report};
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use porpoise_core::backup::BackupPlan;
use porpoise_core::decide;
use porpoise_crds::MySQLBackup;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest pause after a failure: what a backup waits for may be put right at any time.
const LONGEST: Duration = Duration::from_mins(1);
/// Nothing changes by itself about an object that this version cannot read.
const UNREADABLE: Duration = Duration::from_hours(1);

/// Why a pass ended early. The printed chain is the path through the steps.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ReconcileBackupError {
    /// Reading failed.
    #[error("observe the backup")]
    ObserveBackup(#[source] ObserveError),
}

/// One pass. kube calls it for one backup at a time, and for several at once.
pub async fn reconcile(
    object: Arc<GuardedBackup>,
    context: Arc<Context>,
) -> Result<Action, ReconcileBackupError> {
    let started = Instant::now();
    let result = match &object.0 {
        Ok(backup) => Box::pin(pass(backup, &context)).await,
        Err(unreadable) => {
            let name = &unreadable.metadata.name;
            tracing::warn!(backup = name, error = unreadable.error, "cannot read a MySQLBackup");
            Ok(Next::After(UNREADABLE))
        }
    };
    context.metrics.passed(if result.is_ok() { "ok" } else { "error" }, started.elapsed());
    result.map(|next| Action::requeue(context.requeue.pause(next)))
}

async fn pass(object: &MySQLBackup, context: &Context) -> Result<Next, ReconcileBackupError> {
    // Reads the API server.
    let view = observe::backup(context, object).await.map_err(ReconcileBackupError::ObserveBackup)?;
    // Pure.
    let plan = decide::backup::plan(&view, &context.settings);
    // Writes.
    let outcome = act::backup(context, &view, &plan).await;
    report::backup(context, &view, &plan, &outcome).await;
    Ok(next(object, context, &plan, &outcome))
}

/// Says when the next pass is. What was written comes back through the watch, which begins a pass by itself.
fn next(object: &MySQLBackup, context: &Context, plan: &BackupPlan, outcome: &BackupOutcome) -> Next {
    if outcome.released {
        return Next::Gone;
    }
    let failures = count(context, object.uid(), outcome.failure.is_some());
    match (failures, outcome.look_at_once) {
        (0, true) => Next::After(Duration::from_secs(1)),
        (0, false) => Next::After(plan.look_again),
        (failures, _) => Next::Failed { failures, at_most: LONGEST },
    }
}

fn count(context: &Context, uid: Option<String>, failed: bool) -> u32 {
    context.backup_memories.of(&uid.unwrap_or_default(), |memory| {
        memory.failures = if failed { memory.failures.saturating_add(1) } else { 0 };
        memory.failures
    })
}

/// After a pass that ended early: the count of failures decides.
// The signature is that of kube's error policy.
#[allow(clippy::needless_pass_by_value)]
pub fn after_error(
    object: Arc<GuardedBackup>,
    error: &ReconcileBackupError,
    context: Arc<Context>,
) -> Action {
    let failures = count(&context, object.meta().uid.clone(), true);
    let pause = context.requeue.pause(Next::Failed { failures, at_most: LONGEST });
    context.metrics.failed(error.into());
    let (name, namespace) = (&object.meta().name, &object.meta().namespace);
    tracing::warn!(backup = name, namespace, error = chain(error), ?pause, "pass failed");
    Action::requeue(pause)
}

#[cfg(test)]
mod tests;
