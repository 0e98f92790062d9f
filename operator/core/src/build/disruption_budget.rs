//! The `PodDisruptionBudget`.

use super::metadata::{object_meta, selector};
use crate::validate::Cluster;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Lets voluntary evictions take one instance at a time (C1).
///
/// `unhealthyPodEvictionPolicy` stays at its default: a member that is not ready may be the one that holds
/// acknowledged writes.
pub fn disruption_budget(cluster: &Cluster) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: object_meta(cluster, cluster.names.cluster().to_owned()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(selector(cluster)),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
