//! A stored `MySQLCluster` that this version cannot read: said in its status, without touching anything else.

use crate::context::Context;
use crate::kinds::MANAGER;
use crate::kubernetes::{CallError, bounded};
use crate::requeue::Next;
use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, error_boundary::InvalidObject};
use porpoise_crds::MySQLCluster;
use serde_json::json;
use std::time::Duration;

/// Nothing changes by itself; a corrected object is seen by the watch.
const SLOWLY: Duration = Duration::from_mins(5);

/// Writes phase and reason. The running database stays as it is.
pub async fn report(context: &Context, unreadable: &InvalidObject) -> Result<Next, CallError> {
    let name = unreadable.metadata.name.clone().unwrap_or_default();
    let namespace = unreadable.metadata.namespace.clone().unwrap_or_default();
    let uid = unreadable.metadata.uid.clone().unwrap_or_default();
    tracing::warn!(cluster = name, namespace, error = unreadable.error, "cannot read a MySQLCluster");
    let said = context.memories.of(&uid, |memory| memory.unreadable.as_ref() == Some(&unreadable.error));
    if said || !context.leadership.is_held() {
        return Ok(Next::After(SLOWLY));
    }
    let resource = ApiResource::erase::<MySQLCluster>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.clients.general.clone(), &namespace, &resource);
    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    bounded(api.patch_status(&name, &parameters, &Patch::Merge(&status(unreadable)))).await?;
    context.memories.of(&uid, |memory| memory.unreadable = Some(unreadable.error.clone()));
    Ok(Next::After(SLOWLY))
}

fn status(unreadable: &InvalidObject) -> serde_json::Value {
    json!({ "status": { "phase": "Invalid", "conditions": [{
        "type": "ConfigurationValid",
        "status": "False",
        "reason": "Unreadable",
        "message": format!(
            "this version of the operator cannot read the object: {}; the running database stays as it was",
            unreadable.error
        ),
        "observedGeneration": unreadable.metadata.generation,
        "lastTransitionTime": jiff::Timestamp::now().to_string(),
    }] } })
}
