//! Ending a term on this member: nothing is written or received any more, what was received is applied.

use super::{BRIEF, GoalError, Progress, Pursuit, THREADS};
use crate::member::Stance;
use crate::mysql::{Connection, SqlError, statements};
use crate::observe::{Facts, Thread};
use porpoise_core::names;
use porpoise_core::protocol::Term;
use std::time::Duration;
use tokio::time::timeout;

/// Closing writes of a healthy server takes a millisecond; one that needs longer has commits that wait (ha.md H4).
const CLOSE: Duration = Duration::from_secs(1);
/// Stopping threads that have nothing to do takes milliseconds.
const AT_REST: Duration = Duration::from_millis(100);
/// Stopping an applier that waits for the rest of a transaction, or that is busy with rolling it back.
const HALF_RECEIVED: Duration = Duration::from_secs(5);
/// Before it disturbs clients, closing writes gets this long.
const UNDISTURBED: Duration = Duration::from_millis(200);

pub(super) async fn step(pursuit: &Pursuit, run: u64, term: Term) -> Result<Progress, GoalError> {
    let mut facts = pursuit.look().await?;
    if !is_closed(&facts) {
        step_down(pursuit, run).await?;
    }
    if facts.receiver.is_active() {
        stop_receiver(pursuit).await?;
    }
    if !facts.applied_all && !facts.applier.is_active() && pursuit.may_start_threads() {
        start_applier(pursuit).await?;
    }
    facts = pursuit.look().await?;
    if !is_closed(&facts) || facts.receiver.is_active() {
        return Ok(Progress::Waits("sealing".into()));
    }
    pursuit.member.stand(run, Stance::Sealed { term });
    Ok(Progress::Reached)
}

/// Whether nothing can be committed by clients.
pub(super) fn is_closed(facts: &Facts) -> bool {
    facts.is_read_only && facts.data.waiting_commits == 0
}

pub(super) async fn stop_receiver(pursuit: &Pursuit) -> Result<(), GoalError> {
    let stopped = pursuit.admin.run(statements::stop_receiver(), THREADS).await;
    stopped.map_err(GoalError::step)
}

/// Stops both threads of a member that has applied all it received. If the connection broke in the middle of a transaction,
/// the applier waits a minute for the rest of it, which does not come any more. So its thread is killed then: workers roll
/// the half transaction back, as they do when mysqld is killed. If that does not help, mysqld starts again: it begins
/// without threads, and relay logs stay as they are (ha.md H10).
pub(super) async fn stop_threads(pursuit: &Pursuit) -> Result<(), GoalError> {
    let mut connection = pursuit.door.open().await.map_err(GoalError::step)?;
    let stopping = connection.run(statements::stop_replica(), HALF_RECEIVED);
    let stopped = helped(stopping, AT_REST, interrupt_applier(pursuit)).await;
    if stopped.as_ref().is_err_and(|error| !error.keeps_connection()) {
        tracing::warn!("the applier does not stop: mysqld starts again without it");
        pursuit.supervisor.kill();
    }
    connection.close().await;
    stopped.map_err(GoalError::step)
}

/// Kills the applier's coordinator; its workers end with it.
async fn interrupt_applier(pursuit: &Pursuit) {
    tracing::info!("half of a transaction was received: interrupting the applier");
    let rows = pursuit.admin.rows(statements::applier_session(), BRIEF).await.unwrap_or_default();
    for id in rows.iter().filter_map(|row| row.number("id").ok().flatten()) {
        // It may have ended meanwhile.
        let _ = pursuit.admin.run(statements::kill(id), BRIEF).await;
    }
}

/// Starts the applier. On a former primary semi-sync of the source goes first, or the applier's own commits would wait
/// for acknowledgements. That takes a second while replicas are connected (ha.md H13), so nothing waits for it that
/// does not need the applier.
pub(super) async fn start_applier(pursuit: &Pursuit) -> Result<(), GoalError> {
    pursuit.configure().await;
    let facts = pursuit.look().await?;
    if facts.source_semi_sync {
        if !is_closed(&facts) {
            return Err(GoalError::CloseWrites { reason: "writes are open".into() });
        }
        let off = pursuit.admin.run(statements::set_source_semi_sync(false), THREADS).await;
        off.map_err(GoalError::step)?;
    }
    let started = pursuit.admin.run(statements::start_applier(), THREADS).await;
    started.map_err(GoalError::step)
}

