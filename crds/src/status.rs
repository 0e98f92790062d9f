//! The status of a `MySQLCluster`. One place in the operator writes it; agents never read it.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::RestoreStatus;
use crate::update::RehearsalStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator knows and has decided about a cluster.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct MySQLClusterStatus {
    /// The named state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Member that holds the current term, or is to hold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Number of the current term. It grows with every new primary and every restart of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// Operator process that raised the term.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term_owner: Option<String>,
    /// The claim about every acknowledged transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// What is going on, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The last time a primary was lost, and what followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failover: Option<Changeover>,
    /// The last time the primary was moved on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_switchover: Option<Changeover>,
    /// What became of `spec.switchover`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switchover: Option<SwitchoverRequest>,
    /// Every instance as it was last seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub instances: Vec<InstanceStatus>,
    /// How many instances are ready of how many, such as `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_instances: Option<String>,
    /// The MySQL release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionStatus>,
    /// Where clients connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// How the backups stand, while `spec.backup` is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupsStatus>,
    /// Accounts whose password was changed and whose former one is still accepted: for an hour after a change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changing_accounts: Vec<String>,
    /// The update that is tried on a copy, until the members get it or nobody wants it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<RehearsalStatus>,
    /// Number of the line of data that the members have: each restore in place makes another one. Absent: the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// What became of `spec.restore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,
    /// Selector of the Pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Number of Pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Generation of the spec that this status answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Facts for people and tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}

/// The named states. One function of the operator picks exactly one.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum Phase {
    /// Objects are being made; no member answers yet.
    Pending,
    /// The first primary and its replicas are being set up.
    Initializing,
    /// Every member is ready and writes are accepted.
    Healthy,
    /// Writes are accepted, but a member is missing or behind.
    Degraded,
    /// The primary moves on purpose: its writes are stopped and another member takes over.
    SwitchingOver,
    /// The primary is lost; another is being chosen.
    FailingOver,
    /// Too few members answer to choose a primary without risk.
    QuorumUnavailable,
    /// A primary is chosen and becomes writable.
    Recovering,
    /// The members get a backup's data on new volumes, by `spec.restore`.
    Restoring,
    /// Members are being added or removed.
    Scaling,
    /// Members are restarted one by one.
    Updating,
    /// All Pods are stopped by request; the data is kept.
    Hibernated,
    /// Reconciling is stopped by request.
    Paused,
    /// The cluster is being deleted.
    Deleting,
    /// The spec cannot be carried out; see the condition `ConfigurationValid`.
    Invalid,
}

impl Phase {
    /// The word in status, condition reasons, metrics and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Initializing => "Initializing",
            Self::Healthy => "Healthy",
            Self::Degraded => "Degraded",
            Self::SwitchingOver => "SwitchingOver",
            Self::FailingOver => "FailingOver",
            Self::QuorumUnavailable => "QuorumUnavailable",
            Self::Recovering => "Recovering",
            Self::Restoring => "Restoring",
            Self::Scaling => "Scaling",
            Self::Updating => "Updating",
            Self::Hibernated => "Hibernated",
            Self::Paused => "Paused",
            Self::Deleting => "Deleting",
            Self::Invalid => "Invalid",
        }
    }
}

/// A claim about every acknowledged transaction: it is on the primary and on at least `k` other members.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Quorum {
    /// The members that count.
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned(), "volume".to_owned()]))]
    pub members: Vec<QuorumMember>,
    /// How many members beside the primary have every acknowledged transaction.
    pub k: i32,
    /// Grows with every change of the claim.
    pub version: i64,
}

/// One member of the claim. A Pod that comes back with another volume is not this member.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct QuorumMember {
    /// Name of the instance, such as `shop-0`.
    pub name: String,
    /// Identity of the volume it had when it joined the claim.
    pub volume: String,
}

/// A step by step change of the cluster that another operator process can take over.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What is being done.
    pub kind: OperationKind,
    /// The member it is about, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// When it began.
    pub started_at: MicroTime,
    /// When enough members were sealed and one of them was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_at: Option<MicroTime>,
    /// The primary before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Whether the primary is moved on purpose while it is well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub planned: bool,
    /// Why it is done, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

