//! Replacing all data by a copy of a donor's.
//!
//! The intent is durable before anything is removed. Whatever happens before the copy is complete, the next start of
//! mysqld finds the intent and begins with a blank data directory: a half-copied one claims transactions it lacks.

use super::{BRIEF, GoalError, Progress, Pursuit, THREADS, accounts, seal};
use crate::intent::{self, Intent};
use crate::logging;
use crate::member::Stance;
use crate::mysql::{Connection, Meaning, SqlError, Statement, copying, statements};
use porpoise_core::names;
use porpoise_core::protocol::Term;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// mysqld ends by itself after a copy.
const END: Duration = Duration::from_mins(2);
/// After a failed copy.
const RETRY: Duration = Duration::from_secs(5);

/// What the order wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) term: Term,
    pub(super) donor: String,
    pub(super) host: String,
    pub(super) request: String,
}

pub(super) async fn step(pursuit: &Arc<Pursuit>, run: u64, wanted: Wanted) -> Result<Progress, GoalError> {
    let settings = &pursuit.member.settings;
    let note = |source| GoalError::KeepNote { source };
    if intent::done(settings).map_err(note)?.as_ref() == Some(&wanted.request) {
        return Ok(Progress::Over);
    }
    let facts = pursuit.look().await?;
    if !seal::is_closed(&facts) {
        seal::step_down(pursuit, run).await?;
    }
    pursuit.member.stand(run, Stance::Idle);
    pursuit
        .alone("the clone", |worker| async move {
            worker.member.clone_runs(true);
            let result = copy(&worker, run, &wanted).await;
            worker.member.clone_runs(false);
            if let Err(error) = &result {
                tracing::error!(error = logging::chain(error), "clone failed");
                worker.member.say(&logging::chain(error), false);
                tokio::time::sleep(RETRY).await;
            }
            result
        })
        .await
}

async fn copy(pursuit: &Pursuit, run: u64, wanted: &Wanted) -> Result<(), GoalError> {
    let settings = &pursuit.member.settings;
    let note = |source| GoalError::KeepNote { source };
    prepare(pursuit, &wanted.host).await?;
    let statement = statement(pursuit, &wanted.host)?;
    let mut connection = pursuit.door.open().await.map_err(GoalError::step)?;
    let request = wanted.request.clone();
    let donor = wanted.donor.clone();
    let term = wanted.term;
    intent::begin(settings, &Intent { request, donor, term }).map_err(note)?;
    tracing::info!(donor = wanted.donor, request = wanted.request, "clone begins");
    let began = Instant::now();
    pursuit.supervisor.expect_end();
    let result = copying::run(&mut connection, &pursuit.door, statement, settings.copy_patience()).await;
    match result {
        // Some servers restart by themselves and the connection just ends; here mysqld says that it cannot and ends.
        Ok(()) => {}
        Err(error) if error.meaning() == Meaning::RestartNeeded => {}
        Err(error) => return fail(pursuit, run, connection, wanted, error).await,
    }
    tracing::info!(took_ms = began.elapsed().as_millis(), "clone is complete");
    intent::finish(settings, &wanted.request).map_err(note)?;
    if timeout(END, pursuit.supervisor.ended(run)).await.is_err() {
        pursuit.supervisor.kill();
    }
    Ok(())
}

/// Clients out, semi-sync off, no channel that could write into what is being replaced.
async fn prepare(pursuit: &Pursuit, host: &str) -> Result<(), GoalError> {
    run_step(pursuit, statements::set_offline(true)).await?;
    seal::kick_clients(pursuit).await.map_err(GoalError::step)?;
    run_step(pursuit, statements::stop_replica()).await?;
    run_step(pursuit, statements::set_source_semi_sync(false)).await?;
    run_step(pursuit, statements::set_replica_semi_sync(false)).await?;
    // The copy begins by dropping what is here, which super_read_only forbids: it would fail, with the data gone.
    run_step(pursuit, statements::lift_super_read_only()).await?;
    let donor = statements::set_donor(host, pursuit.member.settings.mysql_port);
    let donor = donor.map_err(|source| GoalError::QuoteValue { what: "the donor's host", source })?;
    run_step(pursuit, donor).await
}

fn statement(pursuit: &Pursuit, host: &str) -> Result<Statement, GoalError> {
    let settings = &pursuit.member.settings;
    let password = accounts::password(settings, "clone")?;
    let user = names::account_user("clone");
    statements::clone_from(&user, host, settings.mysql_port, &password)
        .map_err(|source| GoalError::QuoteValue { what: "the clone account", source })
}

/// If nothing was removed yet, the data stays. If something was, or nobody can say, mysqld is killed and the next start
/// begins blank.
async fn fail(
    pursuit: &Pursuit,
    run: u64,
    connection: Connection,
    wanted: &Wanted,
    error: SqlError,
) -> Result<(), GoalError> {
    if error.keeps_connection() && is_untouched(connection).await {
        let note = |source| GoalError::KeepNote { source };
        intent::clear(&pursuit.member.settings).map_err(note)?;
    } else {
        pursuit.supervisor.kill();
        let _ = timeout(END, pursuit.supervisor.ended(run)).await;
    }
    Err(GoalError::CloneData { donor: wanted.donor.clone(), source: error })
}

async fn is_untouched(mut connection: Connection) -> bool {
    match connection.rows(statements::clone_dropped(), BRIEF).await {
        Ok(rows) => rows.first().is_some_and(|row| matches!(row.number("stages"), Ok(Some(0)))),
        Err(_) => false,
    }
}

async fn run_step(pursuit: &Pursuit, statement: Statement) -> Result<(), GoalError> {
    match pursuit.admin.run(statement, THREADS).await {
        // Nothing to stop.
        Err(error) if error.meaning() == Meaning::ChannelState => Ok(()),
        other => other.map_err(GoalError::step),
    }
}
