//! The parts of a `MySQLCluster` spec.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

mod access;

pub use access::*;

use k8s_openapi::api::core::v1::{Affinity, EnvVar, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use kube::core::{Message, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::components;
use crate::reserved::no_reserved_settings;
use crate::schema;

/// The volume of every member.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!isQuantity(self.size) || !isQuantity(oldSelf.size) || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0"
    )
    .message("volumes cannot shrink; keep the size, or restore into a new cluster with smaller volumes")
    .field_path(".size"),
    validation = Rule::new(
        "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)"
    )
    .message("the StorageClass of existing volumes cannot change; restore into a new cluster to move to another class")
)]
pub struct Storage {
    /// Size of each volume, such as `20Gi`. May grow, never shrink. Smallest: 1Gi. Growing restarts nothing where the
    /// `StorageClass` allows expansion.
    #[schemars(schema_with = "schema::size")]
    #[x_kube(validation = Rule::new("isQuantity(self) && quantity(self).compareTo(quantity('1Gi')) >= 0")
        .message("the size must be a quantity of at least 1Gi, such as 20Gi"))]
    pub size: Quantity,
    /// `StorageClass` of the volumes. Absent: the default of the Kubernetes cluster. Cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// What happens to the volumes when this object is deleted. Default Retain.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What happens to the volumes when the `MySQLCluster` is deleted.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum DeletionPolicy {
    /// The volume claims stay; a new cluster of the same name adopts them.
    #[default]
    Retain,
    /// The volume claims are deleted, and the data with them.
    Delete,
    /// A last backup is made while the members still run; once it is verified, the volume claims are deleted. If it fails, or
    /// is not complete after 10 minutes, the volume claims stay. Needs `spec.backup`. The `MySQLBackup` is called
    /// `NAME-final-` and the beginning of the cluster's UID, and stays with what it stored.
    BackupThenDelete,
}

/// What happens when the primary is lost, and how fast it can be made up for.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// Who decides that another member becomes the primary. Default Automatic. A lost primary that comes back goes on in
    /// both.
    #[serde(default)]
    pub mode: FailoverMode,
    /// How long a lost primary is waited for before another member is promoted, such as `30s`. At most 10m. Default 0s.
    #[serde(default = "no_delay")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = schema::longest("10m"))]
    pub delay: String,
    /// How far replicas may fall behind under load, such as `500ms`: what a failover has to apply first. 100ms to 1m.
    /// Beyond it, commits on the primary are delayed in steps of up to 100 ms. Default 1s. A change restarts nothing.
    #[serde(default = "one_second")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = schema::longest("1m"), validation = Rule::new("duration(self) >= duration('100ms')")
        .message("the lag must be 100ms or more, such as 1s"))]
    pub max_apply_lag: String,
}

impl Default for Failover {
    fn default() -> Self {
        Self { mode: FailoverMode::default(), delay: no_delay(), max_apply_lag: one_second() }
    }
}

fn no_delay() -> String {
    "0s".to_owned()
}

fn one_second() -> String {
    "1s".to_owned()
}

/// Who decides that another member becomes the primary.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum FailoverMode {
    /// The operator, as soon as enough members agree that the primary is lost.
    #[default]
    Automatic,
    /// A person, by a new `spec.switchover`.
    Manual,
}

/// What an acknowledged write is worth when members are lost.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Durability {
    /// What happens when too few members are left to acknowledge. Default Strict.
    #[serde(default)]
    pub policy: DurabilityPolicy,
}

/// What happens when too few members are left to acknowledge.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum DurabilityPolicy {
    /// Writes wait: an acknowledged write is on a majority, always.
    #[default]
    Strict,
    /// The primary goes on with those that are left, if need be alone, and the status says so. What is written then is lost
    /// if these members are lost.
    Degradable,
}

/// A wish to move the primary.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Switchover {
    /// Names the wish: each new value moves the primary once. Up to 63 characters.
    #[schemars(length(min = 1, max = 63))]
    pub request_id: String,
    /// Instance that becomes the primary, such as `shop-1`. Absent: the replica that is best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?-[0-9]$"))]
    pub target: Option<String>,
}

/// CPU and memory of every member.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = within_limit("cpu"),
    validation = within_limit("memory"),
    validation = Rule::new(
        "!has(self.limits) || !('memory' in self.limits) || quantity(string(self.limits['memory'])).compareTo(quantity('512Mi')) >= 0"
    )
    .message("a member needs a memory limit of at least 512Mi")
)]
pub struct Resources {
    /// What is reserved. Absent values equal the limits. A change restarts the members one by one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    #[x_kube(validation = schema::known_resources())]
    pub requests: BTreeMap<String, Quantity>,
    /// What is allowed. The `InnoDB` buffer pool is derived from the memory limit. A change restarts the members one by
    /// one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::amounts")]
    #[x_kube(validation = schema::known_resources())]
    pub limits: BTreeMap<String, Quantity>,
}

impl Default for Resources {
    /// One core and 1Gi, requests equal to limits.
    fn default() -> Self {
        let amounts = BTreeMap::from([
            ("cpu".to_owned(), Quantity("1".to_owned())),
            ("memory".to_owned(), Quantity("1Gi".to_owned())),
        ]);
        Self { requests: BTreeMap::new(), limits: amounts }
    }
}

