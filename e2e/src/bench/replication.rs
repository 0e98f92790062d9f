//! Bare servers that replicate, without Kubernetes, operator or agents.

use super::floor::{self, HOST, Server};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Commit {
    /// Its own disk alone.
    Asynchronous,
    /// Also a replica that has received it, and may lose it with its machine: semi-sync by MySQL's defaults.
    Received,
    /// Also a replica that has it on its disk: semi-sync as ours.
    Synced,
}

const SEMI_SYNC: &[&str] = &[
    "--plugin-load-add=semisync_source.so",
    "--plugin-load-add=semisync_replica.so",
    "--loose-rpl-semi-sync-source-wait-point=AFTER_SYNC",
    "--loose-rpl-semi-sync-source-timeout=4294967295",
];

/// The account that replicas use.
const FOLLOWER: &str =
    "CREATE USER follower@'%' IDENTIFIED BY 'follower'; GRANT REPLICATION SLAVE ON *.* TO follower@'%'";

/// The servers, one of which is the source of the others.
pub(super) struct Replication {
    pub(super) servers: Vec<Server>,
    pub(super) source: usize,
    commit: Commit,
    /// Removed after the servers are gone: fields are dropped in this order.
    _folder: tempfile::TempDir,
}

impl Replication {
    /// So many servers of which the first is the source and has run these statements.
    pub(super) async fn start(count: usize, commit: Commit, statements: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for bare servers")?;
        let ports = floor::free_ports(count)?.into_iter().enumerate();
        let servers = ports.map(|(index, port)| {
            Server::member(folder.path().join(index.to_string()), port, commit.arguments())
        });
        let servers = servers.collect::<Result<Vec<Server>>>()?;
        let mut replication = Self { servers, source: 0, commit, _folder: folder };
        floor::initialise(&replication.servers)?;
        floor::boot(&mut replication.servers)?;
        // Before there are acknowledgements to wait for.
        let begin = format!("SET GLOBAL super_read_only = OFF; {FOLLOWER}; {statements}");
        replication.run(0, &begin).await?;
        try_join_all((1..count).map(|server| replication.follow(server, 0))).await?;
        replication.settle().await?;
        replication.open(0).await?;
        Ok(replication)
    }

    /// Lets clients in at a server that receives no more.
    pub(super) async fn open(&self, server: usize) -> Result<()> {
        let acknowledged = match self.commit {
            Commit::Asynchronous => "",
            Commit::Received | Commit::Synced => {
                "SET GLOBAL rpl_semi_sync_replica_enabled = OFF; SET GLOBAL rpl_semi_sync_source_enabled = ON; "
            }
        };
        let open = format!(
            "STOP REPLICA; RESET REPLICA ALL; {acknowledged}SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF"
        );
        self.run(server, &open).await
    }

    /// Makes a server follow another one.
    pub(super) async fn follow(&self, server: usize, source: usize) -> Result<()> {
        let acknowledge = match self.commit {
            Commit::Asynchronous => "",
            Commit::Received | Commit::Synced => "SET GLOBAL rpl_semi_sync_replica_enabled = ON; ",
        };
        let follow = format!(
            "STOP REPLICA; {acknowledge}CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{HOST}', SOURCE_PORT = {}, \
             SOURCE_USER = 'follower', SOURCE_PASSWORD = 'follower', SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1, \
             SOURCE_CONNECT_RETRY = 1; START REPLICA",
            self.servers[source].port()
        );
        self.run(server, &follow).await
    }

    /// Waits until a server has applied what it received.
    pub(super) async fn apply(&self, server: usize) -> Result<()> {
        let query = "SELECT received_transaction_set FROM performance_schema.replication_connection_status";
        let received = self.servers[server].text(query).await?;
        self.has(server, &received).await
    }

    /// Waits until all have what the source has.
    pub(super) async fn settle(&self) -> Result<()> {
        let goal = self.executed(self.source).await?;
        for server in 0..self.servers.len() {
            self.has(server, &goal).await?;
        }
        Ok(())
    }

    /// What a server has executed.
    pub(super) async fn executed(&self, server: usize) -> Result<String> {
        self.servers[server].text("SELECT @@global.gtid_executed").await
    }

    /// Waits until a server has executed all of `goal`.
    pub(super) async fn has(&self, server: usize, goal: &str) -> Result<()> {
        let goal = goal.replace('\n', "");
        let query = format!("SELECT CAST(WAIT_FOR_EXECUTED_GTID_SET('{goal}', 60) AS CHAR)");
        let late = self.servers[server].text(&query).await?;
        ensure!(late == "0", "bare server {server} did not catch up");
        Ok(())
    }

    /// Runs statements at a server.
    pub(super) async fn run(&self, server: usize, statements: &str) -> Result<()> {
        self.servers[server].run(statements).await.with_context(|| format!("bare server {server}"))
    }
}

impl Commit {
    fn arguments(self) -> Vec<String> {
        let semi_sync = SEMI_SYNC.iter().map(|one| (*one).to_owned());
        match self {
            Self::Asynchronous => Vec::new(),
            Self::Received => semi_sync.collect(),
            Self::Synced => semi_sync.chain(["--sync-relay-log=1".to_owned()]).collect(),
        }
    }
}
