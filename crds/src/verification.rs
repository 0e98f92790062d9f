//! How backups are verified, and what came of it.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When backups are verified: a server boots from the data and checks every table.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.schedule) == (self.mode == 'Schedule')")
    .message("mode Schedule needs verify.schedule, such as 0 5 * * 0, and no other mode has one"))]
pub struct BackupVerification {
    /// Of the backups that the schedule and `onDemand` make. Those before an update, before a deletion and by hand are always
    /// verified before they are stored. Default `AfterEach`. In YAML, write `"Off"` with quotes: without them it is read as
    /// `false`.
    #[serde(default)]
    pub mode: VerificationMode,
    /// When the newest stored backup is fetched and verified, with `mode: Schedule`: five fields as in cron, read in
    /// `spec.backup.timeZone`. A time that was missed is made up for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100))]
    pub schedule: Option<String>,
    /// Whether a copy that is checked before it is stored is also compared with the member that it was copied from: rows and
    /// a checksum of every table that was not written to meanwhile. The member reads each table for 10 seconds at most and
    /// waits for nothing. Default true.
    #[serde(default = "yes")]
    pub checksums: bool,
}

impl Default for BackupVerification {
    fn default() -> Self {
        Self { mode: VerificationMode::default(), schedule: None, checksums: true }
    }
}

fn yes() -> bool {
    true
}

/// When backups are verified.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum VerificationMode {
    /// Each copy, before it is stored.
    #[default]
    AfterEach,
    /// The newest stored one, at the times of `schedule`. A backup counts as not verified until then.
    Schedule,
    /// None. A backup counts as not verified for good.
    Off,
}

/// What was the same on a copy and on the member that it was copied from.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComparisonStatus {
    /// Tables that were the same.
    pub tables: i64,
    /// Rows of them.
    pub rows: i64,
    /// Tables that the member wrote to meanwhile: they differ, and that says nothing.
    pub changed: i64,
    /// Tables that the member could not read within 10 seconds, or within 30 minutes in all.
    pub skipped: i64,
    /// SHA-256 over name, number of rows and checksum of the tables that were the same.
    pub digest: String,
}

/// A verification of a stored backup.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationStatus {
    /// The time of the schedule that asked for it.
    pub due: Time,
    /// How many Jobs were made for it. One that somebody deletes is made again, twice.
    #[serde(default)]
    pub jobs: i32,
    /// How it stands.
    pub phase: VerificationPhase,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// What it does or what it found, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a verification stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum VerificationPhase {
    /// It waits for something that the message names.
    Pending,
    /// Its Job runs.
    Running,
    /// The backup is in order.
    Verified,
    /// The backup is damaged: it cannot be restored as a whole.
    Damaged,
    /// It could not be carried out; nothing is known anew about the backup.
    Failed,
}

impl VerificationPhase {
    /// Whether nothing more will happen by itself.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Verified | Self::Damaged | Self::Failed)
    }
}
