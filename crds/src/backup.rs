//! Backups: where they go, when they are made, and the `MySQLBackup` kind that remembers one.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::{
    BackupMethod, BackupTarget, BackupVerification, ComparisonStatus, LocalReference, SnapshotStatus,
    VerificationStatus, schema,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Finalizer that guards the deletion of a `MySQLBackup`: what it stored goes first, if the policy says so.
pub const BACKUP_FINALIZER: &str = "mysql.porpoise.dev/backup";

/// Annotation on a `MySQLBackup`, by the operator: the time of `spec.backup.verify.schedule` at which it is to be verified.
pub const VERIFY_DUE: &str = "mysql.porpoise.dev/verify-due";

/// Backups of a cluster.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Where backups are kept.
    pub target: BackupTarget,
    /// When backups are made: five fields as in cron (minute, hour, day of month, month, day of week), such as
    /// `0 3 * * *`. Absent: only on demand. A time that was missed is made up for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100))]
    pub schedule: Option<String>,
    /// How the backups of `schedule` and `onDemand` are made. Default `Physical`. Those before an update and before a deletion
    /// are always `Physical`, and what `binlogArchive` stores goes on from those only.
    #[serde(default)]
    pub method: BackupMethod,
    /// `VolumeSnapshotClass` of backups with the method `VolumeSnapshot`. Default: the default one of the storage driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub volume_snapshot_class_name: Option<String>,
    /// Time zone of `schedule` by its IANA name, such as `Europe/Berlin`. Default UTC.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// Makes one backup now, for every new `requestId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<OnDemandBackup>,
    /// Stores the binlog too, while it is written: with it a cluster is restored to any point in time after a backup.
    #[serde(default)]
    pub binlog_archive: BinlogArchive,
    /// Which of the backups of this cluster are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Encrypts what is stored. Absent: only the target protects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<BackupEncryption>,
    /// When a server reads all of a backup, so that it counts as verified.
    #[serde(default)]
    pub verify: BackupVerification,
    /// Which member is copied. Default `PreferReplica`.
    #[serde(default)]
    pub from: BackupSource,
    /// Bytes per second that a backup sends to its target at most, such as `50M`. At least `100k`. Default: as fast as it
    /// can. A change counts from the next backup on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('100k')) >= 0")
        .message("maxBytesPerSecond must be a quantity of at least 100k, such as 50M"))]
    pub max_bytes_per_second: Option<Quantity>,
}

/// A DNS subdomain, as names of cluster-wide objects are.
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn utc() -> String {
    "UTC".to_owned()
}

/// The binlog, stored while it is written.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BinlogArchive {
    /// Whether it is stored. Default `Continuous`. In YAML, write `"Off"` with quotes: without them it is read as `false`.
    #[serde(default)]
    pub mode: ArchiveMode,
    /// How soon after its commit a transaction is stored, at the latest, as long as the store keeps up. 200ms to 60m.
    /// Default 1s: one request a second while there are writes.
    #[serde(default = "one_second")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = schema::longest("60m"), validation = Rule::new("duration(self) >= duration('200ms')")
        .message("the delay must be 200ms or more, such as 1s"))]
    pub max_delay: String,
}

impl Default for BinlogArchive {
    fn default() -> Self {
        Self { mode: ArchiveMode::default(), max_delay: one_second() }
    }
}

fn one_second() -> String {
    "1s".to_owned()
}

/// Whether the binlog is stored.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum ArchiveMode {
    /// All the time.
    #[default]
    Continuous,
    /// Not at all: only what a backup holds can be restored.
    Off,
}

/// A wish for one backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnDemandBackup {
    /// Names the wish: each new value makes one backup, `NAME-REQUESTID`; a long NAME is shortened. Lower case letters,
    /// digits and dashes, up to 20 characters.
    #[schemars(length(min = 1, max = 20), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub request_id: String,
}

