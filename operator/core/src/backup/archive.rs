//! What operator and agents must agree on about the archive: the binlog of the primary, stored while it is written.
//!
//! The archive of a cluster is a folder beside its backups. A backup and the archived transactions that follow it make any
//! point in time.

use super::{About, TargetSecrets};
use porpoise_crds::BackupTarget;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// Name of the folder beside the backups of a cluster. No backup is called so: names of objects have no underscore.
pub const ARCHIVE_FOLDER: &str = "_binlogs";

/// Where and how the primary archives. It holds secrets: agents keep it in memory only.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveSettings {
    /// The store.
    pub target: BackupTarget,
    /// What it takes to use it.
    pub secrets: TargetSecrets,
    /// Whose data it is; `backup` is [`ARCHIVE_FOLDER`].
    pub about: About,
    /// Name of the encryption key, if any.
    pub key_name: Option<String>,
    /// Milliseconds after which a committed transaction is stored, at the latest, as long as the store keeps up.
    pub max_delay_milliseconds: u64,
}

impl ArchiveSettings {
    /// The archive's folder in the target.
    pub fn folder(&self) -> String {
        super::folder(&self.target, &self.about)
    }

    /// Tells these settings from others. It goes into states, never into the object: it is made of secrets too.
    pub fn digest(&self) -> String {
        // It has a JSON form, and no key in it is anything but text.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let bytes: [u8; 32] = Sha256::digest(text).into();
        let (half, _) = bytes.split_at(16);
        half.iter().fold(String::new(), |mut text, byte| {
            // Writing to a text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// What the operator tells the primary's agent about the archive, beside all orders: it changes nothing about who is
/// primary. An agent that is not the primary keeps it and does nothing.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveOrder {
    /// UID of the `MySQLCluster`. An agent of another cluster refuses.
    pub cluster: String,
    /// Name of the instance that is meant. Any other refuses.
    pub instance: String,
    /// Where and how; absent: archive no more.
    pub settings: Option<ArchiveSettings>,
    /// GTID set that every backup that is kept holds: what is archived of it is needed by none, and may be removed. Absent:
    /// nothing is removed.
    pub needless: Option<String>,
}

/// How the archive stands, told by an agent that was told to archive.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveState {
    /// [`ArchiveSettings::digest`] of what it was told last.
    pub digest: String,
    /// What it was told last to be needless.
    #[serde(default)]
    pub needless: Option<String>,
    /// Everything before the archive's unbroken part began, as a GTID set: a backup that holds all of it can be followed by
    /// the archive. Absent while nothing is known, as on a replica.
    #[serde(default)]
    pub begins: Option<String>,
    /// Everything that was committed before this moment is stored (RFC 3339). Absent while nothing is known.
    #[serde(default)]
    pub reached_at: Option<String>,
    /// Why it does not get on, in a sentence; empty if it does.
    #[serde(default)]
    pub error: String,
    /// Why the unbroken part begins where it does, if it was broken, in a sentence; empty if it never was.
    #[serde(default)]
    pub broken: String,
}

/// How far a restore goes beyond its backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", tag = "to")]
pub enum RestorePoint {
    /// All that is archived.
    Latest,
    /// Everything up to the first transaction that was committed after this time.
    #[serde(rename_all = "camelCase")]
    Time {
        /// RFC 3339.
        time: String,
    },
    /// Everything up to this transaction, with it.
    #[serde(rename_all = "camelCase")]
    Gtid {
        /// The transaction, such as `UUID:7`.
        gtid: String,
    },
    /// Everything before this transaction.
    #[serde(rename_all = "camelCase")]
    BeforeGtid {
        /// The transaction, such as `UUID:7`.
        gtid: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn settings() -> ArchiveSettings {
        ArchiveSettings {
            target: serde_json::from_str(r#"{"s3": {"bucket": "safe", "prefix": "prod"}}"#).unwrap(),
            secrets: TargetSecrets::default(),
            about: About {
                backup: ARCHIVE_FOLDER.to_owned(),
                cluster: "u1".to_owned(),
                owner: "a/shop".to_owned(),
            },
            key_name: None,
            max_delay_milliseconds: 1_000,
        }
    }

    #[test]
    fn the_archive_is_beside_the_backups() {
        assert_eq!(settings().folder(), "prod/a/shop/u1/_binlogs");
    }

    #[test]
    fn rotated_credentials_are_other_settings() {
        let credentials = BTreeMap::from([("secretAccessKey".to_owned(), "new".to_owned())]);
        let rotated = ArchiveSettings {
            secrets: TargetSecrets { credentials, ..TargetSecrets::default() },
            ..settings()
        };
        assert_ne!(settings().digest(), rotated.digest());
        assert_eq!(settings().digest(), settings().digest());
    }
}
