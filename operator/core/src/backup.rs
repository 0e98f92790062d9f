//! What operator, backup Job, agents and stored backups must agree on.
//!
//! A backup is a folder of a target: chunks, and last of all `manifest.json`. Without a manifest there is no backup.

mod archive;
mod archiving;
mod plan;
mod secrets;
mod snapshot;
mod snapshot_source;
mod source;
mod view;

pub use archive::{ARCHIVE_FOLDER, ArchiveOrder, ArchiveSettings, ArchiveState, RestorePoint};
pub use archiving::{
    ARCHIVE_BROKEN, ARCHIVE_FAILING, about, archive_needs, archive_settings, archived, longest_delay, settled,
};
pub use plan::BackupPlan;
pub use secrets::{
    AUTHORITY_ENTRY, FoundSecrets, Purpose, SecretNeed, credential_entries, need_of_encryption,
    needs_of_target,
};
pub use snapshot::{
    SNAPSHOT_GROUP, SNAPSHOT_KIND, SNAPSHOT_OF, SNAPSHOT_PLURAL, SNAPSHOT_VERSION, SNAPSHOTS_UNSERVED,
    SnapshotLook, SnapshotView, VolumeSnapshot, VolumeSnapshotError, VolumeSnapshotSource,
    VolumeSnapshotSpec, VolumeSnapshotStatus, is_snapshot,
};
pub use snapshot_source::{SnapshotSource, snapshot_of, snapshot_source};
pub use source::{NamedBackup, StoredBackup, stored_backup};

pub use view::{BackupView, JobState, JobView, Rival};

use porpoise_crds::{BackupLocation, BackupTarget};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

/// The newest format of manifests that this version writes and reads: that of dumps. A newer one is refused, an older one read.
pub const MANIFEST_FORMAT: u32 = 2;
/// Format of the manifests of files, which older versions read too.
pub const FILES_FORMAT: u32 = 1;
/// Name of the manifest in a backup's folder.
pub const MANIFEST: &str = "manifest.json";
/// Variable of a Job's Pod that holds its [`BackupJob`].
pub const JOB_VARIABLE: &str = "PORPOISE_BACKUP";
/// Directory of the target's credentials in a Job's Pod; one file per entry of the Secret.
pub const CREDENTIALS_PATH: &str = "/porpoise/target/credentials";
/// Directory of the target's certificate authority in a Job's Pod: `ca.crt`.
pub const AUTHORITY_PATH: &str = "/porpoise/target/authority";
/// Directory of encryption keys in a Job's Pod; one file per entry of the Secret.
pub const KEYS_PATH: &str = "/porpoise/target/keys";
/// Where a Job's Pod leaves its [`JobReport`].
pub const REPORT_PATH: &str = "/dev/termination-log";
/// A GTID set that is longer than this stays out of status and report.
pub const LONGEST_GTID_TEXT: usize = 2_000;

/// What it takes to use a target beside its description. Never written anywhere, and printed as dots.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct TargetSecrets {
    /// Entries of the credentials Secret.
    #[serde(default)]
    pub credentials: BTreeMap<String, String>,
    /// The certificate authority of the store, PEM.
    #[serde(default)]
    pub authority: Option<String>,
    /// Encryption keys by name, base64.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
}

impl fmt::Debug for TargetSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TargetSecrets(...)")
    }
}

