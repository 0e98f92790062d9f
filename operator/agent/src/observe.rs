//! Facts about mysqld, read again and again.

use crate::member::Member;
use crate::mysql::{Meaning, Session, SqlError, statements};
use crate::supervise::Supervisor;
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::{DataState, Term};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Bound of one statement.
const LIMIT: Duration = Duration::from_secs(1);
/// Between two looks while something is going on.
const BUSY: Duration = Duration::from_millis(200);
/// Between two looks otherwise.
const QUIET: Duration = Duration::from_secs(1);

/// One look at mysqld.
// The flags are independent settings of the server, read in one row.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Sets and what follows from them.
    pub data: DataState,
    /// Version text.
    pub version: String,
    /// `@@server_uuid`.
    pub server_uuid: String,
    /// Whether writes are closed.
    pub is_read_only: bool,
    /// Whether clients are turned away.
    pub is_offline: bool,
    /// Whether commits wait for acknowledgements.
    pub source_semi_sync: bool,
    /// Whether this member would acknowledge.
    pub replica_semi_sync: bool,
    /// How many acknowledgements a commit waits for.
    pub ack_count: i64,
    /// Replicas that would acknowledge; may be stale (ha.md H9).
    pub clients: i64,
    /// Commits that were acknowledged so far.
    pub acknowledged: i64,
    /// State of the receiver.
    pub receiver: Thread,
    /// State of the applier.
    pub applier: Thread,
    /// Whether all that was received is applied.
    pub applied_all: bool,
    /// More about replication, if there is a channel.
    pub replication: Option<Replication>,
}

/// State of a replication thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thread {
    /// There is no channel.
    #[default]
    None,
    /// It does not run.
    Off,
    /// It tries to connect.
    Connecting,
    /// It runs.
    On,
}

impl Thread {
    fn of(text: &str) -> Self {
        match text {
            "ON" => Self::On,
            "CONNECTING" => Self::Connecting,
            "OFF" => Self::Off,
            _ => Self::None,
        }
    }

    /// Whether it could receive or apply something.
    pub fn is_active(self) -> bool {
        matches!(self, Self::On | Self::Connecting)
    }
}

/// More about replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// Host of the source.
    pub host: String,
    /// Error of receiver or applier, empty if none.
    pub error: String,
    /// Whether the source no longer has what this member needs, or this member has what the source does not.
    pub needs_clone: bool,
    /// Seconds behind the source.
    pub lag_seconds: Option<u64>,
}

impl Facts {
    /// Reads everything but history and replication.
    pub async fn read(session: &Session, limit: Duration) -> Result<Self, SqlError> {
        let rows = session.rows(statements::facts(), limit).await?;
        let Some(row) = rows.first() else {
            return Err(SqlError::Lost { step: "facts", reason: "no row".into() });
        };
        let receiver = Thread::of(&row.text("receiver")?.unwrap_or_default());
        let applied_all = row.flag("applied_all")?;
        Ok(Self {
            data: DataState {
                executed: row.gtids("executed")?,
                owned: row.gtids("owned")?,
                retrieved: row.gtids("retrieved")?,
                purged: row.gtids("purged")?,
                history: 0,
                strays: String::new(),
                settled: applied_all && !receiver.is_active(),
                waiting_commits: row.number("waiting")?.unwrap_or(0).unsigned_abs(),
            },
            version: row.text("version")?.unwrap_or_default(),
            server_uuid: row.text("server_uuid")?.unwrap_or_default(),
            is_read_only: row.flag("is_read_only")?,
            is_offline: row.flag("is_offline")?,
            source_semi_sync: row.flag("source_semi_sync")?,
            replica_semi_sync: row.flag("replica_semi_sync")?,
            ack_count: row.number("ack_count")?.unwrap_or(0),
            clients: row.number("clients")?.unwrap_or(0),
            acknowledged: row.number("acknowledged")?.unwrap_or(0),
            receiver,
            applier: Thread::of(&row.text("applier")?.unwrap_or_default()),
            applied_all,
            replication: None,
        })
    }

