//! The `ConfigMap` of a cluster.

use super::metadata::object_meta;
use super::pod::INPUTS_ANNOTATION;
use crate::names::{KILL_MARGIN_SECONDS, PRESTOP_SECONDS, template_line};
use crate::protocol::AgentConfig;
use crate::validate::Cluster;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::BTreeMap;

/// Database made for the application.
const APP_DATABASE: &str = "app";

/// `my.cnf` for mysqld and `agent.json` for the agent, one key each (G6). The first line of `my.cnf` says which template it is
/// for: a new Pod may see an older file for a while. The template is that of `stateful_set`, which may be another than what
/// the wish alone makes: a Pod that names one which no file names would wait for it in vain.
pub fn config_map(cluster: &Cluster, stateful_set: &StatefulSet) -> ConfigMap {
    let template = stateful_set.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let named = template.and_then(|metadata| metadata.annotations.as_ref()?.get(INPUTS_ANNOTATION));
    let my_cnf = named.map(|named| template_line(named)).unwrap_or_default() + &cluster.my_cnf;
    let agent = AgentConfig { template: named.cloned().unwrap_or_default(), ..agent_config(cluster) };
    ConfigMap {
        metadata: object_meta(cluster, cluster.names.config()),
        data: Some(BTreeMap::from([
            ("my.cnf".to_owned(), my_cnf),
            // Plain numbers and texts: this cannot fail.
            ("agent.json".to_owned(), serde_json::to_string_pretty(&agent).unwrap_or_default()),
        ])),
        ..ConfigMap::default()
    }
}

/// Content of `agent.json`, for whichever template.
pub fn agent_config(cluster: &Cluster) -> AgentConfig {
    let grace = cluster.spec.pod.termination_grace_period_seconds;
    let shutdown = grace - PRESTOP_SECONDS - KILL_MARGIN_SECONDS;
    AgentConfig {
        cluster: cluster.uid.clone(),
        name: cluster.names.cluster().to_owned(),
        namespace: cluster.names.namespace().to_owned(),
        ready_lag_seconds: cluster.max_read_lag.as_secs(),
        max_apply_lag_milliseconds: u64::try_from(cluster.max_apply_lag.as_millis()).unwrap_or(u64::MAX),
        shutdown_seconds: u64::try_from(shutdown).unwrap_or_default(),
        app_database: APP_DATABASE.to_owned(),
        components: cluster.spec.mysql.components.clone(),
        variables: cluster.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        template: String::new(),
    }
}
