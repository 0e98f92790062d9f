//! What the schema cannot refuse: a clear condition, and the running database untouched (issue §7, H9, K8, K9).

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, small};
use serde_json::{Value, json};

/// Before anything exists: names that lead nowhere.
#[tokio::test]
async fn names_that_lead_nowhere_are_reported_and_work_once_they_lead_somewhere() -> Result<()> {
    crate::beside_others("nowhere", async |namespace| {
        for (name, field, value, wanted) in [
            ("class", "/spec/storage/storageClassName", json!("no-such-class"), "no-such-class"),
            ("settings", "/spec/mysql", json!({"configMapRef": {"name": "no-such-map"}}), "no-such-map"),
            ("tls", "/spec/tls", json!({"mode": "Secret", "secretName": "no-such-secret"}), "no-such-secret"),
        ] {
            let mut manifest = small(name, 1);
            set(&mut manifest, field, value);
            let database = Database::apply(namespace, &manifest).await?;
            database.until_phase(Phase::Invalid).await?;
            let status = database.status().await?;
            let valid = status.conditions.iter().find(|one| one.type_ == "ConfigurationValid");
            let message = valid.map(|one| one.message.clone()).unwrap_or_default();
            ensure!(message.contains(wanted), "{name}: {message}");
            let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
            ensure!(pods.get_opt(&format!("{name}-0")).await?.is_none(), "{name} has Pods although its spec is invalid");
        }
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "no-such-map"}, "data": {"max_connections": "77"}});
        namespace.apply(&map).await?;
        Database { namespace, name: "settings".to_owned() }.until_phase(Phase::Healthy).await?;
        let client = Client::start(namespace).await?;
        let account = Account::app(namespace, "settings").await?;
        let value = client.sql_until(&account, "SELECT @@max_connections", HEALTHY_WITHIN).await?;
        ensure!(value == "77", "max_connections is {value}");
        Ok(())
    })
    .await
}

fn set(manifest: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').unwrap_or_default();
    if let Some(parent) = manifest.pointer_mut(parent) {
        parent[key] = value;
    }
}

/// A change that cannot be carried out leaves the running database as it was, and the next good one converges.
#[tokio::test]
async fn a_bad_change_touches_nothing() -> Result<()> {
    crate::beside_others("untouched", async |namespace| {
        let client = Client::start(namespace).await?;
        let shop = Database::apply(namespace, &small("shop", 1)).await?;
        shop.until_phase(Phase::Healthy).await?;
        let account = Account::app(namespace, "shop").await?;
        client.sql_until(&account, "CREATE TABLE t (a INT PRIMARY KEY)", HEALTHY_WITHIN).await?;
        let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
        let uid = pods.get("shop-0").await?.uid();
        for (bad, undo) in [
            (
                json!({"mysql": {"configMapRef": {"name": "nowhere"}}}),
                json!({"mysql": {"configMapRef": null}}),
            ),
            (
                json!({"tls": {"mode": "Secret", "secretName": "nowhere"}}),
                json!({"tls": {"mode": "Managed", "secretName": null}}),
            ),
        ] {
            shop.patch_spec(bad.clone()).await?;
            shop.until_phase(Phase::Invalid).await?;
            client.sql(&account, "INSERT INTO t SELECT COUNT(*) + 1 FROM t AS counted").await?;
            ensure!(pods.get("shop-0").await?.uid() == uid, "{bad} replaced the Pod");
            shop.patch_spec(undo).await?;
            shop.until_phase(Phase::Healthy).await?;
        }
        let refused = shop.patch_spec(json!({"resources": {"limits": {"memory": "64Mi"}}})).await;
        ensure!(refused.is_err(), "the schema let a member have 64Mi of memory");
        Ok(())
    })
    .await
}

/// Quota and Pod Security speak through the cluster's conditions.
#[tokio::test]
async fn a_quota_that_denies_pods_is_named() -> Result<()> {
    crate::beside_others("quota", async |namespace| {
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "tight"},
            "spec": {"hard": {"requests.cpu": "10m", "requests.memory": "64Mi", "limits.cpu": "2", "limits.memory": "2Gi"}},
        });
        namespace.apply(&quota).await?;
        let shop = Database::apply(namespace, &small("shop", 1)).await?;
        let message = shop.until_condition("Degraded", "True", "QuotaExceeded").await?;
        ensure!(message.contains("tight"), "the quota is not named: {message}");
        namespace.stage().kubectl(&["delete", "resourcequota", "tight", "-n", namespace.name()]).await?;
        shop.until_phase(Phase::Healthy).await?;
        Ok(())
    })
    .await
}

/// Any other admission that denies our Pods speaks in its own words (K8, H10).
#[tokio::test]
async fn an_admission_rule_that_denies_pods_is_named() -> Result<()> {
    crate::beside_others("denied", async |namespace| {
        let limits = json!({
            "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "256Mi"}}]},
        });
        namespace.apply(&limits).await?;
        let shop = Database::apply(namespace, &small("shop", 1)).await?;
        let message = shop.until_condition("Degraded", "True", "PodRefused").await?;
        ensure!(message.contains("256Mi"), "the rule is not named: {message}");
        namespace.stage().kubectl(&["delete", "limitrange", "small", "-n", namespace.name()]).await?;
        shop.until_phase(Phase::Healthy).await?;
        Ok(())
    })
    .await
}

/// An image that does not exist is named too.
#[tokio::test]
async fn an_image_that_does_not_exist_is_named() -> Result<()> {
    crate::beside_others("image", async |namespace| {
        let mut manifest = small("shop", 1);
        manifest["spec"]["image"] = json!("porpoise.local/no-such-image:1");
        let shop = Database::apply(namespace, &manifest).await?;
        let message = shop.until_condition("Degraded", "True", "ImageUnavailable").await?;
        ensure!(message.contains("no-such-image"), "the image is not named: {message}");
        Ok(())
    })
    .await
}

/// A namespace that goes takes its cluster along and never hangs (E10).
#[tokio::test]
async fn deleting_the_namespace_never_hangs() -> Result<()> {
    crate::beside_others("vanish", async |namespace| {
        let shop = Database::apply(namespace, &small("shop", 1)).await?;
        shop.until_phase(Phase::Healthy).await?;
        namespace
            .stage()
            .kubectl(&["delete", "namespace", namespace.name(), "--wait=true", "--timeout=150s"])
            .await?;
        Ok(())
    })
    .await
}
