//! Moving the primary on purpose while it is well (ha.md §4a): its Pod goes, its instance is not wanted any more,
//! somebody asks for it, or its node is to be left.

use super::cordon;
use super::follower::{is_caught_up, is_healthy_follower};
use super::patience;
use super::release;
use super::roster::Roster;
use super::sealing::{self, Aim};
use super::step::{Situation, Step};
use crate::event;
use crate::plan::Record;
use crate::protocol::{MemberState, Role};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use porpoise_crds::{RequestOutcome, Switchover, SwitchoverRequest};
use std::time::Duration;

/// How long a request waits for a member that can take over, and for clients.
const REQUEST: Duration = patience::UNHURRIED;

/// What becomes of the wishes to move the primary.
#[derive(Default)]
pub(super) struct Handover {
    /// It is moved now.
    pub(super) step: Option<Step>,
    /// News about `spec.switchover`.
    pub(super) request: Option<SwitchoverRequest>,
    /// It is moved as soon as this is over.
    pub(super) awaits: Option<String>,
}

/// Decides while the primary reigns and nothing else goes on.
pub(super) fn next(roster: &Roster<'_>, record: &Record, primary: &MemberState) -> Handover {
    if let Some((why, patience)) = must_move(roster, primary) {
        return in_time(roster, record, primary, &why, patience);
    }
    match pending(roster) {
        Some((wish, seen_at)) => on_request(roster, record, primary, wish, seen_at),
        None => before_it_must(roster, record, primary),
    }
}

/// Moves the primary when no long transaction is in the way any more, or when there is no more time for it.
fn in_time(
    roster: &Roster<'_>,
    record: &Record,
    primary: &MemberState,
    why: &str,
    patience: Duration,
) -> Handover {
    match patience::awaited(primary, patience) {
        Some(what) => Handover { awaits: Some(format!("{why}; {what}")), ..Handover::default() },
        None => Handover { step: to_anybody(roster, record, primary, why), ..Handover::default() },
    }
}

/// Moves the primary off a node that it will have to leave, while there is time (C4, H18).
fn before_it_must(roster: &Roster<'_>, record: &Record, primary: &MemberState) -> Handover {
    if !cordon::is_flawed(roster, &primary.instance) {
        return Handover::default();
    }
    let to = candidate(roster, primary, None);
    match to.and_then(|to| cordon::why_move(roster, &primary.instance, &to)) {
        Some(why) => in_time(roster, record, primary, &why, patience::UNHURRIED),
        None => Handover::default(),
    }
}

/// Why the primary cannot stay where it is, if so, and how long its clients may take.
fn must_move(roster: &Roster<'_>, primary: &MemberState) -> Option<(String, Duration)> {
    let ends = roster.view.pods.get(&primary.instance).is_some_and(|pod| pod.terminating);
    if ends {
        return Some((format!("the Pod of {} is about to end", primary.instance), patience::POD_ENDS));
    }
    let leaves = !roster.is_wanted(&primary.instance);
    leaves.then(|| (format!("{} is to be removed", primary.instance), patience::UNHURRIED))
}

/// The request that was not served yet, and since when it is known.
pub(super) fn pending<'a>(roster: &Roster<'a>) -> Option<(&'a Switchover, MicroTime)> {
    let wish = roster.view.object.spec.switchover.as_ref()?;
    let known = roster.view.object.status.as_ref().and_then(|status| status.switchover.as_ref());
    match known.filter(|known| known.request_id == wish.request_id) {
        Some(known) if known.outcome != RequestOutcome::Waiting => None,
        Some(known) => Some((wish, known.seen_at.clone())),
        None => Some((wish, MicroTime(roster.view.now))),
    }
}

fn on_request(
    roster: &Roster<'_>,
    record: &Record,
    primary: &MemberState,
    wish: &Switchover,
    seen_at: MicroTime,
) -> Handover {
    let elapsed = roster.since(&seen_at);
    let answer = |outcome, message| Some(answer(wish, outcome, seen_at, message));
    if wish.target.as_deref() == Some(primary.instance.as_str()) {
        let message = format!("{} is the primary already", primary.instance);
        return Handover { request: answer(RequestOutcome::Started, message), ..Handover::default() };
    }
    let obstacle = patience::in_the_way(primary);
    if let Some(to) = candidate(roster, primary, wish.target.as_deref()).filter(|_| obstacle.is_none()) {
        let why = format!("requested by spec.switchover {}", wish.request_id);
        let step = begin(roster, record, &to, &why);
        return Handover {
            step: Some(step),
            request: answer(RequestOutcome::Started, format!("{to} takes over")),
            awaits: None,
        };
    }
    let message = obstacle.unwrap_or_else(|| no_candidate(roster, wish));
    if elapsed < REQUEST {
        let request = answer(RequestOutcome::Waiting, message.clone());
        return Handover { step: None, request, awaits: Some(message) };
    }
    let message = format!("{message}; set a new requestId to ask again");
    Handover { request: answer(RequestOutcome::Refused, message), ..Handover::default() }
}

/// What is said about a request.
pub(super) fn answer(
    wish: &Switchover,
    outcome: RequestOutcome,
    seen_at: MicroTime,
    message: String,
) -> SwitchoverRequest {
    SwitchoverRequest { request_id: wish.request_id.clone(), outcome, seen_at, message }
}

fn no_candidate(roster: &Roster<'_>, wish: &Switchover) -> String {
    match wish.target.as_deref() {
        Some(target) if !roster.instances().iter().any(|name| name == target) => {
            format!("there is no instance {target}")
        }
        Some(target) => match cordon::why_leave(roster, target) {
            Some(why) => format!("{why}: uncordon it, or name another member"),
            None => format!("{target} is no member that follows the primary and has caught up"),
        },
        None => "no replica follows the primary and has caught up".to_owned(),
    }
}

fn begin(roster: &Roster<'_>, record: &Record, to: &str, why: &str) -> Step {
    let reason = format!("{why}; {to} takes over");
    let next = sealing::begin(roster, record, Aim::Handover(to.to_owned()), reason.clone());
    let term = next.term.to_string();
    Step::record(Situation::Sealing, next, reason.clone())
        .with_event(event::TERM_RAISED.event(&[("term", &term), ("reason", &reason)]))
}

/// The record that begins a handover to whoever is best; absent when nobody can take over now.
pub(super) fn to_anybody(
    roster: &Roster<'_>,
    record: &Record,
    primary: &MemberState,
    why: &str,
) -> Option<Step> {
    candidate(roster, primary, None).map(|to| begin(roster, record, &to, why))
}

/// A wanted member of the claim that follows and is caught up, rather one that can stay the primary where it is; the one
/// asked for, if one is.
fn candidate(roster: &Roster<'_>, primary: &MemberState, target: Option<&str>) -> Option<String> {
    if !matches!(primary.role, Role::Primary { admitting: true, .. }) {
        return None;
    }
    roster
        .answered()
        .filter(|state| target.is_none_or(|target| target == state.instance))
        .filter(|state| !roster.is_leaving(&state.instance) && is_healthy_follower(roster, primary, state))
        .filter(|state| is_caught_up(primary, state))
        .filter(|state| !release::outruns(roster, primary, state))
        // Whoever is asked for by name must be able to stay there.
        .filter(|state| target.is_none() || cordon::why_leave(roster, &state.instance).is_none())
        .min_by_key(|state| cordon::reluctance(roster, &state.instance))
        .map(|state| state.instance.clone())
}
