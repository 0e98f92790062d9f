//! The gate before members get another image: a verified backup must stand first (D15).
//!
//! While it is closed the `StatefulSet` keeps its stored template, so a Pod that restarts by itself starts what it ran.

use super::backups::wish;
use super::status;
use crate::condition::{ConditionType, News};
use crate::event;
use crate::names::CONTAINER;
use crate::plan::Plan;
use crate::validate::Cluster;
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use k8s_openapi::api::apps::v1::StatefulSet;
use porpoise_crds::{BackupBefore, BackupPhase, Phase};
use std::time::Duration;

/// Why the gate is closed.
pub(super) struct Hold {
    /// Nothing more happens by itself.
    failed: bool,
    message: String,
}

/// Lets `wanted` pass, or puts the stored template into it and says why.
pub(super) fn pass(
    cluster: &Cluster,
    view: &ClusterView,
    wanted: &mut StatefulSet,
    plan: &mut Plan,
) -> Option<Hold> {
    let stored = view.stateful_set.as_ref()?;
    let (from, to) = (image(stored)?, image(wanted)?);
    // Without a claim there is no data yet.
    if from == to || view.object.status.as_ref().is_none_or(|status| status.quorum.is_none()) {
        return None;
    }
    match (cluster.spec.update.backup_before, &cluster.spec.backup) {
        (BackupBefore::Skip, _) => return None,
        // Required without a target is refused by validation.
        (BackupBefore::IfConfigured | BackupBefore::Required, None) => {
            plan.events.push(event::UPDATE_WITHOUT_BACKUP.event(&[("from", &from), ("to", &to)]));
            return None;
        }
        (BackupBefore::IfConfigured | BackupBefore::Required, Some(_)) => {}
    }
    if view.backups.values().any(|backup| is_fit(cluster, view, backup)) {
        return None;
    }
    let hold = hold(cluster, view, &from, &to, plan);
    if let (Some(spec), Some(stored)) = (&mut wanted.spec, &stored.spec) {
        spec.template = stored.template.clone();
    }
    Some(hold)
}

fn image(set: &StatefulSet) -> Option<String> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == CONTAINER)?.image.clone()
}

/// Verified, of this cluster and not of a former one of its name, and young enough.
fn is_fit(cluster: &Cluster, view: &ClusterView, backup: &BackupSeen) -> bool {
    let born = view.object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let age = backup.completed.and_then(|time| Duration::try_from(view.now.duration_since(time)).ok());
    backup.phase == Some(BackupPhase::Succeeded)
        && backup.verified
        && !backup.deleting
        && backup.created >= born
        // One from the future tells that a clock was set: its age is unknown.
        && age.is_some_and(|age| age <= cluster.backup_max_age)
}

fn hold(cluster: &Cluster, view: &ClusterView, from: &str, to: &str, plan: &mut Plan) -> Hold {
    let waiting = |message: String| Hold { failed: false, message };
    if cluster.spec.hibernated {
        return waiting(format!(
            "image {to} needs a backup first, which is made when the cluster wakes with {from}"
        ));
    }
    let (name, seen) = attempt(cluster, view, to);
    let Some(seen) = seen else {
        plan.events.push(event::UPDATE_BACKUP_STARTED.event(&[("backup", &name), ("image", to)]));
        let labels = &cluster.inherited_labels;
        plan.backups.push(wish(&cluster.names, labels, name.clone(), BackupOrigin::Update));
        return waiting(format!("backup {name} is made before members get image {to}"));
    };
    if seen.deleting || !seen.phase.is_some_and(BackupPhase::is_over) {
        let words = if seen.message.is_empty() { "it begins" } else { seen.message.as_str() };
        return waiting(format!("members get image {to} when backup {name} is verified: {words}"));
    }
    let failed = seen.phase == Some(BackupPhase::Failed);
    let why = if failed { seen.message.as_str() } else { "it was not verified" };
    let message = format!(
        "members keep image {from}, since backup {name} failed: {why}. Delete {name} to try again, make another MySQLBackup of \
         this cluster, or set spec.update.backupBefore: Skip"
    );
    plan.events.push(event::UPDATE_HELD.event(&[("message", &message)]));
    Hold { failed: true, message }
}

/// The newest backup for this image, or the name of the next one: those that were good and became too old do not count.
fn attempt<'a>(cluster: &Cluster, view: &'a ClusterView, to: &str) -> (String, Option<&'a BackupSeen>) {
    let mut number = 1;
    loop {
        let name = cluster.names.backup_before(to, number);
        let seen = view.backups.get(&name);
        let is_past = seen.is_some_and(|seen| {
            seen.phase == Some(BackupPhase::Succeeded) && seen.verified && !seen.deleting
        });
        if !is_past {
            return (name, seen);
        }
        number += 1;
    }
}

/// Says so in `Progressing`, unless the primary is in question.
pub(super) fn tell(view: &ClusterView, hold: Hold, plan: &mut Plan) {
    let calm = plan.status.phase.is_some_and(|phase| {
        matches!(
            phase,
            Phase::Healthy | Phase::Degraded | Phase::Scaling | Phase::Updating | Phase::Hibernated
        )
    });
    if calm {
        let reason = if hold.failed { "BackupFailed" } else { "BackupRequired" };
        let news = News::new(ConditionType::Progressing, !hold.failed, reason, hold.message);
        status::tell(view, news, plan);
    }
}
