//! Three bare servers that replicate as ours do: what the steps of a failover cost when somebody types them at once and
//! nothing has to be noticed.

use super::floor::{self, Server};
use super::replication::{Commit, Replication};
use anyhow::Result;
use futures::future::{join_all, try_join};
use std::time::{Duration, Instant};

const BUSY: Duration = Duration::from_secs(2);
const WRITERS: u32 = 4;

const TABLE: &str = "CREATE DATABASE floor; CREATE TABLE floor.writes (id BIGINT AUTO_INCREMENT PRIMARY KEY)";
const WRITE: &str = "INSERT INTO floor.writes VALUES ()";

/// The servers, one of which is the source of the others.
pub(super) struct Trio(Replication);

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
        let trio = Replication::start(3, Commit::Synced, TABLE).await?;
        trio.run(0, WRITE).await?;
        Ok(Self(trio))
    }

    /// `kill -9` of the source, another one takes over, the killed one comes back.
    pub(super) async fn failover(&mut self) -> Result<Failover> {
        let begin = Instant::now();
        let old = self.0.source;
        self.replace().await?;
        let first_write = begin.elapsed();
        floor::boot(&mut self.0.servers[old..=old])?;
        self.0.follow(old, self.0.source).await?;
        self.0.settle().await?;
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

    /// The source, and the others from the next one on.
    fn roles(&self) -> (usize, usize, usize) {
        let source = self.0.source;
        (source, (source + 1) % 3, (source + 2) % 3)
    }

    /// Kills the source and lets clients in at another one.
    async fn replace(&mut self) -> Result<()> {
        let (old, new, third) = self.roles();
        let trio = &mut self.0;
        trio.servers[old].kill()?;
        try_join(trio.run(new, "STOP REPLICA IO_THREAD"), trio.run(third, "STOP REPLICA IO_THREAD")).await?;
        trio.apply(new).await?;
        try_join(trio.open(new), trio.follow(third, new)).await?;
        trio.run(new, WRITE).await?;
        trio.source = new;
        Ok(())
    }

    /// The source hands over to another server.
    pub(super) async fn switchover(&mut self) -> Result<Duration> {
        let (old, new, third) = self.roles();
        let trio = &mut self.0;
        let begin = Instant::now();
        trio.run(old, "SET GLOBAL super_read_only = ON").await?;
        trio.has(new, &trio.executed(old).await?).await?;
        try_join(trio.open(new), trio.follow(third, new)).await?;
        trio.run(new, WRITE).await?;
        let first_write = begin.elapsed();
        trio.source = new;
        trio.run(old, "SET GLOBAL rpl_semi_sync_source_enabled = OFF").await?;
        trio.follow(old, new).await?;
        trio.settle().await?;
        Ok(first_write)
    }

    /// `kill -9` of all, and all boot again.
    pub(super) async fn restart_all(&mut self) -> Result<Duration> {
        let (source, one, other) = self.roles();
        let trio = &mut self.0;
        let begin = Instant::now();
        trio.servers.iter_mut().try_for_each(Server::kill)?;
        floor::boot(&mut trio.servers)?;
        trio.open(source).await?;
        try_join(trio.follow(one, source), trio.follow(other, source)).await?;
        trio.run(source, WRITE).await?;
        let first_write = begin.elapsed();
        trio.settle().await?;
        Ok(first_write)
    }

    /// Clients that write until their server is gone; returns when they have done so for a while.
    async fn write_for(&self, time: Duration) -> Result<Vec<tokio::task::JoinHandle<()>>> {
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            let mut connection = self.0.servers[self.0.source].connect().await?;
            writers.push(tokio::spawn(async move {
                while sqlx::raw_sql(WRITE).execute(&mut connection).await.is_ok() {}
            }));
        }
        // The length of the load is what is wanted here, not a condition.
        tokio::time::sleep(time).await;
        Ok(writers)
    }
}
