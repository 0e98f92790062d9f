//! Being the primary of a term (ha.md §1, §4): apply what was received, open writes with clients still out, record the
//! term, and let clients in when the record is acknowledged.

use super::seal::{is_closed, kick_clients, settle, step_down, stop_threads, turn_away};
use super::{BRIEF, GoalError, Progress, Pursuit, Reign, THREADS, accounts, events, passwords, rejoin};
use crate::member::Stance;
use crate::mysql::{SqlError, Statement, statements};
use crate::observe::{Facts, Thread};
use porpoise_core::protocol::Term;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::sleep;

/// A write waits for acknowledgements as long as it takes; a new order ends the wait.
const ENDLESS: Duration = Duration::from_hours(24);
/// Commits that wait this long without any being acknowledged get a nudge (ha.md H7).
const STANDSTILL: Duration = Duration::from_secs(1);
/// A nudge that is not acknowledged either is forgotten after this time.
const NUDGE: Duration = Duration::from_mins(1);
/// Most nudges under way.
const NUDGES: usize = 4;
/// Row of the heartbeat table that proves a new count; nudges use those above.
const BARRIER: u32 = 1;

static NEXT_LANE: AtomicU32 = AtomicU32::new(0);
static NUDGES_LEFT: Semaphore = Semaphore::const_new(NUDGES);

/// What the order wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) term: Term,
    pub(super) k: i32,
    pub(super) admit: bool,
}

pub(super) async fn step(pursuit: &Arc<Pursuit>, run: u64, wanted: Wanted) -> Result<Progress, GoalError> {
    if !reigns(pursuit, run, wanted.term) && !begin(pursuit, run, wanted).await? {
        return Ok(Progress::Waits("applying what was received".into()));
    }
    lower(pursuit, run, wanted)?;
    if proven(pursuit) == Some(wanted.k) {
        // An order that was replaced before it was proven may have left a larger count, which nobody acknowledges.
        let facts = pursuit.look().await?;
        set_acknowledgement(pursuit, &facts, wanted.k).await?;
    } else {
        prove(pursuit, run, wanted).await?;
    }
    let flaw = accounts::ensure(pursuit).await?;
    if !admit(pursuit, run, wanted).await? {
        return Ok(Progress::Waits("acknowledgements".into()));
    }
    unblock(pursuit).await?;
    pursuit.configure().await;
    if wanted.admit {
        events::keep(pursuit).await;
    }
    flaw.map_or(Ok(Progress::Reached), Err)
}

fn reigns(pursuit: &Pursuit, run: u64, term: Term) -> bool {
    let memory = pursuit.memory();
    memory.reign.as_ref().is_some_and(|reign| reign.run == run && reign.term == term)
}

fn proven(pursuit: &Pursuit) -> Option<i32> {
    pursuit.memory().reign.as_ref().and_then(|reign| reign.proven_k)
}

/// Whatever was acknowledged by more was acknowledged by fewer. That is noted before the server waits for fewer: an order
/// that comes in between must not find the larger count proven, for commits may have got through without it.
fn lower(pursuit: &Pursuit, run: u64, wanted: Wanted) -> Result<(), GoalError> {
    if proven(pursuit).is_none_or(|proven| proven <= wanted.k) {
        return Ok(());
    }
    rejoin::note_reign(pursuit, wanted.term, wanted.k)?;
    if let Some(reign) = pursuit.memory().reign.as_mut() {
        reign.proven_k = Some(wanted.k);
    }
    stand(pursuit, run);
    Ok(())
}

/// Opens writes to the agent alone; false while received transactions are still being applied.
async fn begin(pursuit: &Pursuit, run: u64, wanted: Wanted) -> Result<bool, GoalError> {
    let facts = pursuit.look().await?;
    if !is_closed(&facts) {
        step_down(pursuit, run).await?;
        return Ok(false);
    }
    if !settle(pursuit, &facts).await? {
        return Ok(false);
    }
    // A replica's readers would become writers before their time.
    if !facts.is_offline {
        run_step(pursuit, statements::set_offline(true)).await?;
    }
    kick_clients(pursuit).await.map_err(GoalError::step)?;
    pursuit.configure().await;
    if !forget_source(pursuit, &facts).await? {
        return Ok(false);
    }
    if facts.replica_semi_sync {
        run_step(pursuit, statements::set_replica_semi_sync(false)).await?;
    }
    rejoin::note_reign(pursuit, wanted.term, wanted.k)?;
    set_acknowledgement(pursuit, &facts, wanted.k).await?;
    open_writes(pursuit, run, wanted.term).await?;
    Ok(true)
}

