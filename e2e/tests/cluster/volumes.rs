//! Backups and archive on a volume of this Kubernetes, and a cluster that begins with them (A29, A30).

use crate::backups::{backup_of, remove, succeeded};
use crate::points::reached;
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt};
use porpoise_crds::{BackupLocation, Phase};
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use serde_json::{Value, json};

const CLAIM: &str = "shop-backups";

#[tokio::test]
async fn a29_a30_everything_is_lost_and_comes_back_from_a_volume() -> Result<()> {
    crate::beside_others("volume", async |namespace| {
        let mut manifest = small("shop", 1);
        manifest["spec"]["backup"] = json!({"target": {"volume": {"size": "1Gi"}}});
        manifest["spec"]["storage"]["deletionPolicy"] = json!("Delete");
        let shop = Database::apply(namespace, &manifest).await?;
        shop.until_phase(Phase::Healthy).await?;
        let client = Client::start(namespace).await?;
        let account = Account::app(namespace, "shop").await?;
        client
            .sql(&account, "CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders VALUES (1)")
            .await?;
        namespace.apply(&backup_of("shop", "monday")).await?;
        let status = succeeded(namespace, "monday").await?;
        let location = status.location.context("the backup says where it is")?;
        client.sql(&account, "INSERT INTO orders VALUES (2)").await?;
        reached(&shop, Timestamp::now()).await?;
        shop.delete().await?;
        the_claim_stays(namespace).await?;
        restore(namespace, &client, &location).await?;
        remove(namespace, "monday").await
    })
    .await
}

async fn the_claim_stays(namespace: &Namespace) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(namespace.client(), namespace.name());
    let claim = claims.get(CLAIM).await?;
    ensure!(claim.owner_references().is_empty(), "the claim has owners: {:?}", claim.owner_references());
    ensure!(claim.metadata.deletion_timestamp.is_none(), "the claim is being deleted");
    Ok(())
}

/// By the bare place: nobody asks the object that remembers the backup.
async fn restore(namespace: &Namespace, client: &Client<'_>, location: &BackupLocation) -> Result<()> {
    let location: Value = json!({"target": {"volume": {"claimName": CLAIM}}, "path": location.path});
    let mut manifest = small("copy", 1);
    manifest["spec"]["bootstrap"] =
        json!({"restore": {"location": location, "pointInTime": {"latest": true}}});
    let copy = Database::apply(namespace, &manifest).await?;
    copy.until_phase(Phase::Healthy).await?;
    let account = Account::app(namespace, "copy").await?;
    let found = client.sql(&account, "SELECT GROUP_CONCAT(id ORDER BY id) FROM orders").await?;
    ensure!(found == "1,2", "the copy has {found}");
    let sets: Api<StatefulSet> = Api::namespaced(namespace.client(), namespace.name());
    until("nothing serves the claim any more", HEALTHY_WITHIN, async || {
        match sets.get_opt("copy-restore").await? {
            None => Ok(Seen::Done(())),
            Some(set) => Ok(Seen::Not(format!("{:?}", set.status))),
        }
    })
    .await
}
