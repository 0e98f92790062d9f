//! Objects for tests. Name, namespace and the rest all differ, so that swapped arguments show.

use crate::gate::FeatureGates;
use crate::validate::{self, Cluster, Settings, Stored};
use crate::view::References;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use porpoise_crds::{DurabilityPolicy, MySQLBackup, MySQLCluster};

/// UID of the cluster.
pub const UID: &str = "c1a5ter";

/// The cluster `shop` in namespace `prod` as a user writes it: three lines of spec.
///
/// # Panics
/// Never: the text is fixed.
#[allow(clippy::unwrap_used, reason = "fixed text of a test")]
pub fn object() -> MySQLCluster {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1",
        "kind": "MySQLCluster",
        "metadata": {"name": "shop", "namespace": "prod", "uid": UID, "generation": 4},
        "spec": {"instances": 3, "storage": {"size": "20Gi"}},
    }))
    .unwrap()
}

/// The backup `shop-a` of the cluster `shop`.
///
/// # Panics
/// Never: the text is fixed.
#[allow(clippy::unwrap_used, reason = "fixed text of a test")]
pub fn backup() -> MySQLBackup {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1",
        "kind": "MySQLBackup",
        "metadata": {
            "name": "shop-a", "namespace": "prod", "uid": "bac4up", "generation": 2,
            "creationTimestamp": "2026-11-21T03:00:00Z",
        },
        "spec": {"clusterRef": {"name": "shop"}},
    }))
    .unwrap()
}

/// Settings of an operator in namespace `porpoise-system`.
pub fn settings() -> Settings {
    Settings {
        operator_image: "registry.example/porpoise:v1.2.3".to_owned(),
        mysql_image: "mysql:{version}".to_owned(),
        operator_namespace: "porpoise-system".to_owned(),
        feature_gates: FeatureGates::new(),
    }
}

/// [`object`], validated.
pub fn cluster() -> Cluster {
    cluster_of(&object())
}

/// [`object`] with this many instances, validated.
pub fn cluster_with(instances: u32, policy: DurabilityPolicy) -> Cluster {
    let mut object = object();
    object.spec.durability.policy = policy;
    object.spec.instances = i32::try_from(instances).unwrap_or_default();
    object.spec.storage.size = Quantity("20Gi".to_owned());
    cluster_of(&object)
}

/// `object`, which must be valid.
///
/// # Panics
/// When it is not valid.
#[allow(clippy::panic, reason = "the test is wrong")]
pub fn cluster_of(object: &MySQLCluster) -> Cluster {
    validate::cluster(object, &References::default(), &Stored::default(), &settings())
        .unwrap_or_else(|problems| panic!("the fixture is invalid: {problems:#?}"))
}
