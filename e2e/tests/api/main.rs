//! The rules of the definition on a real API server (B4, K9): every rule both ways, every example accepted.
//!
//! Needs no operator and no nodes: objects are sent as a dry run, and those that must exist are paused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Tables of cases are long and clear.
#![allow(clippy::too_many_lines)]

mod accepted;
mod backups;
mod changes;
mod refused;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use porpoise_crds::{MySQLBackup, MySQLCluster};
use porpoise_e2e::cluster::Cluster;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

const NAMESPACE: &str = "porpoise-api-rules";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The API of the kind in a namespace of ours. Brings up the cluster and applies the definition once.
async fn api() -> Api<kube::core::DynamicObject> {
    let cluster = CLUSTER
        .get_or_init(async || {
            let cluster = Cluster::from_environment().await.expect("a cluster");
            prepare(cluster.client().await.expect("a client")).await;
            cluster
        })
        .await;
    let kind = kube::core::ApiResource::erase::<MySQLCluster>(&());
    Api::namespaced_with(cluster.client().await.expect("a client"), NAMESPACE, &kind)
}

/// The API of the kind that an object says it is of.
fn api_of(api: &Api<kube::core::DynamicObject>, object: &Value) -> Api<kube::core::DynamicObject> {
    if object["kind"] == "MySQLBackup" { backups(api) } else { api.clone() }
}

/// The API of backups, over the same connection.
fn backups(api: &Api<kube::core::DynamicObject>) -> Api<kube::core::DynamicObject> {
    let kind = kube::core::ApiResource::erase::<MySQLBackup>(&());
    Api::namespaced_with(api.clone().into_client(), NAMESPACE, &kind)
}

async fn prepare(client: Client) {
    let apply = PatchParams::apply("api-rules").force();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in porpoise_crds::definitions().map(adoptable) {
        let name = definition.metadata.name.clone().unwrap();
        definitions
            .patch(&name, &apply, &Patch::Apply(&definition))
            .await
            .expect("the definition is accepted");
        let established = kube::runtime::wait::await_condition(
            definitions.clone(),
            &name,
            kube::runtime::conditions::is_crd_established(),
        );
        let established = tokio::time::timeout(Duration::from_secs(30), established).await;
        established.expect("in time").expect("established");
    }
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    namespaces.patch(NAMESPACE, &apply, &Patch::Apply(&namespace)).await.expect("a namespace");
}

/// Marked as the chart marks it: Helm takes over what bears its marks, and refuses anything else of that name.
fn adoptable(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let mark = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    definition.metadata.labels.get_or_insert_default().extend([mark("app.kubernetes.io/managed-by", "Helm")]);
    definition.metadata.annotations.get_or_insert_default().extend([
        mark("meta.helm.sh/release-name", "porpoise-crds"),
        mark("meta.helm.sh/release-namespace", "porpoise-system"),
        mark("helm.sh/resource-policy", "keep"),
    ]);
    definition
}

/// An object with this spec merged over a size.
fn with(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": MySQLCluster::api_version(&()), "kind": MySQLCluster::kind(&()),
        "metadata": {"name": "shop"},
        "spec": {"storage": {"size": "20Gi"}},
    });
    merge(&mut object["spec"], spec);
    object
}

fn named(name: &str) -> Value {
    let mut object = with(json!({}));
    object["metadata"]["name"] = json!(name);
    object
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The object as a dry run would store it, or the refusal.
async fn offer(api: &Api<kube::core::DynamicObject>, object: &Value) -> Result<Value, String> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let object = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    match api.create(&params, &object).await {
        Ok(stored) => Ok(serde_json::to_value(stored).unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

async fn accepts(api: &Api<kube::core::DynamicObject>, case: &str, object: Value) -> Value {
    offer(api, &object).await.unwrap_or_else(|refusal| panic!("{case} was refused: {refusal}"))
}

async fn rejects(api: &Api<kube::core::DynamicObject>, case: &str, object: Value, why: &str) {
    let refusal = offer(api, &object).await.expect_err(case);
    assert!(refusal.contains(why), "{case}: {refusal}");
}
