//! Where Pods go (H2 to H5).

use super::super::metadata::selector;
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::{
    Affinity, PodAffinityTerm, PodAntiAffinity, Toleration, TopologySpreadConstraint, WeightedPodAffinityTerm,
};

/// Seconds after which Kubernetes gives up a Pod on a lost node. Failover never waits for it.
const EVICTION_SECONDS: i64 = 300;

/// The user's, or: rather not two members on one node.
pub(super) fn affinity(cluster: &Cluster) -> Affinity {
    if let Some(affinity) = &cluster.spec.pod.affinity {
        return affinity.clone();
    }
    let apart = WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: PodAffinityTerm {
            label_selector: Some(selector(cluster)),
            topology_key: "kubernetes.io/hostname".to_owned(),
            ..PodAffinityTerm::default()
        },
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![apart]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// The user's, or: over the zones, as evenly as they allow.
pub(super) fn spread(cluster: &Cluster) -> Vec<TopologySpreadConstraint> {
    let given = &cluster.spec.pod.topology_spread_constraints;
    if !given.is_empty() {
        return given.clone();
    }
    vec![TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "topology.kubernetes.io/zone".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector(cluster)),
        ..TopologySpreadConstraint::default()
    }]
}

/// The user's, and the two that Kubernetes would add by itself, so that their seconds are known (H5).
pub(in crate::build) fn tolerations(cluster: &Cluster) -> Vec<Toleration> {
    let mut all = cluster.spec.pod.tolerations.clone();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !all.iter().any(|given| given.key.as_deref() == Some(key)) {
            all.push(Toleration {
                key: Some(key.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some("NoExecute".to_owned()),
                toleration_seconds: Some(EVICTION_SECONDS),
                value: None,
            });
        }
    }
    all
}