// The signature is that of serde's `skip_serializing_if`.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !value
}

/// One change of the primary, or one restart of it under a new term, with the times of its steps.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Changeover {
    /// The primary before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The primary after.
    pub to: String,
    /// The term that it began.
    pub term: i64,
    /// When the term was raised: the operator had decided that the primary is gone, or is to be moved.
    pub started_at: MicroTime,
    /// When enough members were sealed and the new primary was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_at: Option<MicroTime>,
    /// When the new primary had its term record acknowledged.
    pub promoted_at: MicroTime,
    /// When the new primary was seen open to clients, with the rw Service leading to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<MicroTime>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What became of the last request in `spec.switchover`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SwitchoverRequest {
    /// The request.
    pub request_id: String,
    /// How it stands.
    pub outcome: RequestOutcome,
    /// When it was first seen.
    pub seen_at: MicroTime,
    /// More about it, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a request stands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum RequestOutcome {
    /// It waits until it can be done without risk.
    Waiting,
    /// It was begun.
    Started,
    /// It could not be done in time; nothing was changed. A new `requestId` tries again.
    Refused,
}

/// What is being done.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum OperationKind {
    /// The members promise the new term and stop receiving; then one of them is chosen.
    Sealing,
    /// The chosen member applies what it received, records its term and opens.
    Promoting,
}

/// One instance as it was last seen.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Name of the instance and of its Pod.
    pub name: String,
    /// What it does.
    pub role: InstanceRole,
    /// Whether it serves.
    pub ready: bool,
    /// MySQL version it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Node it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What is wrong with it or what it is doing, if anything.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What was cut off this instance's binlog and is kept on its volume, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tails: Vec<TailStatus>,
}

/// Transactions of a lost primary that no client was told of: cut off its binlog and kept aside when it came back.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct TailStatus {
    /// File in `/var/lib/mysql/porpoise/tails` of the instance; `mysqlbinlog` reads it.
    pub file: String,
    /// Term in which they were written.
    pub term: i64,
    /// How many transactions.
    pub transactions: i64,
    /// Size of the file.
    pub bytes: i64,
}

/// What an instance does.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Default)]
pub enum InstanceRole {
    /// It does not answer, or has no role yet.
    #[default]
    Unknown,
    /// It holds the current term.
    Primary,
    /// It receives from the primary.
    Replica,
    /// It is being built from another member's data.
    Joining,
}

/// The MySQL release.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct VersionStatus {
    /// Release that the primary runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// Release series that the spec asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// Where clients connect.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// DNS name that leads to the primary.
    pub primary: String,
    /// DNS name that leads to the replicas.
    pub replicas: String,
}

/// How the backups of a cluster stand.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct BackupsStatus {
    /// When the newest successful backup of the data that the cluster has now was complete: after a restore in place those of
    /// before do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Time>,
    /// The same of the newest one that a server has booted from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified: Option<Time>,
    /// The next time of the schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Time>,
    /// The newest time of the schedule that was taken care of. At first: when the schedule was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scheduled: Option<Time>,
    /// The next time of `spec.backup.verify.schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_verification: Option<Time>,
    /// The newest time of `spec.backup.verify.schedule` for which a backup was chosen. At first: when it was first seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verification: Option<Time>,
    /// The first time of the schedule that no backup has answered with success yet. Absent while nothing is owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_since: Option<Time>,
    /// The earliest moment that the cluster can be restored to: when the oldest verified backup was complete that the archived
    /// binlog goes on from without a gap. Absent: there is none, so nothing can be restored to a point in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_from: Option<Time>,
    /// The latest moment that the cluster can be restored to: everything that was committed before it is stored. Written every
    /// 30 seconds or when something else changes, so more may be stored by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restorable_to: Option<Time>,
    /// Since when the binlog is not archived as `spec.backup.binlogArchive` asks. Absent: it is. `BackupReady` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive_failing_since: Option<Time>,
    /// The last `spec.backup.onDemand.requestId` that a backup was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
