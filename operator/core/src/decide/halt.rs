//! Why a rollout does not go on by itself: a member does not work with the new template (D40), the first one is being
//! watched (C11), or a person wants to be asked before the primary is touched.

use super::rollout::{is_outdated, queue};
use super::roster::Roster;
use crate::event::{self, Event};
use crate::protocol::{Role, ServerPhase};
use crate::view::{ClusterView, Look, PodView, TroubleKind};
use porpoise_crds::UpdateMode;
use std::time::Duration;

/// A member that is not ready for so long after its restart does not work with its template.
pub(super) const LATE: Duration = Duration::from_mins(10);

/// Why nothing more is restarted, for the condition `Progressing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Halt {
    /// `PascalCase` reason.
    pub(super) reason: &'static str,
    /// It ends without anybody.
    pub(super) ends_by_itself: bool,
    /// Why, and how it goes on.
    pub(super) message: String,
}

impl Halt {
    /// Reason of a rollout that a member stopped.
    const STOPPED: &'static str = "RolloutStopped";

    /// The Event that tells of it, unless the status says so of the same member already: Kubernetes finds ever new words for one
    /// trouble.
    pub(super) fn news(&self, view: &ClusterView) -> Option<Event> {
        fn whom(message: &str) -> Option<&str> {
            message.split(' ').next()
        }
        let mut told = view.object.status.iter().flat_map(|status| &status.conditions);
        let is_told = told.any(|one| one.reason == self.reason && whom(&one.message) == whom(&self.message));
        (self.reason == Self::STOPPED && !is_told)
            .then(|| event::ROLLOUT_STOPPED.event(&[("message", &self.message)]))
    }

    fn stopped(instance: &str, why: &str) -> Self {
        let why = why.trim_end_matches('.');
        let message = format!(
            "{instance} does not work with the new template: {why}; no other member is restarted. Change the spec back, or \
             correct it: {instance} is then made anew at once"
        );
        Self { reason: Self::STOPPED, ends_by_itself: false, message }
    }
}

/// What holds up the rollout that is under way, if something does.
pub(super) fn of(roster: &Roster<'_>, primary: Option<&str>) -> Option<Halt> {
    let first = queue(roster, primary).into_iter().next()?;
    let new: Vec<String> =
        roster.wanted().into_iter().filter(|instance| !is_outdated(roster, instance)).collect();
    let stopped =
        new.iter().find_map(|instance| Some(Halt::stopped(instance, &flaw(roster.view, instance)?)));
    stopped.or_else(|| soaking(roster, primary, &new)).or_else(|| unasked(roster, primary, &first))
}

/// Why this member does not work, if it is not merely on its way.
fn flaw(view: &ClusterView, instance: &str) -> Option<String> {
    let Some(pod) = view.pods.get(instance) else {
        return refused(view, instance);
    };
    if pod.ready || pod.terminating {
        return None;
    }
    if let Some(kind) = pod.held_up {
        return Some(words(view, instance, kind));
    }
    match view.answer(instance).map(|state| &state.server) {
        Some(ServerPhase::Failed { reason }) => Some(reason.clone()),
        // These take as long as there is data.
        Some(ServerPhase::Cloning | ServerPhase::Initializing) => None,
        _ => is_late(view, pod).then(|| "it is not ready after 10 minutes".to_owned()),
    }
}

/// Whether the Pod has not been ready for long.
pub(super) fn is_late(view: &ClusterView, pod: &PodView) -> bool {
    !pod.ready && pod.ready_changed.is_some_and(|since| view.ages.of(since) >= LATE)
}

/// Kubernetes' words about a Pod that it does not even make.
fn refused(view: &ClusterView, instance: &str) -> Option<String> {
    let is_refusal = |kind| matches!(kind, TroubleKind::QuotaExceeded | TroubleKind::PodRefused);
    let found = view.troubles.iter().find(|one| is_refusal(one.kind) && one.message.contains(instance))?;
    Some(found.message.clone())
}

fn words(view: &ClusterView, instance: &str, kind: TroubleKind) -> String {
    let about = format!("Pod {instance}");
    let told = view.troubles.iter().find(|trouble| trouble.kind == kind && trouble.about == about);
    let kind: &'static str = kind.into();
    told.map_or_else(|| kind.to_owned(), |trouble| trouble.message.clone())
}

/// Watches the first member that restarted. When two have, the first one was watched. Of a primary it does not matter how
/// often it ended: it may have had this template for long, and an update is on its way back to it.
fn soaking(roster: &Roster<'_>, primary: Option<&str>, new: &[String]) -> Option<Halt> {
    let soak = roster.cluster.soak;
    let [only] = new else { return None };
    let pod = roster.view.pods.get(only).filter(|pod| pod.ready)?;
    if soak.is_zero() {
        return None;
    }
    let text = &roster.cluster.spec.update.soak;
    if primary != Some(only.as_str()) && restarts(roster.view, only, pod) > 0 {
        let why =
            "it ended and was started again while it was watched (spec.update.soak; 0s accepts it as it is)";
        return Some(Halt::stopped(only, why));
    }
    let lags = lag(roster, only);
    let is_over = pod.ready_changed.is_some_and(|since| roster.view.ages.of(since) >= soak);
    let message = match (is_over, lags) {
        (true, false) => return None,
        (true, true) => format!(
            "{only} runs the new template and is further behind than spec.failover.maxApplyLag; the next member restarts when \
             it has caught up"
        ),
        (false, _) => format!(
            "{only} runs the new template; the next member restarts when {only} has been ready for {text} without a break \
             (spec.update.soak)"
        ),
    };
    Some(Halt { reason: "Soaking", ends_by_itself: true, message })
}

/// How often container or mysqld ended since the Pod was made.
fn restarts(view: &ClusterView, instance: &str, pod: &PodView) -> u64 {
    let crashes = view.answer(instance).map_or(0, |state| state.crashes);
    crashes.saturating_add(u64::from(pod.restarts))
}

/// Whether a replica is further behind than it may be. What is not known is not held against it here: it is ready.
fn lag(roster: &Roster<'_>, instance: &str) -> bool {
    let role = roster.view.members.get(instance).and_then(Look::answer).map(|state| &state.role);
    // In whole seconds: what MySQL tells.
    let bound = roster.cluster.max_apply_lag.as_secs().max(1);
    matches!(role, Some(Role::Replica { lag_seconds: Some(lag), .. }) if *lag > bound)
}

/// The primary's turn, and nobody has asked for it.
fn unasked(roster: &Roster<'_>, primary: Option<&str>, first: &str) -> Option<Halt> {
    let is_supervised = roster.cluster.spec.update.mode == UpdateMode::Supervised;
    let is_ready = |name: &String| roster.view.pods.get(name).is_some_and(|pod| pod.ready);
    if !is_supervised || primary != Some(first) || !roster.wanted().iter().all(is_ready) {
        return None;
    }
    let message = if roster.cluster.instances == 1 {
        format!(
            "{first} is to be restarted, which interrupts the service, since there is no other member: set spec.update.mode to \
             Automatic when that is welcome"
        )
    } else {
        format!(
            "every replica runs the new template; the primary {first} is left alone until somebody asks for a switchover: set \
             spec.switchover.requestId to a new value, or spec.update.mode to Automatic"
        )
    };
    Some(Halt { reason: "SwitchoverAwaited", ends_by_itself: false, message })
}