/// Which backups are kept. The newest verified one is never removed.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// How many successful scheduled backups of each method are kept. 1 to 1000. Default 7. Those on demand stay until
    /// somebody deletes them.
    #[serde(default = "seven")]
    #[schemars(range(min = 1, max = 1000))]
    pub keep_last: i32,
    /// How far back the backups go at least, in whole hours or days, such as `30d`. 1h to 9999d. Scheduled backups that were
    /// complete in this time are kept even if there are more than `keepLast`, and so is the newest verified one before it,
    /// so that every moment of it can be restored as long as the binlog is archived. Absent: `keepLast` alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.matches('^[1-9][0-9]{0,3}[hd]$')")
        .message("the window must be whole hours or days, 1h to 9999d, such as 30d"))]
    pub window: Option<String>,
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_last: seven(), window: None }
    }
}

fn seven() -> i32 {
    7
}

/// Encryption of what is stored.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupEncryption {
    /// Secret of this namespace whose entries are keys: 32 bytes each, as base64 text. Keep old entries as long as backups
    /// made with them are to be read.
    pub key_secret_ref: LocalReference,
    /// Entry of the Secret that new backups use.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key_name: String,
}

/// Which member is copied.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum BackupSource {
    /// A replica that has everything; the primary if there is none.
    #[default]
    PreferReplica,
    /// A replica, or nobody.
    Replica,
    /// The primary.
    Primary,
}

/// Which backup a new cluster begins with.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = one_source())]
pub struct Restore {
    /// A `MySQLBackup` of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_ref: Option<LocalReference>,
    /// Where a backup is stored, if there is no `MySQLBackup` of it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<BackupLocation>,
    /// Secret of this namespace with the key of an encrypted backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<LocalReference>,
    /// How far to go beyond the backup, by what `spec.backup.binlogArchive` stored. Absent: what the backup holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point_in_time: Option<PointInTime>,
}

/// Where something is stored already, nobody makes a volume claim for it.
pub(crate) fn named_volume() -> Rule {
    Rule::new("!has(self.target.volume) || has(self.target.volume.claimName)")
        .message("name the volume by its claimName")
        .field_path(".target")
}

/// A backup is named in one way.
pub(crate) fn one_source() -> Rule {
    Rule::new("has(self.backupRef) != has(self.location)").message(
        "name either backupRef, a MySQLBackup of this namespace, or location, where a backup is stored",
    )
}

/// A transaction, `UUID:NUMBER` or `UUID:TAG:NUMBER`.
const GTID: &str =
    r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(:[a-zA-Z_][a-zA-Z0-9_]{0,31})?:[1-9][0-9]{0,18}$";

/// A point in time: exactly one of its fields.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.latest), has(self.time), has(self.gtid), has(self.beforeGtid)].exists_one(named, named)")
    .message("name one of latest, time, gtid and beforeGtid"))]
pub struct PointInTime {
    /// All that was stored; `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self").message("latest can only be true; name time, gtid or beforeGtid instead"))]
    pub latest: Option<bool>,
    /// Everything up to the first transaction that was committed after this time, such as `2026-11-21T10:00:00Z`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Everything up to this transaction, with it, such as `3e11fa47-71ca-11e1-9e33-c80aa9429562:7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 90), regex(pattern = GTID))]
    pub gtid: Option<String>,
    /// Everything before this transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 90), regex(pattern = GTID))]
    pub before_gtid: Option<String>,
}

/// Where one backup is stored.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = named_volume())]
pub struct BackupLocation {
    /// The store.
    pub target: BackupTarget,
    /// The backup's folder in it, such as `prod/mysql/NAMESPACE/CLUSTER/UID/BACKUP`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[-._a-zA-Z0-9]+(/[-._a-zA-Z0-9]+)*$"))]
    pub path: String,
}

