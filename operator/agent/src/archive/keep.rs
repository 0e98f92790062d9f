//! Archiving as long as this member is a primary that admits clients, and was told to.

use super::ArchiveError;
use super::log::Log;
use super::prune;
use super::segment;
use super::store::Store;
use super::takeover::{self, Own};
use super::writer::{Committed, Writer};
use crate::logging;
use crate::member::{Archived, Member, Stance, Told};
use crate::mysql::{Session, SqlError, statements};
use crate::vault::{Patience, Vault};
use crate::volume::{Role, equipped};
use jiff::Timestamp;
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::Term;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// Asking the server for two sets.
const LIMIT: Duration = Duration::from_secs(2);
/// Between two looks at whether there is something to archive.
const IDLE: Duration = Duration::from_millis(250);
/// After a failure, and up to as much again: members of many clusters share a store.
const RETRY: Duration = Duration::from_secs(3);
/// Between two times of removing what nobody needs.
const PRUNE: Duration = Duration::from_hours(1);

/// A store that does not answer is soon seen; the next round asks again.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    request: Duration::from_secs(30),
    retry: Duration::from_secs(10),
    retries: 4,
};

/// What is being done, and for whom.
struct Work {
    run: u64,
    term: Term,
    digest: String,
    writer: Writer,
    store: Store,
    pruned: Option<(Instant, String)>,
    /// Removes what nobody needs, beside the rounds; it ends with the work.
    pruning: JoinSet<()>,
}

/// Archives for ever.
pub async fn keep_archiving(member: &Member, session: &Session) {
    let mut orders = member.told_archive();
    let mut work: Option<Work> = None;
    loop {
        let told = orders.borrow_and_update().clone();
        let began = Instant::now();
        let pause = if let Some((told, reign)) = told.as_ref().zip(reign(member)) {
            pass(member, session, told, reign, &mut work).await
        } else {
            work = None;
            member.tell_archived(Archived::default());
            IDLE
        };
        let pause = pause.saturating_sub(began.elapsed());
        let _ = timeout(pause, orders.changed()).await;
    }
}

/// Run of mysqld and term, if clients are let in.
fn reign(member: &Member) -> Option<(u64, Term)> {
    let (run, stance) = member.stance_of_run()?;
    match stance {
        Stance::Primary { term, admitting: true, .. } => Some((run, term)),
        _ => None,
    }
}

/// One round. Gives the time from its beginning to that of the next.
async fn pass(
    member: &Member,
    session: &Session,
    told: &Told,
    reign: (u64, Term),
    work: &mut Option<Work>,
) -> Duration {
    let is_same = |work: &Work| (work.run, work.term) == reign && work.digest == told.digest;
    let mut current = match work.take().filter(is_same) {
        Some(current) => current,
        None => match begin(member, session, told, reign).await {
            Ok(begun) => begun,
            Err(error) => return fail(member, &error),
        },
    };
    match round(member, session, &mut current, reign).await {
        Ok(is_behind) => {
            prune(told, &mut current);
            *work = Some(current);
            let delay = Duration::from_millis(told.settings.max_delay_milliseconds);
            // What is committed right after the server was asked waits for the next round, which takes its time too.
            if is_behind { Duration::ZERO } else { delay * 3 / 4 }
        }
        // Where the archive ends is then looked up again.
        Err(error) => fail(member, &error),
    }
}

fn fail(member: &Member, error: &ArchiveError) -> Duration {
    let words = logging::chain(error);
    tracing::warn!(error = words, "the binlog is not archived");
    member.archive_failed(words);
    let jitter = uuid::Uuid::new_v4().as_u128() % RETRY.as_millis();
    RETRY + Duration::from_millis(u64::try_from(jitter).unwrap_or_default())
}

async fn begin(
    member: &Member,
    session: &Session,
    told: &Told,
    (run, term): (u64, Term),
) -> Result<Work, ArchiveError> {
    let using = |source| ArchiveError::UseStore { source };
    let settings = &told.settings;
    let secrets = equipped(&member.settings, &settings.target, &settings.secrets, Role::Own)
        .map_err(|source| ArchiveError::ReadSettings { source })?;
    let vault = Vault::open_with(&settings.target, &secrets, &PATIENCE).map_err(using)?;
    let store = Store::open(&vault, &settings.folder())?;
    let seal = store.seal(&settings.about, settings.key_name.as_deref())?;
    let log = Log::new(&member.settings.data_path);
    let (committed, purged) = ask(session).await?;
    let own = Own::look(&log, committed.executed, purged).await?;
    let start = takeover::find(&store, &own, term).await?;
    if !start.chain.broken.is_empty() {
        tracing::warn!(
            because = start.chain.broken,
            "the archive has a part that does not follow the one before"
        );
    }
    tracing::info!(term, file = start.file, "archiving the binlog");
    let writer = Writer::new(store.clone(), log, seal, settings.about.clone(), term, start);
    Ok(Work { run, term, digest: told.digest.clone(), writer, store, pruned: None, pruning: JoinSet::new() })
}

/// Stores what is committed. What the server had when this member was no longer sure to be the primary is not asked for.
async fn round(
    member: &Member,
    session: &Session,
    work: &mut Work,
    wanted: (u64, Term),
) -> Result<bool, ArchiveError> {
    let (committed, _) = ask(session).await?;
    if reign(member) != Some(wanted) {
        return Ok(false);
    }
    let round = work.writer.round(&committed).await?;
    member.count_archived(&round.committed, now_micros());
    if !round.is_behind {
        member.tell_archived(Archived {
            begins: Some(work.writer.chain.begins.to_string()),
            reached_at: work.writer.reached_at.map(|at| at.to_string()),
            broken: work.writer.chain.broken.clone(),
            error: String::new(),
        });
    }
    Ok(round.is_behind)
}

fn now_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

async fn ask(session: &Session) -> Result<(Committed, GtidSet), ArchiveError> {
    let asking = |source| ArchiveError::AskServer { source };
    let at = Timestamp::now();
    let rows = session.rows(statements::binlog_sets(), LIMIT).await.map_err(asking)?;
    let missing = SqlError::ReadColumn { step: "binlog_sets", column: "executed" };
    let row = rows.first().ok_or(missing).map_err(asking)?;
    let executed = segment::set(&row.gtids("executed").map_err(asking)?)?;
    let purged = segment::set(&row.gtids("purged").map_err(asking)?)?;
    Ok((Committed { executed, at }, purged))
}

/// Removes what no backup needs, now and then. What fails is tried the next time.
fn prune(told: &Told, work: &mut Work) {
    let Some(needless) = told.needless.clone() else { return };
    let is_done = |(at, done): &(Instant, String)| at.elapsed() < PRUNE && *done == needless;
    while work.pruning.try_join_next().is_some() {}
    if !work.pruning.is_empty() || work.pruned.as_ref().is_some_and(is_done) {
        return;
    }
    work.pruned = Some((Instant::now(), needless.clone()));
    let store = work.store.clone();
    work.pruning.spawn(async move {
        match prune::prune(&store, &needless).await {
            Ok(0) => {}
            Ok(removed) => {
                tracing::info!(removed, "segments of the archive that no backup needs are removed");
            }
            Err(error) => {
                tracing::warn!(error = logging::chain(&error), "the archive keeps what no backup needs");
            }
        }
    });
}