fn within_limit(resource: &str) -> Rule {
    Rule::new(format!(
        "!has(self.requests) || !has(self.limits) || !('{resource}' in self.requests) || !('{resource}' in self.limits) || \
         quantity(string(self.requests['{resource}'])).compareTo(quantity(string(self.limits['{resource}']))) <= 0"
    ))
    .message(Message::Message(format!("the {resource} request must not be larger than the {resource} limit")))
}

/// Settings of mysqld.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Mysql {
    /// Settings of the `[mysqld]` section, as text: `max_connections: "500"`. Keys that losslessness, identity or the
    /// agent depends on are refused by name. What mysqld takes while it runs is set on every member without a restart; any
    /// other change restarts the members one by one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::settings")]
    #[x_kube(
        validation = Rule::new("self.all(k, k.matches('^[a-z][a-z0-9_-]{0,63}$'))")
            .message("a setting's name is a lower case letter followed by letters, digits, dashes and underscores, at most 64 characters"),
        validation = Rule::new("self.all(k, !self[k].contains('\\n') && !self[k].contains('\\r'))")
            .message("a setting's value must be on one line"),
        validation = no_reserved_settings()
    )]
    pub config: BTreeMap<String, String>,
    /// A `ConfigMap` of this namespace whose keys are settings too; `config` wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalReference>,
    /// Components of mysqld that every member loads, in this order, before it applies or serves anything: `classic_hashing`
    /// for `MD5()` and `SHA1()`, which MySQL 9.7 has no more by itself. Up to 16 names, without the `component_` of their
    /// files. A new name is loaded within minutes and restarts nothing; a removed one stays loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "components::names")]
    #[x_kube(
        validation = components::named(),
        validation = components::distinct(),
        validation = components::not_reserved()
    )]
    pub components: Vec<String>,
}

/// An object of the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema, Default)]
pub struct LocalReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Certificates of the server.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.mode) || self.mode != 'Secret' || (has(self.secretName) && self.secretName.size() > 0)")
        .message("mode Secret needs secretName, the name of a Secret with tls.crt, tls.key and ca.crt"),
    validation = Rule::new("!has(self.secretName) || (has(self.mode) && self.mode == 'Secret')")
        .message("secretName is used with mode Secret only; set mode: Secret or remove secretName")
)]
pub struct Tls {
    /// Where the certificate that clients see comes from. Default Managed.
    #[serde(default)]
    pub mode: TlsMode,
    /// With mode `Secret`: a Secret of type `kubernetes.io/tls` that also holds `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub secret_name: Option<String>,
    /// Refuses clients that do not use TLS. Default false.
    #[serde(default)]
    pub require_clients: bool,
}

/// Where the server certificate comes from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum TlsMode {
    /// The operator issues it from the cluster's own CA and renews it.
    #[default]
    Managed,
    /// It is in the Secret named by `secretName`, which something else keeps fresh.
    Secret,
}

/// What the Pods look like beyond what Porpoise decides.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// More labels, at most 32. Changed on running Pods; nothing restarts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    #[x_kube(validation = schema::qualified_keys(), validation = schema::no_own_keys())]
    pub labels: BTreeMap<String, String>,
    /// More annotations, at most 32. Changed on running Pods; nothing restarts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    #[x_kube(validation = schema::qualified_keys(), validation = schema::no_own_annotations())]
    pub annotations: BTreeMap<String, String>,
    /// Replaces the default spread over nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Taints that the Pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
    /// Labels that a node must have, such as `disktype: ssd`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    #[x_kube(validation = schema::qualified_keys())]
    pub node_selector: BTreeMap<String, String>,
    /// Replaces the default spread over zones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Priority class of the Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Scheduler of the Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,
    /// Container runtime of the Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
    /// Secrets with which images are pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub image_pull_secrets: Vec<LocalReference>,
    /// Annotations of the Pods' `ServiceAccount`, such as a cloud identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    #[x_kube(validation = schema::qualified_keys(), validation = schema::no_own_annotations())]
    pub service_account_annotations: BTreeMap<String, String>,
    /// Seconds that mysqld has for an orderly end, 30 to 3600. Default 300.
    #[serde(default = "grace")]
    #[schemars(range(min = 30, max = 3600))]
    pub termination_grace_period_seconds: i64,
    /// Environment of the mysql container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]), validation = no_own_variables())]
    pub env: Vec<EnvVar>,
}

/// Variables that the agent or mysqld read.
fn no_own_variables() -> Rule {
    Rule::new(
        "self.all(e, !e.name.startsWith('PORPOISE_') && !(e.name in ['POD_NAME', 'POD_NAMESPACE', 'POD_UID', 'MYSQL_HOME', \
         'MYSQL_GROUP_SUFFIX', 'MYSQL_TCP_PORT', 'MYSQL_UNIX_PORT']))",
    )
    .message("POD_NAME, POD_NAMESPACE, POD_UID, PORPOISE_* and the paths of mysqld are set by Porpoise; remove them")
}

impl Default for Pod {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            affinity: None,
            tolerations: Vec::new(),
            node_selector: BTreeMap::new(),
            topology_spread_constraints: Vec::new(),
            priority_class_name: None,
            scheduler_name: None,
            runtime_class_name: None,
            image_pull_secrets: Vec::new(),
            service_account_annotations: BTreeMap::new(),
            termination_grace_period_seconds: grace(),
            env: Vec::new(),
        }
    }
}

fn grace() -> i64 {
    300
}