/// Forgets the channel; its relay logs go with it, so only when every transaction in them is applied (ha.md H10).
async fn forget_source(pursuit: &Pursuit, facts: &Facts) -> Result<bool, GoalError> {
    if facts.receiver == Thread::None {
        return Ok(true);
    }
    stop_threads(pursuit).await?;
    if !pursuit.look().await?.data.settled {
        return Ok(false);
    }
    let forgotten = pursuit.admin.run(statements::forget_source(), THREADS).await;
    forgotten.map_err(GoalError::step)?;
    Ok(true)
}

async fn set_acknowledgement(pursuit: &Pursuit, facts: &Facts, k: i32) -> Result<(), GoalError> {
    if k == 0 {
        if facts.source_semi_sync {
            let off = pursuit.admin.run(statements::set_source_semi_sync(false), THREADS).await;
            off.map_err(GoalError::step)?;
        }
        return Ok(());
    }
    // The count first: enabled with a smaller one, a commit could slip through.
    if facts.ack_count != i64::from(k) {
        run_step(pursuit, statements::set_ack_count(k)).await?;
    }
    if !facts.source_semi_sync {
        run_step(pursuit, statements::set_source_semi_sync(true)).await?;
    }
    Ok(())
}

/// The reign is noted before writes open: whatever comes after, this run of mysqld may have something to close.
async fn open_writes(pursuit: &Pursuit, run: u64, term: Term) -> Result<(), GoalError> {
    pursuit.memory().reign = Some(Reign {
        run,
        term,
        proven_k: None,
        admitting: false,
        accounts: String::new(),
        former: passwords::Former::default(),
        events: events::Known::default(),
    });
    pursuit.member.keep_former(None);
    stand(pursuit, run);
    let opened = pursuit.admin.run(statements::set_read_only(false), BRIEF).await;
    if let Err(error) = &opened
        && !error.keeps_connection()
    {
        // It may still take effect, at any time: closed for sure only with mysqld gone.
        pursuit.supervisor.kill();
    }
    opened.map_err(GoalError::step)
}

/// Makes the count what is wanted and shows by a write that so many acknowledgements arrive.
async fn prove(pursuit: &Arc<Pursuit>, run: u64, wanted: Wanted) -> Result<(), GoalError> {
    let Wanted { term, k, admit: _ } = wanted;
    let facts = pursuit.look().await?;
    rejoin::note_reign(pursuit, term, k)?;
    set_acknowledgement(pursuit, &facts, k).await?;
    match proven(pursuit) {
        Some(_) => write(pursuit, statements::beat(BARRIER)).await?,
        None => record_term(pursuit, term).await?,
    }
    if let Some(reign) = pursuit.memory().reign.as_mut() {
        reign.proven_k = Some(k);
    }
    tracing::info!(term, k, "acknowledgements arrive");
    stand(pursuit, run);
    Ok(())
}

async fn record_term(pursuit: &Arc<Pursuit>, term: Term) -> Result<(), GoalError> {
    make_tables(pursuit).await?;
    let record = statements::record_term(term, &pursuit.member.settings.instance);
    let record = record.map_err(|source| GoalError::QuoteValue { what: "the instance's name", source })?;
    write(pursuit, record).await
}

/// Only what is missing: `IF NOT EXISTS` alone would put a transaction into the log each time.
async fn make_tables(pursuit: &Arc<Pursuit>) -> Result<(), GoalError> {
    let rows = pursuit.admin.rows(statements::private_tables(), BRIEF).await;
    let mut there = Vec::new();
    for row in rows.map_err(GoalError::step)? {
        there.extend(row.text("name").map_err(GoalError::step)?);
    }
    let missing = |name: &&'static str| !there.iter().any(|found| found == name);
    if there.is_empty() {
        write(pursuit, statements::create_schema()).await?;
    }
    for name in statements::PRIVATE_TABLES.into_iter().filter(missing) {
        write(pursuit, statements::create_table(name)).await?;
    }
    Ok(())
}

