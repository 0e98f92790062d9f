//! What the operator sees in one pass. Reading never fails here: a missing thing is data.

use crate::backup::{ArchiveSettings, JobView, RestoreSource, SnapshotSource};
use crate::beginning::Origin;
use crate::line::{self, Line};
use crate::protocol::MemberState;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use porpoise_crds::{BackupEncryption, BackupLocation, BackupMethod, BackupPhase, MySQLCluster};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything one decision depends on.
#[derive(Clone, Debug)]
pub struct ClusterView {
    /// The wall clock, for times that people read. No decision hangs on it: clocks are set, forward and back.
    pub now: Timestamp,
    /// How long ago the moments in the object were.
    pub ages: Ages,
    /// Identity of this operator process.
    pub operator: String,
    /// The object as it was read, with its resourceVersion.
    pub object: MySQLCluster,
    /// The namespace is being deleted: nothing may be created in it.
    pub namespace_terminating: bool,
    /// The owned `StatefulSet`, if it exists.
    pub stateful_set: Option<StatefulSet>,
    /// Pods of this cluster by instance name.
    pub pods: BTreeMap<String, PodView>,
    /// The nodes of these Pods by name; none where nodes may not be read.
    pub nodes: BTreeMap<String, NodeView>,
    /// The line of data that the members have or shall have.
    pub line: Line,
    /// Volume claims of this line by instance name.
    pub claims: BTreeMap<String, ClaimView>,
    /// Volume claims of the members' other lines, by their own name.
    pub other_claims: BTreeMap<String, ClaimView>,
    /// What each instance's agent answered, for every instance that has a Pod of this line or stands in the claim.
    pub members: BTreeMap<String, Look>,
    /// What the spec refers to outside this object.
    pub references: References,
    /// Backups of this cluster by name.
    pub backups: BTreeMap<String, BackupSeen>,
    /// Refusals and troubles reported by Kubernetes for our objects, in its words.
    pub troubles: Vec<Trouble>,
}

/// What matters of a `MySQLBackup` to its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BackupSeen {
    /// UID of the object.
    pub uid: String,
    /// When the object was made.
    pub created: Option<Timestamp>,
    /// Why it was made.
    pub origin: BackupOrigin,
    /// How it is made.
    pub method: BackupMethod,
    /// It holds the databases that it names, and no others.
    pub partial: bool,
    /// How it stands.
    pub phase: Option<BackupPhase>,
    /// When it was over.
    pub completed: Option<Timestamp>,
    /// A server booted from it and found every table in order.
    pub verified: bool,
    /// The time of the schedule at which it is to be verified, or was.
    pub verify_due: Option<Timestamp>,
    /// What a verification found wrong with it, in a sentence.
    pub damage: Option<String>,
    /// What it says itself.
    pub message: String,
    /// Jobs that were made for it.
    pub jobs: i32,
    /// It is being deleted.
    pub deleting: bool,
    /// The line of data that it is of ([`line::history`]).
    pub cluster: Option<String>,
    /// Where it is stored.
    pub location: Option<BackupLocation>,
    /// Every transaction it holds, if its status says so.
    pub gtid_set: Option<String>,
    /// How it is encrypted, if it is.
    pub encryption: Option<BackupEncryption>,
}

impl BackupSeen {
    /// Whether it will do in place of a new one: verified, of this cluster's line of data and not of a former one or a former
    /// cluster of its name, and no older than `max_age`.
    pub fn is_fresh(&self, of: &MySQLCluster, max_age: Duration, now: Timestamp) -> bool {
        let born = of.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let age = self.completed.and_then(|time| Duration::try_from(now.duration_since(time)).ok());
        self.phase == Some(BackupPhase::Succeeded)
            && self.verified
            // A dump has none of the files that an update works on, and a snapshot cannot be fetched.
            && self.method == BackupMethod::Physical
            && !self.deleting
            && self.created >= born
            && self.is_of_this_line(of)
            // One from the future tells that a clock was set: its age is unknown.
            && age.is_some_and(|age| age <= max_age)
    }

    /// Whether it is of the line of data that this cluster has now, or does not say: one of a former line, or of a former cluster
    /// of its name, holds nothing that was written since.
    pub fn is_of_this_line(&self, of: &MySQLCluster) -> bool {
        let history = line::recorded_history(of);
        self.cluster.as_ref().is_none_or(|cluster| *cluster == history)
    }
}

/// Since when no backup that is older than a request runs or ran: from the request on, or from the end of the last of them.
pub fn undisturbed_since(request: Timestamp, backups: &BTreeMap<String, BackupSeen>) -> Timestamp {
    let older = backups.values().filter(|backup| backup.created.is_some_and(|created| created <= request));
    older.filter_map(|backup| backup.completed).fold(request, Timestamp::max)
}

