//! Three bare servers that replicate as ours do, without Kubernetes, operator or agents: what the steps of a failover cost
//! when somebody types them at once and nothing has to be noticed.

use super::floor::{self, Server};
use anyhow::{Context, Result, ensure};
use futures::future::{join_all, try_join};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, MySqlConnection, Row};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const BUSY: Duration = Duration::from_secs(2);
const WRITERS: u32 = 4;

/// As our agents start theirs, as far as it matters for time.
const ARGUMENTS: &[&str] = &[
    "--bind-address=127.0.0.1",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--sync-binlog=1",
    "--innodb-flush-log-at-trx-commit=1",
    "--log-bin=binlog",
    "--relay-log=relay",
    "--sync-relay-log=1",
    "--relay-log-recovery=OFF",
    "--skip-replica-start=ON",
    "--replica-preserve-commit-order=ON",
    "--super-read-only=ON",
    "--plugin-load-add=semisync_source.so",
    "--plugin-load-add=semisync_replica.so",
    "--loose-rpl-semi-sync-source-wait-point=AFTER_SYNC",
    "--loose-rpl-semi-sync-source-timeout=4294967295",
];

/// The servers, one of which is the source of the others.
pub(super) struct Trio {
    servers: Vec<Server>,
    ports: Vec<u16>,
    source: usize,
    /// Removed after the servers are gone: fields are dropped in this order.
    _folder: tempfile::TempDir,
}

/// How long a failover took.
pub(super) struct Failover {
    /// From `kill -9` to the first acknowledged write.
    pub(super) first_write: Duration,
    /// From `kill -9` until the killed server has all again.
    pub(super) rejoined: Duration,
}

