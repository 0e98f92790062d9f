//! A new cluster that begins with a snapshot: the first member's volume is made from it before the `StatefulSet` would make a
//! blank one, and then the member is told to take it over.

use super::beginning;
use super::step::{Situation, Step};
use crate::backup::SnapshotSource;
use crate::build;
use crate::line;
use crate::plan::Plan;
use crate::protocol::{Action, MemberState, ServerPhase};
use crate::quantity::{Amount, whole_gibibytes};
use crate::validate::Cluster;
use crate::view::{ClusterView, RestoreLook};

/// Whether the members must wait for the first volume: once the `StatefulSet` is there, it is a blank one. Has the volume
/// made when that can be done.
pub(super) fn holds_members(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) -> bool {
    let founded = view.object.status.as_ref().is_some_and(|status| status.quorum.is_some());
    let claim = view.claims.get(&cluster.names.instance(0));
    if founded || view.stateful_set.is_some() || claim.is_some_and(|claim| !claim.terminating) {
        return false;
    }
    match &view.references.restore {
        Some(RestoreLook::Snapshot(source)) => {
            if obstacle(cluster, view, source).is_none() {
                let request = beginning::wanted(cluster).unwrap_or_default();
                plan.restored_claim = Some(build::restored_claim(cluster, source, &request));
            }
            true
        }
        Some(RestoreLook::Awaited(_)) => true,
        Some(RestoreLook::Ready(_) | RestoreLook::Missing(_)) | None => false,
    }
}

/// Why the first volume cannot be made yet.
fn obstacle(cluster: &Cluster, view: &ClusterView, source: &SnapshotSource) -> Option<String> {
    let name = cluster.names.instance(0);
    if let Some(first) = view.claims.get(&name) {
        let claim = line::claim(view.line, &name);
        // Once it is gone, whoever is first makes the next one.
        let going =
            || format!("the volume claim {claim} is being deleted; the first volume is made after that");
        return first.terminating.then(going);
    }
    if !view.claims.is_empty() {
        let claims: Vec<String> =
            view.claims.keys().map(|instance| line::claim(view.line, instance)).collect();
        return Some(format!(
            "an earlier cluster left the volume claims {}: delete them to begin with the snapshot, or remove spec.bootstrap to \
             go on with that data",
            claims.join(", ")
        ));
    }
    // The others copy what it holds to volumes of the size that the spec says.
    let SnapshotSource { snapshot, bytes, .. } = source;
    (*bytes > whole_gibibytes(cluster.storage_bytes)).then(|| {
        let least = Amount::from_bytes(*bytes);
        format!(
            "spec.storage.size: VolumeSnapshot {snapshot} makes volumes of {least}, and every member's must hold what it holds; \
             ask for at least {least}"
        )
    })
}

/// What the first member's volume waits for.
pub(super) fn awaited(cluster: &Cluster, view: &ClusterView) -> Option<String> {
    match &view.references.restore {
        Some(RestoreLook::Awaited(what)) => Some(what.clone()),
        Some(RestoreLook::Snapshot(source)) => {
            let begins = || format!("the first volume is made from VolumeSnapshot {}", source.snapshot);
            Some(obstacle(cluster, view, source).unwrap_or_else(begins))
        }
        Some(RestoreLook::Ready(_) | RestoreLook::Missing(_)) | None => None,
    }
}

/// Whether this member has a volume that was made from a snapshot for this very cluster, and has not taken it over yet.
pub(super) fn is_awaiting(cluster: &Cluster, view: &ClusterView, state: &MemberState) -> bool {
    matches!(state.server, ServerPhase::ForeignVolume { .. })
        && wish(cluster, view, &state.instance).is_some()
}

/// The wish of a cluster of this UID that the volume of this instance was made from a snapshot for.
pub(super) fn mark<'a>(view: &'a ClusterView, instance: &str) -> Option<&'a str> {
    let ours = format!("restore-{}", view.object.metadata.uid.as_deref().unwrap_or_default());
    view.claims.get(instance)?.restored_by.as_deref().filter(|mark| mark.starts_with(&ours))
}

/// The same if it is what the cluster begins with. `spec.bootstrap` never changes, but it may be removed at any time.
fn wish(cluster: &Cluster, view: &ClusterView, instance: &str) -> Option<String> {
    let mark = mark(view, instance)?;
    beginning::wanted(cluster).is_none_or(|wanted| wanted == mark).then(|| mark.to_owned())
}

/// Whether anything is, or may come to be, a snapshot to begin with.
pub(super) fn is_from_snapshot(view: &ClusterView) -> bool {
    matches!(view.references.restore, Some(RestoreLook::Snapshot(_) | RestoreLook::Awaited(_)))
}

/// Why the volume is not what the backup holds: the storage made it of something else. Its claim says whose data it must hold,
/// so it is compared whatever became of the backup and its snapshot since.
fn mismatch(view: &ClusterView, instance: &str, former: &str) -> Option<String> {
    let wanted = view.claims.get(instance).and_then(|claim| claim.restored_from.as_deref());
    (wanted != Some(former)).then(|| {
        format!(
            "the volume of {instance} was made from a snapshot that is to be of cluster {}, and holds the data of cluster \
             {former}: delete the MySQLCluster with its volume claims, and name another backup",
            wanted.unwrap_or("(unknown)")
        )
    })
}

/// Has the first instance take over the volume that was made for it.
pub(super) fn step(cluster: &Cluster, view: &ClusterView, first: &MemberState) -> Option<Step> {
    let ServerPhase::ForeignVolume { cluster: former, .. } = &first.server else { return None };
    let request = wish(cluster, view, &first.instance)?;
    if let Some(reason) = mismatch(view, &first.instance, former) {
        return Some(Step::wait(Situation::Founding, reason));
    }
    let action = Action::TakeOver { former: former.clone(), request };
    let what = "takes over the volume that was made from a snapshot";
    Some(beginning::ordered(cluster, view, first, action, what))
}
