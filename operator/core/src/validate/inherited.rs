//! What the children carry of the object's own labels and annotations (D13, E9).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// Labels that say who a thing is; the children have their own.
const OWN_LABELS: [&str; 4] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
];

/// Bookkeeping of tools. Copied, it would make them take the children for their own, or rewrite all children at
/// every release.
const BOOKKEEPING: [&str; 9] = [
    "argocd.argoproj.io/",
    "fleet.cattle.io/",
    "helm.sh/",
    "helm.toolkit.fluxcd.io/",
    "kubectl.kubernetes.io/",
    "kustomize.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "objectset.rio.cattle.io/",
    "olm.",
];

pub(super) fn labels(meta: &ObjectMeta) -> BTreeMap<String, String> {
    let all = handed_down(meta.labels.as_ref());
    all.filter(|(key, _)| !OWN_LABELS.contains(&key.as_str())).collect()
}

pub(super) fn annotations(meta: &ObjectMeta) -> BTreeMap<String, String> {
    handed_down(meta.annotations.as_ref()).collect()
}

fn handed_down(all: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = (String, String)> {
    let ours = |key: &str| key.contains("porpoise.dev/");
    let tools = |key: &str| BOOKKEEPING.iter().any(|prefix| key.starts_with(prefix));
    all.into_iter()
        .flatten()
        .filter(move |(key, _)| !ours(key) && !tools(key))
        .map(|(key, value)| (key.clone(), value.clone()))
}
