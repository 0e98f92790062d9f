//! Objects: applied only when what we own of them differs from what exists.
//!
//! Two things make a difference: a field of ours that has another value (drift; seen by comparing), and a field that we
//! no longer want (seen by the digest of the last wish, which stands in an annotation: the API server removes what a
//! manager applied before and now leaves out).

use super::subset::covers;
use super::{ActError, Pass};
use crate::facts::{Existing, owner};
use crate::kinds::{MANAGER, OwnedKind, Wanted};
use crate::kubernetes::{CallError, bounded, existing};
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use porpoise_core::plan::{Desired, Plan};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use tokio::time::Instant;

/// Annotation with the digest of what was applied last.
pub(super) const APPLIED: &str = "mysql.porpoise.dev/applied";

/// What is to be done about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    None,
    Absent,
    Differs,
    BelongsToOther,
}

fn is_route(desired: &Desired) -> bool {
    matches!(desired, Desired::EndpointSlice(_))
}

impl Pass<'_> {
    /// Applies what differs, in the order of the plan. One refused object does not hold up the others.
    pub(super) async fn apply_objects(&self, plan: &Plan) -> Vec<ActError> {
        let mut failures = Vec::new();
        for desired in plan.objects.iter().filter(|desired| !is_route(desired)) {
            if let Err(error) = self.apply(desired).await {
                failures.push(error);
            }
        }
        failures
    }

    /// Leads writes to where the plan says.
    pub(super) async fn apply_route(&self, plan: &Plan) -> Result<(), ActError> {
        match plan.objects.iter().find(|desired| is_route(desired)) {
            Some(route) => self.apply(route).await,
            None => Ok(()),
        }
    }

    /// Whether the plan changes where writes go.
    pub(super) fn moves_endpoint(&self, plan: &Plan) -> bool {
        plan.objects.iter().any(|desired| match desired {
            Desired::EndpointSlice(_) => wanted(desired)
                .is_ok_and(|(wanted, digest)| self.compare(&wanted, &digest) != Difference::None),
            _ => false,
        })
    }

    /// Whether the plan makes a set of members after a restore in place was asked for.
    pub(super) fn makes_members(&self, plan: &Plan) -> bool {
        let status = self.observation.view.object.status.as_ref();
        let has_lines = status.is_some_and(|status| status.restore.is_some());
        let is_absent = |desired: &Desired| match desired {
            Desired::StatefulSet(set) => {
                set.metadata.name.as_deref() == Some(self.names.cluster())
                    && self.observation.view.stateful_set.is_none()
            }
            _ => false,
        };
        has_lines && plan.objects.iter().any(is_absent)
    }

    async fn apply(&self, desired: &Desired) -> Result<(), ActError> {
        let (wanted, digest) = wanted(desired)?;
        match self.compare(&wanted, &digest) {
            Difference::None => return Ok(()),
            Difference::BelongsToOther => return Err(ActError::TakeOver { title: wanted.title() }),
            Difference::Absent => self.check_absent(&wanted).await?,
            Difference::Differs => {}
        }
        self.context.metrics.applied(wanted.kind.word());
        let title = wanted.title();
        let written = self.send(wanted, &digest).await;
        written.map_err(|source| ActError::ApplyObject { title, source })
    }

    fn compare(&self, wanted: &Wanted, digest: &str) -> Difference {
        let key = crate::facts::key_of(&self.observation.view.object);
        let Some(existing) = self.context.caches.of(wanted.kind).get(&key, &wanted.name) else {
            return Difference::Absent;
        };
        let title = wanted.title();
        let settled = (existing.resource_version.clone(), digest.to_owned());
        if self.context.memories.of(&self.uid, |memory| memory.settled.get(&title) == Some(&settled)) {
            return Difference::None;
        }
        let difference = compare(&existing, wanted, digest, &self.uid);
        if difference == Difference::None {
            self.context.memories.of(&self.uid, |memory| memory.settled.insert(title, settled));
        }
        difference
    }

    /// The watch sees only objects with our label: one without it may exist all the same, and it is not ours to take.
    async fn check_absent(&self, wanted: &Wanted) -> Result<(), ActError> {
        let api = self.api(wanted.kind);
        let found = existing(bounded(api.get_metadata(&wanted.name)).await);
        let found = found.map_err(|source| ActError::ApplyObject { title: wanted.title(), source })?;
        match found {
            Some(found) if owner(&found.metadata).as_deref() != Some(&self.uid) => {
                Err(ActError::TakeOver { title: wanted.title() })
            }
            _ => Ok(()),
        }
    }

    async fn send(&self, mut wanted: Wanted, digest: &str) -> Result<(), CallError> {
        let key = crate::facts::key_of(&self.observation.view.object);
        let cache = self.context.caches.of(wanted.kind);
        annotate(&mut wanted.json, digest);
        let known = cache.get(&key, &wanted.name);
        if wanted.kind == OwnedKind::EndpointSlice {
            // Guarded by what was seen: a process that slept through a failover must not lead writes back.
            if let Some(existing) = &known {
                wanted.json["metadata"]["resourceVersion"] = json!(existing.resource_version);
            }
            self.context.memories.of(&self.uid, |memory| memory.endpoint_moved = Some(Instant::now()));
        }
        let parameters = PatchParams::apply(MANAGER).force();
        let api = self.api(wanted.kind);
        let applied = bounded(api.patch(&wanted.name, &parameters, &Patch::Apply(&wanted.json))).await?;
        tracing::info!(cluster = key.name, namespace = key.namespace, object = wanted.title(), "applied");
        cache.put_after(known.as_ref(), &key, &wanted.name, Existing::new(applied));
        Ok(())
    }

    fn api(&self, kind: OwnedKind) -> Api<DynamicObject> {
        Api::namespaced_with(self.context.clients.general.clone(), self.names.namespace(), &kind.resource())
    }
}

