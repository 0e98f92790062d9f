//! Retained volumes: adopted by a cluster of the same name, refused by any other (A12, A19, B7).

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, small};
use serde_json::json;

#[tokio::test]
async fn retained_volumes_come_back_with_a_cluster_of_the_same_name() -> Result<()> {
    crate::beside_others("adopt", async |namespace| {
        let client = Client::start(namespace).await?;
        let mut manifest = small("shop", 2);
        manifest["spec"]["storage"]["deletionPolicy"] = json!("Retain");
        let shop = Database::apply(namespace, &manifest).await?;
        let before = shop.until_phase(Phase::Healthy).await?;
        let account = Account::app(namespace, "shop").await?;
        client
            .sql_until(
                &account,
                "CREATE TABLE t (a INT PRIMARY KEY); INSERT INTO t VALUES (42)",
                HEALTHY_WITHIN,
            )
            .await?;
        shop.delete().await?;
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(namespace.client(), namespace.name());
        ensure!(claims.list(&ListParams::default()).await?.items.len() == 2, "volume claims were not kept");
        let again = Database::apply(namespace, &manifest).await?;
        let after = again.until_phase(Phase::Healthy).await?;
        ensure!(after.term > before.term, "the term starts above what the volumes have seen");
        let account = Account::app(namespace, "shop").await?;
        let read = client.sql_until(&account, "SELECT a FROM t", HEALTHY_WITHIN).await?;
        ensure!(read == "42", "the row became {read:?}");
        foreign(namespace, &again, &manifest).await
    })
    .await
}

/// The mark is gone, so nobody left the volume on purpose: it is refused and untouched, and the remedy in the condition
/// works.
async fn foreign(namespace: &Namespace, shop: &Database<'_>, manifest: &serde_json::Value) -> Result<()> {
    shop.delete().await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(namespace.client(), namespace.name());
    let annotation = "mysql.porpoise.dev/retained-by";
    let mut former = String::new();
    for claim in claims.list(&ListParams::default()).await?.items {
        let annotations = claim.metadata.annotations.unwrap_or_default();
        former = annotations.get(annotation).cloned().unwrap_or_default();
        let name = claim.metadata.name.unwrap_or_default();
        let unmark = json!({"metadata": {"annotations": {annotation: null}}});
        claims.patch(&name, &PatchParams::default(), &Patch::Merge(unmark)).await?;
    }
    let again = Database::apply(namespace, manifest).await?;
    let message = again.until_condition("StorageReady", "False", "ForeignVolume").await?;
    ensure!(message.contains(&former), "the owner is not named: {message}");
    for name in ["data-shop-0", "data-shop-1"] {
        let mark = json!({"metadata": {"annotations": {annotation: former}}});
        claims.patch(name, &PatchParams::default(), &Patch::Merge(mark)).await?;
    }
    again.until_phase(Phase::Healthy).await?;
    Ok(())
}
