//! The Pod template.

pub(super) mod container;
pub(super) mod placement;
mod revision;
pub(super) mod volumes;

pub use revision::{
    INPUTS_ANNOTATION, PodInputs, RESTART_ANNOTATION, REVISION_ANNOTATION, STATIC_INPUTS_ANNOTATION,
    revision, static_hash, template_hash,
};

pub(super) use revision::kept;
pub(crate) use revision::{is_exactly, is_made_from};

use super::metadata::{standard_labels, texts};
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::{PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// User and group of mysqld: the ones of the official image.
const MYSQL_ID: i64 = 999;

/// Exactly one container, which holds agent and mysqld (B31).
///
/// Labels and annotations of the cluster object or of `spec.pod` are not part of it: they change without a restart
/// (see [`super::pod_metadata`]).
pub(super) fn template(cluster: &Cluster, inputs: &PodInputs) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(standard_labels(cluster)),
            annotations: Some(texts(&[
                (INPUTS_ANNOTATION, &template_hash(cluster, inputs)),
                (STATIC_INPUTS_ANNOTATION, &static_hash(cluster, inputs)),
                (REVISION_ANNOTATION, &revision(cluster)),
            ])),
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(cluster)),
    }
}

fn pod_spec(cluster: &Cluster) -> PodSpec {
    let pod = &cluster.spec.pod;
    PodSpec {
        init_containers: Some(vec![container::init(&cluster.settings.operator_image)]),
        containers: vec![container::mysql(cluster)],
        volumes: Some(volumes::volumes(cluster)),
        service_account_name: Some(cluster.names.service_account()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(pod.termination_grace_period_seconds),
        security_context: Some(security_context()),
        affinity: Some(placement::affinity(cluster)),
        topology_spread_constraints: Some(placement::spread(cluster)),
        tolerations: Some(placement::tolerations(cluster)),
        node_selector: super::metadata::some(pod.node_selector.clone()),
        priority_class_name: pod.priority_class_name.clone(),
        scheduler_name: pod.scheduler_name.clone(),
        runtime_class_name: pod.runtime_class_name.clone(),
        ..PodSpec::default()
    }
}

/// What Pod Security *restricted* asks of the Pod (J1, J4).
pub(super) fn security_context() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(MYSQL_ID),
        run_as_group: Some(MYSQL_ID),
        fs_group: Some(MYSQL_ID),
        // A large volume is not walked at every start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}
