//! What safety costs when nothing fails: the same transactions on a cluster and on bare servers, in turn.

use super::replication::{Commit, Replication};
use super::results::{Case, Floor, Peer, Samples};
use super::transactions::{self, Work};
use crate::campaign::Scene;
use crate::ledger::on_each_member;
use crate::scenario::{Account, Database, Namespace, OWN_NETWORK, small};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How many clients work at once.
const CLIENTS: &[u64] = &[1, 4, 16];
/// The number of clients of the case's own row.
const USUAL: u64 = 4;
const TIME: Duration = Duration::from_secs(5);

const CLUSTER: &str = "cluster of three, through its Service";
const SYNCED: &str = "three bare mysqld, semi-sync, relay log synced as the cluster's";
const RECEIVED: &str = "three bare mysqld, semi-sync by default: relay log not synced";
const ASYNCHRONOUS: &str = "two bare mysqld, asynchronous";

const SCHEMA: &str =
    "CREATE DATABASE app; CREATE USER app@'%' IDENTIFIED BY 'app'; GRANT ALL ON app.* TO app@'%'";

/// Servers that are compared, and what their clients saw, by the number of clients.
struct Subject<'a> {
    what: &'static str,
    servers: Servers<'a>,
    network: PathBuf,
    account: Account,
    seen: BTreeMap<u64, Work>,
}

enum Servers<'a> {
    Cluster(Database<'a>),
    Bare(Replication),
}

/// Lets every number of clients work at all servers in turn, so many times.
///
/// # Errors
/// When the cluster does not become Healthy or a client is refused; the report of the cluster is printed then.
pub async fn write_cost(rounds: usize) -> Result<Case> {
    let mut case = None;
    Namespace::scenario("write-cost", async |namespace| {
        let scene = Scene::of(namespace, &manifest()).await?.context("write-cost needs the rig")?;
        let mut subjects = [
            Subject::cluster(scene).await?,
            Subject::bare(SYNCED, Replication::start(3, Commit::Synced, SCHEMA).await?),
            Subject::bare(RECEIVED, Replication::start(3, Commit::Received, SCHEMA).await?),
            Subject::bare(ASYNCHRONOUS, Replication::start(2, Commit::Asynchronous, SCHEMA).await?),
        ];
        compare(&mut subjects, rounds).await?;
        case = Some(row(&subjects));
        Ok(())
    })
    .await?;
    case.context("a comparison that ended well has figures")
}

/// Bare servers have no limits: the cluster's members get what the machine has.
fn manifest() -> Value {
    let mut manifest = small("shop", 3);
    manifest["spec"]["resources"]["limits"] = json!({"cpu": "2", "memory": "1Gi"});
    manifest
}

async fn compare(subjects: &mut [Subject<'_>], rounds: usize) -> Result<()> {
    for subject in &*subjects {
        transactions::prepare(&subject.network, &subject.account).await.context(subject.what)?;
    }
    for _ in 0..rounds {
        for clients in CLIENTS {
            for subject in &mut *subjects {
                subject.work(*clients).await.context(subject.what)?;
            }
        }
    }
    Ok(())
}

impl<'a> Subject<'a> {
    async fn cluster(scene: Scene<'a>) -> Result<Self> {
        let network = scene.network_beside(&scene.primary().await?).await?;
        let account = scene.ledger.service().clone();
        Ok(Self {
            what: CLUSTER,
            servers: Servers::Cluster(scene.database),
            network,
            account,
            seen: BTreeMap::new(),
        })
    }

    fn bare(what: &'static str, servers: Replication) -> Self {
        let account = servers.servers[servers.source].account("app", "app");
        Self {
            what,
            servers: Servers::Bare(servers),
            network: OWN_NETWORK.into(),
            account,
            seen: BTreeMap::new(),
        }
    }

    /// Lets clients work, then waits until replicas have it all: the next ones get a quiet machine.
    async fn work(&mut self, clients: u64) -> Result<()> {
        let work = transactions::work(&self.network, &self.account, clients, TIME).await?;
        println!(
            "{}, {clients} clients: {} transactions/s, commit p50 {} us, p99 {} us",
            self.what,
            work.per_second(),
            work.commits.percentile(50),
            work.commits.percentile(99)
        );
        self.seen.entry(clients).or_default().extend(work);
        match &self.servers {
            Servers::Cluster(database) => on_each_member(database, "SELECT 1").await.map(drop),
            Servers::Bare(replication) => replication.settle().await,
        }
    }

    /// How long commits of the usual number of clients took, in milliseconds.
    fn usual(&self) -> Samples {
        let commits = self.seen.get(&USUAL).map(|work| work.commits.0.as_slice()).unwrap_or_default();
        Samples(commits.iter().map(|micros| (micros + 500) / 1000).collect())
    }
}

fn row(subjects: &[Subject<'_>; 4]) -> Case {
    let [cluster, synced, received, asynchronous] = subjects;
    let what = |subject: &Subject<'_>| format!("{}: commit, {USUAL} clients", subject.what);
    let peer = |subject| Peer { what: what(subject), samples: subject.usual(), violations: None };
    let mut more = Map::new();
    let costs =
        CLIENTS.iter().flat_map(|clients| subjects.iter().filter_map(|subject| cost(subject, *clients)));
    more.insert("cost".to_owned(), costs.collect());
    Case {
        name: "write-cost",
        samples: cluster.usual(),
        floor: Some(Floor { what: what(synced), samples: synced.usual() }),
        peers: [received, asynchronous].map(peer).into(),
        more,
        ..Case::default()
    }
}

/// What so many clients saw of one subject.
fn cost(subject: &Subject<'_>, clients: u64) -> Option<Value> {
    let work = subject.seen.get(&clients)?;
    let commits = &work.commits;
    Some(json!({
        "what": subject.what, "clients": clients, "perSecond": work.per_second(),
        "commit": {
            "unit": "us", "n": commits.0.len(), "p50": commits.percentile(50), "p95": commits.percentile(95),
            "p99": commits.percentile(99),
        },
    }))
}
