//! Snapshots of members' volumes, and volumes that are made from them.

use super::backup_job::labels;
use super::metadata::constant_labels;
use super::stateful_set::claim_spec;
use crate::backup::{
    SNAPSHOT_GROUP, SNAPSHOT_KIND, SNAPSHOT_OF, SNAPSHOT_VERSION, SnapshotSource, VolumeSnapshot,
    VolumeSnapshotSource, VolumeSnapshotSpec,
};
use crate::line;
use crate::names::{BACKUP_LABEL, RESTORED_BY, RESTORED_FROM};
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use porpoise_crds::{MySQLBackup, SnapshotStatus};
use std::collections::BTreeMap;

/// The snapshot that `backup` is. It has no owner: whether it goes with the backup is up to that one's deletion policy.
pub fn volume_snapshot(
    backup: &MySQLBackup,
    taken: &SnapshotStatus,
    class: Option<String>,
) -> VolumeSnapshot {
    let name = backup.metadata.name.clone().unwrap_or_default();
    let mut all = labels(&backup.spec.cluster_ref.name);
    all.insert(BACKUP_LABEL.to_owned(), name);
    let uid = backup.metadata.uid.clone().unwrap_or_default();
    VolumeSnapshot {
        api_version: format!("{SNAPSHOT_GROUP}/{SNAPSHOT_VERSION}"),
        kind: SNAPSHOT_KIND.to_owned(),
        metadata: ObjectMeta {
            name: Some(taken.name.clone()),
            namespace: backup.metadata.namespace.clone(),
            labels: Some(all),
            annotations: Some(BTreeMap::from([(SNAPSHOT_OF.to_owned(), uid)])),
            ..ObjectMeta::default()
        },
        spec: VolumeSnapshotSpec {
            volume_snapshot_class_name: class,
            source: VolumeSnapshotSource { persistent_volume_claim_name: Some(taken.claim.clone()) },
        },
        status: None,
    }
}

/// The first member's volume claim, made before its `StatefulSet` would make a blank one. `request` is the wish that it is
/// made for. Whose data it must hold is on it too: the snapshot may be gone or another one when that is compared.
pub fn restored_claim(cluster: &Cluster, source: &SnapshotSource, request: &str) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(line::claim(cluster.line, &cluster.names.instance(0))),
            namespace: Some(cluster.names.namespace().to_owned()),
            labels: Some(constant_labels(cluster)),
            annotations: Some(BTreeMap::from([
                (RESTORED_BY.to_owned(), request.to_owned()),
                (RESTORED_FROM.to_owned(), source.cluster.clone()),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(from_snapshot(cluster, &source.snapshot, source.bytes)),
        status: None,
    }
}

/// A volume like that of a member with what the snapshot holds, and at least `bytes` large.
pub(super) fn from_snapshot(cluster: &Cluster, snapshot: &str, bytes: u64) -> PersistentVolumeClaimSpec {
    let spec = claim_spec(cluster);
    let size = (bytes > cluster.storage_bytes).then(|| VolumeResourceRequirements {
        requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(bytes.to_string()))])),
        limits: None,
    });
    PersistentVolumeClaimSpec {
        data_source: Some(TypedLocalObjectReference {
            api_group: Some(SNAPSHOT_GROUP.to_owned()),
            kind: SNAPSHOT_KIND.to_owned(),
            name: snapshot.to_owned(),
        }),
        resources: size.or(spec.resources),
        ..spec
    }
}
