//! Which members may be copied.

use crate::backup::Donor;
use crate::names::{ClusterNames, ordinal};
use porpoise_crds::{BackupSource, InstanceRole, InstanceStatus, MySQLCluster};
use std::cmp::Reverse;

/// The members that may be copied, best first: ready ones only, replicas without a complaint before those with one. With
/// `PreferReplica` the primary comes last.
pub fn donors(cluster: &MySQLCluster, from: BackupSource) -> Vec<Donor> {
    let names = names(cluster);
    let instances = cluster.status.as_ref().map(|status| status.instances.as_slice()).unwrap_or_default();
    let mut fit: Vec<&InstanceStatus> =
        instances.iter().filter(|one| one.ready && may_give(one.role, from)).collect();
    // The last ordinal first: the first one is the primary more often than not, and may become it again.
    fit.sort_by_key(|one| {
        (one.role == InstanceRole::Primary, !one.message.is_empty(), Reverse(ordinal(&one.name)))
    });
    let donor = |one: &InstanceStatus| Donor { instance: one.name.clone(), host: names.host(&one.name) };
    fit.into_iter().map(donor).collect()
}

/// The member that a cluster is copied from before its volumes go: the primary, which has turned its clients away and has
/// all that was ever acknowledged. It is not ready any more, and need not be.
pub(super) fn last_donor(cluster: &MySQLCluster) -> Vec<Donor> {
    let names = names(cluster);
    let primary = cluster.status.as_ref().and_then(|status| status.primary.clone());
    primary.into_iter().map(|instance| Donor { host: names.host(&instance), instance }).collect()
}

fn names(cluster: &MySQLCluster) -> ClusterNames {
    let meta = &cluster.metadata;
    ClusterNames::new(meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default())
}

fn may_give(role: InstanceRole, from: BackupSource) -> bool {
    match (role, from) {
        (InstanceRole::Replica, BackupSource::PreferReplica | BackupSource::Replica)
        | (InstanceRole::Primary, BackupSource::PreferReplica | BackupSource::Primary) => true,
        (InstanceRole::Replica, BackupSource::Primary)
        | (InstanceRole::Primary, BackupSource::Replica)
        // One that is being built has not everything, and one that does not answer may have anything.
        | (InstanceRole::Joining | InstanceRole::Unknown, _) => false,
    }
}