fn wanted(desired: &Desired) -> Result<(Wanted, String), ActError> {
    let wanted = Wanted::new(desired)
        .map_err(|source| ActError::WriteJson { title: "an owned object".to_owned(), source })?;
    let digest = digest(&wanted.json);
    Ok((wanted, digest))
}

fn compare(existing: &Existing, wanted: &Wanted, digest: &str, uid: &str) -> Difference {
    if existing.owner.as_deref() != Some(uid) {
        return Difference::BelongsToOther;
    }
    let Ok(json) = serde_json::from_str::<Value>(&existing.json) else {
        return Difference::Differs;
    };
    let applied = &json["metadata"]["annotations"][APPLIED];
    if applied.as_str() == Some(digest) && covers(&json, &untyped(&wanted.json)) {
        Difference::None
    } else {
        Difference::Differs
    }
}

/// Without `apiVersion` and `kind`: the API server leaves them out of the items of a list, and both sides are of one kind
/// anyway.
fn untyped(json: &Value) -> Value {
    let mut json = json.clone();
    if let Some(fields) = json.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    json
}

fn annotate(json: &mut Value, digest: &str) {
    let annotations = &mut json["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[APPLIED] = json!(digest);
}

/// Short, but long enough that two wishes never share it by chance.
fn digest(json: &Value) -> String {
    let hash = Sha256::digest(json.to_string());
    hash.iter().take(12).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(value: &str) -> Wanted {
        let json = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "shop-config", "labels": { "a": "b" } },
            "data": { "my.cnf": value },
        });
        Wanted { kind: OwnedKind::ConfigMap, name: "shop-config".to_owned(), json }
    }

    fn stored(wanted: &Wanted, digest: &str, owner: &str) -> Existing {
        let mut json = wanted.json.clone();
        annotate(&mut json, digest);
        json["metadata"]["labels"]["foreign"] = json!("kept");
        Existing {
            uid: "1".to_owned(),
            resource_version: "7".to_owned(),
            owner: Some(owner.to_owned()),
            json: json.to_string().into(),
        }
    }

    #[test]
    fn table() {
        let (old, new) = (config_map("old"), config_map("new"));
        let own = digest(&new.json);
        for (case, existing, want) in [
            ("equal, with a foreign label", stored(&new, &own, "uid"), Difference::None),
            ("a field drifted", stored(&old, &own, "uid"), Difference::Differs),
            ("something is no longer wanted", stored(&new, "earlier", "uid"), Difference::Differs),
            ("another owner", stored(&new, &own, "other"), Difference::BelongsToOther),
        ] {
            assert_eq!(compare(&existing, &new, &own, "uid"), want, "{case}");
        }
    }

    #[test]
    fn an_item_of_a_list_has_no_kind_and_is_equal_all_the_same() {
        let new = config_map("new");
        let own = digest(&new.json);
        let listed = Wanted { json: untyped(&new.json), ..config_map("new") };
        assert_eq!(compare(&stored(&listed, &own, "uid"), &new, &own, "uid"), Difference::None);
    }
}
