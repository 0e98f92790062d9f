//! From `spec.backup` and its Secrets to what the primary is told about the archive.

use super::secrets::{FoundSecrets, SecretNeed, gathered, need_of_encryption, needs_of_target};
use super::{ARCHIVE_FOLDER, About, ArchiveSettings};
use crate::line;
use crate::validate;
use porpoise_crds::{ArchiveMode, Backup, BackupTarget, MySQLCluster};
use std::time::Duration;

/// Reason of `BackupReady` while the binlog is not archived as it should be.
pub const ARCHIVE_FAILING: &str = "ArchiveFailing";
/// Reason of `BackupReady` while no backup can be followed by the archive.
pub const ARCHIVE_BROKEN: &str = "ArchiveBroken";

/// What `spec.backup` asks for, if the binlog is to be archived.
pub fn archived(object: &MySQLCluster) -> Option<&Backup> {
    object.spec.backup.as_ref().filter(|backup| backup.binlog_archive.mode == ArchiveMode::Continuous)
}

/// The Secrets that it takes to archive.
pub fn archive_needs(backup: &Backup) -> Vec<SecretNeed> {
    let mut needs = needs_of_target(&backup.target, "spec.backup.target");
    let encryption = backup.encryption.as_ref();
    needs.extend(encryption.map(|one| need_of_encryption(one, "spec.backup.encryption")));
    needs
}

/// How soon a transaction is to be stored. A text that is no time was refused before.
pub fn longest_delay(backup: &Backup) -> Duration {
    validate::duration(&backup.binlog_archive.max_delay).unwrap_or(Duration::from_secs(1))
}

/// Where the backups of this cluster go, named so that it is found without the cluster.
pub fn settled(object: &MySQLCluster, backup: &Backup) -> BackupTarget {
    backup.target.settled(object.metadata.name.as_deref().unwrap_or_default())
}

/// What the primary is told.
///
/// # Errors
/// What is missing, in sentences with field and remedy.
pub fn archive_settings(
    object: &MySQLCluster,
    backup: &Backup,
    found: &FoundSecrets,
) -> Result<ArchiveSettings, String> {
    Ok(ArchiveSettings {
        target: settled(object, backup),
        secrets: gathered(&archive_needs(backup), found)?,
        about: about(object, ARCHIVE_FOLDER),
        key_name: backup.encryption.as_ref().map(|encryption| encryption.key_name.clone()),
        max_delay_milliseconds: u64::try_from(longest_delay(backup).as_millis()).unwrap_or(u64::MAX),
    })
}

/// Whose data it is, and what its folder is called.
pub fn about(object: &MySQLCluster, folder: &str) -> About {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let metadata = &object.metadata;
    About {
        backup: folder.to_owned(),
        cluster: line::recorded_history(object),
        owner: format!("{}/{}", text(&metadata.namespace), text(&metadata.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn object() -> MySQLCluster {
        let mut object = fixture::object();
        object.spec.backup = serde_json::from_value(json!({
            "target": {"s3": {"bucket": "safe", "prefix": "p", "credentialsSecretRef": {"name": "store"}}},
            "binlogArchive": {"maxDelay": "250ms"},
            "encryption": {"keySecretRef": {"name": "keys"}, "keyName": "2026"},
        }))
        .unwrap();
        object
    }

    fn entries(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a29_the_primary_is_told_all_it_needs_and_nothing_is_printed() {
        let object = object();
        let backup = archived(&object).unwrap();
        let mut found = FoundSecrets::from([(
            "store".to_owned(),
            entries(&[("accessKeyId", "id"), ("secretAccessKey", "s3cr3t")]),
        )]);
        let missing = archive_settings(&object, backup, &found).unwrap_err();
        assert_eq!(
            missing,
            "spec.backup.encryption.keySecretRef: Secret keys does not exist; make it with 2026, or name another"
        );
        found.insert("keys".to_owned(), entries(&[("2026", "a2V5"), ("2025", "b2xk")]));
        let settings = archive_settings(&object, backup, &found).unwrap();
        assert_eq!(settings.folder(), "p/prod/shop/c1a5ter/_binlogs");
        assert_eq!((settings.max_delay_milliseconds, settings.key_name.as_deref()), (250, Some("2026")));
        assert_eq!(settings.secrets.keys.len(), 2, "what an older key sealed is still read");
        assert!(!format!("{settings:?}").contains("s3cr3t"));
    }

    #[test]
    fn a29_a_volume_is_named_so_that_it_is_found_without_the_cluster() {
        let mut object = object();
        for (volume, claim) in
            [(json!({"size": "5Gi"}), "shop-backups"), (json!({"claimName": "safe"}), "safe")]
        {
            object.spec.backup = serde_json::from_value(json!({"target": {"volume": volume}})).unwrap();
            let backup = archived(&object).unwrap();
            assert_eq!(archive_needs(backup), [], "members reach it with what they have");
            let settings = archive_settings(&object, backup, &FoundSecrets::new()).unwrap();
            assert_eq!(json!(settings.target), json!({"volume": {"claimName": claim}}));
            assert_eq!(settings.folder(), "prod/shop/c1a5ter/_binlogs");
        }
    }

    #[test]
    fn a29_nothing_is_archived_unless_it_is_asked_for() {
        let mut object = object();
        object.spec.backup.as_mut().unwrap().binlog_archive.mode = ArchiveMode::Off;
        assert_eq!(archived(&object), None);
        object.spec.backup = None;
        assert_eq!(archived(&object), None);
    }
}