impl Trio {
    /// Three servers of which the first is the source.
    pub(super) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("make a folder for bare servers")?;
        // Held until all are chosen, so that they differ.
        let held = (0..3).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
        let ports = held.iter().map(|one| Ok(one.local_addr()?.port())).collect::<Result<Vec<u16>>>()?;
        drop(held);
        let servers = (0..3)
            .map(|index| Server::new(folder.path().join(index.to_string()), arguments(index, ports[index])));
        let servers = servers.collect::<Result<Vec<Server>>>()?;
        let mut trio = Self { servers, ports, source: 0, _folder: folder };
        floor::initialise(&trio.servers)?;
        floor::boot(&mut trio.servers)?;
        // Before there are acknowledgements to wait for.
        let account = "SET GLOBAL super_read_only = OFF; CREATE USER follower@'%' IDENTIFIED BY 'follower'; GRANT REPLICATION SLAVE ON *.* TO follower@'%'; \
                       CREATE DATABASE floor; CREATE TABLE floor.writes (id BIGINT AUTO_INCREMENT PRIMARY KEY)";
        trio.run(0, account).await?;
        try_join(trio.follow(1, 0), trio.follow(2, 0)).await?;
        trio.settle().await?;
        trio.open(0).await?;
        trio.run(0, "INSERT INTO floor.writes VALUES ()").await?;
        Ok(trio)
    }

    /// `kill -9` of the source, another one takes over, the killed one comes back.
    pub(super) async fn failover(&mut self) -> Result<Failover> {
        let begin = Instant::now();
        let old = self.source;
        self.replace().await?;
        let first_write = begin.elapsed();
        floor::boot(&mut self.servers[old..=old])?;
        self.follow(old, self.source).await?;
        self.settle().await?;
        Ok(Failover { first_write, rejoined: begin.elapsed() })
    }

    /// `kill -9` under as many writes as get through. The killed server may hold writes that are nowhere else, and stays
    /// down: the trio is of no use afterwards.
    pub(super) async fn busy_failover(&mut self) -> Result<Duration> {
        let writers = self.write_for(BUSY).await?;
        let begin = Instant::now();
        self.replace().await?;
        let first_write = begin.elapsed();
        join_all(writers).await;
        Ok(first_write)
    }

    /// Kills the source and lets clients in at another one.
    async fn replace(&mut self) -> Result<()> {
        let (old, new, third) = (self.source, (self.source + 1) % 3, (self.source + 2) % 3);
        self.servers[old].kill()?;
        try_join(self.run(new, "STOP REPLICA IO_THREAD"), self.run(third, "STOP REPLICA IO_THREAD")).await?;
        self.apply(new).await?;
        try_join(self.open(new), self.follow(third, new)).await?;
        self.run(new, "INSERT INTO floor.writes VALUES ()").await?;
        self.source = new;
        Ok(())
    }

    /// The source hands over to another server.
    pub(super) async fn switchover(&mut self) -> Result<Duration> {
        let (old, new, third) = (self.source, (self.source + 1) % 3, (self.source + 2) % 3);
        let begin = Instant::now();
        self.run(old, "SET GLOBAL super_read_only = ON").await?;
        self.has(new, &self.executed(old).await?).await?;
        try_join(self.open(new), self.follow(third, new)).await?;
        self.run(new, "INSERT INTO floor.writes VALUES ()").await?;
        let first_write = begin.elapsed();
        self.source = new;
        self.run(old, "SET GLOBAL rpl_semi_sync_source_enabled = OFF").await?;
        self.follow(old, new).await?;
        self.settle().await?;
        Ok(first_write)
    }

    /// `kill -9` of all, and all boot again.
    pub(super) async fn restart_all(&mut self) -> Result<Duration> {
        let begin = Instant::now();
        self.servers.iter_mut().try_for_each(Server::kill)?;
        floor::boot(&mut self.servers)?;
        let (source, one, other) = (self.source, (self.source + 1) % 3, (self.source + 2) % 3);
        self.open(source).await?;
        try_join(self.follow(one, source), self.follow(other, source)).await?;
        self.run(source, "INSERT INTO floor.writes VALUES ()").await?;
        let first_write = begin.elapsed();
        self.settle().await?;
        Ok(first_write)
    }

    /// Lets clients in at a server that receives no more.
    async fn open(&self, server: usize) -> Result<()> {
        let open = "STOP REPLICA; RESET REPLICA ALL; SET GLOBAL rpl_semi_sync_replica_enabled = OFF; \
                    SET GLOBAL rpl_semi_sync_source_enabled = ON; SET GLOBAL super_read_only = OFF; \
                    SET GLOBAL read_only = OFF";
        self.run(server, open).await
    }

    async fn follow(&self, server: usize, source: usize) -> Result<()> {
        let follow = format!(
            "STOP REPLICA; SET GLOBAL rpl_semi_sync_replica_enabled = ON; CHANGE REPLICATION SOURCE TO \
             SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, SOURCE_USER = 'follower', SOURCE_PASSWORD = 'follower', \
             SOURCE_SSL = 1, SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1; START REPLICA",
            self.ports[source]
        );
        self.run(server, &follow).await
    }

    /// Waits until a server has applied what it received.
    async fn apply(&self, server: usize) -> Result<()> {
        let query = "SELECT received_transaction_set FROM performance_schema.replication_connection_status";
        let received = self.text(server, query).await?;
        self.has(server, &received).await
    }

    /// Waits until all have what the source has.
    async fn settle(&self) -> Result<()> {
        let goal = self.executed(self.source).await?;
        for server in 0..self.servers.len() {
            self.has(server, &goal).await?;
        }
        Ok(())
    }

    async fn executed(&self, server: usize) -> Result<String> {
        self.text(server, "SELECT @@global.gtid_executed").await
    }

    async fn has(&self, server: usize, goal: &str) -> Result<()> {
        let goal = goal.replace('\n', "");
        let late = self
            .text(server, &format!("SELECT CAST(WAIT_FOR_EXECUTED_GTID_SET('{goal}', 60) AS CHAR)"))
            .await?;
        ensure!(late == "0", "bare server {server} did not catch up");
        Ok(())
    }

    async fn run(&self, server: usize, statements: &str) -> Result<()> {
        let mut connection = self.connect(server).await?;
        let statements = AssertSqlSafe(statements.to_owned());
        sqlx::raw_sql(statements)
            .execute(&mut connection)
            .await
            .with_context(|| format!("bare server {server}"))?;
        Ok(())
    }

    async fn text(&self, server: usize, query: &str) -> Result<String> {
        let mut connection = self.connect(server).await?;
        let row = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await?;
        Ok(row.try_get(0)?)
    }

    async fn connect(&self, server: usize) -> Result<MySqlConnection> {
        connect(self.servers[server].socket()).await
    }

    /// Clients that write until their server is gone; returns when they have done so for a while.
    async fn write_for(&self, time: Duration) -> Result<Vec<tokio::task::JoinHandle<()>>> {
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let mut connection = self.connect(self.source).await?;
            writers.push(tokio::spawn(async move {
                let write = "INSERT INTO floor.writes VALUES ()";
                while sqlx::raw_sql(write).execute(&mut connection).await.is_ok() {}
            }));
        }
        // The length of the load is what is wanted here, not a condition.
        tokio::time::sleep(time).await;
        Ok(writers)
    }
}

async fn connect(socket: PathBuf) -> Result<MySqlConnection> {
    let options = MySqlConnectOptions::new()
        .socket(socket)
        .username("root")
        .ssl_mode(MySqlSslMode::Disabled)
        .disable_statement_logging();
    options.connect().await.context("connect to a bare server")
}

fn arguments(index: usize, port: u16) -> Vec<String> {
    let mut arguments: Vec<String> = ARGUMENTS.iter().map(|one| (*one).to_owned()).collect();
    arguments.push(format!("--port={port}"));
    arguments.push(format!("--server-id={}", index + 1));
    arguments
}
