//! Beginning with a backup's data: a new data directory beside the blank one, swapped in only after a server booted from it
//! and holds what the backup's manifest says (backup.md).

use super::{GoalError, Progress, Pursuit, accounts};
use crate::backup::unpack::{self, RestoreError};
use crate::intent::{self, Intent};
use crate::logging;
use crate::supervise::Server;
use crate::supervise::initialize;
use porpoise_core::backup::RestoreSource;
use porpoise_core::protocol::Term;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// A killed mysqld is gone in no time, unless the disk hangs.
const STOP: Duration = Duration::from_secs(10);
/// How often it is tried.
const KILLS: usize = 6;
/// After a failed try.
const RETRY: Duration = Duration::from_secs(5);
/// After one that fails the same way until somebody changes something.
const RETRY_LATER: Duration = Duration::from_mins(1);

/// What the order wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) term: Term,
    pub(super) source: RestoreSource,
    pub(super) request: String,
}

pub(super) async fn step(pursuit: &Arc<Pursuit>, wanted: Wanted) -> Result<Progress, GoalError> {
    let settings = &pursuit.member.settings;
    let note = |source| GoalError::KeepNote { source };
    if intent::done(settings).map_err(note)?.as_ref() == Some(&wanted.request) {
        return Ok(Progress::Over);
    }
    if !pursuit.look().await?.data.executed.is_empty() {
        return Err(GoalError::RestoreData { source: RestoreError::RefuseVolume });
    }
    pursuit
        .alone("the restore", |worker| async move {
            worker.member.clone_runs(true);
            let result = replace(&worker, &wanted).await;
            worker.supervisor.want(true);
            if let Err(error) = &result {
                tracing::error!(error = logging::chain(error), "restore failed");
                worker.member.say(&logging::chain(error), false);
                let hopeless = matches!(error, GoalError::RestoreData { source } if source.is_for_good());
                tokio::time::sleep(if hopeless { RETRY_LATER } else { RETRY }).await;
            }
            worker.member.clone_runs(false);
            result
        })
        .await
}

async fn replace(pursuit: &Pursuit, wanted: &Wanted) -> Result<(), GoalError> {
    let settings = &pursuit.member.settings;
    let place = &wanted.source.location.path;
    pursuit.member.say(&format!("restoring the backup {place}"), false);
    let restoring = |source| GoalError::RestoreData { source };
    // Before the data is fetched: files that cannot be used are told at once.
    let accounts = accounts::script(settings, &pursuit.member.config)?;
    let (vault, manifest) = unpack::open(settings, &wanted.source).await.map_err(restoring)?;
    let fetched = unpack::fetch(settings, (&vault, manifest), place, wanted.source.point.as_ref()).await;
    let fetched = fetched.map_err(restoring)?;
    stop(pursuit).await;
    let say = |words: &str| pursuit.member.say(words, false);
    let verified = unpack::verify(settings, pursuit.supervisor.reaper(), fetched, &accounts, &say).await;
    let directory = verified.map_err(restoring)?;
    let note = |source| GoalError::KeepNote { source };
    let request = wanted.request.clone();
    // What is there after a crash from here on is wiped, and the order comes again.
    intent::begin(settings, &Intent { request, donor: place.clone(), term: wanted.term }).map_err(note)?;
    let swapped = initialize::replace(settings, &directory);
    swapped.map_err(|source| restoring(RestoreError::SwapData { source }))?;
    intent::finish(settings, &wanted.request).map_err(note)?;
    pursuit.member.replaced(&wanted.request);
    tracing::info!(backup = place, "restored");
    Ok(())
}

/// Ends the blank mysqld at once: it holds nothing, was never open to anybody, and its data is thrown away.
pub(super) async fn stop(pursuit: &Pursuit) {
    pursuit.supervisor.want(false);
    let mut status = pursuit.supervisor.status();
    for _ in 0..KILLS {
        // Again, for it may just have been starting.
        pursuit.supervisor.kill();
        if timeout(STOP, status.wait_for(|server| *server == Server::Stopped)).await.is_ok() {
            return;
        }
    }
}
