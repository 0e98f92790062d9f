//! What `act` gives to `report`: what became of a plan.

use crate::kubernetes::CallError;
use std::collections::BTreeSet;

/// What can go wrong while a plan is carried out.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ActError {
    /// This process does not lead any more.
    #[error("hold the leader Lease")]
    HoldLease,
    /// The finalizer could not be changed.
    #[error("change the finalizers of {name}")]
    ChangeFinalizer {
        /// The cluster.
        name: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// A Secret could not be read or written.
    #[error("keep the Secret {name}")]
    KeepSecret {
        /// The Secret.
        name: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// A Secret of the cluster has not what it must have; it is never overwritten.
    #[error("use the Secret {name}: {reason}")]
    UseSecret {
        /// The Secret.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A certificate could not be issued.
    #[error("issue the certificate in {name}")]
    IssueCertificate {
        /// The Secret.
        name: String,
        /// Cause.
        #[source]
        source: porpoise_link::CertificateError,
    },
    /// An object has no JSON form.
    #[error("write {title} as JSON")]
    WriteJson {
        /// Kind and name.
        title: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// An object could not be applied.
    #[error("apply {title}")]
    ApplyObject {
        /// Kind and name.
        title: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// An object of that name belongs to somebody else.
    #[error("take over {title}: it belongs to something else")]
    TakeOver {
        /// Kind and name.
        title: String,
    },
    /// The volume claim for backups has a name that is taken.
    #[error(
        "make the volume claim {claim}: it exists and was made for something else; use it by spec.backup.target.volume.claimName, \
         or name another"
    )]
    MakeClaim {
        /// Its name.
        claim: String,
    },
    /// The volume claim of the first member has a name that is taken.
    #[error(
        "make the volume claim {claim} from the snapshot: it exists and was made for something else; delete it if nobody needs \
         its data, or give the MySQLCluster another name"
    )]
    MakeFirstClaim {
        /// Its name.
        claim: String,
    },
    /// An object could not be deleted.
    #[error("delete {title}")]
    DeleteObject {
        /// Kind and name.
        title: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// An object could not be patched.
    #[error("patch {title}")]
    PatchObject {
        /// Kind and name.
        title: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// A backup of that name belongs to another cluster.
    #[error("make MySQLBackup {name}: it exists and is of the cluster {other}; choose another requestId")]
    NameBackup {
        /// The name.
        name: String,
        /// Whose it is.
        other: String,
    },
    /// The status of a backup could not be written; a conflict is no error.
    #[error("write the status of {name}")]
    WriteStatus {
        /// The backup.
        name: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// The record could not be written; a conflict is no error.
    #[error("write the record of {name}")]
    WriteRecord {
        /// The cluster.
        name: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// No agent of the cluster can be called.
    #[error("give orders")]
    GiveOrders {
        /// Cause.
        #[source]
        source: crate::agents::AgentError,
    },
}

impl ActError {
    /// Stable word for events, conditions and metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// What became of a plan for a backup.
#[derive(Debug, Default)]
pub struct BackupOutcome {
    /// The step that failed; those after it were left alone.
    pub failure: Option<ActError>,
    /// The object changed since it was read, or something was recorded that the next pass acts on: look at once.
    pub look_at_once: bool,
    /// Nothing was done, since what was read is old: there is nothing to tell.
    pub outdated: bool,
    /// The finalizer was removed.
    pub released: bool,
}

/// What became of a plan.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each read by name")]
#[derive(Debug, Default)]
pub struct Outcome {
    /// Steps that failed; the others were carried out all the same.
    pub failures: Vec<ActError>,
    /// Somebody else wrote, or what was read is too old for what is to be done: look at once, nothing more was done.
    pub look_at_once: bool,
    /// The plan holds steps that need a record read from the API server in the same pass.
    pub needs_fresh_record: bool,
    /// Labels of Pods wait until the endpoint's change has reached the nodes.
    pub labels_wait: bool,
    /// The status was written with the record.
    pub status_written: bool,
    /// The finalizer was removed: there is nothing left to report on.
    pub released: bool,
    /// Names of objects that belong to something else.
    pub taken: BTreeSet<String>,
}

impl Outcome {
    pub(crate) fn collect(&mut self, step: Result<(), ActError>) {
        if let Err(error) = step {
            if let ActError::TakeOver { title } = &error {
                self.taken.insert(title.clone());
            }
            self.failures.push(error);
        }
    }

    pub(crate) fn collect_all(&mut self, steps: Vec<ActError>) {
        for error in steps {
            self.collect(Err(error));
        }
    }
}
