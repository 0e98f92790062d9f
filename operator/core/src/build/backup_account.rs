//! The `ServiceAccount` of the Pods of backup Jobs.

use super::backup_job::{labels, owner_of};
use crate::names::ClusterNames;
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::{LocalObjectReference, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use porpoise_crds::MySQLBackup;

/// Identity of the Pods that store and remove backups: no rights, no mounted token (G13). All backups of a cluster share it,
/// since clouds tie an identity to its name; it goes with the last of them, and outlives the cluster if they do.
///
/// `cluster` is absent once there is none; what the account was told then stays.
pub fn backup_account(backup: &MySQLBackup, cluster: Option<&Cluster>) -> ServiceAccount {
    let namespace = backup.metadata.namespace.clone().unwrap_or_default();
    let names = ClusterNames::new(&backup.spec.cluster_ref.name, &namespace);
    let pod = cluster.map(|cluster| &cluster.spec.pod);
    let pull = pod.into_iter().flat_map(|pod| &pod.image_pull_secrets);
    let pull: Vec<_> = pull.map(|secret| LocalObjectReference { name: secret.name.clone() }).collect();
    let mut owner = owner_of(backup);
    // One of several: none of them is the controller, and none waits for the others.
    (owner.controller, owner.block_owner_deletion) = (None, None);
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(names.backup_account()),
            namespace: Some(namespace),
            labels: Some(labels(names.cluster())),
            annotations: pod
                .map(|pod| pod.service_account_annotations.clone())
                .filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        automount_service_account_token: Some(false),
        image_pull_secrets: Some(pull).filter(|all| !all.is_empty()),
        secrets: None,
    }
}
