//! Calls to Kubernetes' API for snapshots of volumes, which is not there everywhere: its kinds are no part of Kubernetes.

use crate::kinds::MANAGER;
use crate::kubernetes::{CallError, bounded, existing};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use porpoise_core::backup::{
    SNAPSHOT_GROUP, SNAPSHOT_KIND, SNAPSHOT_PLURAL, SNAPSHOT_VERSION, SnapshotLook, SnapshotView,
    VolumeSnapshot,
};

/// Snapshots of one namespace.
pub struct Snapshots {
    client: Client,
    api: Api<DynamicObject>,
}

impl Snapshots {
    /// Those of `namespace`.
    pub fn of(client: &Client, namespace: &str) -> Self {
        let kind = GroupVersionKind::gvk(SNAPSHOT_GROUP, SNAPSHOT_VERSION, SNAPSHOT_KIND);
        let resource = ApiResource::from_gvk_with_plural(&kind, SNAPSHOT_PLURAL);
        Self { client: client.clone(), api: Api::namespaced_with(client.clone(), namespace, &resource) }
    }

    /// Looks at one.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn look(&self, name: &str) -> Result<SnapshotLook, CallError> {
        if let Some(found) = existing(bounded(self.api.get(name)).await)? {
            // One without a spec is not one of ours, whatever it is.
            let read = serde_json::to_value(found).and_then(serde_json::from_value::<VolumeSnapshot>);
            let view = read.map(|snapshot| SnapshotView::of(&snapshot)).unwrap_or_default();
            return Ok(SnapshotLook::Found(Box::new(view)));
        }
        // It answers alike whether the object or the whole API is absent.
        Ok(if is_served(&self.client).await? { SnapshotLook::Absent } else { SnapshotLook::Unserved })
    }

    /// Makes one. One of that name that exists already is seen, and judged, by the next pass.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn make(&self, wanted: &VolumeSnapshot) -> Result<(), CallError> {
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let json = serde_json::to_value(wanted).and_then(serde_json::from_value::<DynamicObject>);
        let object =
            json.map_err(|error| CallError::CallServer { source: kube::Error::SerdeError(error) })?;
        match bounded(self.api.create(&parameters, &object)).await {
            Err(error) if error.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }

    /// Deletes this very one; one that is gone is fine.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn delete(&self, name: &str, uid: &str) -> Result<(), CallError> {
        let preconditions = Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        match bounded(self.api.delete(name, &parameters)).await {
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Whether this Kubernetes has the API.
///
/// # Errors
/// When the API server does not say.
pub async fn is_served(client: &Client) -> Result<bool, CallError> {
    let version = format!("{SNAPSHOT_GROUP}/{SNAPSHOT_VERSION}");
    let found = existing(bounded(client.list_api_group_resources(&version)).await)?;
    Ok(found.is_some_and(|list| list.resources.iter().any(|one| one.name == SNAPSHOT_PLURAL)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, refusal, server};
    use serde_json::{Value, json};

    const SERVED: &str = "/apis/snapshot.storage.k8s.io/v1";

    fn resources(names: &[&str]) -> Value {
        let one = |name: &&str| json!({"name": name, "singularName": "", "namespaced": true, "kind": "Kind", "verbs": ["get"]});
        let all: Vec<Value> = names.iter().map(one).collect();
        json!({"kind": "APIResourceList", "groupVersion": "snapshot.storage.k8s.io/v1", "resources": all})
    }

    #[tokio::test]
    async fn a10_a_missing_snapshot_is_told_from_a_missing_api() {
        for (served, want) in [
            (Some(resources(&["volumesnapshots"])), SnapshotLook::Absent),
            (Some(resources(&["volumesnapshotclasses"])), SnapshotLook::Unserved),
            (None, SnapshotLook::Unserved),
        ] {
            let (client, calls) = server(move |call: &Call| {
                Some(match &served {
                    Some(list) if call.path == SERVED => (200, list.clone()),
                    _ => refusal(404, "NotFound"),
                })
            });
            assert_eq!(Snapshots::of(&client, "prod").look("shop-a").await.unwrap(), want);
            let object = format!("GET {SERVED}/namespaces/prod/volumesnapshots/shop-a");
            assert_eq!(calls.lines(), [object, format!("GET {SERVED}")]);
        }
    }

    #[tokio::test]
    async fn a10_whoever_is_not_allowed_to_look_does_not_know() {
        let (client, _) = server(|_| Some(refusal(403, "Forbidden")));
        assert!(Snapshots::of(&client, "prod").look("shop-a").await.unwrap_err().is_forbidden());
        assert!(is_served(&client).await.is_err());
    }

    #[tokio::test]
    async fn a10_a_snapshot_is_deleted_only_by_its_uid() {
        let (client, calls) = server(|_| Some(refusal(409, "Conflict")));
        Snapshots::of(&client, "prod").delete("shop-a", "s1").await.unwrap();
        assert_eq!(calls.all()[0].body["preconditions"]["uid"], "s1");
    }
}
