//! What the operator sees of one `MySQLBackup` in one pass. Reading never fails here: a missing thing is data.

use super::{JobReport, SnapshotLook};
use jiff::Timestamp;
use porpoise_crds::{BackupMethod, BackupPhase, MySQLBackup, MySQLCluster};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything one decision about a backup depends on.
#[derive(Clone, Debug)]
pub struct BackupView {
    /// The wall clock, for times that people read.
    pub now: Timestamp,
    /// How long the deletion of the object has been known, by a clock that only goes forward.
    pub deleted_for: Duration,
    /// How long the beginning of the backup has been known, by the same clock.
    pub begun_for: Duration,
    /// The object as it was read.
    pub object: MySQLBackup,
    /// Its cluster, if it exists.
    pub cluster: Option<MySQLCluster>,
    /// The namespace is being deleted: nothing may be created in it.
    pub namespace_terminating: bool,
    /// The other backups of the same cluster.
    pub others: Vec<Rival>,
    /// The Job that stores it, if it exists.
    pub store: Option<JobView>,
    /// The snapshot that it is.
    pub snapshot: SnapshotLook,
    /// The Job that verifies what was stored, if it exists.
    pub verify: Option<JobView>,
    /// The Job that removes what was stored, if it exists.
    pub removal: Option<JobView>,
    /// Image of MySQL that each member runs, by instance.
    pub images: BTreeMap<String, String>,
    /// Entries of the Secrets that are named, by name of the Secret; one that does not exist is absent.
    pub secrets: BTreeMap<String, BTreeSet<String>>,
}

/// Another backup of the same cluster.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rival {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// How it stands.
    pub phase: Option<BackupPhase>,
    /// It is being deleted.
    pub deleting: bool,
    /// How it is made.
    pub method: BackupMethod,
    /// Jobs that were made for it.
    pub jobs: i32,
}

impl Rival {
    /// Whether it takes up a member, the target, or room for a copy, or soon will. A snapshot does not before it is booted, and
    /// when that will be is up to the storage.
    pub fn is_in_the_way(&self) -> bool {
        self.method != BackupMethod::VolumeSnapshot || self.jobs > 0
    }
}

/// A Job as far as decisions look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// It belongs to this backup, not to something else of that name.
    pub owned: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// How it stands.
    pub state: JobState,
    /// What its newest ended Pod left as termination message; empty if none did.
    pub words: String,
    /// What holds its Pod up, in Kubernetes' words.
    pub trouble: Option<String>,
}

/// How a Job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It runs, or will.
    Active,
    /// A Pod of it ended well.
    Complete,
    /// It gave up.
    Failed {
        /// Why, in Kubernetes' words.
        message: String,
    },
}

impl JobView {
    /// What the newest ended Pod reported, if it did so in our words.
    pub fn report(&self) -> Option<JobReport> {
        serde_json::from_str(self.words.trim()).ok()
    }

    /// Why a Pod of it failed: its report, else the last lines of its log, else Kubernetes' words.
    pub fn failure(&self) -> Option<String> {
        match (self.report(), &self.state) {
            (Some(JobReport::Failed { reason, .. } | JobReport::Damaged { reason }), _) => Some(reason),
            (Some(_), JobState::Failed { message }) => Some(message.clone()),
            (Some(_), _) => None,
            (None, JobState::Failed { message }) if self.words.trim().is_empty() => Some(message.clone()),
            (None, _) => {
                let last = self.words.trim().lines().next_back();
                last.map(|line| format!("it ended without a report; its last words: {line}"))
            }
        }
    }
}
