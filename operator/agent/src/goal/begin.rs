//! Making the first data of a cluster: beside the blank data, swapped in only after a server booted from it (ADR 0024).

use super::restore::stop;
use super::{GoalError, Progress, Pursuit};
use crate::beginning::{self, BeginError, Scene};
use crate::intent::{self, Intent};
use crate::logging;
use crate::supervise::initialize;
use porpoise_core::beginning::Origin;
use porpoise_core::member::Goal;
use porpoise_core::protocol::Term;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// After a failed try.
const RETRY: Duration = Duration::from_secs(5);
/// After one that fails the same way until somebody changes something; a new order ends the pause. Such a try may take hours,
/// so the pause is as long as the try was, within these bounds.
const RETRY_LATER: Duration = Duration::from_mins(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What the order wants.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) term: Term,
    pub(super) origin: Origin,
    pub(super) request: String,
}

pub(super) async fn step(pursuit: &Arc<Pursuit>, wanted: Wanted) -> Result<Progress, GoalError> {
    let settings = &pursuit.member.settings;
    let note = |source| GoalError::KeepNote { source };
    let done = intent::done(settings).map_err(note)?;
    if done.as_ref() == Some(&wanted.request) {
        return Ok(Progress::Over);
    }
    // What was made for an earlier wish of this very cluster was never promised to anybody: there is no claim yet.
    let ours = format!("begin-{}-", pursuit.member.config.cluster);
    let is_made_for_us = done.is_some_and(|request| request.starts_with(&ours));
    if !is_made_for_us && !pursuit.look().await?.data.executed.is_empty() {
        return Err(GoalError::BeginData { source: BeginError::RefuseVolume });
    }
    pursuit
        .alone("the making of the first data", |worker| {
            let goals = worker.member.goals();
            async move {
                worker.member.clone_runs(true);
                let began = Instant::now();
                let result = replace(&worker, &wanted).await;
                worker.supervisor.want(true);
                worker.member.clone_runs(false);
                if let Err(error) = &result {
                    pause(&worker, goals, error, began.elapsed()).await;
                }
                result
            }
        })
        .await
}

async fn pause(
    pursuit: &Pursuit,
    mut goals: watch::Receiver<Option<Goal>>,
    error: &GoalError,
    took: Duration,
) {
    tracing::error!(error = logging::chain(error), "the first data was not made");
    pursuit.member.say(&logging::chain(error), false);
    let hopeless = matches!(error, GoalError::BeginData { source } if source.is_for_good());
    let pause = if hopeless { took.clamp(RETRY_LATER, LONGEST_PAUSE) } else { RETRY };
    let _ = timeout(pause, goals.changed()).await;
}

async fn replace(pursuit: &Pursuit, wanted: &Wanted) -> Result<(), GoalError> {
    let settings = &pursuit.member.settings;
    let failed = |source| GoalError::BeginData { source };
    let say = |words: &str| pursuit.member.say(words, false);
    say("making the first data");
    stop(pursuit).await;
    let scene = Scene {
        settings,
        config: &pursuit.member.config,
        reaper: pursuit.supervisor.reaper(),
        data: beginning::beside(&settings.data_path),
        say: &say,
    };
    beginning::make(&scene, &wanted.origin).await.map_err(failed)?;
    let note = |source| GoalError::KeepNote { source };
    let (request, donor) = (wanted.request.clone(), "spec.bootstrap".to_owned());
    // What is there after a crash from here on is wiped, and the order comes again.
    intent::begin(settings, &Intent { request, donor, term: wanted.term }).map_err(note)?;
    let swapped = initialize::replace(settings, &scene.data);
    swapped.map_err(|source| failed(BeginError::SwapData { source }))?;
    intent::finish(settings, &wanted.request).map_err(note)?;
    pursuit.member.replaced(&wanted.request);
    tracing::info!(request = wanted.request, "the first data is made");
    Ok(())
}
