//! Coming back from one's own data after a reign (ha.md §4e): what was not acknowledged is cut off before mysqld starts,
//! and what is left is compared with what may be kept before anything is received or acknowledged.

use super::seal::is_closed;
use super::{GoalError, Pursuit};
use crate::logging;
use crate::member::Stance;
use crate::settings::Settings;
use crate::supervise::hold::Work;
use crate::tail::{self, archive, note};
use porpoise_core::gtid::GtidSet;
use porpoise_core::member::Goal;
use porpoise_core::protocol::{Action, Term};
use std::time::Instant;

/// Works on the goal while mysqld is held back. An order of another kind let it start when it came; one that came before
/// was decided on another state, and either the operator repeats it or time ends the hold.
pub(super) async fn while_held(pursuit: &Pursuit, goal: &Goal, reigned: Term) {
    let Action::Follow { keep: Some(keep), .. } = &goal.action else {
        return;
    };
    if goal.term > reigned {
        cut(pursuit, reigned, keep).await;
    } else {
        pursuit.supervisor.release();
    }
}

/// A new order does not stop it in the middle: mysqld is held back until it is done.
async fn cut(pursuit: &Pursuit, reigned: Term, keep: &str) {
    let Some(work) = pursuit.supervisor.begin_work() else {
        return;
    };
    pursuit.member.say("cutting off what was not acknowledged", false);
    let (settings, keep) = (pursuit.member.settings.clone(), keep.to_owned());
    let member = pursuit.member.clone();
    let cutting = tokio::task::spawn_blocking(move || {
        cut_now(&settings, reigned, &keep);
        member.tell_tails(archive::list(&settings.state_path).unwrap_or_default());
        Work::end(work);
    });
    let _ = cutting.await;
}

fn cut_now(settings: &Settings, reigned: Term, keep: &str) {
    let began = Instant::now();
    match tail::cut(settings, reigned, keep) {
        Ok(Some(tail)) => {
            let (transactions, file) = (tail.transactions, tail.file);
            let took_ms = began.elapsed().as_millis();
            tracing::warn!(transactions, file, reigned, took_ms, "unacknowledged transactions are cut off");
        }
        Ok(None) => {
            tracing::info!(reigned, took_ms = began.elapsed().as_millis(), "nothing is to be cut off");
        }
        Err(error) => tracing::warn!(
            category = error.category(),
            error = logging::chain(&error),
            "the tail cannot be cut off: mysqld starts with it"
        ),
    }
}

/// Whether this member may receive: false when it has what it may not keep, and then its state asks for a clone.
pub(super) async fn may_follow(
    pursuit: &Pursuit,
    run: u64,
    stance: Stance,
    keep: Option<&str>,
) -> Result<bool, GoalError> {
    if pursuit.memory().closed == Some(run) {
        return Ok(true);
    }
    let facts = pursuit.look().await?;
    if !is_closed(&facts) {
        // Following closes it first, and then comes back.
        return Ok(true);
    }
    let noted = note::read(&pursuit.member.settings).map_err(|source| GoalError::KeepNote { source })?;
    if let (Some(keep), Some(reigned)) = (keep, noted)
        && !has_nothing_else(&facts.data.executed, keep)
    {
        if !pursuit.member.diverge(run) {
            tracing::warn!(reigned, "this member has transactions that the primary lacks");
        }
        pursuit.member.stand(run, stance);
        return Ok(false);
    }
    forget_reign(pursuit, run)?;
    Ok(true)
}

fn has_nothing_else(executed: &str, keep: &str) -> bool {
    match (GtidSet::parse(executed), GtidSet::parse(keep)) {
        (Ok(executed), Ok(keep)) => keep.contains(&executed),
        _ => false,
    }
}

/// Notes the reign before commits wait for acknowledgements.
pub(super) fn note_reign(pursuit: &Pursuit, term: Term, k: i32) -> Result<(), GoalError> {
    pursuit.memory().closed = None;
    note::write(&pursuit.member.settings, term, k).map_err(|source| GoalError::KeepNote { source })
}

/// Takes the note back, once in a run: mysqld runs, is closed, and no commit waits.
pub(super) fn forget_reign(pursuit: &Pursuit, run: u64) -> Result<(), GoalError> {
    if pursuit.memory().closed == Some(run) {
        return Ok(());
    }
    note::clear(&pursuit.member.settings).map_err(|source| GoalError::KeepNote { source })?;
    pursuit.memory().closed = Some(run);
    Ok(())
}
