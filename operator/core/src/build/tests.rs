mod backup_store;
mod backups;
mod objects;
mod pods;
mod stateful_set;

use crate::fixture;
use crate::validate::Cluster;
use porpoise_crds::MySQLCluster;
use serde_json::{Value, json};

/// A cluster with a label and an annotation of its own, and whatever `spec` adds.
fn cluster(spec: &Value) -> Cluster {
    fixture::cluster_of(&object(spec))
}

fn object(spec: &Value) -> MySQLCluster {
    let mut object = json!(fixture::object());
    object["metadata"]["labels"] = json!({"team": "sea", "helm.sh/chart": "shop-1.0.0"});
    object["metadata"]["annotations"] = json!({"example.com/owner": "ann"});
    for (key, value) in spec.as_object().into_iter().flatten() {
        object["spec"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

/// Metadata that every owned object has.
fn metadata(name: &str) -> Value {
    json!({
        "name": name,
        "namespace": "prod",
        "labels": {
            "app.kubernetes.io/component": "database",
            "app.kubernetes.io/instance": "shop",
            "app.kubernetes.io/managed-by": "porpoise",
            "app.kubernetes.io/name": "mysql",
            "app.kubernetes.io/part-of": "porpoise",
            "app.kubernetes.io/version": "9.7",
            "team": "sea",
        },
        "annotations": {"example.com/owner": "ann"},
        "ownerReferences": [{
            "apiVersion": "mysql.porpoise.dev/v1alpha1",
            "kind": "MySQLCluster",
            "name": "shop",
            "uid": "c1a5ter",
            "controller": true,
            "blockOwnerDeletion": true,
        }],
    })
}

fn selector() -> Value {
    json!({"app.kubernetes.io/instance": "shop", "app.kubernetes.io/name": "mysql"})
}