/// Waits, in calls, until all that was received is applied: true then.
pub(super) async fn settle(pursuit: &Pursuit, facts: &Facts) -> Result<bool, GoalError> {
    if facts.receiver.is_active() {
        stop_receiver(pursuit).await?;
        return Ok(false);
    }
    if facts.receiver == Thread::None || facts.applied_all {
        return Ok(true);
    }
    if !facts.applier.is_active() && pursuit.may_start_threads() {
        start_applier(pursuit).await?;
    }
    Ok(false)
}

/// Stops being primary: clients out, writes closed. If that is not possible at once, mysqld is killed: semi-sync is never
/// switched off and no commit is ever let go by a shutdown while it waits (ha.md H1, H4, H5).
pub(super) async fn step_down(pursuit: &Pursuit, run: u64) -> Result<(), GoalError> {
    pursuit.memory().reign = None;
    pursuit.member.stand(run, Stance::Idle);
    tracing::info!("closing writes");
    match close_writes(pursuit).await {
        Ok(()) => Ok(()),
        Err(reason) => {
            tracing::warn!(reason, "writes cannot be closed in an orderly way: killing mysqld");
            pursuit.supervisor.kill();
            let _ = timeout(THREADS, pursuit.supervisor.ended(run)).await;
            Err(GoalError::CloseWrites { reason })
        }
    }
}

/// Closes writes and turns clients away, or says why it is not possible now.
///
/// Closing first lets commits under way finish and be answered, which takes as long as one acknowledgement (ha.md §4a).
/// Behind a long statement it would wait, so clients are turned away after a moment. Behind commits that nobody
/// acknowledges it waits for ever, and that is the error.
pub(super) async fn close_writes(pursuit: &Pursuit) -> Result<(), String> {
    let words = |error: SqlError| error.to_string();
    // On a connection of its own: it may block behind a commit, and the admin connection must not.
    let mut connection = pursuit.door.open().await.map_err(words)?;
    close_undisturbed(pursuit, &mut connection).await.map_err(words)?;
    connection.close().await;
    turn_away(pursuit).await.map_err(words)?;
    let facts = Facts::read(&pursuit.admin, CLOSE).await.map_err(words)?;
    if is_closed(&facts) { Ok(()) } else { Err("writes are still open".into()) }
}

async fn close_undisturbed(pursuit: &Pursuit, connection: &mut Connection) -> Result<(), SqlError> {
    let closing = connection.run(statements::set_read_only(true), CLOSE);
    helped(closing, UNDISTURBED, turn_away(pursuit)).await
}

/// Lets a statement run by itself for a moment, and then with help beside it.
async fn helped<R>(running: impl Future<Output = R>, alone: Duration, help: impl Future) -> R {
    tokio::pin!(running);
    match timeout(alone, running.as_mut()).await {
        Ok(done) => done,
        Err(_) => tokio::join!(running, help).0,
    }
}

/// Ends the sessions of clients and lets no new ones in.
pub(super) async fn turn_away(pursuit: &Pursuit) -> Result<(), SqlError> {
    pursuit.admin.run(statements::set_offline(true), CLOSE).await?;
    kick_clients(pursuit).await
}

/// `offline_mode` ends the sessions of ordinary users; this ends those with `CONNECTION_ADMIN` too. Replicas stay: they
/// may still need what was written.
pub(super) async fn kick_clients(pursuit: &Pursuit) -> Result<(), SqlError> {
    let Ok(statement) =
        statements::client_sessions(&names::account_user("agent"), &names::account_user("replication"))
    else {
        return Ok(());
    };
    for row in pursuit.admin.rows(statement, BRIEF).await? {
        if let Some(id) = row.number("id")? {
            // It may have ended meanwhile.
            let _ = pursuit.admin.run(statements::kill(id), BRIEF).await;
        }
    }
    Ok(())
}
