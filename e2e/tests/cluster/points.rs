//! The binlog is archived across a failover, a table is lost and then everything, and any point in time comes back (A29, A30,
//! D39).

use crate::backups::{backup_of, no_volume_is_left, succeeded};
use crate::in_place::accident_taken_back;
use crate::life::everyone_has;
use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use porpoise_crds::{BackupsStatus, Phase};
use porpoise_e2e::scenario::{
    Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, Store, small, until,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The goal of the runbook for a small cluster: from the wish to three members that serve (A30, D36).
const DRILL: Duration = Duration::from_mins(5);

#[tokio::test]
async fn a29_a30_everything_is_lost_and_any_point_in_time_comes_back() -> Result<()> {
    crate::beside_others("points", async |namespace| {
        let Some(store) = Store::start(namespace).await? else { return Ok(()) };
        let mut manifest = small("shop", 3);
        manifest["spec"]["backup"] = json!({"target": store.target()});
        manifest["spec"]["storage"]["deletionPolicy"] = json!("Delete");
        let shop = Database::apply(namespace, &manifest).await?;
        shop.until_phase(Phase::Healthy).await?;
        let client = Client::start(namespace).await?;
        let account = Account::app(namespace, "shop").await?;
        client
            .sql(&account, "CREATE TABLE orders (id INT PRIMARY KEY); INSERT INTO orders VALUES (1)")
            .await?;
        namespace.apply(&backup_of("shop", "monday")).await?;
        succeeded(namespace, "monday").await?;
        let between = Timestamp::now();
        client.sql(&account, "INSERT INTO orders VALUES (2)").await?;
        reached(&shop, Timestamp::now()).await?;
        let before = lose_the_primary(namespace, &shop).await?;
        client.sql(&account, "INSERT INTO orders VALUES (3)").await?;
        let whole = reached(&shop, Timestamp::now()).await?;
        ensure!(
            whole.restorable_from.as_ref().is_some_and(|from| from.0 <= between),
            "{:?}",
            whole.restorable_from
        );
        ensure!(
            shop.status().await?.primary.as_deref() != Some(before.as_str()),
            "{before} is still the primary"
        );
        accident_taken_back(namespace, &shop, &client, "1,2,3").await?;
        reached(&shop, Timestamp::now()).await?;
        shop.delete().await?;
        no_volume_is_left(namespace).await?;
        let began = Instant::now();
        restored(namespace, &client, "shop", &json!({"latest": true}), "1,2,3,4").await?;
        println!("three members were restored to the latest point in {:?}", began.elapsed());
        ensure!(began.elapsed() < DRILL, "the drill of a restore takes {DRILL:?} at most");
        refused(namespace).await?;
        let past = json!({"time": between.to_string()});
        restored(namespace, &client, "past", &past, "1").await
    })
    .await
}

/// Waits until all that was committed before `moment` is archived.
pub async fn reached(shop: &Database<'_>, moment: Timestamp) -> Result<BackupsStatus> {
    until("all that was committed is archived", HEALTHY_WITHIN, async || {
        let status = shop.status().await?;
        let backup = status.backup.clone().unwrap_or_default();
        if backup.restorable_to.as_ref().is_some_and(|to| to.0 > moment) {
            Ok(Seen::Done(backup))
        } else {
            Ok(Seen::Not(format!("{backup:?} {:?}", status.conditions)))
        }
    })
    .await
}

async fn lose_the_primary(namespace: &Namespace, shop: &Database<'_>) -> Result<String> {
    let primary = shop.status().await?.primary.context("there is a primary")?;
    namespace
        .stage()
        .kubectl(&["delete", "pod", &primary, "-n", namespace.name(), "--grace-period=0", "--force"])
        .await?;
    until("another primary", HEALTHY_WITHIN, async || {
        let status = shop.status().await?;
        let moved = status.primary.as_ref().is_some_and(|now| *now != primary);
        if moved && status.phase == Some(Phase::Healthy) {
            Ok(Seen::Done(()))
        } else {
            Ok(Seen::Not(format!("{:?} {:?}", status.primary, status.phase)))
        }
    })
    .await?;
    Ok(primary)
}

fn restoring(name: &str, instances: i32, point: &Value) -> Value {
    let mut manifest = small(name, instances);
    // The cluster that was lost had been restored in place since monday.
    let backup = if name == "shop" { "tuesday" } else { "monday" };
    let restore = json!({"backupRef": {"name": backup}, "pointInTime": point});
    manifest["spec"]["bootstrap"] = json!({"restore": restore});
    manifest
}

async fn restored(
    namespace: &Namespace,
    client: &Client<'_>,
    name: &str,
    point: &Value,
    rows: &str,
) -> Result<()> {
    let copy =
        Database::apply(namespace, &restoring(name, if name == "shop" { 3 } else { 1 }, point)).await?;
    copy.until_phase(Phase::Healthy).await?;
    let account = Account::app(namespace, name).await?;
    let found = client.sql(&account, "SELECT GROUP_CONCAT(id ORDER BY id) FROM orders").await?;
    ensure!(found == rows, "{name} has {found} instead of {rows}");
    if name == "shop" { everyone_has(client, namespace, rows).await } else { Ok(()) }
}

/// A point that the archive does not reach is said with what to do, and nothing begins empty.
async fn refused(namespace: &Namespace) -> Result<()> {
    let manifest = restoring("beyond", 1, &json!({"time": "2999-01-01T00:00:00Z"}));
    let beyond = Database::apply(namespace, &manifest).await?;
    beyond.until_message("name a point up to then, or latest").await?;
    ensure!(beyond.status().await?.quorum.is_none(), "it began all the same");
    beyond.delete().await
}
