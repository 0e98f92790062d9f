//! Snapshots of volumes, as Kubernetes' own API has them: `VolumeSnapshot` of `snapshot.storage.k8s.io/v1`. Only what every
//! storage driver offers is used.

use crate::quantity;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use porpoise_crds::{BackupMethod, MySQLBackup};
use serde::{Deserialize, Serialize};

/// API group of snapshots.
pub const SNAPSHOT_GROUP: &str = "snapshot.storage.k8s.io";
/// The version that is used.
pub const SNAPSHOT_VERSION: &str = "v1";
/// The kind.
pub const SNAPSHOT_KIND: &str = "VolumeSnapshot";
/// Its plural.
pub const SNAPSHOT_PLURAL: &str = "volumesnapshots";
/// Annotation on a `VolumeSnapshot`: UID of the `MySQLBackup` that it is.
pub const SNAPSHOT_OF: &str = "mysql.porpoise.dev/backup-uid";
/// What to do where there are no snapshots.
pub const SNAPSHOTS_UNSERVED: &str = "method VolumeSnapshot needs the API snapshot.storage.k8s.io/v1, which this Kubernetes does not serve: \
     install the snapshot CRDs and controller beside a storage driver that can, or choose method: Physical";

/// A snapshot, with the fields that are written and read here.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshot {
    /// Group and version.
    pub api_version: String,
    /// The kind.
    pub kind: String,
    /// Name and the rest.
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: VolumeSnapshotSpec,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<VolumeSnapshotStatus>,
}

/// What a snapshot is to be.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotSpec {
    /// The class; absent: the driver's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_snapshot_class_name: Option<String>,
    /// Of what.
    #[serde(default)]
    pub source: VolumeSnapshotSource,
}

/// Of what a snapshot is taken.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotSource {
    /// A volume claim of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_name: Option<String>,
}

/// What became of a snapshot.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotStatus {
    /// The snapshot controller took it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_volume_snapshot_content_name: Option<String>,
    /// The moment that it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<Time>,
    /// Volumes can be made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_to_use: Option<bool>,
    /// Smallest size of a volume made from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_size: Option<Quantity>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<VolumeSnapshotError>,
}

/// What went wrong with a snapshot.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
pub struct VolumeSnapshotError {
    /// In the driver's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What is known of the snapshot that a backup is.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum SnapshotLook {
    /// Nobody asked: the backup is no snapshot.
    #[default]
    Unasked,
    /// There is no such API here.
    Unserved,
    /// The API server does not say, and why not.
    Unread(String),
    /// There is none of this name.
    Absent,
    /// This one.
    Found(Box<SnapshotView>),
}

/// A snapshot as far as decisions look.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SnapshotView {
    /// UID of the object.
    pub uid: String,
    /// UID of the backup that it was made for.
    pub of: Option<String>,
    /// It is being deleted.
    pub terminating: bool,
    /// The snapshot controller took it up.
    pub taken_up: bool,
    /// Volumes can be made from it.
    pub ready: bool,
    /// The moment that it holds.
    pub created: Option<Timestamp>,
    /// Smallest size of a volume made from it, in bytes.
    pub bytes: Option<u64>,
    /// What went wrong last, in the driver's words.
    pub error: Option<String>,
}

impl SnapshotView {
    /// From the object.
    pub fn of(snapshot: &VolumeSnapshot) -> Self {
        let metadata = &snapshot.metadata;
        let status = snapshot.status.clone().unwrap_or_default();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            of: metadata.annotations.as_ref().and_then(|all| all.get(SNAPSHOT_OF).cloned()),
            terminating: metadata.deletion_timestamp.is_some(),
            taken_up: status.bound_volume_snapshot_content_name.is_some() || status.creation_time.is_some(),
            ready: status.ready_to_use == Some(true),
            created: status.creation_time.map(|time| time.0),
            bytes: status.restore_size.as_ref().and_then(|size| quantity::bytes(size).ok()),
            error: status.error.and_then(|error| error.message),
        }
    }
}

/// Whether a backup is, or is to be, a snapshot: the schema sees to it that its method does not change.
pub fn is_snapshot(object: &MySQLBackup) -> bool {
    object.spec.method == BackupMethod::VolumeSnapshot
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a10_what_the_driver_tells_is_read_and_what_is_missing_is_no_error() {
        let snapshot = |status| -> VolumeSnapshot {
            serde_json::from_value(json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "metadata": {"name": "shop-a", "uid": "s1", "annotations": {SNAPSHOT_OF: "b1"}},
                "spec": {"source": {"volumeSnapshotContentName": "given"}}, "status": status,
            }))
            .unwrap()
        };
        let blank =
            SnapshotView { uid: "s1".to_owned(), of: Some("b1".to_owned()), ..SnapshotView::default() };
        assert_eq!(SnapshotView::of(&snapshot(json!(null))), blank);
        let told =
            json!({"readyToUse": false, "error": {"time": "2026-11-22T05:00:00Z", "message": "no space"}});
        let failed = SnapshotView { error: Some("no space".to_owned()), ..blank.clone() };
        assert_eq!(SnapshotView::of(&snapshot(told)), failed);
        let done = SnapshotView::of(&snapshot(json!({
            "boundVolumeSnapshotContentName": "c1", "creationTime": "2026-11-22T05:00:00Z", "readyToUse": true,
            "restoreSize": "2Gi",
        })));
        assert!(done.ready && done.taken_up);
        assert_eq!((done.bytes, done.created), (Some(2 << 30), "2026-11-22T05:00:00Z".parse().ok()));
    }
}