/// Writes on a connection of its own and waits for the acknowledgements, nudging replicas that fell silent.
pub(super) async fn write(pursuit: &Arc<Pursuit>, statement: Statement) -> Result<(), GoalError> {
    write_in_turn(pursuit, vec![statement]).await
}

/// The same with several statements of one session; the first that fails ends it.
pub(super) async fn write_in_turn(pursuit: &Arc<Pursuit>, all: Vec<Statement>) -> Result<(), GoalError> {
    let mut connection = pursuit.door.open().await.map_err(GoalError::step)?;
    let mut written = Ok(());
    for statement in all {
        written = tokio::select! {
            written = connection.run(statement, ENDLESS) => written,
            error = keep_unblocking(pursuit) => return Err(error),
        };
        if written.is_err() {
            break;
        }
    }
    connection.close().await;
    written.map_err(GoalError::step)
}

async fn keep_unblocking(pursuit: &Pursuit) -> GoalError {
    let mut failures = 0;
    loop {
        match unblock(pursuit).await {
            Ok(()) => failures = 0,
            // One look may fail; a server that does not answer for long is another matter.
            Err(error) if failures >= 10 => return error,
            Err(_) => failures += 1,
        }
        sleep(STANDSTILL).await;
    }
}

/// A replica that reconnects does not acknowledge again what it already has: the commits wait until the next write
/// (ha.md H7). So there is one, when they stand still.
async fn unblock(pursuit: &Pursuit) -> Result<(), GoalError> {
    let before = pursuit.look().await?;
    if before.data.waiting_commits == 0 || before.clients == 0 {
        return Ok(());
    }
    sleep(STANDSTILL).await;
    let after = pursuit.look().await?;
    if after.data.waiting_commits == 0 || after.acknowledged != before.acknowledged {
        return Ok(());
    }
    let Ok(place) = NUDGES_LEFT.try_acquire() else {
        return Ok(());
    };
    let lane = BARRIER + 1 + NEXT_LANE.fetch_add(1, Ordering::Relaxed) % 1_000;
    let door = pursuit.door.clone();
    tracing::info!(waiting = after.data.waiting_commits, "nudging replicas with a write");
    tokio::spawn(async move {
        let _place = place;
        if let Ok(mut connection) = door.open().await {
            let _ = connection.run(statements::beat(lane), NUDGE).await;
        }
    });
    Ok(())
}

/// Lets clients in, or keeps them out; false if the proof was taken back meanwhile. Holding the gate, so that a fence
/// comes before this and is seen, or after it (ha.md §2).
async fn admit(pursuit: &Pursuit, run: u64, wanted: Wanted) -> Result<bool, GoalError> {
    let _gate = pursuit.gate.lock().await;
    let facts = pursuit.look().await?;
    let is_proven = match pursuit.memory().reign.as_mut() {
        Some(reign) if reign.proven_k == Some(wanted.k) => {
            reign.admitting = wanted.admit;
            true
        }
        _ => false,
    };
    if !is_proven {
        return Ok(false);
    }
    if wanted.admit {
        if facts.is_offline {
            run_step(pursuit, statements::set_offline(false)).await?;
        }
        stand(pursuit, run);
        return Ok(true);
    }
    stand(pursuit, run);
    if !facts.is_offline {
        turn_away(pursuit).await.map_err(GoalError::step)?;
    }
    Ok(true)
}

pub(super) fn stand(pursuit: &Pursuit, run: u64) {
    let reign = pursuit.memory().reign.clone();
    if let Some(reign) = reign {
        let stance =
            Stance::Primary { term: reign.term, proven_k: reign.proven_k, admitting: reign.admitting };
        pursuit.member.stand(run, stance);
    }
}

async fn run_step(pursuit: &Pursuit, statement: Statement) -> Result<(), GoalError> {
    let done: Result<(), SqlError> = pursuit.admin.run(statement, BRIEF).await;
    done.map_err(GoalError::step)
}