/// One backup of a `MySQLCluster`: the wish for it, and what became of it. It outlives the Job that made it.
///
/// The name must be a DNS label of at most 52 characters, since its Job is named after it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "mysql.porpoise.dev",
    version = "v1alpha1",
    kind = "MySQLBackup",
    plural = "mysqlbackups",
    singular = "mysqlbackup",
    shortname = "mybk",
    category = "all",
    category = "porpoise",
    namespaced,
    status = "MySQLBackupStatus",
    derive = "PartialEq",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterRef.name"),
    printcolumn(name = "Method", type_ = "string", json_path = ".spec.method"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Verified", type_ = "boolean", json_path = ".status.verified"),
    printcolumn(name = "Bytes", type_ = "integer", json_path = ".status.storedBytes"),
    printcolumn(name = "Completed", type_ = "date", json_path = ".status.completedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 52 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name may have at most 52 characters: lower case letters, digits and dashes, since a Job is named after it")
)]
#[x_kube(validation = Rule::new("self.clusterRef == oldSelf.clusterRef")
    .message("a backup belongs to one cluster for good; make another MySQLBackup").field_path(".clusterRef"),
    validation = Rule::new("self.method == oldSelf.method && has(self.databases) == has(oldSelf.databases) && (!has(self.databases) || self.databases == oldSelf.databases)")
    .message("how a backup is made cannot change; make another MySQLBackup").field_path(".method"),
    validation = Rule::new("!has(self.databases) || size(self.databases) == 0 || self.method == 'Logical'")
    .message("only a Logical backup can hold single databases; choose method: Logical, or leave databases out").field_path(".databases"))]
pub struct MySQLBackupSpec {
    /// The `MySQLCluster` of this namespace.
    pub cluster_ref: LocalReference,
    /// What happens to the stored data when this object is deleted. Default `Delete`.
    #[serde(default)]
    pub deletion_policy: BackupDeletionPolicy,
    /// How it is made. Default `Physical`, whatever `spec.backup.method` of the cluster says.
    #[serde(default)]
    pub method: BackupMethod,
    /// `VolumeSnapshotClass`, if it is a `VolumeSnapshot`. Default: `spec.backup.volumeSnapshotClassName` of the cluster. Once
    /// it has begun a change means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    pub volume_snapshot_class_name: Option<String>,
    /// The databases of a `Logical` backup, up to 64, without accounts. Absent: all databases of users, and the accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    #[x_kube(validation = Rule::new("self.all(name, !(name.lowerAscii() in ['mysql', 'sys', 'information_schema', 'performance_schema', 'porpoise']))")
        .message("a dump has no databases of the server or of Porpoise; name databases of users"))]
    pub databases: Vec<String>,
}

/// What happens to the stored data when a `MySQLBackup` is deleted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum BackupDeletionPolicy {
    /// It is removed from the target.
    #[default]
    Delete,
    /// It stays, and can be restored by its location.
    Retain,
}

/// What became of a backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct MySQLBackupStatus {
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// How many Jobs were made to store it. One that somebody deletes is made again, twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<i32>,
    /// When its Job was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it was complete, or had failed for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// Where it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<BackupLocation>,
    /// The snapshot that it is, if it is one. Then there is no `location`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotStatus>,
    /// Entry of the Secret with the key that it was encrypted with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<BackupEncryption>,
    /// UID of the cluster whose data it is; with a dot and the number of the line of data from the second line on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// MySQL release that wrote the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Member that was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub donor: Option<String>,
    /// Every transaction it holds; absent if the text is longer than 2,000 characters (the manifest has it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtid_set: Option<String>,
    /// Size of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_bytes: Option<i64>,
    /// Size of what is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_bytes: Option<i64>,
    /// Whether a server booted from it and found every table in order. `false`: nobody has looked yet, or `verification` says
    /// what was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// When a server last found it in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Time>,
    /// How the copy was compared with the member that it was copied from, as `gtidSet` has it. Absent: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<ComparisonStatus>,
    /// How the last verification of the stored backup went, by `spec.backup.verify.schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationStatus>,
    /// What it does, or why it failed, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// How a backup stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum BackupPhase {
    /// It waits for something that the message names.
    Pending,
    /// Its Job runs.
    Running,
    /// It is complete.
    Succeeded,
    /// It failed for good; a new `MySQLBackup` tries again.
    Failed,
    /// What it stored is being removed.
    Deleting,
}

impl BackupPhase {
    /// Whether nothing more will happen by itself.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}
