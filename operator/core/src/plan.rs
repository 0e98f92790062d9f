//! What the operator will do: pure data, printed before it is carried out.

use crate::backup::ArchiveOrder;
use crate::event::Event;
use crate::protocol::Order;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use porpoise_crds::{MySQLBackup, MySQLClusterStatus, Operation, Quorum};
use std::collections::BTreeMap;
use std::time::Duration;

/// One pass's decisions, carried out in the order of the fields.
///
/// When `record` is present nothing after it is carried out in this pass, except `status` and `events`: the record is
/// written with the resourceVersion that was read, and the next pass acts on what was recorded.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Add (true) or remove (false) the finalizer; absent: leave it.
    pub finalizer: Option<bool>,
    /// Make the Secrets of the cluster if they are absent, renew certificates when due.
    pub secrets: bool,
    /// Objects to apply, in this order.
    pub objects: Vec<Desired>,
    /// Objects and claims to delete.
    pub deletions: Vec<Deletion>,
    /// Annotations to set on volume claims, by claim name.
    pub claim_annotations: BTreeMap<String, BTreeMap<String, String>>,
    /// Change of the durable record, by compare-and-swap.
    pub record: Option<Record>,
    /// Orders to agents.
    pub orders: Vec<Order>,
    /// Metadata that Pods must have, by Pod name; written after the endpoint (ha.md H19).
    pub pod_metadata: BTreeMap<String, Metadata>,
    /// Volume claims to grow, by claim name, to this many bytes.
    pub claim_sizes: BTreeMap<String, u64>,
    /// What members are told about the archive. It moves nothing, so it comes last.
    pub archive: Vec<ArchiveOrder>,
    /// Backups to make, unless they exist already.
    pub backups: Vec<MySQLBackup>,
    /// A volume claim for backups to make or to grow. It has no owner: backups outlive their cluster.
    pub backups_claim: Option<PersistentVolumeClaim>,
    /// The first member's volume claim, made from a snapshot unless it exists already. It comes before the objects.
    pub restored_claim: Option<PersistentVolumeClaim>,
    /// Backups to delete, by name and UID.
    pub retired_backups: Vec<(String, String)>,
    /// Stored backups that are to be verified now.
    pub verifications: Vec<Verification>,
    /// The Job that tries an update on a copy, unless it exists already.
    pub rehearsal: Option<Box<RehearsalWish>>,
    /// Such Jobs to delete with their Pods, by name and UID.
    pub stopped_rehearsals: Vec<(String, String)>,
    /// The status to report. Its record fields (term, owner, quorum, primary, operation) equal what is stored unless
    /// `record` changes them.
    pub status: MySQLClusterStatus,
    /// Events to emit.
    pub events: Vec<Event>,
    /// How long ago the moment is until which everything is archived; absent: nothing is, or it is not known.
    pub archive_delay: Option<Duration>,
    /// When to look again, at the latest.
    pub look_again: Duration,
    /// Why this plan, in a sentence for logs and `explain`.
    pub reason: String,
}

/// A Job that tries an update on a copy.
#[derive(Clone, Debug, PartialEq)]
pub struct RehearsalWish {
    /// The backup it works on, which gives its Pods their identity.
    pub backup: String,
    /// That identity.
    pub account: ServiceAccount,
    /// The Job.
    pub job: Job,
}

/// Metadata to merge into an existing object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Labels to set (a value) or to remove (none).
    pub labels: BTreeMap<String, Option<String>>,
    /// Annotations to set (a value) or to remove (none).
    pub annotations: BTreeMap<String, Option<String>>,
}

/// An owned object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub enum Desired {
    /// Configuration of mysqld and agent.
    ConfigMap(Box<ConfigMap>),
    /// Identity of the Pods.
    ServiceAccount(Box<ServiceAccount>),
    /// Who may reach the members.
    NetworkPolicy(Box<NetworkPolicy>),
    /// Headless, rw or ro Service.
    Service(Box<Service>),
    /// Budget for voluntary disruptions.
    PodDisruptionBudget(Box<PodDisruptionBudget>),
    /// The members.
    StatefulSet(Box<StatefulSet>),
    /// Target of the rw Service.
    EndpointSlice(Box<EndpointSlice>),
}

/// Something to delete. The UID guards against deleting a successor of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The `StatefulSet`, its Pods with it or left alone.
    StatefulSet {
        /// Name.
        name: String,
        /// Leave the Pods running.
        orphan: bool,
    },
    /// A Pod, gracefully, through the eviction API.
    Pod {
        /// Name.
        name: String,
        /// UID.
        uid: String,
    },
    /// A Pod in which nothing runs, gracefully. No budget is asked: it takes nobody away.
    IdlePod {
        /// Name.
        name: String,
        /// UID.
        uid: String,
    },
    /// A volume claim.
    Claim {
        /// Name.
        name: String,
        /// UID.
        uid: String,
    },
    /// The `NetworkPolicy`.
    NetworkPolicy {
        /// Name.
        name: String,
    },
    /// The `EndpointSlice` of the rw Service, which then leads nowhere.
    EndpointSlice {
        /// Name.
        name: String,
    },
    /// A Secret of the cluster; only when the data goes too, since the passwords live in the data.
    Secret {
        /// Name.
        name: String,
    },
}

/// A stored backup that is to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Name of the `MySQLBackup`.
    pub backup: String,
    /// Its UID.
    pub uid: String,
    /// The time of the schedule that asks for it.
    pub due: Timestamp,
}

/// The durable record of ha.md §2, as it shall be from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The term.
    pub term: i64,
    /// The operator process that raised it.
    pub term_owner: Option<String>,
    /// The claim.
    pub quorum: Option<Quorum>,
    /// The chosen primary.
    pub primary: Option<String>,
    /// What is going on.
    pub operation: Option<Operation>,
}
