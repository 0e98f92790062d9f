//! One client: it inserts rows one after the other, and never waits long for a server that does not answer.

use super::clock::Clock;
use super::entry::{Entry, History, Outcome};
use super::shift::Pulse;
use crate::scenario::{Account, connect};
use sqlx::mysql::MySqlDatabaseError;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

/// Connecting takes a few milliseconds; packets to an address that is no more are often just lost.
const CONNECT: Duration = Duration::from_millis(300);
/// A statement without an answer for this long is given up: it may be on a server that is cut off.
const ANSWER: Duration = Duration::from_secs(1);
/// Shortest pause after a failure, in milliseconds, and by how much clients differ: so that they neither flood a server
/// that refuses them nor all come at one instant.
const PAUSE: (u64, u64) = (5, 16);

/// Refusals that come before anything is committed: the transaction is not there, now or later. Any other error counts as
/// unknown. Source: MySQL 9.7 Reference Manual, "Server Error Message Reference".
const REFUSALS: &[u16] = &[
    1044, // ER_DBACCESS_DENIED_ERROR
    1049, // ER_BAD_DB_ERROR
    1142, // ER_TABLEACCESS_DENIED_ERROR
    1146, // ER_NO_SUCH_TABLE
    1205, // ER_LOCK_WAIT_TIMEOUT
    1213, // ER_LOCK_DEADLOCK
    1290, // ER_OPTION_PREVENTS_STATEMENT: super_read_only
    1836, // ER_READ_ONLY_MODE
];

pub(super) struct Writer {
    pub(super) number: u32,
    /// Where it may write: a Service, or each server.
    pub(super) accounts: Vec<Account>,
    pub(super) clock: Clock,
    /// Time between two writes; none: as fast as answers come.
    pub(super) every: Option<Duration>,
    pub(super) pulse: Arc<Pulse>,
}

/// A connection and whose it is.
struct Line {
    connection: MySqlConnection,
    server: Arc<str>,
}

impl Writer {
    /// Writes until the shift is over.
    pub(super) async fn run(self) -> History {
        let mut history = History::default();
        let mut ticks = self.every.map(ticks);
        let mut line = None;
        let mut accounts = self.accounts.iter().cycle();
        let mut sequence = 0;
        while !self.pulse.is_over() {
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            sequence += 1;
            line = match line.take() {
                Some(line) => self.write(line, sequence, &mut history).await,
                None => connect_to(accounts.next(), &mut history).await,
            };
            if line.is_none() {
                sleep(self.pause(sequence)).await;
            }
        }
        history
    }

    /// Writes one row and notes the answer. A connection with which something is wrong is not used again.
    async fn write(&self, mut line: Line, sequence: u64, history: &mut History) -> Option<Line> {
        let row = format!("INSERT INTO ledger VALUES ({}, {sequence}, @@server_uuid)", self.number);
        let start = self.clock.now();
        let answer = timeout(ANSWER, sqlx::raw_sql(AssertSqlSafe(row)).execute(&mut line.connection)).await;
        let end = self.clock.now();
        let outcome = match &answer {
            Ok(Ok(_)) => Outcome::Acknowledged,
            Ok(Err(error)) => {
                history.trouble(format!("write: {}", words(error)));
                outcome_of(error)
            }
            Err(_) => {
                history.trouble(format!("write: no answer within {ANSWER:?}"));
                Outcome::Unknown
            }
        };
        let server = Arc::clone(&line.server);
        history.entries.push(Entry { writer: self.number, sequence, server, start, end, outcome });
        if outcome != Outcome::Acknowledged {
            // Dropped, not closed in order: nobody may be at the other end.
            return None;
        }
        self.pulse.acknowledged(start);
        if self.pulse.is_over() {
            let _ = timeout(CONNECT, line.connection.close()).await;
            return None;
        }
        Some(line)
    }

    fn pause(&self, sequence: u64) -> Duration {
        let (least, spread) = PAUSE;
        Duration::from_millis(least + (u64::from(self.number) * 7 + sequence * 5) % spread)
    }
}

async fn connect_to(account: Option<&Account>, history: &mut History) -> Option<Line> {
    match timeout(CONNECT, greet(account?)).await {
        Ok(Ok((line, instance))) => {
            history.instances.insert(Arc::clone(&line.server), instance);
            return Some(line);
        }
        Ok(Err(error)) => history.trouble(format!("connect: {}", words(&error))),
        Err(_) => history.trouble(format!("connect: no answer within {CONNECT:?}")),
    }
    None
}

async fn greet(account: &Account) -> Result<(Line, String), sqlx::Error> {
    let mut connection = connect(account).await?;
    let row = sqlx::raw_sql("SELECT @@server_uuid, @@hostname").fetch_one(&mut connection).await?;
    let server: String = row.try_get(0)?;
    Ok((Line { connection, server: server.into() }, row.try_get(1)?))
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn outcome_of(error: &sqlx::Error) -> Outcome {
    let number = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>())
        .map(MySqlDatabaseError::number);
    match number {
        Some(number) if REFUSALS.contains(&number) => Outcome::Failed,
        _ => Outcome::Unknown,
    }
}

/// Short, and without what differs from one connection to the next.
fn words(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(answer) => answer.message().chars().take(100).collect(),
        None => error.to_string().chars().take(100).collect(),
    }
}
