//! Small changes to objects that others made: Pods and volume claims.

use super::{ActError, Outcome, Pass};
use crate::facts::{Marks, PodFacts};
use crate::kubernetes::bounded;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{Patch, PatchParams};
use porpoise_core::plan::{Metadata, Plan};
use porpoise_core::quantity::Amount;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// kube-proxy applies about one change per second: labels, which move the ro Service, must not delay the endpoint of
/// writes (ha.md H19).
pub const LABELS_AFTER_ENDPOINT: Duration = Duration::from_millis(1100);

impl Pass<'_> {
    /// Labels and annotations of Pods, where they differ.
    pub(super) async fn mark_pods(&self, plan: &Plan, outcome: &mut Outcome) {
        let key = crate::facts::key_of(&self.observation.view.object);
        let moved = self.context.memories.of(&self.uid, |memory| memory.endpoint_moved);
        let waits = moved.is_some_and(|moved| moved.elapsed() < LABELS_AFTER_ENDPOINT);
        for (name, wish) in &plan.pod_metadata {
            let Some(pod) = self.context.caches.pods.get(&key, name) else { continue };
            let Some(patch) = pod_patch(&pod, wish) else { continue };
            if waits {
                outcome.labels_wait = true;
                continue;
            }
            outcome.collect(self.patch_pod(name, &patch).await);
        }
    }

    async fn patch_pod(&self, name: &str, patch: &Value) -> Result<(), ActError> {
        let api = self.namespaced::<Pod>();
        let answer = bounded(api.patch_metadata(name, &PatchParams::default(), &Patch::Merge(patch))).await;
        match answer {
            Ok(_) => Ok(()),
            // Another Pod of this name, or none: it is looked at again anyway.
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
            Err(source) => Err(ActError::PatchObject { title: format!("Pod {name}"), source }),
        }
    }

    /// Annotations of volume claims.
    pub(super) async fn annotate_claims(&self, plan: &Plan) -> Vec<ActError> {
        let mut failures = Vec::new();
        for (name, annotations) in &plan.claim_annotations {
            let patch = json!({ "metadata": { "annotations": annotations } });
            failures.extend(self.patch_claim(name, &patch).await.err());
        }
        failures
    }

    /// Requests larger volumes.
    pub(super) async fn grow_claims(&self, plan: &Plan) -> Vec<ActError> {
        let mut failures = Vec::new();
        for (name, bytes) in &plan.claim_sizes {
            let size = Amount::from_bytes(*bytes).to_string();
            let patch = json!({ "spec": { "resources": { "requests": { "storage": size } } } });
            failures.extend(self.patch_claim(name, &patch).await.err());
        }
        failures
    }

    async fn patch_claim(&self, name: &str, patch: &Value) -> Result<(), ActError> {
        let api = self.namespaced::<PersistentVolumeClaim>();
        match bounded(api.patch(name, &PatchParams::default(), &Patch::Merge(patch))).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(source) => {
                Err(ActError::PatchObject { title: format!("PersistentVolumeClaim {name}"), source })
            }
        }
    }
}

/// The merge patch that gives a Pod what it lacks; nothing if it lacks nothing. The UID guards against a successor.
fn pod_patch(pod: &PodFacts, wish: &Metadata) -> Option<Value> {
    let labels = lacking(&pod.labels, &wish.labels);
    let annotations = lacking(&pod.annotations, &wish.annotations);
    if labels.is_empty() && annotations.is_empty() {
        return None;
    }
    Some(json!({ "metadata": { "uid": pod.view.uid, "labels": labels, "annotations": annotations } }))
}

fn lacking<'a>(
    marks: &Marks,
    wish: &'a BTreeMap<String, Option<String>>,
) -> BTreeMap<&'a str, Option<&'a str>> {
    let pairs = wish.iter().map(|(key, value)| (key.as_str(), value.as_deref()));
    pairs.filter(|(key, value)| !marks.agree(key, *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_patched() {
        let has = BTreeMap::from([
            ("role".to_owned(), "replica".to_owned()),
            ("reads".to_owned(), "true".to_owned()),
        ]);
        let pod = PodFacts { labels: Marks::new(Some(&has)), ..PodFacts::default() };
        let wish = |role: Option<&str>, reads: Option<&str>| Metadata {
            labels: BTreeMap::from([
                ("role".to_owned(), role.map(str::to_owned)),
                ("reads".to_owned(), reads.map(str::to_owned)),
            ]),
            annotations: BTreeMap::from([("absent".to_owned(), None)]),
        };
        assert_eq!(pod_patch(&pod, &wish(Some("replica"), Some("true"))), None);
        let patch = pod_patch(&pod, &wish(Some("primary"), None)).unwrap();
        assert_eq!(patch["metadata"]["labels"], json!({ "role": "primary", "reads": null }));
        assert_eq!(patch["metadata"]["annotations"], json!({}));
    }
}