/// Why a backup was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BackupOrigin {
    /// By the schedule: retention counts it.
    Schedule,
    /// By `onDemand`: it stays until somebody deletes it.
    Request,
    /// Because members are to get another image: it stays until somebody deletes it.
    Update,
    /// Because the cluster is being deleted: it stays until somebody deletes it.
    Deletion,
    /// By somebody.
    #[default]
    Hand,
}

impl BackupOrigin {
    /// Value of the label `mysql.porpoise.dev/origin`.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::Schedule => Some("schedule"),
            Self::Request => Some("request"),
            Self::Update => Some("update"),
            Self::Deletion => Some("deletion"),
            Self::Hand => None,
        }
    }

    /// From the label.
    pub fn of_label(label: Option<&str>) -> Self {
        let ours = [Self::Schedule, Self::Request, Self::Update, Self::Deletion]
            .into_iter()
            .find(|origin| origin.label() == label);
        ours.unwrap_or_default()
    }
}

/// How long the moments that stand in an object have been known, by a clock that only goes forward. An operator that begins
/// counts from zero: that costs time, and never ends a wait too early.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ages(BTreeMap<Timestamp, Duration>);

impl Ages {
    /// How long this moment has been known; zero for one that nobody has seen yet.
    pub fn of(&self, moment: Timestamp) -> Duration {
        self.0.get(&moment).copied().unwrap_or_default()
    }

    /// The moments that decisions count from: an operation, a change of the primary, a request, a lost primary, a deletion, a
    /// rehearsal that began or ended, a restore in place and since when nothing runs that keeps it, and when each Pod became
    /// ready or ceased to be.
    pub fn moments<'a>(
        object: &MySQLCluster,
        pods: impl Iterator<Item = &'a PodView>,
        backups: &BTreeMap<String, BackupSeen>,
    ) -> Vec<Timestamp> {
        let status = object.status.as_ref();
        let operation = status.and_then(|status| status.operation.as_ref()).map(|one| one.started_at.0);
        let request = status.and_then(|status| status.switchover.as_ref()).map(|one| one.seen_at.0);
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let writable = conditions.iter().find(|one| one.type_ == "Writable");
        let writable = writable.map(|one| one.last_transition_time.0);
        let deletion = object.metadata.deletion_timestamp.as_ref().map(|time| time.0);
        let changes = status.into_iter().flat_map(|status| [&status.last_switchover, &status.last_failover]);
        let changes = changes.flatten().map(|change| change.started_at.0);
        let readiness = pods.filter_map(|pod| pod.ready_changed);
        let rehearsal = status.and_then(|status| status.rehearsal.as_ref());
        let rehearsal = rehearsal.map(|one| one.ended_at.as_ref().unwrap_or(&one.started_at).0);
        let restore = status.and_then(|status| status.restore.as_ref());
        let undisturbed = restore.map(|one| undisturbed_since(one.started_at.0, backups));
        let restore = restore.map(|one| one.started_at.0);
        [operation, request, writable, deletion, rehearsal, restore, undisturbed]
            .into_iter()
            .flatten()
            .chain(changes)
            .chain(readiness)
            .collect()
    }

    /// The ages that a clock shows which nobody sets.
    #[cfg(any(test, feature = "test-support"))]
    pub fn by_steady_clock<'a>(
        object: &MySQLCluster,
        pods: impl Iterator<Item = &'a PodView>,
        backups: &BTreeMap<String, BackupSeen>,
        now: Timestamp,
    ) -> Self {
        let age = |then: Timestamp| Duration::try_from(now.duration_since(then)).unwrap_or_default();
        Self::moments(object, pods, backups).into_iter().map(|moment| (moment, age(moment))).collect()
    }
}

impl FromIterator<(Timestamp, Duration)> for Ages {
    fn from_iter<All: IntoIterator<Item = (Timestamp, Duration)>>(all: All) -> Self {
        Self(all.into_iter().collect())
    }
}

/// One look at a member.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// There is no running Pod to ask.
    Absent,
    /// The agent did not answer.
    Silent {
        /// What went wrong, in a sentence.
        reason: String,
        /// Time since it last answered this operator process.
        lasting: Duration,
    },
    /// The agent answered just now.
    Answered(Box<MemberState>),
}

impl Look {
    /// What the agent answered, if it did.
    pub fn answer(&self) -> Option<&MemberState> {
        match self {
            Self::Answered(state) => Some(state),
            Self::Absent | Self::Silent { .. } => None,
        }
    }
}

impl ClusterView {
    /// What the instance's agent answered, if it did.
    pub fn answer(&self, instance: &str) -> Option<&MemberState> {
        self.members.get(instance).and_then(Look::answer)
    }
}

