//! Deletions, each guarded by the UID of what was seen.

use super::{ActError, Pass};
use crate::facts::is_labelled;
use crate::kinds::OwnedKind;
use crate::kubernetes::{CallError, bounded, existing};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{DeleteParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use porpoise_core::plan::{Deletion, Plan};
use serde_json::json;

impl Pass<'_> {
    /// Carries out the deletions; what is gone already is no failure.
    pub(super) async fn delete(&self, plan: &Plan) -> Vec<ActError> {
        let mut failures = Vec::new();
        for deletion in plan.deletions.iter().filter(|deletion| self.has(deletion)) {
            if let Err(source) = self.delete_one(deletion).await {
                failures.push(ActError::DeleteObject { title: title(deletion), source });
            }
        }
        failures
    }

    /// Whether there is something to delete, as far as the watches know.
    pub(super) fn has(&self, deletion: &Deletion) -> bool {
        let key = crate::facts::key_of(&self.observation.view.object);
        match owned(deletion) {
            Some((kind, name)) => self.context.caches.of(kind).get(&key, name).is_some(),
            None => true,
        }
    }

    async fn delete_one(&self, deletion: &Deletion) -> Result<(), CallError> {
        tracing::info!(
            cluster = self.names.cluster(),
            namespace = self.names.namespace(),
            ?deletion,
            "deleting"
        );
        match deletion {
            Deletion::StatefulSet { orphan: true, .. } => {
                self.delete_owned(deletion, PropagationPolicy::Orphan).await
            }
            Deletion::StatefulSet { orphan: false, .. }
            | Deletion::NetworkPolicy { .. }
            | Deletion::EndpointSlice { .. } => {
                self.delete_owned(deletion, PropagationPolicy::Background).await
            }
            Deletion::Pod { name, uid } => self.evict(name, uid).await,
            Deletion::IdlePod { name, uid } => self.delete_pod(name, uid).await,
            Deletion::Claim { name, uid } => self.delete_claim(name, uid).await,
            Deletion::Secret { name } => self.delete_secret(name).await,
        }
    }

    async fn delete_owned(
        &self,
        deletion: &Deletion,
        propagation: PropagationPolicy,
    ) -> Result<(), CallError> {
        let key = crate::facts::key_of(&self.observation.view.object);
        let Some((kind, name)) = owned(deletion) else {
            return Ok(());
        };
        let Some(existing) = self.context.caches.of(kind).get(&key, name) else {
            return Ok(());
        };
        if existing.owner.as_deref() != Some(&self.uid) {
            return Ok(());
        }
        let namespace = self.names.namespace();
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.context.clients.general.clone(), namespace, &kind.resource());
        let parameters = DeleteParams { propagation_policy: Some(propagation), ..guarded(&existing.uid) };
        gone(bounded(api.delete(name, &parameters)).await)
    }

    /// Through the eviction API: a budget may say no, and then the next pass asks again.
    async fn evict(&self, name: &str, uid: &str) -> Result<(), CallError> {
        let api: Api<Pod> = self.namespaced();
        // Written out: kube 5.0 sends `delete_options`, a name that the API server does not know and ignores, guard and all.
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": self.names.namespace()},
            "deleteOptions": {"preconditions": {"uid": uid}},
        });
        let parameters = PostParams::default();
        let answer = api.create_subresource::<_, Status>("eviction", name, &parameters, &eviction);
        match bounded(answer).await {
            Err(error) if error.code() == Some(429) => {
                tracing::info!(pod = name, "a disruption budget holds up the eviction");
                Ok(())
            }
            answer => gone(answer),
        }
    }

    /// Past the budget, which counts a Pod in which nothing runs as one that is lost already, and would keep it for ever.
    async fn delete_pod(&self, name: &str, uid: &str) -> Result<(), CallError> {
        let api: Api<Pod> = self.namespaced();
        gone(bounded(api.delete(name, &guarded(uid))).await)
    }

    async fn delete_claim(&self, name: &str, uid: &str) -> Result<(), CallError> {
        let api: Api<PersistentVolumeClaim> = self.namespaced();
        gone(bounded(api.delete(name, &guarded(uid))).await)
    }

    /// Only a Secret that the operator made for this cluster.
    async fn delete_secret(&self, name: &str) -> Result<(), CallError> {
        let api: Api<Secret> = self.namespaced();
        let Some(found) = existing(bounded(api.get_metadata(name)).await)? else {
            return Ok(());
        };
        if !is_labelled(&found.metadata, self.names.cluster()) {
            return Ok(());
        }
        gone(bounded(api.delete(name, &guarded(&found.uid().unwrap_or_default()))).await)
    }
}

impl Pass<'_> {
    /// Calls about one kind in the cluster's namespace.
    pub(super) fn namespaced<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.context.clients.general.clone(), self.names.namespace())
    }
}

fn owned(deletion: &Deletion) -> Option<(OwnedKind, &str)> {
    match deletion {
        Deletion::StatefulSet { name, orphan: _ } => Some((OwnedKind::StatefulSet, name)),
        Deletion::NetworkPolicy { name } => Some((OwnedKind::NetworkPolicy, name)),
        Deletion::EndpointSlice { name } => Some((OwnedKind::EndpointSlice, name)),
        Deletion::Pod { .. }
        | Deletion::IdlePod { .. }
        | Deletion::Claim { .. }
        | Deletion::Secret { .. } => None,
    }
}

fn title(deletion: &Deletion) -> String {
    match deletion {
        Deletion::StatefulSet { name, orphan: _ } => format!("StatefulSet {name}"),
        Deletion::NetworkPolicy { name } => format!("NetworkPolicy {name}"),
        Deletion::EndpointSlice { name } => format!("EndpointSlice {name}"),
        Deletion::Pod { name, uid: _ } | Deletion::IdlePod { name, uid: _ } => format!("Pod {name}"),
        Deletion::Claim { name, uid: _ } => format!("PersistentVolumeClaim {name}"),
        Deletion::Secret { name } => format!("Secret {name}"),
    }
}

fn guarded(uid: &str) -> DeleteParams {
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() }
}

/// What is gone, or was replaced by something else of the same name, is gone.
fn gone<T>(answer: Result<T, CallError>) -> Result<(), CallError> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        Err(error) => Err(error),
    }
}
