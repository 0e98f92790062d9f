//! A restore into a cluster that exists.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::backup::one_source;
use crate::{BackupLocation, LocalReference, PointInTime, Quorum, Restore};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A wish to go back to a backup, in place: the members get new volumes with its data, and the old volumes stay as they are.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = one_source(),
    validation = Rule::new("self.requestId != oldSelf.requestId || self == oldSelf")
        .message("another source is another wish: give it a requestId of its own")
)]
pub struct InPlaceRestore {
    /// Names the wish: each new value restores once, and never again. Up to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub request_id: String,
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

impl InPlaceRestore {
    /// Where the data comes from.
    pub fn source(&self) -> Restore {
        Restore {
            backup_ref: self.backup_ref.clone(),
            location: self.location.clone(),
            key_secret_ref: self.key_secret_ref.clone(),
            point_in_time: self.point_in_time.clone(),
        }
    }
}

/// What became of the last request in `spec.restore`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// The request.
    pub request_id: String,
    /// How it stands.
    pub phase: RestorePhase,
    /// Number of the line of data that it makes. Its volume claims are called `data-LINE-POD`.
    pub line: i64,
    /// What it does or waits for, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was first seen.
    pub started_at: Time,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// The line of data before it, kept until the restored data is open, or until its StatefulSet is there again: the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<FormerLine>,
    /// Requests that are over, oldest first, at most 50: none of them is done again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_requests: Vec<String>,
}

/// A line of data that a restore replaces, as it was recorded last.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct FormerLine {
    /// Its number.
    pub line: i64,
    /// Its claim about every acknowledged transaction.
    pub quorum: Quorum,
    /// Its primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Image of MySQL in its StatefulSet: what its volumes were used with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// How a restore in place stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum RestorePhase {
    /// It waits for something that the message names. Nothing was touched.
    Waiting,
    /// The members stop. Their volumes stay as they are.
    Stopping,
    /// The first member is given the backup's data, on a new volume.
    Restoring,
    /// The restored data is being opened. There is no way back by itself any more.
    Opening,
    /// The restored data is open.
    Done,
    /// The request was withdrawn: the members with the new volumes stop.
    Returning,
    /// The request was withdrawn before the restored data was opened, and the cluster has the data it had; or another one took
    /// its place while the restored data was being opened, and begins from there.
    Withdrawn,
    /// The request stood in the spec when the cluster began. Nothing was done.
    Skipped,
}

impl RestorePhase {
    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Withdrawn | Self::Skipped)
    }

    /// Whether the members are to stop.
    pub const fn stops_members(self) -> bool {
        matches!(self, Self::Stopping | Self::Returning)
    }
}
