//! Labels, annotations and the owner of what is built.

use crate::validate::Cluster;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use std::collections::BTreeMap;

/// Labels and annotations.
type Texts = BTreeMap<String, String>;

/// Labels by which Services, budget, policy and `StatefulSet` select the Pods. They never change (C13).
pub fn selector_labels(cluster: &Cluster) -> Texts {
    texts(&[("app.kubernetes.io/name", "mysql"), ("app.kubernetes.io/instance", cluster.names.cluster())])
}

/// Makes Kubernetes delete a child with its cluster.
pub fn owner_reference(cluster: &Cluster) -> OwnerReference {
    OwnerReference {
        api_version: format!("{}/{}", porpoise_crds::GROUP, porpoise_crds::VERSION),
        kind: "MySQLCluster".to_owned(),
        name: cluster.names.cluster().to_owned(),
        uid: cluster.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Labels and annotations that Pods carry beyond their template; the operator patches them live (C12, D13).
///
/// What `spec.pod` says wins over what the object itself carries.
pub fn pod_metadata(cluster: &Cluster) -> (Texts, Texts) {
    let with = |inherited: &Texts, own: &Texts| {
        let mut all = inherited.clone();
        all.extend(own.clone());
        all
    };
    (
        with(&cluster.inherited_labels, &cluster.spec.pod.labels),
        with(&cluster.inherited_annotations, &cluster.spec.pod.annotations),
    )
}

/// The recommended labels that never change: what a claim template, which is immutable, may carry. The operator finds
/// volume claims by them.
pub(super) fn constant_labels(cluster: &Cluster) -> Texts {
    let mut labels = selector_labels(cluster);
    labels.extend(texts(&[
        ("app.kubernetes.io/component", "database"),
        ("app.kubernetes.io/managed-by", "porpoise"),
        ("app.kubernetes.io/part-of", "porpoise"),
    ]));
    labels
}

/// The recommended labels (K16). They depend on nothing that may change without a restart.
pub(super) fn standard_labels(cluster: &Cluster) -> Texts {
    let (major, minor) = cluster.series;
    let mut labels = constant_labels(cluster);
    labels.extend(texts(&[("app.kubernetes.io/version", &format!("{major}.{minor}"))]));
    labels
}

/// Metadata of an owned object: standard labels, and what the cluster object hands down (D13, E9).
pub(super) fn object_meta(cluster: &Cluster, name: String) -> ObjectMeta {
    let mut labels = standard_labels(cluster);
    labels.extend(cluster.inherited_labels.clone());
    ObjectMeta {
        name: Some(name),
        namespace: Some(cluster.names.namespace().to_owned()),
        labels: Some(labels),
        annotations: some(cluster.inherited_annotations.clone()),
        owner_references: Some(vec![owner_reference(cluster)]),
        ..ObjectMeta::default()
    }
}

/// [`object_meta`] with annotations that the spec has for this object.
pub(super) fn object_meta_with(cluster: &Cluster, name: String, annotations: &Texts) -> ObjectMeta {
    let mut meta = object_meta(cluster, name);
    meta.annotations.get_or_insert_default().extend(annotations.clone());
    meta.annotations = meta.annotations.and_then(some);
    meta
}

/// Selects all Pods of the cluster.
pub(super) fn selector(cluster: &Cluster) -> LabelSelector {
    LabelSelector { match_labels: Some(selector_labels(cluster)), match_expressions: None }
}

/// Nothing instead of an empty map: the API server does not store those.
pub(super) fn some(map: Texts) -> Option<Texts> {
    Some(map).filter(|map| !map.is_empty())
}

pub(super) fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