    async fn read_all(session: &Session) -> Result<Self, SqlError> {
        let mut facts = Self::read(session, LIMIT).await?;
        (facts.data.history, facts.data.strays) = history(session).await?;
        if facts.receiver != Thread::None {
            facts.replication = replication(session, facts.applied_all).await?;
        }
        Ok(facts)
    }
}

/// Term of the last term record, and what neither its writer had then nor came from it since.
async fn history(session: &Session) -> Result<(Term, String), SqlError> {
    let rows = match session.rows(statements::history(), LIMIT).await {
        Err(error) if error.meaning() == Meaning::Missing => Vec::new(),
        rows => rows?,
    };
    let Some(row) = rows.first() else { return Ok((0, String::new())) };
    let writer = row.text("server")?.unwrap_or_default();
    let beyond = row.gtids("beyond")?;
    let strays = GtidSet::parse(&beyond).map_or(beyond, |set| set.without_source(&writer).to_string());
    Ok((row.number("term")?.unwrap_or(0), strays))
}

async fn replication(session: &Session, applied_all: bool) -> Result<Option<Replication>, SqlError> {
    let rows = session.rows(statements::replication(), LIMIT).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let receiver_error = row.text("receiver_error")?.unwrap_or_default();
    // With several appliers the coordinator's error only points at the worker's.
    let applier_error = match row.text("worker_error")? {
        Some(error) => error,
        None => row.text("coordinator_error")?.unwrap_or_default(),
    };
    let needs_clone = asks_for_clone(&receiver_error);
    let age = match row.number("applying_age")? {
        Some(age) => Some(age),
        None => row.number("applied_age")?,
    };
    Ok(Some(Replication {
        host: row.text("host")?.unwrap_or_default(),
        error: join(&receiver_error, &applier_error),
        needs_clone,
        lag_seconds: if applied_all { Some(0) } else { age.map(|age| u64::try_from(age).unwrap_or(0)) },
    }))
}

/// MySQL error 1236 comes as the text of a general one: the source purged what is needed, or has less than this member.
fn asks_for_clone(receiver_error: &str) -> bool {
    receiver_error.contains("fatal error 1236")
        || receiver_error.contains("purged required binary logs")
        || receiver_error.contains("more GTIDs than the source has")
}

fn join(first: &str, second: &str) -> String {
    match (first.is_empty(), second.is_empty()) {
        (_, true) => first.to_owned(),
        (true, false) => second.to_owned(),
        (false, false) => format!("{first}; {second}"),
    }
}

/// Looks at mysqld for ever. A mysqld that hangs leaves no fresh facts, and after a while none.
pub async fn keep_looking(member: &Member, supervisor: &Supervisor, session: &Session) {
    let mut status = supervisor.status();
    let mut known_run = None;
    loop {
        let run = status.borrow_and_update().run();
        if run != known_run {
            session.forget().await;
            known_run = run;
        }
        let look = member.begin_look();
        if let Some(run) = run {
            let stance = member.stance_number();
            let started = Instant::now();
            match Facts::read_all(session).await {
                Ok(facts) => member.see(run, stance, facts),
                Err(error) => member.miss(started, &error),
            }
        }
        member.end_look(look);
        let pause = if member.is_busy() { BUSY } else { QUIET };
        tokio::select! {
            () = member.asked_to_look() => {}
            _ = status.changed() => {}
            _ = timeout(pause, std::future::pending::<()>()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clone_is_asked_for_table() {
        for (error, want) in [
            ("", false),
            (
                "Got fatal error 1236 from source when reading data from binary log: 'Cannot replicate because the \
                 source purged required binary logs.'",
                true,
            ),
            ("Error connecting to source 'u@h:3306'. MySQL error code 2003", false),
        ] {
            assert_eq!(asks_for_clone(error), want, "{error}");
        }
    }
}
