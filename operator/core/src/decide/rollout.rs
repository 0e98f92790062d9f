//! Restarting Pods whose template is older than the `StatefulSet`'s: replicas first, the primary last (C8).

use super::follower::{is_caught_up, is_healthy_follower};
use super::handover;
use super::patience;
use super::roster::{Roster, reigns_in};
use super::step::Step;
use crate::plan::{Deletion, Record};
use crate::protocol::{MemberState, Role};
use crate::view::ClusterView;

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
    let Some(primary) = record.primary.as_deref().and_then(|name| roster.answer(name)) else {
        return Rollout::Nothing;
    };
    if record.operation.is_some() || !all_is_well(roster, primary) {
        return Rollout::Nothing;
    }
    let Some(first) = queue(roster, Some(&primary.instance)).into_iter().next() else {
        return Rollout::Nothing;
    };
    if first != primary.instance || roster.cluster.instances == 1 {
        return replace(roster, &first);
    }
    let why = format!("{} is to be restarted", primary.instance);
    if let Some(what) = patience::awaited(primary, patience::UNHURRIED) {
        return Rollout::Await(format!("{why}; {what}"));
    }
    handover::to_anybody(roster, record, primary, &why)
        .map_or(Rollout::Nothing, |step| Rollout::Move(Box::new(step)))
}

/// Wanted instances whose Pods were made from an older template, in the order of their restart: the primary last.
pub(super) fn queue(roster: &Roster<'_>, primary: Option<&str>) -> Vec<String> {
    let mut outdated: Vec<String> =
        roster.wanted().into_iter().filter(|name| is_outdated(roster, name)).collect();
    let turn =
        |name: &String| (primary == Some(name.as_str()), std::cmp::Reverse(crate::names::ordinal(name)));
    outdated.sort_by_key(turn);
    outdated
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
    let ready = roster
        .wanted()
        .iter()
        .all(|name| roster.view.pods.get(name).is_some_and(|pod| pod.ready && !pod.terminating));
    let complete = roster.claim.members.len() == roster.wanted().len();
    admits && followed && ready && complete && roster.cluster.is_complete(roster.claim)
}

/// Readiness says nothing about lag (ADR 0017): one member after the other is caught up before the next one is touched.
fn may_take_over(roster: &Roster<'_>, primary: &MemberState, state: &MemberState) -> bool {
    is_healthy_follower(roster, primary, state) && is_caught_up(primary, state)
}

/// Whether the Pod was made from an older template.
pub(super) fn is_outdated(roster: &Roster<'_>, instance: &str) -> bool {
    has_old_template(roster.view, instance)
}

/// The same without a claim.
pub(super) fn has_old_template(view: &ClusterView, instance: &str) -> bool {
    let current = view.stateful_set.as_ref().and_then(|set| {
        let observed = set.status.as_ref()?.observed_generation? >= set.metadata.generation?;
        set.status.as_ref()?.update_revision.clone().filter(|_| observed)
    });
    let pod = view.pods.get(instance).and_then(|pod| pod.revision.clone());
    matches!((current, pod), (Some(current), Some(pod)) if current != pod)
}

fn replace(roster: &Roster<'_>, instance: &str) -> Rollout {
    match roster.view.pods.get(instance) {
        Some(pod) => Rollout::Replace(Deletion::Pod { name: instance.to_owned(), uid: pod.uid.clone() }),
        None => Rollout::Nothing,
    }
}
