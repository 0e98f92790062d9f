//! `CLONE INSTANCE`, for as long as it goes on.
//!
//! mysqld waits without a bound for a donor that was frozen or cut off without a word. A copy of large data takes hours in
//! good health, so what is bounded is not its time but the time in which nothing of it arrives (MySQL manual, "Monitoring
//! Cloning Operations").

use super::{Connection, Door, ScriptFailure, SqlError, Statement, statements};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// A copy takes as long as the data is large.
const COPY: Duration = Duration::from_hours(7 * 24);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_secs(1);
const BRIEF: Duration = Duration::from_secs(5);

/// Runs the statement on `connection`, and gives up when the donor sent nothing for `patience`. How far the copy is, is asked
/// through `door` on the same server. After giving up, the statement still runs: that server has to be killed.
pub async fn run(
    connection: &mut Connection,
    door: &Door,
    statement: Statement,
    patience: Duration,
) -> Result<(), SqlError> {
    let step = statement.step();
    tokio::select! {
        result = connection.run(statement, COPY) => result,
        () = stalled(door, patience) => Err(SqlError::Stalled { step, patience }),
    }
}

/// The same, and a failure has MySQL's own words.
pub async fn run_in_words(
    connection: &mut Connection,
    door: &Door,
    statement: Statement,
    patience: Duration,
) -> Result<(), ScriptFailure> {
    let (step, mut finished) = (statement.step(), 0);
    tokio::select! {
        result = timeout(COPY, connection.script(statement, &mut finished)) => {
            result.unwrap_or_else(|_| Err(ScriptFailure::too_long(COPY)))
        }
        () = stalled(door, patience) => Err(ScriptFailure::of(&SqlError::Stalled { step, patience })),
    }
}

/// Ends when nothing has arrived for so long.
async fn stalled(door: &Door, patience: Duration) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch: Option<Connection> = None;
    let (mut last, mut since) = (None, Instant::now());
    while since.elapsed() < patience {
        looks.tick().await;
        // A look that fails says nothing about the donor; it counts as one at which nothing had arrived.
        let Ok(found) = look(door, &mut watch).await else { continue };
        if found.is_local || last != Some(found.arrived) {
            (last, since) = (Some(found.arrived), Instant::now());
        }
    }
}

struct Found {
    /// Bytes.
    arrived: i64,
    /// The copy does something that takes no news from the donor: it removes what was there, or writes out what came.
    is_local: bool,
}

async fn look(door: &Door, watch: &mut Option<Connection>) -> Result<Found, SqlError> {
    let mut connection = match watch.take() {
        Some(connection) => connection,
        None => door.open().await?,
    };
    let rows = connection.rows(statements::clone_progress(), BRIEF).await?;
    *watch = Some(connection);
    let missing = SqlError::ReadColumn { step: "clone_progress", column: "arrived" };
    let row = rows.first().ok_or(missing)?;
    let arrived = row.number("arrived")?.unwrap_or_default();
    Ok(Found { arrived, is_local: row.number("local_stages")? > Some(0) })
}
