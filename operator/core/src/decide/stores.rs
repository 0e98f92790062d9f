//! The volume claims that a cluster stores to or begins with: what serves them as long as they are in use.

use crate::build::{self, BackupStore};
use crate::plan::{Deletion, Desired, Plan};
use crate::validate::Cluster;
use crate::view::{ClusterView, RestoreLook};
use porpoise_crds::VolumeTarget;

/// Adds what serves them to the plan's objects. They come last: no member waits for one, and whoever uses one tries again.
pub(super) fn plan(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) {
    let own = cluster.spec.backup.as_ref().and_then(|backup| backup.target.volume.as_ref());
    plan.backups_claim = own.and_then(|volume| build::backups_claim(cluster, volume));
    let claim = own.map(|volume| volume.claim(cluster.names.cluster()));
    keep(cluster, cluster.names.store(), claim, plan);
    // Looked at only while data is to come from it.
    let first = source(view).and_then(|volume| volume.claim_name.clone());
    keep(cluster, cluster.names.source(), first, plan);
}

fn source(view: &ClusterView) -> Option<&VolumeTarget> {
    match view.references.restore.as_ref()? {
        RestoreLook::Ready(source) => source.location.target.volume.as_ref(),
        RestoreLook::Missing(_) | RestoreLook::Awaited(_) | RestoreLook::Snapshot(_) => None,
    }
}

fn keep(cluster: &Cluster, name: String, claim: Option<String>, plan: &mut Plan) {
    let Some(claim) = claim else { return end(name, plan) };
    let store = BackupStore { name, claim };
    match store.network_policy(cluster) {
        Some(policy) => plan.objects.push(Desired::NetworkPolicy(Box::new(policy))),
        None => plan.deletions.push(Deletion::NetworkPolicy { name: store.name.clone() }),
    }
    plan.objects.push(Desired::Service(Box::new(store.service(cluster))));
    plan.objects.push(Desired::StatefulSet(Box::new(store.stateful_set(cluster))));
}

/// The Service stays, and leads nowhere: the operator may delete none.
fn end(name: String, plan: &mut Plan) {
    plan.deletions.push(Deletion::NetworkPolicy { name: name.clone() });
    plan.deletions.push(Deletion::StatefulSet { name, orphan: false });
}