/// What a Job does.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", tag = "do")]
pub enum BackupJob {
    /// Copies a member, boots the copy, checks it, and stores it.
    #[serde(rename_all = "camelCase")]
    Store {
        /// Where to.
        location: BackupLocation,
        /// Whose data it is.
        about: About,
        /// Members to copy from, best first.
        donors: Vec<Donor>,
        /// Name of the encryption key, if any.
        key_name: Option<String>,
        /// Bytes per second that are sent at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_bytes_per_second: Option<NonZeroU64>,
        /// Store it only if every table is in order. Otherwise the copy is booted for what it holds, and no table is read.
        #[serde(default = "yes")]
        verify: bool,
        /// Compare it with the donor too.
        #[serde(default)]
        compare: bool,
        /// Dump it instead: nothing is copied, and only who verifies needs room for the data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dump: Option<DumpScope>,
    },
    /// Fetches a stored backup, boots it and checks every table.
    #[serde(rename_all = "camelCase")]
    Verify {
        /// Which.
        location: BackupLocation,
    },
    /// Removes a stored backup.
    #[serde(rename_all = "camelCase")]
    Remove {
        /// Which.
        location: BackupLocation,
    },
    /// Fetches a stored backup, and boots and checks it as a member of the wanted image and settings would be.
    #[serde(rename_all = "camelCase")]
    Rehearse {
        /// Which.
        location: BackupLocation,
        /// The wanted `my.cnf`.
        my_cnf: String,
    },
    /// Boots a volume that was made from a snapshot, as after a power cut, and checks every table.
    #[serde(rename_all = "camelCase")]
    Examine {
        /// Name of the snapshot.
        snapshot: String,
        /// Smallest size of a volume made from it, in bytes.
        bytes: u64,
        /// UID of the cluster whose data it must hold.
        cluster: String,
        /// The member whose volume it is.
        donor: String,
    },
}

impl BackupJob {
    /// Where the backup is, or shall be; nowhere if it is a snapshot.
    pub fn location(&self) -> Option<&BackupLocation> {
        match self {
            Self::Store { location, .. }
            | Self::Verify { location }
            | Self::Remove { location }
            | Self::Rehearse { location, .. } => Some(location),
            Self::Examine { .. } => None,
        }
    }

    /// The snapshot that its volume is made from, and the smallest size of that, in bytes.
    pub fn snapshot(&self) -> Option<(&str, u64)> {
        match self {
            Self::Examine { snapshot, bytes, .. } => Some((snapshot, *bytes)),
            Self::Store { .. } | Self::Verify { .. } | Self::Remove { .. } | Self::Rehearse { .. } => None,
        }
    }
}

fn yes() -> bool {
    true
}

/// What a dump holds.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct DumpScope {
    /// These databases, without accounts. None: all databases of users, and the accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
}

/// A member that a backup may be copied from.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Donor {
    /// Its name.
    pub instance: String,
    /// Its DNS name.
    pub host: String,
}

/// Whose data a backup holds.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Name of the `MySQLBackup`.
    pub backup: String,
    /// UID of the `MySQLCluster`, and from its second line of data on the line ([`crate::line::history`]).
    pub cluster: String,
    /// `NAMESPACE/NAME` of the `MySQLCluster`.
    pub owner: String,
}

/// How a Job ended: its Pod's termination message, at most 4 KiB.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum JobReport {
    /// The backup is complete.
    #[serde(rename_all = "camelCase")]
    Stored {
        /// What it holds.
        summary: Summary,
    },
    /// A server booted from the stored backup and found it in order.
    #[serde(rename_all = "camelCase")]
    Verified {
        /// Tables that were checked.
        tables: u64,
    },
    /// The stored backup was read, and is not what was stored or not in order.
    #[serde(rename_all = "camelCase")]
    Damaged {
        /// What was found, in a sentence.
        reason: String,
    },
    /// Nothing of the backup is left.
    Removed,
    /// The wanted MySQL runs on the data of the backup.
    #[serde(rename_all = "camelCase")]
    Rehearsed {
        /// Its release.
        version: String,
        /// Tables that were checked and are in order.
        tables: u64,
    },
    /// It did not work.
    #[serde(rename_all = "camelCase")]
    Failed {
        /// Why, in a sentence.
        reason: String,
        /// Trying again would not help: the input is wrong.
        for_good: bool,
    },
}

