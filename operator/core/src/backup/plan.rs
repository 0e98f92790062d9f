//! What the operator will do about one `MySQLBackup`: pure data, printed before it is carried out.

use super::VolumeSnapshot;
use crate::event::Event;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ServiceAccount;
use porpoise_crds::MySQLBackupStatus;
use std::time::Duration;

/// One pass's decisions, carried out in the order of the fields. What cannot be done ends the pass, since each step counts on
/// the ones before it.
#[derive(Clone, Debug, Default)]
pub struct BackupPlan {
    /// Add the finalizer. Nothing else is done in such a pass.
    pub guard: bool,
    /// The status, written with the resourceVersion that was read, if it differs. It comes before the Job: so a Job that
    /// was made is never forgotten.
    pub status: MySQLBackupStatus,
    /// A snapshot to make. It must not exist yet.
    pub snapshot: Option<Box<VolumeSnapshot>>,
    /// A snapshot to delete: name and UID.
    pub dropped_snapshot: Option<(String, String)>,
    /// The identity of the Job's Pods.
    pub account: Option<ServiceAccount>,
    /// A Job to make. It must not exist yet.
    pub job: Option<Job>,
    /// Jobs to delete with their Pods: name and UID.
    pub stop: Vec<(String, String)>,
    /// Remove the finalizer.
    pub release: bool,
    /// Events to emit.
    pub events: Vec<Event>,
    /// When to look again, at the latest.
    pub look_again: Duration,
    /// Why this plan, in a sentence for logs.
    pub reason: String,
}
