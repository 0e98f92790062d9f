//! The `NetworkPolicy` (I10).
//!
//! Ingress only. Egress is left open in this version: members need DNS, each other, and later object stores whose
//! addresses nobody can list.

use super::metadata::{object_meta, selector, texts};
use crate::names::{AGENT_PORT, COPIES_LABEL, MYSQL_PORT, PROBE_PORT};
use crate::validate::Cluster;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use porpoise_crds::NetworkPolicyMode;

/// Who may reach the members; `None` when the spec switches it off.
pub fn network_policy(cluster: &Cluster) -> Option<NetworkPolicy> {
    match cluster.spec.network_policy.mode {
        NetworkPolicyMode::Disabled => None,
        NetworkPolicyMode::Enabled => Some(NetworkPolicy {
            metadata: object_meta(cluster, cluster.names.cluster().to_owned()),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(selector(cluster)),
                policy_types: Some(vec!["Ingress".to_owned()]),
                ingress: Some(ingress(cluster)),
                egress: None,
            }),
        }),
    }
}

fn ingress(cluster: &Cluster) -> Vec<NetworkPolicyIngressRule> {
    vec![
        rule(Some(clients(cluster)), &[MYSQL_PORT]),
        rule(Some(vec![members(cluster)]), &[MYSQL_PORT, AGENT_PORT]),
        rule(Some(vec![backups(cluster), copiers(cluster)]), &[MYSQL_PORT]),
        rule(Some(vec![operator(cluster)]), &[AGENT_PORT]),
        // Kubelets and Prometheus come from anywhere; the port tells no secrets and takes no orders.
        rule(None, &[PROBE_PORT]),
    ]
}

/// Everybody in the namespace, unless the spec names others.
fn clients(cluster: &Cluster) -> Vec<NetworkPolicyPeer> {
    let named = cluster.spec.network_policy.allow_from.clone();
    if !named.is_empty() {
        return named;
    }
    vec![NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..NetworkPolicyPeer::default() }]
}

fn members(cluster: &Cluster) -> NetworkPolicyPeer {
    NetworkPolicyPeer { pod_selector: Some(selector(cluster)), ..NetworkPolicyPeer::default() }
}

/// The Pods of backup Jobs, which copy a member.
fn backups(cluster: &Cluster) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector {
            match_labels: Some(super::backup_job::selector_labels(cluster.names.cluster())),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

/// The Pods of new clusters that begin with a copy of this one, as long as they copy.
fn copiers(cluster: &Cluster) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector {
            match_labels: Some(texts(&[(COPIES_LABEL, cluster.names.cluster())])),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn operator(cluster: &Cluster) -> NetworkPolicyPeer {
    let with = |key: &str, value: &str| LabelSelector {
        match_labels: Some(texts(&[(key, value)])),
        match_expressions: None,
    };
    NetworkPolicyPeer {
        namespace_selector: Some(with("kubernetes.io/metadata.name", &cluster.settings.operator_namespace)),
        pod_selector: Some(with("app.kubernetes.io/name", "porpoise")),
        ip_block: None,
    }
}

fn rule(from: Option<Vec<NetworkPolicyPeer>>, ports: &[u16]) -> NetworkPolicyIngressRule {
    let port = |port: &u16| NetworkPolicyPort {
        port: Some(IntOrString::Int(i32::from(*port))),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicyIngressRule { from, ports: Some(ports.iter().map(port).collect()) }
}
