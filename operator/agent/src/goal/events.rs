//! Scheduled events run on the primary, and only there.
//!
//! A replica takes every event over as `REPLICA_SIDE_DISABLED`: those that ran on its source and those that their owner had
//! disabled. Nothing changes that when it is promoted, or when a backup of it is restored: no event would ever run again. So
//! the primary keeps a list of those that run, and its successor enables what stands in it, once in its reign; through the
//! binlog the others disable theirs, the primary of before among them. An event that was made or disabled within the last
//! seconds of a primary is as the list has it.
//!
//! Source: MySQL Reference Manual, "Replication of Invoked Features" (events and promoted replicas).

use super::promote::write_in_turn;
use super::{BRIEF, GoalError, Pursuit};
use crate::logging;
use crate::mysql::quote::QuoteError;
use crate::mysql::rows::Row;
use crate::mysql::{Connection, Meaning, SqlError, Statement, statements};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at what runs, and between two tries.
const PERIOD: Duration = Duration::from_secs(5);

/// Events by schema and name.
type Events = BTreeSet<(String, String)>;

/// What a primary knows of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Those of the primary before were enabled.
    awake: bool,
    /// When they are looked at again.
    due: Option<Instant>,
    /// The list as it is stored; a reign is copied often, and this is not.
    stored: Option<Arc<Events>>,
}

/// Enables what ran on the primary before, then keeps the list. What fails is tried again later: clients are not kept
/// waiting for it.
pub(super) async fn keep(pursuit: &Arc<Pursuit>) {
    let mut known = match pursuit.memory().reign.as_ref() {
        Some(reign) if reign.events.due.is_none_or(|due| due <= Instant::now()) => reign.events.clone(),
        _ => return,
    };
    if let Err(error) = look(pursuit, &mut known).await {
        tracing::warn!(error = logging::chain(&error), "events could not be looked at");
    }
    known.due = Some(Instant::now() + PERIOD);
    if let Some(reign) = pursuit.memory().reign.as_mut() {
        reign.events = known;
    }
}

async fn look(pursuit: &Arc<Pursuit>, known: &mut Known) -> Result<(), GoalError> {
    if known.stored.is_none() {
        known.stored = Some(Arc::new(stored(pursuit).await?));
    }
    if !known.awake {
        let listed = known.stored.clone().unwrap_or_default();
        let count = wake(pursuit, &listed).await?;
        if count > 0 {
            tracing::info!(count, "events run on this primary now");
        }
        known.awake = true;
    }
    let running = running(pursuit).await?;
    if known.stored.as_deref() != Some(&running) {
        let text = serde_json::to_string(&running).unwrap_or_default();
        let store = statements::store_events(&text);
        let store = store.map_err(|source| GoalError::QuoteValue { what: "the list of events", source })?;
        write_in_turn(pursuit, vec![store]).await?;
        known.stored = Some(Arc::new(running));
    }
    Ok(())
}

async fn stored(pursuit: &Pursuit) -> Result<Events, GoalError> {
    let rows = pursuit.admin.rows(statements::stored_events(), BRIEF).await.map_err(GoalError::step)?;
    list(&rows).map_err(GoalError::step)
}

fn list(rows: &[Row]) -> Result<Events, SqlError> {
    let text = rows.first().map_or(Ok(None), |row| row.text("enabled"))?;
    // What cannot be read names nothing that may run.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

async fn running(pursuit: &Pursuit) -> Result<Events, GoalError> {
    let rows = pursuit.admin.rows(statements::running_events(), BRIEF).await.map_err(GoalError::step)?;
    rows.iter().map(name).collect::<Result<_, _>>().map_err(GoalError::step)
}

fn name(row: &Row) -> Result<(String, String), SqlError> {
    Ok((row.text("event_schema")?.unwrap_or_default(), row.text("event_name")?.unwrap_or_default()))
}

/// Lines that let those events of `databases` run that ran on the primary of this replica. Nothing on a primary: there they run.
///
/// # Errors
/// The server does not answer; or, inside, a name cannot be written in SQL.
pub(crate) async fn of_a_replica(
    replica: &mut Connection,
    databases: &[String],
) -> Result<Result<String, QuoteError>, SqlError> {
    let rows = match replica.rows(statements::stored_events(), BRIEF).await {
        // It was never primary, nor was anybody else.
        Err(error) if error.meaning() == Meaning::Missing => Vec::new(),
        rows => rows?,
    };
    let listed = list(&rows)?;
    let mut enabling = String::new();
    for row in &replica.rows(statements::sleeping_events(), BRIEF).await? {
        let event = name(row)?;
        if listed.contains(&event) && databases.contains(&event.0) {
            match Sleeping::read(row)?.script() {
                Ok(lines) => enabling += &lines,
                Err(error) => return Ok(Err(error)),
            }
        }
    }
    Ok(Ok(enabling))
}

async fn wake(pursuit: &Arc<Pursuit>, listed: &Events) -> Result<usize, GoalError> {
    let rows = pursuit.admin.rows(statements::sleeping_events(), BRIEF).await.map_err(GoalError::step)?;
    let mut count = 0;
    for row in &rows {
        if listed.contains(&name(row).map_err(GoalError::step)?) {
            let event = Sleeping::read(row).map_err(GoalError::step)?;
            let wake = event.wake().map_err(|source| GoalError::QuoteValue { what: "an event", source })?;
            write_in_turn(pursuit, wake).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// An event that does not run here.
struct Sleeping {
    schema: String,
    name: String,
    mode: String,
    user: String,
    host: String,
}

/// It keeps its definer and its `sql_mode`: without this it would take over those of whoever enables it.
impl Sleeping {
    fn read(row: &Row) -> Result<Self, SqlError> {
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        let (schema, name) = name(row)?;
        let (definer, mode) = (text("definer")?, text("mode")?);
        let (user, host) = definer.rsplit_once('@').unwrap_or((definer.as_str(), "%"));
        Ok(Self { schema, name, mode, user: user.to_owned(), host: host.to_owned() })
    }

    fn wake(&self) -> Result<Vec<Statement>, QuoteError> {
        let enable = statements::enable_event(&self.schema, &self.name, (&self.user, &self.host))?;
        Ok(vec![statements::use_mode(&self.mode)?, enable])
    }

    fn script(&self) -> Result<String, QuoteError> {
        statements::script_enabling_event(&self.schema, &self.name, &self.mode, (&self.user, &self.host))
    }
}
