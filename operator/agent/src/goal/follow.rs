//! Being a replica.

use super::seal::{is_closed, settle, start_applier, step_down, stop_receiver, stop_threads};
use super::{BRIEF, GoalError, Progress, Pursuit, THREADS, passwords};
use crate::member::Stance;
use crate::mysql::{Statement, statements};
use crate::observe::{Facts, Thread};
use porpoise_core::names;
use porpoise_core::protocol::Term;

/// What the order wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) term: Term,
    pub(super) source: &'a str,
    pub(super) host: &'a str,
    pub(super) acknowledge: bool,
}

pub(super) async fn step(pursuit: &Pursuit, run: u64, wanted: Wanted<'_>) -> Result<Progress, GoalError> {
    let facts = close(pursuit, run).await?;
    leave_older_term(pursuit, run, wanted.term, &facts).await?;
    if !is_pointed(pursuit, wanted.host).await? {
        let facts = pursuit.look().await?;
        stand(pursuit, run, wanted);
        if !point(pursuit, wanted.host, &facts).await? {
            return Ok(Progress::Waits("applying what was received".into()));
        }
    }
    acknowledge(pursuit, wanted.acknowledge).await?;
    pursuit.memory().followed = Some((run, wanted.term));
    stand(pursuit, run, wanted);
    pursuit.configure().await;
    start_threads(pursuit).await?;
    let facts = pursuit.look().await?;
    let works = facts.receiver == Thread::On && facts.applier == Thread::On;
    if works && facts.is_offline {
        run_step(pursuit, statements::set_offline(false)).await?;
    }
    Ok(if works { Progress::Reached } else { Progress::Waits(format!("connecting to {}", wanted.source)) })
}

fn stand(pursuit: &Pursuit, run: u64, wanted: Wanted<'_>) {
    let stance = Stance::Replica { term: wanted.term, source: wanted.source.to_owned() };
    pursuit.member.stand(run, stance);
}

/// Stops being primary, if it was.
async fn close(pursuit: &Pursuit, run: u64) -> Result<Facts, GoalError> {
    let facts = pursuit.look().await?;
    if is_closed(&facts) {
        return Ok(facts);
    }
    step_down(pursuit, run).await?;
    pursuit.look().await
}

/// The receiver may belong to a deposed primary: stopped before anything is acknowledged under the new term (ha.md H25).
async fn leave_older_term(pursuit: &Pursuit, run: u64, term: Term, facts: &Facts) -> Result<(), GoalError> {
    let is_of_this_term = pursuit.memory().followed == Some((run, term));
    if !is_of_this_term {
        // What failed before was another source's error: no pause.
        pursuit.memory().threads_started = None;
    }
    if facts.receiver.is_active() && !is_of_this_term {
        stop_receiver(pursuit).await?;
    }
    Ok(())
}

async fn is_pointed(pursuit: &Pursuit, host: &str) -> Result<bool, GoalError> {
    let settings = &pursuit.member.settings;
    let rows = pursuit.admin.rows(statements::channel(), BRIEF).await;
    let rows = rows.map_err(GoalError::step)?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let port = settings.mysql_port.to_string();
    let ca = settings.server_authority().to_string_lossy().into_owned();
    for (column, want) in [
        ("host", host),
        ("port", port.as_str()),
        ("auto_position", "1"),
        ("ssl_allowed", "YES"),
        ("ssl_ca", ca.as_str()),
        ("ssl_verify", "YES"),
        ("tls_version", "TLSv1.3"),
        ("heartbeat", "0.250"),
    ] {
        if row.text(column).map_err(GoalError::step)?.as_deref() != Some(want) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Points the channel at the source; false while received transactions are still being applied, as this deletes them.
async fn point(pursuit: &Pursuit, host: &str, facts: &Facts) -> Result<bool, GoalError> {
    if !settle(pursuit, facts).await? {
        return Ok(false);
    }
    if facts.receiver != Thread::None {
        stop_threads(pursuit).await?;
        if !pursuit.look().await?.data.settled {
            return Ok(false);
        }
    }
    let settings = &pursuit.member.settings;
    let ca = settings.server_authority();
    let change = statements::change_source(host, settings.mysql_port, &ca, settings.listen)
        .map_err(|source| GoalError::QuoteValue { what: "the source's host", source })?;
    let changed = pursuit.admin.run(change, THREADS).await;
    changed.map_err(GoalError::step)?;
    pursuit.memory().threads_started = None;
    Ok(true)
}

/// The receiver asks the source for semi-sync when it connects, so it is stopped for a change.
async fn acknowledge(pursuit: &Pursuit, is_wanted: bool) -> Result<(), GoalError> {
    let facts = pursuit.look().await?;
    if facts.replica_semi_sync == is_wanted {
        return Ok(());
    }
    if facts.receiver.is_active() {
        stop_receiver(pursuit).await?;
    }
    run_step(pursuit, statements::set_replica_semi_sync(is_wanted)).await
}

/// Threads that an error stopped are tried again after a pause, so that the error can be seen meanwhile.
async fn start_threads(pursuit: &Pursuit) -> Result<(), GoalError> {
    let facts = pursuit.look().await?;
    let is_stale = passwords::receiver_is_stale(pursuit, facts.receiver).await?;
    if facts.receiver.is_active() && facts.applier.is_active() && !is_stale {
        return Ok(());
    }
    if !is_stale && has_error(pursuit).await? && !pursuit.may_start_threads() {
        return Ok(());
    }
    if is_stale {
        stop_receiver(pursuit).await?;
    }
    if is_stale || !facts.receiver.is_active() {
        let user = names::account_user("replication");
        let password = passwords::choose(pursuit).await?;
        let start = statements::start_receiver(&user, &password)
            .map_err(|source| GoalError::QuoteValue { what: "the replication password", source })?;
        let started = pursuit.admin.run(start, THREADS).await;
        started.map_err(GoalError::step)?;
    }
    // The receiver acknowledges without the applier.
    if !facts.applier.is_active() {
        start_applier(pursuit).await?;
    }
    Ok(())
}

async fn has_error(pursuit: &Pursuit) -> Result<bool, GoalError> {
    let rows = pursuit.admin.rows(statements::replication(), BRIEF).await;
    let rows = rows.map_err(GoalError::step)?;
    let Some(row) = rows.first() else {
        return Ok(false);
    };
    let receiver = row.number("receiver_errno").map_err(GoalError::step)?;
    let applier = row.text("coordinator_error").map_err(GoalError::step)?;
    Ok(receiver.is_some_and(|number| number != 0) || applier.is_some())
}

async fn run_step(pursuit: &Pursuit, statement: Statement) -> Result<(), GoalError> {
    let done = pursuit.admin.run(statement, BRIEF).await;
    done.map_err(GoalError::step)
}
