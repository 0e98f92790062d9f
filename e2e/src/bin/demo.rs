//! `make demo`: a real Kubernetes on this machine, the operator by Helm, a `MySQLCluster`, an application's reads and
//! writes, and Pods that are lost.

use anyhow::{Context, Result, ensure};
use porpoise_crds::{MySQLClusterStatus, Phase};
use porpoise_e2e::scenario::{Account, Client, Database, HEALTHY_WITHIN, Namespace, Seen, Stage, until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The three lines of spec that make a production-shaped cluster.
const SAMPLE: &str = include_str!("../../../docs/src/examples/minimal.yaml");

#[tokio::main]
async fn main() -> Result<()> {
    porpoise_e2e::install_crypto();
    let mut clock = Clock::new();
    let stage = Stage::shared().await?;
    clock.lap("Kubernetes with three nodes, operator installed with Helm");
    let namespace = Namespace::named(&stage, "demo").await?;
    let sample = sample()?;
    let shop = Database::apply(&namespace, &sample).await?;
    let healthy = shop.until_phase(Phase::Healthy).await?;
    clock.lap("kubectl apply to three members replicating");
    let client = Client::start(&namespace).await?;
    let account = Account::app(&namespace, &shop.name).await?;
    orders(&client, &account, &shop.name).await?;
    clock.lap("an application wrote through the Service and read from the replicas");
    lose(&shop, &client, &account, &replica(&healthy)?, 100).await?;
    clock.lap("a replica's Pod was deleted; the cluster healed");
    lose(&shop, &client, &account, &healthy.primary.clone().context("a healthy cluster has a primary")?, 101)
        .await?;
    clock.lap("the primary's Pod was deleted; the cluster healed");
    let kept = client.sql(&account, "SELECT COUNT(*) FROM orders").await?;
    clock.print();
    println!("\nrows kept: {kept} of 5, none lost");
    println!("{}", stage.how_to_look_around(namespace.name(), &shop.name));
    ensure!(kept == "5", "rows were lost");
    Ok(())
}

fn sample() -> Result<Value> {
    let mut sample: Value = serde_norway::from_str(SAMPLE).context("read the sample")?;
    // This machine has two cores for three members.
    sample["spec"]["resources"] =
        json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "512Mi"}});
    Ok(sample)
}

async fn orders(client: &Client<'_>, account: &Account, name: &str) -> Result<()> {
    let table = "CREATE TABLE IF NOT EXISTS orders (id INT PRIMARY KEY); DELETE FROM orders; INSERT INTO orders VALUES (1), (2), (3)";
    client.sql_until(account, table, HEALTHY_WITHIN).await?;
    let replicas = account.at(&format!("{name}-ro"));
    let count = client.sql_until(&replicas, "SELECT COUNT(*) FROM orders", HEALTHY_WITHIN).await?;
    println!("  the replicas answered: {count} orders");
    Ok(())
}

async fn lose(
    shop: &Database<'_>,
    client: &Client<'_>,
    account: &Account,
    pod: &str,
    row: u32,
) -> Result<()> {
    let stage = shop.namespace.stage();
    let begin = Instant::now();
    stage.kubectl(&["delete", "pod", pod, "-n", shop.namespace.name(), "--wait=false"]).await?;
    let condition = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    let look = ["get", "pod", pod, "-n", shop.namespace.name(), "--ignore-not-found", "--output", condition];
    until(&format!("{pod} is not Ready"), HEALTHY_WITHIN, async || {
        let ready = stage.kubectl(&look).await?;
        Ok(if ready.trim() == "True" { Seen::Not("it is Ready".to_owned()) } else { Seen::Done(()) })
    })
    .await?;
    client.sql_until(account, &format!("INSERT INTO orders VALUES ({row})"), HEALTHY_WITHIN).await?;
    println!("  {pod} deleted; a write was accepted {:.1} s later", begin.elapsed().as_secs_f32());
    let healed = shop.until_phase(Phase::Healthy).await?;
    println!(
        "  all members back after {:.1} s; primary {}",
        begin.elapsed().as_secs_f32(),
        healed.primary.unwrap_or_default()
    );
    Ok(())
}

fn replica(status: &MySQLClusterStatus) -> Result<String> {
    let names = status.instances.iter().map(|one| one.name.clone());
    names
        .into_iter()
        .find(|name| Some(name) != status.primary.as_ref())
        .context("a healthy cluster has a replica")
}

struct Clock {
    begin: Instant,
    last: Instant,
    laps: Vec<(String, Duration)>,
}

impl Clock {
    fn new() -> Self {
        Self { begin: Instant::now(), last: Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, what: &str) {
        println!("[{:>6.1} s] {what}", self.begin.elapsed().as_secs_f32());
        self.laps.push((what.to_owned(), self.last.elapsed()));
        self.last = Instant::now();
    }

    fn print(&self) {
        println!("\nwhere the time went:");
        for (what, time) in &self.laps {
            println!("  {:>6.1} s  {what}", time.as_secs_f32());
        }
        println!("  {:>6.1} s  in all", self.begin.elapsed().as_secs_f32());
    }
}
