//! Where `spec.bootstrap.restore` leads when the backup is a snapshot: the first member's volume is made from it.

use super::source::{NamedBackup, complete};
use super::{SnapshotLook, is_snapshot};
use crate::line;
use porpoise_crds::{MySQLBackup, SnapshotStatus};

/// A snapshot that a new cluster begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotSource {
    /// Name of the `VolumeSnapshot`.
    pub snapshot: String,
    /// UID of the cluster whose data it holds.
    pub cluster: String,
    /// Smallest size of a volume made from it, in bytes.
    pub bytes: u64,
}

/// The snapshot that `backup`, the object that is named, is, if it is one and complete; `None` if it is no snapshot.
///
/// # Errors
/// What is missing, in a sentence with field and remedy.
pub fn snapshot_of(
    named: &NamedBackup,
    backup: Option<&MySQLBackup>,
) -> Result<Option<SnapshotStatus>, String> {
    let Some(backup) = backup.filter(|backup| named.takes_snapshots() && is_snapshot(backup)) else {
        return Ok(None);
    };
    let (field, name) = (named.field, backup.metadata.name.as_deref().unwrap_or_default());
    if named.restore.point_in_time.is_some() {
        return Err(format!(
            "{field}.pointInTime: MySQLBackup {name} is a VolumeSnapshot, and what is archived goes on from physical backups \
             only; remove pointInTime, or name a backup with method Physical"
        ));
    }
    let status = complete(named, name, Some(backup))?.status.as_ref();
    let taken = status.and_then(|status| status.snapshot.clone());
    taken.map(Some).ok_or_else(|| {
        format!("{field}.backupRef: MySQLBackup {name} does not say which snapshot it is; name another")
    })
}

/// The source, if the snapshot is there and can be used.
///
/// # Errors
/// What is missing, in a sentence with field and remedy.
pub fn snapshot_source(
    named: &NamedBackup,
    backup: &MySQLBackup,
    taken: &SnapshotStatus,
    look: &SnapshotLook,
) -> Result<SnapshotSource, String> {
    let at_fault = format!("{}.backupRef: VolumeSnapshot {}", named.field, taken.name);
    let found = match look {
        SnapshotLook::Found(found) if found.of != backup.metadata.uid => {
            return Err(format!("{at_fault} was made for something else; name another backup"));
        }
        SnapshotLook::Found(found) if !found.ready || found.terminating => {
            let words = found.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(format!("{at_fault} cannot be used now{words}"));
        }
        SnapshotLook::Found(found) => found,
        SnapshotLook::Unserved => {
            return Err(format!(
                "{at_fault}: this Kubernetes does not serve snapshot.storage.k8s.io/v1; install its CRDs and controller again"
            ));
        }
        SnapshotLook::Unread(why) => return Err(format!("{at_fault} cannot be read now: {why}")),
        SnapshotLook::Absent | SnapshotLook::Unasked => {
            return Err(format!("{at_fault} does not exist any more; name another backup"));
        }
    };
    let history = backup.status.as_ref().and_then(|status| status.cluster.as_deref());
    let Some(cluster) = history.map(line::cluster_uid) else {
        return Err(format!(
            "{at_fault} is of a MySQLBackup that does not say whose data it is; name another"
        ));
    };
    let (snapshot, cluster) = (taken.name.clone(), cluster.to_owned());
    Ok(SnapshotSource { snapshot, cluster, bytes: found.bytes.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::super::SnapshotView;
    use super::*;
    use porpoise_crds::BackupMethod;
    use serde_json::{Value, json};

    fn backup(status: &Value) -> MySQLBackup {
        serde_json::from_value(json!({
            "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup",
            "metadata": {"name": "shop-a", "uid": "b1"},
            "spec": {"clusterRef": {"name": "shop"}, "method": "VolumeSnapshot"}, "status": status,
        }))
        .unwrap()
    }

    fn restore(more: &Value) -> NamedBackup {
        let mut whole = json!({"backupRef": {"name": "shop-a"}});
        whole.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        NamedBackup::of(&serde_json::from_value(json!({ "restore": whole })).unwrap()).unwrap()
    }

    fn done() -> MySQLBackup {
        let snapshot = json!({"name": "shop-a", "claim": "data-shop-2"});
        backup(&json!({"phase": "Succeeded", "cluster": "u1.2", "snapshot": snapshot}))
    }

    #[test]
    fn a30_a_snapshot_that_cannot_be_restored_is_said_with_field_and_remedy() {
        let plain = restore(&json!({}));
        for (status, words) in [
            (json!(null), "is not complete yet"),
            (json!({"phase": "Running"}), "is not complete yet"),
            (json!({"phase": "Failed"}), "name one that Succeeded"),
            (json!({"phase": "Succeeded"}), "does not say which snapshot it is"),
        ] {
            let error = snapshot_of(&plain, Some(&backup(&status))).unwrap_err();
            assert!(error.starts_with("spec.bootstrap.restore.backupRef: MySQLBackup shop-a "), "{error}");
            assert!(error.contains(words), "{error}");
        }
        let later = restore(&json!({"pointInTime": {"latest": true}}));
        let error = snapshot_of(&later, Some(&done())).unwrap_err();
        assert!(error.starts_with("spec.bootstrap.restore.pointInTime: "), "{error}");
        assert!(error.contains("name a backup with method Physical"), "{error}");
        let mut stored = backup(&json!({
            "phase": "Succeeded", "location": {"target": {"s3": {"bucket": "safe"}}, "path": "a"},
        }));
        stored.spec.method = BackupMethod::Physical;
        assert_eq!(snapshot_of(&later, Some(&stored)), Ok(None), "a stored one is another story");
        assert_eq!(snapshot_of(&later, None), Ok(None), "and so is none");
    }

    #[test]
    fn a30_only_a_whole_snapshot_of_this_backup_is_taken() {
        let mut done = done();
        let named = restore(&json!({}));
        let taken = snapshot_of(&named, Some(&done)).unwrap().unwrap();
        let whole = SnapshotView {
            of: Some("b1".to_owned()),
            ready: true,
            bytes: Some(7),
            ..SnapshotView::default()
        };
        let found = |view: SnapshotView| SnapshotLook::Found(Box::new(view));
        let source = snapshot_source(&named, &done, &taken, &found(whole.clone())).unwrap();
        let SnapshotSource { snapshot, cluster, bytes } = source;
        assert_eq!((snapshot.as_str(), cluster.as_str(), bytes), ("shop-a", "u1", 7), "of a line of u1's");
        let error = Some("gone".to_owned());
        for (look, words) in [
            (SnapshotLook::Absent, "does not exist any more"),
            (SnapshotLook::Unserved, "install its CRDs"),
            (found(SnapshotView { of: Some("b2".to_owned()), ..whole.clone() }), "made for something else"),
            (found(SnapshotView { ready: false, error, ..whole.clone() }), "cannot be used now: gone"),
            (found(SnapshotView { terminating: true, ..whole.clone() }), "cannot be used now"),
            (SnapshotLook::Unread("403".to_owned()), "cannot be read now: 403"),
        ] {
            let error = snapshot_source(&named, &done, &taken, &look).unwrap_err();
            assert!(error.contains("VolumeSnapshot shop-a") && error.contains(words), "{error}");
        }
        done.status.as_mut().unwrap().cluster = None;
        let error = snapshot_source(&named, &done, &taken, &found(whole)).unwrap_err();
        assert!(error.contains("does not say whose data it is"), "{error}");
    }
}
