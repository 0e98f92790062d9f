//! One cluster from apply to deletion (A8, A26, B12, B26, B29, D26).

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use serde_json::json;

#[tokio::test]
async fn a_cluster_is_written_to_read_from_loses_pods_and_goes() -> Result<()> {
    crate::beside_others("life", async |namespace| {
        let client = Client::start(namespace).await?;
        let mut manifest = small("shop", 3);
        manifest["spec"]["bootstrap"] = json!({"initSql": [
            "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(40))",
            "INSERT INTO orders VALUES (0, 'from the spec')",
        ]});
        let shop = Database::apply(namespace, &manifest).await?;
        shop.until_phase(Phase::Healthy).await?;
        let primary = Account::app(namespace, "shop").await?;
        write_and_read(&client, &primary).await?;
        copy(namespace, &client).await?;
        lose_a_replica(namespace, &shop, &client, &primary).await?;
        lose_the_primary(namespace, &shop, &client, &primary).await?;
        lose_a_volume(namespace, &shop, &client, &primary).await?;
        shop.delete().await?;
        nothing_is_left(namespace).await
    })
    .await
}

async fn write_and_read(client: &Client<'_>, primary: &Account) -> Result<()> {
    client.sql(primary, "INSERT INTO orders VALUES (1, 'first')").await?;
    let replicas = primary.at("shop-ro");
    let read = client.sql_until(&replicas, "SELECT note FROM orders WHERE id = 1", HEALTHY_WITHIN).await?;
    ensure!(read == "first", "the ro Service answered {read:?}");
    let refused = client.sql(&replicas, "INSERT INTO orders VALUES (2, 'no')").await;
    ensure!(refused.is_err(), "a replica accepted a write");
    Ok(())
}

/// Another cluster begins with a copy of this one and goes its own way (B29).
async fn copy(namespace: &Namespace, client: &Client<'_>) -> Result<()> {
    everyone_has(client, namespace, "0,1").await?;
    let mut manifest = small("copy", 1);
    manifest["spec"]["bootstrap"] = json!({"clone": {"clusterRef": {"name": "shop"}}});
    let copy = Database::apply(namespace, &manifest).await?;
    copy.until_phase(Phase::Healthy).await?;
    let account = Account::app(namespace, "copy").await?;
    client.sql(&account, "INSERT INTO orders VALUES (2, 'only in the copy')").await?;
    let rows = client.sql(&account, "SELECT GROUP_CONCAT(id ORDER BY id) FROM orders").await?;
    ensure!(rows == "0,1,2", "the copy has the rows {rows}");
    copy.delete().await
}

async fn kill_pod(namespace: &Namespace, name: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let uid = pods.get(name).await?.uid();
    pods.delete(name, &DeleteParams::default()).await?;
    until(&format!("{name} is another Pod"), HEALTHY_WITHIN, async || match pods.get_opt(name).await? {
        Some(pod) if pod.uid() != uid => Ok(Seen::Done(())),
        other => Ok(Seen::Not(format!("{:?}", other.and_then(|pod| pod.metadata.deletion_timestamp)))),
    })
    .await
}

async fn lose_a_replica(
    namespace: &Namespace,
    shop: &Database<'_>,
    client: &Client<'_>,
    primary: &Account,
) -> Result<()> {
    let before = shop.status().await?;
    let replica = replica_of(&before)?;
    kill_pod(namespace, &replica).await?;
    client.sql_until(primary, "INSERT INTO orders VALUES (3, 'replica lost')", HEALTHY_WITHIN).await?;
    let after = shop.until_phase(Phase::Healthy).await?;
    ensure!(after.primary == before.primary, "losing a replica moved the primary");
    everyone_has(client, namespace, "3").await
}

async fn lose_the_primary(
    namespace: &Namespace,
    shop: &Database<'_>,
    client: &Client<'_>,
    primary: &Account,
) -> Result<()> {
    let before = shop.status().await?;
    kill_pod(namespace, &before.primary.clone().unwrap_or_default()).await?;
    client.sql_until(primary, "INSERT INTO orders VALUES (4, 'primary lost')", HEALTHY_WITHIN).await?;
    let after = shop.until_phase(Phase::Healthy).await?;
    ensure!(after.term > before.term, "a new primary has a new term");
    everyone_has(client, namespace, "1,3,4").await
}

/// A Pod and its volume go; the member is made anew from the others (D26).
async fn lose_a_volume(
    namespace: &Namespace,
    shop: &Database<'_>,
    client: &Client<'_>,
    primary: &Account,
) -> Result<()> {
    let replica = replica_of(&shop.status().await?)?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(namespace.client(), namespace.name());
    claims.delete(&format!("data-{replica}"), &DeleteParams::default()).await?;
    kill_pod(namespace, &replica).await?;
    client.sql_until(primary, "INSERT INTO orders VALUES (5, 'volume lost')", HEALTHY_WITHIN).await?;
    let after = shop.until_phase(Phase::Healthy).await?;
    let members = after.quorum.map(|claim| claim.members.len());
    ensure!(members == Some(3), "the claim has {members:?} members");
    everyone_has(client, namespace, "1,3,4,5").await
}

fn replica_of(status: &porpoise_crds::MySQLClusterStatus) -> Result<String> {
    let found = status
        .instances
        .iter()
        .map(|one| one.name.clone())
        .find(|name| Some(name) != status.primary.as_ref());
    found.ok_or_else(|| anyhow::anyhow!("no replica in {status:?}"))
}

/// Every member has exactly these rows of `orders` (ids, ascending) among its own.
pub async fn everyone_has(client: &Client<'_>, namespace: &Namespace, ids: &str) -> Result<()> {
    let account = Account::app(namespace, "shop").await?;
    for ordinal in 0..3 {
        let member = account.at(&format!("shop-{ordinal}.shop-members"));
        let query = format!("SELECT GROUP_CONCAT(id ORDER BY id) FROM orders WHERE id IN ({ids})");
        until(&format!("shop-{ordinal} has the rows {ids}"), HEALTHY_WITHIN, async || {
            let rows = client.sql(&member, &query).await?;
            if rows == ids { Ok(Seen::Done(())) } else { Ok(Seen::Not(rows)) }
        })
        .await?;
    }
    Ok(())
}

async fn nothing_is_left(namespace: &Namespace) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(namespace.client(), namespace.name());
    let secrets: Api<Secret> = Api::namespaced(namespace.client(), namespace.name());
    until("claims and Secrets are gone with policy Delete", HEALTHY_WITHIN, async || {
        let claims = claims.list(&ListParams::default()).await?.items.len();
        let secrets = secrets.list(&ListParams::default()).await?.items.len();
        if claims + secrets == 0 {
            Ok(Seen::Done(()))
        } else {
            Ok(Seen::Not(format!("{claims} claims, {secrets} Secrets")))
        }
    })
    .await
}
