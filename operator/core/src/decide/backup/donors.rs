//! Which members may be copied.

use crate::backup::Donor;
use crate::names::{ClusterNames, ordinal};
use porpoise_crds::{BackupSource, InstanceRole, InstanceStatus, MySQLCluster};
use std::cmp::Reverse;

/// The members that may be copied, best first: ready ones only, replicas without a complaint before those with one. With
/// `PreferReplica` the primary comes last.
pub fn donors(cluster: &MySQLCluster, from: BackupSource) -> Vec<Donor> {
    let meta = &cluster.metadata;
    let names = ClusterNames::new(
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default(),
    );
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
