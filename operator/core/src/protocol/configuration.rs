//! What the cluster's configuration tells the agents, and what they tell about it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A component of mysqld that the cluster's configuration lists.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Why it is not loaded; empty: it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// A setting of the cluster's configuration that the member sets while mysqld runs.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The value that was wanted.
    pub value: String,
    /// The value that mysqld has since.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub effective: String,
    /// Why it is not set, in MySQL's words; empty: it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// Content of `agent.json` in the cluster's `ConfigMap`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AgentConfig {
    /// UID of the `MySQLCluster`.
    pub cluster: String,
    /// Name of the `MySQLCluster`.
    pub name: String,
    /// Namespace of the `MySQLCluster`.
    pub namespace: String,
    /// Seconds of lag up to which a replica is read from.
    pub ready_lag_seconds: u64,
    /// Milliseconds that replicas may fall behind before commits are delayed.
    #[serde(default = "one_second")]
    pub max_apply_lag_milliseconds: u64,
    /// Seconds that an orderly shutdown of mysqld may take before it is killed.
    pub shutdown_seconds: u64,
    /// Database made for the application.
    pub app_database: String,
    /// Components that mysqld loads, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// Settings that members set while mysqld runs, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The template whose Pods these settings are for, as `my.cnf` names it: other Pods have other resources.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub template: String,
}

/// What an operator of before this setting meant.
fn one_second() -> u64 {
    1_000
}
