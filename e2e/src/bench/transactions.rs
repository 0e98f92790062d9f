//! A small load like sysbench's `oltp_write_only`: transactions that change rows of one table by their primary key.
//!
//! The statements of a transaction are sent at once and its commit alone: so clients cost little next to the servers that
//! are compared, and the commit is measured by itself.

use super::results::Samples;
use crate::scenario::{Account, connect, in_network, joined};
use anyhow::{Context, Result};
use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, MySqlConnection};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const ROWS: u64 = 10_000;
/// No answer takes so long, even on a busy machine.
const ANSWER: Duration = Duration::from_secs(30);
const DEADLOCK: &str = "40001";

const TABLE: &str = "DROP TABLE IF EXISTS load_rows; \
     CREATE TABLE load_rows (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, pad CHAR(60) NOT NULL, KEY (k)); \
     INSERT INTO load_rows WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99) \
     SELECT x.i * 100 + y.i + 1, x.i, REPEAT('c', 120), REPEAT('p', 60) FROM n x JOIN n y";

/// What clients saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Work {
    /// How long each commit took, in microseconds.
    pub(super) commits: Samples,
    /// How long they worked.
    pub(super) time: Duration,
}

impl Work {
    /// Transactions a second.
    pub(super) fn per_second(&self) -> u64 {
        let count = u128::try_from(self.commits.0.len()).unwrap_or(0);
        u64::try_from((count * 1000).checked_div(self.time.as_millis()).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// Takes over what was seen in another round.
    pub(super) fn extend(&mut self, other: Self) {
        let Self { commits, time } = other;
        self.commits.0.extend(commits.0);
        self.time += time;
    }
}

/// Makes the table anew.
pub(super) async fn prepare(network: &Path, account: &Account) -> Result<()> {
    let account = account.clone();
    joined(in_network(network, || fill(account))).await
}

async fn fill(account: Account) -> Result<()> {
    let mut connection = timeout(ANSWER, connect(&account)).await.context("connect to fill the table")??;
    run(&mut connection, TABLE).await?.context("fill the table")
}

/// Lets so many clients in a network work for some time.
pub(super) async fn work(network: &Path, account: &Account, clients: u64, time: Duration) -> Result<Work> {
    let account = account.clone();
    joined(in_network(network, move || work_here(account, clients, time))).await
}

async fn work_here(account: Account, clients: u64, time: Duration) -> Result<Work> {
    let connecting = try_join_all((0..clients).map(|_| connect(&account)));
    let connections = timeout(ANSWER, connecting).await.context("connect the clients")??;
    let begin = Instant::now();
    let clients = connections.into_iter().zip(1..).map(|(connection, number)| {
        let client = Client { connection, dice: Dice(number), commits: Vec::new() };
        client.run(begin + time)
    });
    let commits = try_join_all(clients).await?.concat();
    Ok(Work { commits: Samples(commits), time: begin.elapsed() })
}

struct Client {
    connection: MySqlConnection,
    dice: Dice,
    commits: Vec<u64>,
}

impl Client {
    /// Answers how long its commits took.
    async fn run(mut self, end: Instant) -> Result<Vec<u64>> {
        while Instant::now() < end {
            self.transaction().await?;
        }
        Ok(self.commits)
    }

    /// One transaction; one that is the victim of a deadlock does not count.
    async fn transaction(&mut self) -> Result<()> {
        let changes = self.changes();
        match run(&mut self.connection, &changes).await? {
            Ok(()) => {}
            Err(error) if is_deadlock(&error) => return Ok(()),
            Err(error) => return Err(error).context("change rows"),
        }
        let begin = Instant::now();
        run(&mut self.connection, "COMMIT").await?.context("commit")?;
        self.commits.push(u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn changes(&mut self) -> String {
        let (indexed, plain, replaced) = (self.dice.row(), self.dice.row(), self.dice.row());
        let text = self.dice.row();
        format!(
            "BEGIN; UPDATE load_rows SET k = k + 1 WHERE id = {indexed}; \
             UPDATE load_rows SET c = REPEAT('{text}', 20) WHERE id = {plain}; \
             DELETE FROM load_rows WHERE id = {replaced}; \
             INSERT INTO load_rows VALUES ({replaced}, {text}, REPEAT('{text}', 20), REPEAT('p', 60))"
        )
    }
}

/// The outer result is about time, the inner one is the server's.
async fn run(connection: &mut MySqlConnection, statements: &str) -> Result<Result<(), sqlx::Error>> {
    let run = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection);
    let ran = timeout(ANSWER, run).await.with_context(|| format!("no answer within {ANSWER:?}"))?;
    Ok(ran.map(drop))
}

fn is_deadlock(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() == Some(DEADLOCK)
}

/// Numbers that look thrown, the same in each run: Knuth's linear congruential generator for 64 bits.
struct Dice(u64);

impl Dice {
    /// The key of a row.
    fn row(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % ROWS + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_thrown_from_the_whole_table() {
        let mut dice = Dice(1);
        let rows: Vec<u64> = (0..100_000).map(|_| dice.row()).collect();
        assert!(rows.iter().all(|row| (1..=ROWS).contains(row)));
        let different: std::collections::BTreeSet<&u64> = rows.iter().collect();
        assert!(different.len() > 9_900, "{}", different.len());
    }

    #[test]
    fn rounds_add_up() {
        let work = |count| Work { commits: Samples(vec![1; count]), time: Duration::from_secs(2) };
        let mut all = work(100);
        all.extend(work(300));
        assert_eq!((all.per_second(), Work::default().per_second()), (100, 0));
    }
}
