//! How changes that need a restart reach the members.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::schema;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How changes that need a restart reach the members: replicas one by one, the primary last.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// Whether the primary is moved when its turn to restart comes. Default Automatic. A change restarts nothing by itself.
    #[serde(default)]
    pub mode: UpdateMode,
    /// How long the first member that restarted must be ready without a break before the next one restarts, such as `30m`. At
    /// most 1440m. Default 0s.
    #[serde(default = "no_soak")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = schema::longest("1440m"))]
    pub soak: String,
    /// Whether a verified backup must stand before members get another image, as by a new `version` or `image`. Default
    /// `IfConfigured`.
    #[serde(default)]
    pub backup_before: BackupBefore,
    /// How old that backup may be, such as `30m`. If none is young enough, one is made: `NAME-before-` and a digest of the
    /// image. It stays until somebody deletes it. 1m to 1440m. Default 10m.
    #[serde(default = "ten_minutes")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = schema::longest("1440m"), validation = Rule::new("duration(self) >= duration('1m')")
        .message("the age must be 1m or more, such as 10m"))]
    pub backup_max_age: String,
    /// Whether the update is tried on that backup before any member gets the image: a Job with the wanted image checks the
    /// wanted settings, boots a copy of the data, upgrades it and checks every table. Until it ends well, nothing of the members
    /// changes. Default `IfConfigured`.
    #[serde(default)]
    pub rehearsal: Rehearsal,
}

impl Default for Update {
    fn default() -> Self {
        Self {
            mode: UpdateMode::default(),
            soak: no_soak(),
            backup_before: BackupBefore::default(),
            backup_max_age: ten_minutes(),
            rehearsal: Rehearsal::default(),
        }
    }
}

fn ten_minutes() -> String {
    "10m".to_owned()
}

fn no_soak() -> String {
    "0s".to_owned()
}

/// Whether the primary is moved when its turn to restart comes.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum UpdateMode {
    /// The operator moves it to a member that has restarted.
    #[default]
    Automatic,
    /// It stays until a person asks for a switchover by a new `spec.switchover.requestId`, or chooses Automatic.
    Supervised,
}

/// Whether a verified backup must stand before members get another image.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum BackupBefore {
    /// Yes, if there is `spec.backup`; else the update goes on, and an Event warns.
    #[default]
    IfConfigured,
    /// Yes. Needs `spec.backup`.
    Required,
    /// No.
    Skip,
}

/// Whether an update is tried on a copy first.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum Rehearsal {
    /// Yes, if there is `spec.backup` and `backupBefore` is not `Skip`.
    #[default]
    IfConfigured,
    /// Yes. Needs `spec.backup`, and `backupBefore` must not be `Skip`.
    Required,
    /// No.
    Skip,
}

/// An update that is tried on a copy before it touches a member.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RehearsalStatus {
    /// The image that is tried.
    pub image: String,
    /// Digest of image and settings: another wish is another rehearsal.
    pub digest: String,
    /// The `MySQLBackup` whose data is used.
    pub backup: String,
    /// UID of that backup.
    pub backup_uid: String,
    /// The Job that does it.
    pub job: String,
    /// How often it was tried with this backup, from 1 on.
    pub attempt: i32,
    /// How it stands.
    pub outcome: RehearsalOutcome,
    /// When this try began.
    pub started_at: Time,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// What went wrong, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a rehearsal stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum RehearsalOutcome {
    /// The Job is at it.
    Running,
    /// The wanted MySQL runs on a copy of the data.
    Succeeded,
    /// It did not work, for a reason that may pass: it is tried again after a pause.
    Interrupted,
    /// It does not work until somebody changes something.
    Failed,
}
