//! Tells people what a pass over a backup found and did. Its status was written by the pass itself, before the Job.

use super::events;
use crate::context::Context;
use crate::kubernetes::chain;
use crate::outcome::BackupOutcome;
use kube::{Resource, ResourceExt};
use porpoise_core::backup::{BackupPlan, BackupView};

/// Reports one pass.
pub async fn backup(context: &Context, view: &BackupView, plan: &BackupPlan, outcome: &BackupOutcome) {
    let object = &view.object;
    let (backup, namespace) = (object.name_any(), object.namespace());
    tracing::debug!(backup, namespace, reason = plan.reason, "pass");
    if let Some(error) = &outcome.failure {
        tracing::warn!(backup, namespace, error = chain(error), "step failed");
        context.metrics.failed(error.category());
    }
    if outcome.outdated {
        // What was decided was not done: nothing to tell.
        return;
    }
    let uid = object.uid().unwrap_or_default();
    let planned = plan.events.iter().map(events::planned);
    let all = planned.chain(outcome.failure.iter().map(events::failure));
    events::tell(context, &context.backup_memories, &uid, &object.object_ref(&()), all).await;
    if outcome.released {
        backup_gone(context, &uid);
    }
}

/// The backup with this UID is gone.
pub fn backup_gone(context: &Context, uid: &str) {
    context.backup_memories.forget(uid);
}