/// What matters of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodView {
    /// UID of the Pod.
    pub uid: String,
    /// Address, once it has one.
    pub address: Option<String>,
    /// Node it was bound to.
    pub node: Option<String>,
    /// Kubernetes regards it as ready.
    pub ready: bool,
    /// When it became ready, or ceased to be; absent: nobody has looked yet.
    pub ready_changed: Option<Timestamp>,
    /// It is being deleted.
    pub terminating: bool,
    /// How often its container was started again.
    pub restarts: u32,
    /// Why nothing can run in it, by its own status; absent: something runs, or may before long.
    pub held_up: Option<TroubleKind>,
    /// Revision of the template it was made from (label `controller-revision-hash`).
    pub revision: Option<String>,
    /// Value of the role label.
    pub role: Option<String>,
    /// Value of the reads label is `true`.
    pub reads: bool,
    /// Image of MySQL it was made with.
    pub image: Option<String>,
    /// The line of data whose volume it mounts; absent: none of ours.
    pub line: Option<Line>,
}

/// What matters of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NodeView {
    /// It takes no new Pods (`spec.unschedulable`), as `kubectl cordon` and `kubectl drain` set it.
    pub cordoned: bool,
    /// It reports `MemoryPressure`.
    pub memory_pressure: bool,
    /// It reports `DiskPressure`.
    pub disk_pressure: bool,
}

/// What matters of a volume claim.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClaimView {
    /// UID of the claim.
    pub uid: String,
    /// It is bound to a volume.
    pub bound: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// UID of the cluster that left it on purpose (annotation `mysql.porpoise.dev/retained-by`).
    pub retained_by: Option<String>,
    /// The wish that it was made from a snapshot for (annotation `mysql.porpoise.dev/restored-by`).
    pub restored_by: Option<String>,
    /// UID of the cluster whose data that snapshot holds (annotation `mysql.porpoise.dev/restored-from`).
    pub restored_from: Option<String>,
    /// Requested size in bytes.
    pub size_bytes: u64,
    /// `StorageClass` in use.
    pub storage_class: Option<String>,
}

/// What the spec refers to outside itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    /// Content of `spec.mysql.configMapRef`; absent when it is named but does not exist.
    pub config_map: Option<BTreeMap<String, String>>,
    /// Keys of the Secret `spec.tls.secretName`; absent when it is named but does not exist.
    pub tls_secret_keys: Option<Vec<String>>,
    /// Whether the `StorageClass` of `spec.storage.storageClassName` exists; absent: none named, or not allowed to look.
    pub storage_class_exists: Option<bool>,
    /// Names of objects that this cluster must own but that belong to something else, such as `Service shop-ro`.
    pub taken_names: Vec<String>,
    /// Where `spec.restore` leads, or `spec.bootstrap.restore` of a new cluster; absent: nothing is to be restored.
    pub restore: Option<RestoreLook>,
    /// Whether Kubernetes serves snapshots of volumes; absent: `spec.backup` asks for none, or nobody can say now.
    pub serves_snapshots: Option<bool>,
    /// Where any other `spec.bootstrap` leads; absent: there is none, or the cluster has a recorded claim already.
    pub origin: Option<OriginLook>,
    /// What it takes to archive the binlog; absent: it is not to be archived, or nobody has looked yet.
    pub archive: Option<ArchiveLook>,
    /// Why an agent did not take what it was last told about the archive, in a sentence; absent: it did.
    pub archive_refusal: Option<String>,
    /// The Job that `status.rehearsal` names, while it runs; absent: it does not exist.
    pub rehearsal: Option<JobView>,
}

/// What it takes to archive the binlog.
#[derive(Clone, Debug, PartialEq)]
pub enum ArchiveLook {
    /// What the primary is told.
    Ready(Box<ArchiveSettings>),
    /// What is missing: field and remedy, in a sentence.
    Missing(String),
}

/// What a new cluster begins with.
#[derive(Clone, Debug, PartialEq)]
pub enum RestoreLook {
    /// The backup, and everything it takes to read it.
    Ready(Box<RestoreSource>),
    /// What is missing: field and remedy, in a sentence. The cluster waits for it and never begins empty.
    Missing(String),
    /// The snapshot that the first member's volume is made from.
    Snapshot(Box<SnapshotSource>),
    /// It is or may be a snapshot, and something is missing, in a sentence: no volume is made before.
    Awaited(String),
}

/// What a new cluster begins with, if not with a backup.
#[derive(Clone, Debug, PartialEq)]
pub enum OriginLook {
    /// Everything it takes.
    Ready(Box<Origin>),
    /// What is missing: field and remedy, in a sentence. The cluster waits for it and never begins empty.
    Missing(String),
}

/// A refusal or trouble that Kubernetes reported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// Sort of trouble.
    pub kind: TroubleKind,
    /// Object it is about, such as `Pod shop-1`.
    pub about: String,
    /// Kubernetes' own words.
    pub message: String,
}

/// Sorts of trouble; each is a condition reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
pub enum TroubleKind {
    /// A quota refused the Pod or claim.
    QuotaExceeded,
    /// Admission (Pod Security, a policy) refused the Pod.
    PodRefused,
    /// No node can take the Pod.
    Unschedulable,
    /// The image cannot be pulled.
    ImageUnavailable,
    /// A container ends again and again.
    CrashLooping,
    /// The volume cannot be provided or mounted.
    VolumeUnavailable,
}
