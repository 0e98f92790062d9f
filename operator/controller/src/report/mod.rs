//! Tells people and tools what a pass found and did: status, Events, metrics.

mod backup;
mod events;
pub mod http;

pub use backup::{backup, backup_gone};

use crate::context::Context;
use crate::kubernetes::{CallError, chain};
use crate::metrics::Members;
use crate::observation::Observation;
use crate::outcome::Outcome;
use crate::status::{self, Written};
use porpoise_core::plan::Plan;
use porpoise_crds::{InstanceRole, InstanceStatus, MySQLCluster};

/// What can go wrong while reporting.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ReportError {
    /// The status could not be written.
    #[error("write the status")]
    WriteStatus {
        /// Cause.
        #[source]
        source: CallError,
    },
}

impl ReportError {
    /// Stable word for events and metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// What became of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It stands as it should.
    Yes,
    /// The object changed meanwhile: look again.
    Conflict,
}

/// Reports one pass.
pub async fn pass(
    context: &Context,
    observation: &Observation,
    plan: &Plan,
    outcome: &Outcome,
) -> Result<Reported, ReportError> {
    let object = &observation.view.object;
    log(object, plan, outcome);
    if outcome.look_at_once && !outcome.status_written {
        // What was decided was not done: nothing to tell.
        return Ok(Reported::Conflict);
    }
    events::emit(context, object, plan, outcome).await;
    state(context, object, plan, outcome);
    if outcome.status_written || outcome.released {
        return Ok(Reported::Yes);
    }
    let old = object.status.clone().unwrap_or_default();
    if status::same_news(&old, &plan.status) {
        return Ok(Reported::Yes);
    }
    let written = status::replace(&context.clients.strict, object, plan.status.clone()).await;
    match written.map_err(|source| ReportError::WriteStatus { source })? {
        Written::Yes => Ok(Reported::Yes),
        Written::Conflict => Ok(Reported::Conflict),
    }
}

/// The cluster with this UID is gone.
pub fn gone(context: &Context, uid: &str) {
    if let Some((namespace, name, state)) = context.memories.of(uid, |memory| memory.state.take()) {
        context.metrics.state(&namespace, &name, Some(state), None);
        context.metrics.members(&namespace, &name, None);
        context.metrics.backups(&namespace, &name, None);
        context.metrics.archive(&namespace, &name, None, None);
        context.metrics.rehearsal(&namespace, &name, None);
    }
    context.memories.forget(uid);
    context.agents.forget(uid);
    context.news.forget(uid);
}

fn state(context: &Context, object: &MySQLCluster, plan: &Plan, outcome: &Outcome) {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    if outcome.released {
        return gone(context, &uid);
    }
    let key = crate::facts::key_of(object);
    let state = plan.status.phase.map(porpoise_crds::Phase::word);
    let shown = state.map(|state| (key.namespace.clone(), key.name.clone(), state));
    let before = context.memories.of(&uid, |memory| std::mem::replace(&mut memory.state, shown));
    context.metrics.state(&key.namespace, &key.name, before.map(|(_, _, state)| state), state);
    context.metrics.members(&key.namespace, &key.name, state.map(|_| members(object, plan)));
    context.metrics.backups(&key.namespace, &key.name, Some(&plan.status));
    context.metrics.archive(&key.namespace, &key.name, Some(&plan.status), plan.archive_delay);
    let before = object.status.clone().unwrap_or_default();
    context.metrics.rehearsal(&key.namespace, &key.name, Some((&before, &plan.status)));
}

fn members(object: &MySQLCluster, plan: &Plan) -> Members {
    let could_take_over = |one: &&InstanceStatus| one.ready && one.role == InstanceRole::Replica;
    Members {
        wanted: object.spec.instances,
        ready_replicas: plan.status.instances.iter().filter(could_take_over).count(),
    }
}

fn log(object: &MySQLCluster, plan: &Plan, outcome: &Outcome) {
    let key = crate::facts::key_of(object);
    tracing::debug!(cluster = key.name, namespace = key.namespace, reason = plan.reason, "pass");
    for error in &outcome.failures {
        tracing::warn!(cluster = key.name, namespace = key.namespace, error = chain(error), "step failed");
    }
}
