//! What a reader sees through the Services (docs: "Reading").

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use porpoise_crds::Phase;
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, small, until};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A row is written at the rw Service, and the reader at the ro Service waits for what the writer had executed.
#[tokio::test]
async fn read_your_writes_through_the_services_also_after_a_failover() -> Result<()> {
    crate::beside_others("reading", async |namespace| {
        let client = Client::start(namespace).await?;
        let shop = Database::apply(namespace, &small("shop", 3)).await?;
        let before = shop.until_phase(Phase::Healthy).await?;
        let writer = Account::app(namespace, "shop").await?;
        let reader = writer.at("shop-ro");
        client.sql_until(&writer, "CREATE TABLE orders (id INT PRIMARY KEY)", HEALTHY_WITHIN).await?;
        client.sql_until(&reader, "SELECT 1", HEALTHY_WITHIN).await?;
        let mut set = String::new();
        for id in 1..=20 {
            set = write(&client, &writer, id).await?;
            read(&client, &reader, id, &set).await?;
        }
        let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
        let lost = before.primary.clone().unwrap_or_default();
        pods.delete(&lost, &DeleteParams::default().grace_period(0)).await?;
        let kept = format!("SELECT GTID_SUBSET('{set}', @@GLOBAL.gtid_executed)");
        until("another primary has what was acknowledged", HEALTHY_WITHIN, async || {
            let status = shop.status().await?;
            if status.term <= before.term {
                return Ok(Seen::Not(format!("term {:?}", status.term)));
            }
            match client.sql(&writer, &kept).await {
                Ok(rows) if rows == "1" => Ok(Seen::Done(())),
                Ok(rows) => anyhow::bail!("an acknowledged GTID is not on the new primary: {rows:?}"),
                Err(error) => Ok(Seen::Not(format!("{error:#}"))),
            }
        })
        .await?;
        client.sql_until(&reader, "SELECT 1", HEALTHY_WITHIN).await?;
        read(&client, &reader, 20, &set).await?;
        let set = client.sql_until(&writer, &insert(21), HEALTHY_WITHIN).await?;
        read(&client, &reader, 21, &set).await
    })
    .await
}

/// Repeatable: a client that lost its answer asks again.
fn insert(id: i32) -> String {
    format!("INSERT IGNORE INTO orders VALUES ({id}); SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')")
}

async fn write(client: &Client<'_>, writer: &Account, id: i32) -> Result<String> {
    client.sql(writer, &insert(id)).await
}

async fn read(client: &Client<'_>, reader: &Account, id: i32, set: &str) -> Result<()> {
    let start = Instant::now();
    let wait = format!(
        "SELECT WAIT_FOR_EXECUTED_GTID_SET('{set}', 20); SELECT COUNT(*) FROM orders WHERE id = {id}"
    );
    let rows = client.sql(reader, &wait).await?;
    println!("row {id} read after {:?}", start.elapsed());
    ensure!(rows == "0\n1", "0: in time, 1: the row is there; found {rows:?} for row {id}");
    Ok(())
}

/// Nothing but reads leaves a replica that lags, and changing the bound restarts nothing.
#[tokio::test]
async fn a_lagging_replica_leaves_the_ro_service_and_comes_back() -> Result<()> {
    crate::beside_others("lag", async |namespace| {
        let client = Client::start(namespace).await?;
        let mut manifest = small("shop", 2);
        manifest["spec"]["services"] = json!({"replicas": {"maxLag": "2s"}});
        let shop = Database::apply(namespace, &manifest).await?;
        let status = shop.until_phase(Phase::Healthy).await?;
        let replica = if status.primary.as_deref() == Some("shop-0") { "shop-1" } else { "shop-0" };
        let writer = Account::app(namespace, "shop").await?;
        client.sql_until(&writer, "CREATE TABLE orders (id INT PRIMARY KEY)", HEALTHY_WITHIN).await?;
        client.sql_until(&writer.at("shop-ro"), "SELECT COUNT(*) FROM orders", HEALTHY_WITHIN).await?;
        let before = starts(namespace).await?;
        shop.patch_spec(json!({"services": {"replicas": {"maxLag": "3s"}}})).await?;
        let member = writer.at(&format!("{replica}.shop-members"));
        let (locked, left) = tokio::join!(
            client.sql(&member, "LOCK TABLES orders READ; DO SLEEP(25)"),
            lag(namespace, &shop, &client, &writer),
        );
        left?;
        locked?;
        until_readers(namespace, &[replica]).await?;
        ensure!(starts(namespace).await? == before, "something restarted");
        Ok(())
    })
    .await
}

/// While a table is locked at the replica, a write to it is acknowledged, and not applied there.
async fn lag(
    namespace: &Namespace,
    shop: &Database<'_>,
    client: &Client<'_>,
    writer: &Account,
) -> Result<()> {
    let locked = "SELECT SLEEP(2); INSERT INTO orders VALUES (1)";
    client.sql(writer, locked).await?;
    until_readers(namespace, &[]).await?;
    let status = shop.status().await?;
    ensure!(status.instances.iter().all(|one| one.ready), "a lagging replica is a healthy member");
    client.sql(writer, "INSERT INTO orders VALUES (2)").await?;
    Ok(())
}

async fn until_readers(namespace: &Namespace, wanted: &[&str]) -> Result<()> {
    until(&format!("the ro Service leads to {wanted:?}"), Duration::from_mins(2), async || {
        let found = readers(namespace).await?;
        if found.iter().map(String::as_str).eq(wanted.iter().copied()) {
            Ok(Seen::Done(()))
        } else {
            Ok(Seen::Not(format!("{found:?}")))
        }
    })
    .await
}

/// Pods that the ro Service leads to.
async fn readers(namespace: &Namespace) -> Result<BTreeSet<String>> {
    let slices: Api<EndpointSlice> = Api::namespaced(namespace.client(), namespace.name());
    let list = slices.list(&ListParams::default().labels("kubernetes.io/service-name=shop-ro")).await?;
    let endpoints = list.items.into_iter().flat_map(|slice| slice.endpoints);
    let ready = endpoints.filter(|endpoint| {
        endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready == Some(true))
    });
    Ok(ready.filter_map(|endpoint| endpoint.target_ref?.name).collect())
}

/// UID and restarts of every member's Pod.
async fn starts(namespace: &Namespace) -> Result<BTreeMap<String, (Option<String>, i32)>> {
    let pods: Api<Pod> = Api::namespaced(namespace.client(), namespace.name());
    let list = pods.list(&ListParams::default().labels("app.kubernetes.io/instance=shop")).await?;
    let count = |pod: &Pod| {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        statuses.into_iter().flatten().map(|one| one.restart_count).sum()
    };
    Ok(list.items.iter().map(|pod| (pod.name_any(), (pod.uid(), count(pod)))).collect())
}