/// The measure of a backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// MySQL release that wrote the data.
    pub version: String,
    /// Member that was copied.
    pub donor: String,
    /// `@@gtid_executed` of the copy; absent in reports if longer than [`LONGEST_GTID_TEXT`].
    pub gtid_set: Option<String>,
    /// Tables that were checked.
    pub tables: u64,
    /// Size of the data.
    pub data_bytes: u64,
    /// Size of all chunks.
    pub stored_bytes: u64,
    /// Every table was checked before it was stored. Backups of older versions say nothing, and all were.
    #[serde(default = "yes")]
    pub verified: bool,
    /// What was the same on the copy and on the donor; absent if they were not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

/// How a copy was compared with its donor.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Compared {
    /// The donor.
    pub donor: String,
    /// Tables that were the same.
    pub tables: u64,
    /// Rows of them.
    pub rows: u64,
    /// Tables that differ because the donor wrote to them meanwhile, as far as its binlog can tell.
    pub changed: u64,
    /// Tables that could not be read in time.
    pub skipped: u64,
    /// SHA-256 over name, rows and checksum of the tables that were the same, in hexadecimal digits.
    pub digest: String,
}

/// Content of [`MANIFEST`]: all there is to know about a stored backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`] of the version that wrote it.
    pub format: u32,
    /// Whose data it is.
    pub about: About,
    /// The measure of it, with the whole GTID set.
    pub summary: Summary,
    /// When it was complete, RFC 3339.
    pub completed_at: String,
    /// Encryption, if any.
    pub encryption: Option<Encrypted>,
    /// How the archive was compressed.
    #[serde(default)]
    pub compression: Compression,
    /// What the chunks are.
    #[serde(default)]
    pub content: Content,
    /// The chunks, in order: one after the other, decrypted and decompressed, they are what `content` says.
    pub chunks: Vec<Chunk>,
}

/// Reason of `BackupReady` where there is no backup of the present line of data.
pub const NONE_YET: &str = "NoneYet";

/// What a backup holds.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// A tar archive of a data directory.
    #[default]
    Files,
    /// Statements, as MySQL's own client reads them.
    Dump,
}

/// How the archive of a backup is compressed. Both read as one zstd stream, if the chunks are put one after the other.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub enum Compression {
    /// One zstd frame over all chunks, as the first versions wrote it.
    #[default]
    Whole,
    /// Each chunk is a zstd frame of its own, so that several are worked on at a time.
    Chunks,
}

/// How chunks are encrypted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Encrypted {
    /// Name of the cipher.
    pub cipher: String,
    /// Name of the key.
    pub key_name: String,
}

/// One object of a stored backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Chunk {
    /// Name in the backup's folder.
    pub name: String,
    /// Size as stored.
    pub bytes: u64,
    /// SHA-256 of what is stored, in hexadecimal digits.
    pub sha256: String,
}

/// Where a member takes its first data from, with everything it takes to read it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RestoreSource {
    /// The backup.
    pub location: BackupLocation,
    /// What it takes to read it.
    pub secrets: TargetSecrets,
    /// How far to go beyond it. Absent: what the backup holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<RestorePoint>,
}

/// The folder of a backup in its target: by the UID of the cluster too, so that a successor of the same name shares nothing.
pub fn folder(target: &BackupTarget, about: &About) -> String {
    let prefix = target.place().map(|place| place.prefix).unwrap_or_default();
    let parts = [prefix, about.owner.as_str(), about.cluster.as_str(), about.backup.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_printed() {
        let credentials = BTreeMap::from([("secretAccessKey".to_owned(), "s3cr3t".to_owned())]);
        let source = TargetSecrets { credentials, ..TargetSecrets::default() };
        assert!(!format!("{source:?}").contains("s3cr3t"));
    }

    #[test]
    fn a_backup_has_a_folder_of_its_own() {
        let target: BackupTarget =
            serde_json::from_str(r#"{"s3": {"bucket": "safe", "prefix": "prod/mysql"}}"#).unwrap();
        let about =
            About { backup: "shop-a".to_owned(), cluster: "u1".to_owned(), owner: "prod/shop".to_owned() };
        assert_eq!(folder(&target, &about), "prod/mysql/prod/shop/u1/shop-a");
    }
}
