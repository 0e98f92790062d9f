//! Restarting Pods whose template is older than the `StatefulSet`'s: replicas first, the primary last (C8).

use super::follower::{is_caught_up, is_healthy_follower};
use super::handover;
use super::patience;
use super::roster::{Roster, reigns_in};
use super::step::Step;
use crate::plan::{Deletion, Record};
use crate::protocol::{MemberState, Role, ServerPhase};
use crate::view::Look;

/// What a rollout does next.
pub(super) enum Rollout {
    /// Every Pod is as it should be, or nothing may be touched now.
    Nothing,
    /// One Pod is replaced.
    Replace(Deletion),
    /// The primary is moved first.
    Move(Box<Step>),
    /// The primary is moved first, when this is over.
    Await(String),
}

/// Decides only while everything is well: the primary admits, the claim is complete, every other member follows.
pub(super) fn next(roster: &Roster<'_>, record: &Record) -> Rollout {
    let Some(name) = record.primary.as_deref().filter(|_| record.operation.is_none()) else {
        return Rollout::Nothing;
    };
    let Some(primary) = roster.answer(name) else {
        return if is_alone_and_down(roster, name) { replace(roster, name) } else { Rollout::Nothing };
    };
    if !all_is_well(roster, primary) {
        return broken(roster, primary).map_or(Rollout::Nothing, |name| replace(roster, &name));
    }
    let mut outdated: Vec<String> =
        roster.wanted().into_iter().filter(|name| is_outdated(roster, name)).collect();
    outdated.sort_by_key(|name| (*name == primary.instance, std::cmp::Reverse(crate::names::ordinal(name))));
    let Some(first) = outdated.first() else {
        return Rollout::Nothing;
    };
    if *first != primary.instance || roster.cluster.instances == 1 {
        return replace(roster, first);
    }
    let why = format!("{} is to be restarted", primary.instance);
    if let Some(what) = patience::awaited(primary, patience::UNHURRIED) {
        return Rollout::Await(format!("{why}; {what}"));
    }
    handover::to_anybody(roster, record, primary, &why)
        .map_or(Rollout::Nothing, |step| Rollout::Move(Box::new(step)))
}

/// The only member, which a former template left out of order: there is nothing to lose by the next one.
fn is_alone_and_down(roster: &Roster<'_>, name: &str) -> bool {
    let down = roster.view.pods.get(name).is_some_and(|pod| !pod.ready && !pod.terminating);
    roster.cluster.instances == 1 && down && is_outdated(roster, name)
}

/// A replica that a former template left out of order, as an image that does not start. Nothing but the next template helps
/// it, so it is not waited for; but whoever has the present template already must be well, and its acknowledgements must not
/// be missed.
fn broken(roster: &Roster<'_>, primary: &MemberState) -> Option<String> {
    if reigns_in(primary) != Some(roster.term) {
        return None;
    }
    let replicas: Vec<String> =
        roster.wanted().into_iter().filter(|name| *name != primary.instance).collect();
    let is_well = |name: &String| {
        is_ready(roster, name)
            && roster.answer(name).is_some_and(|state| may_take_over(roster, primary, state))
    };
    let (outdated, current): (Vec<String>, Vec<String>) =
        replicas.into_iter().partition(|name| is_outdated(roster, name));
    if !current.iter().all(is_well) {
        return None;
    }
    let well = current.iter().chain(&outdated).filter(|name| is_well(name)).count();
    let spared = usize::try_from(roster.claim.k).is_ok_and(|k| well >= k);
    outdated.into_iter().find(|name| is_broken(roster, primary, name) && (spared || is_idle(roster, name)))
}

fn is_broken(roster: &Roster<'_>, primary: &MemberState, name: &str) -> bool {
    let stays = roster.view.pods.get(name).is_some_and(|pod| !pod.terminating);
    // A copy of the data takes long, and it does not matter which template receives it.
    let copies =
        |state: &MemberState| matches!(state.server, ServerPhase::Initializing | ServerPhase::Cloning);
    let state = roster.answer(name);
    let follows = state.is_some_and(|state| is_healthy_follower(roster, primary, state));
    stays && !state.is_some_and(copies) && !(follows && is_ready(roster, name))
}

/// Whether it certainly acknowledges nothing.
fn is_idle(roster: &Roster<'_>, name: &str) -> bool {
    match roster.view.members.get(name) {
        None | Some(Look::Absent) => true,
        Some(Look::Answered(state)) => !matches!(state.role, Role::Replica { acknowledging: true, .. }),
        Some(Look::Silent { .. }) => !is_ready(roster, name),
    }
}

fn is_ready(roster: &Roster<'_>, name: &str) -> bool {
    roster.view.pods.get(name).is_some_and(|pod| pod.ready && !pod.terminating)
}

/// Whether any Pod was made from an older template.
pub(super) fn is_pending(roster: &Roster<'_>) -> bool {
    roster.wanted().iter().any(|name| is_outdated(roster, name))
}

fn all_is_well(roster: &Roster<'_>, primary: &MemberState) -> bool {
    let admits = matches!(primary.role, Role::Primary { admitting: true, .. })
        && reigns_in(primary) == Some(roster.term);
    let others = roster.claim.members.iter().filter(|member| member.name != primary.instance);
    let followed = others
        .map(|member| roster.member(member))
        .all(|state| state.is_some_and(|state| may_take_over(roster, primary, state)));
    let ready = roster.wanted().iter().all(|name| is_ready(roster, name));
    let complete = roster.claim.members.len() == roster.wanted().len();
    admits && followed && ready && complete && roster.cluster.is_complete(roster.claim)
}

/// Readiness says nothing about lag (ADR 0017): one member after the other is caught up before the next one is touched.
fn may_take_over(roster: &Roster<'_>, primary: &MemberState, state: &MemberState) -> bool {
    is_healthy_follower(roster, primary, state) && is_caught_up(primary, state)
}

/// Whether the Pod was made from an older template.
pub(super) fn is_outdated(roster: &Roster<'_>, instance: &str) -> bool {
    let current = roster.view.stateful_set.as_ref().and_then(|set| {
        let observed = set.status.as_ref()?.observed_generation? >= set.metadata.generation?;
        set.status.as_ref()?.update_revision.clone().filter(|_| observed)
    });
    let pod = roster.view.pods.get(instance).and_then(|pod| pod.revision.clone());
    matches!((current, pod), (Some(current), Some(pod)) if current != pod)
}

fn replace(roster: &Roster<'_>, instance: &str) -> Rollout {
    match roster.view.pods.get(instance) {
        Some(pod) => Rollout::Replace(Deletion::Pod { name: instance.to_owned(), uid: pod.uid.clone() }),
        None => Rollout::Nothing,
    }
}
