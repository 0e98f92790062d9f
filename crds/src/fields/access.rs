//! How clients reach a cluster: its Services, and who may.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::schema;
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The Services that clients use.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// The Service `NAME`, which leads to the primary.
    #[serde(default)]
    pub primary: ServiceOptions,
    /// The Service `NAME-ro`, which leads to the replicas.
    #[serde(default)]
    pub replicas: ReplicasService,
}

/// The Service `NAME-ro`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasService {
    /// What it looks like.
    #[serde(flatten)]
    pub options: ServiceOptions,
    /// How far a replica may be behind the primary and still be read from, such as `10s`: beyond it leaves this Service, and
    /// comes back at half of it. 1s to 60m. Default 10s. A change restarts nothing.
    #[serde(default = "ten_seconds")]
    #[schemars(schema_with = "schema::duration")]
    #[x_kube(validation = schema::longest("60m"), validation = Rule::new("duration(self) >= duration('1s')")
        .message("the lag must be 1s or more, such as 10s"))]
    pub max_lag: String,
}

impl Default for ReplicasService {
    fn default() -> Self {
        Self { options: ServiceOptions::default(), max_lag: ten_seconds() }
    }
}

fn ten_seconds() -> String {
    "10s".to_owned()
}

/// What one Service looks like.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(self.loadBalancerSourceRanges) || self.loadBalancerSourceRanges.size() == 0 || (has(self.type) && self.type == 'LoadBalancer')"
    )
    .message("loadBalancerSourceRanges needs type LoadBalancer")
)]
pub struct ServiceOptions {
    /// Kind of Service. Default `ClusterIP`: nothing is exposed unasked.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
    /// Annotations of the Service, at most 32.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::annotations")]
    #[x_kube(validation = schema::qualified_keys(), validation = schema::no_own_annotations())]
    pub annotations: BTreeMap<String, String>,
    /// Client addresses that a load balancer lets through, such as `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(r, isCIDR(r))").message("every range must be an address block such as 10.0.0.0/8")
    )]
    pub load_balancer_source_ranges: Vec<String>,
}

/// Kind of Service.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum ServiceType {
    /// Reachable inside the Kubernetes cluster only.
    #[default]
    ClusterIP,
    /// Reachable on a port of every node; raises a warning condition.
    NodePort,
    /// Reachable through a load balancer; raises a warning condition.
    LoadBalancer,
}

/// Who may reach the members.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicy {
    /// Whether a `NetworkPolicy` is made. Default Enabled. It needs a network plugin that enforces policies.
    #[serde(default)]
    pub mode: NetworkPolicyMode,
    /// Who may connect to MySQL. Absent: every Pod of the namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = Rule::new("self.all(p, has(p.ipBlock) != (has(p.podSelector) || has(p.namespaceSelector)))")
            .message("every peer names either an ipBlock, or a podSelector, a namespaceSelector or both"),
        validation = Rule::new("self.all(p, !has(p.ipBlock) || isCIDR(p.ipBlock.cidr))")
            .message("every ipBlock needs an address block such as 10.0.0.0/8")
    )]
    pub allow_from: Vec<NetworkPolicyPeer>,
}

/// Whether a `NetworkPolicy` is made.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Default)]
pub enum NetworkPolicyMode {
    /// The policy exists.
    #[default]
    Enabled,
    /// No policy; one made earlier is removed.
    Disabled,
}
