//! The `StatefulSet`.

use super::metadata::{constant_labels, object_meta, selector};
use super::pod::{self, PodInputs};
use crate::line;
use crate::quantity;
use crate::validate::Cluster;
use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// The members: `replicas` Pods, started together and replaced only by the operator.
///
/// `previous` is what is stored, if anything. When its Pod template came from the same inputs (see [`super::template_hash`] and
/// [`super::static_hash`]), it is kept, also that of another operator (see [`super::revision`]): upgrading the operator restarts
/// no database, and neither does a setting that a running mysqld takes. The next change that calls for a restart, or a new value
/// of the annotation `mysql.porpoise.dev/restart`, brings the new template. Until then a template changed by hand is not set
/// back, since only its own operator knows how it looked.
pub fn stateful_set(
    cluster: &Cluster,
    inputs: &PodInputs,
    replicas: i32,
    previous: Option<&StatefulSet>,
) -> StatefulSet {
    let fresh = pod::template(cluster, inputs);
    let stored = previous.and_then(|previous| previous.spec.as_ref());
    let kept = stored.and_then(|stored| pod::kept(&stored.template, &fresh, cluster, inputs));
    let template = kept.unwrap_or(fresh);
    StatefulSet {
        metadata: object_meta(cluster, cluster.names.cluster().to_owned()),
        spec: Some(StatefulSetSpec {
            replicas: Some(replicas),
            selector: selector(cluster),
            service_name: Some(cluster.names.members_service()),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            // Volumes are deleted by the finalizer or by nobody (A19).
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some("Retain".to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            template,
            volume_claim_templates: Some(vec![claim_template(cluster)]),
            ..StatefulSetSpec::default()
        }),
        status: None,
    }
}

/// Labels are the selector's only: a claim template cannot be changed (C13).
fn claim_template(cluster: &Cluster) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(line::data_volume(cluster.line)),
            labels: Some(constant_labels(cluster)),
            ..ObjectMeta::default()
        },
        spec: Some(claim_spec(cluster)),
        status: None,
    }
}

/// A volume like that of a member.
pub(super) fn claim_spec(cluster: &Cluster) -> PersistentVolumeClaimSpec {
    let storage = &cluster.spec.storage;
    PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        storage_class_name: storage.storage_class_name.clone(),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), quantity::canonical(&storage.size))])),
            limits: None,
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}
