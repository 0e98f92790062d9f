//! The `ServiceAccount` of the Pods.

use super::metadata::object_meta_with;
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::{LocalObjectReference, ServiceAccount};

/// Identity of the Pods: no rights, no mounted token.
pub fn service_account(cluster: &Cluster) -> ServiceAccount {
    let pod = &cluster.spec.pod;
    let pull = pod.image_pull_secrets.iter().map(|secret| LocalObjectReference { name: secret.name.clone() });
    let pull: Vec<_> = pull.collect();
    ServiceAccount {
        metadata: object_meta_with(
            cluster,
            cluster.names.service_account(),
            &pod.service_account_annotations,
        ),
        automount_service_account_token: Some(false),
        image_pull_secrets: Some(pull).filter(|all| !all.is_empty()),
        secrets: None,
    }
}
