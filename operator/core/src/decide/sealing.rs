//! A term is raised and no primary chosen yet: seal, then choose (ha.md §1, §2).

use super::cordon;
use super::rejoin;
use super::release::{self, Release};
use super::roster::{
    Roster, can_promise, executed, hears, is_held, is_running, possession, receives_from, reigns_in,
};
use super::step::{Situation, Step};
use crate::event;
use crate::names::ordinal;
use crate::plan::Record;
use crate::protocol::{Action, MemberState, Order, Role, ServerPhase};
use crate::view::Look;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use porpoise_crds::{Operation, OperationKind};
use std::time::Duration;

/// How long a choice waits for members that answer but are not sealed and settled yet, although enough are.
const STRAGGLERS: Duration = Duration::from_secs(3);
/// How long a planned handover waits for its candidate before it becomes an ordinary election.
const HANDOVER: Duration = Duration::from_secs(10);
/// How long too few answers are an election in progress rather than a missing quorum.
const PATIENCE: Duration = Duration::from_secs(5);

/// Decides while the operation is `Sealing`.
pub(super) fn step(roster: &Roster<'_>, record: &Record, operation: &Operation) -> Step {
    let elapsed = roster.since(&operation.started_at);
    if let Some(step) = handover(roster, record, operation, elapsed) {
        return step;
    }
    let orders = seals(roster);
    let settled: Vec<&MemberState> =
        roster.answered().filter(|state| is_settled(state, roster.term)).collect();
    let needed = roster.needed_seals();
    let enough =
        settled.len() >= needed || holds_all(roster, record, &settled) || is_handed_over(operation, &settled);
    if !enough {
        return too_few(roster, orders, settled.len(), needed, elapsed);
    }
    if elapsed < STRAGGLERS && is_worth_waiting(roster, record, &settled) {
        return Step::order(
            Situation::Sealing,
            orders,
            "enough members are sealed; waiting briefly for the others",
        );
    }
    choose(roster, record, &settled)
}

/// Whether the recorded primary is sealed and the claim counts on nobody else: then it has every acknowledged transaction,
/// and nobody but itself could acknowledge more.
fn holds_all(roster: &Roster<'_>, record: &Record, settled: &[&MemberState]) -> bool {
    let primary = record.primary.as_deref();
    roster.claim.k == 0 && settled.iter().any(|state| primary == Some(state.instance.as_str()))
}

fn seals(roster: &Roster<'_>) -> Vec<Order> {
    let spares_held = rejoin::spares_held(roster);
    roster
        .answered()
        .filter(|state| !(spares_held && is_held(state)))
        .filter(|state| can_promise(state))
        .filter(|state| !matches!(state.role, Role::Sealed { term } if term >= roster.term))
        .filter(|state| !matches!(state.server, ServerPhase::ForeignVolume { .. }))
        .map(|state| roster.order(state, Action::Seal))
        .collect()
}

/// Sealed for this term, with all it received applied: its executed set and history are final.
fn is_settled(state: &MemberState, term: i64) -> bool {
    matches!(state.role, Role::Sealed { term: sealed } if sealed == term)
        && state.promised == term
        && state.data.as_ref().is_some_and(|data| data.settled)
}

fn too_few(roster: &Roster<'_>, orders: Vec<Order>, sealed: usize, needed: usize, elapsed: Duration) -> Step {
    let silent: Vec<&str> = roster
        .claim
        .members
        .iter()
        .filter(|member| !roster.member(member).is_some_and(|state| is_settled(state, roster.term)))
        .map(|member| member.name.as_str())
        .collect();
    let reason = format!("{sealed} of {needed} needed members are sealed; missing: {}", silent.join(", "));
    let situation = if elapsed < PATIENCE { Situation::Sealing } else { Situation::NoQuorum };
    Step::order(situation, orders, reason)
}

/// Whether the primary that reigned until now and the one that follows it are both settled. The first has everything that
/// was ever acknowledged, and nobody else could acknowledge anything: with k = 0 on the way to fewer members a dead one
/// must not hold up the handover (ha.md §4a).
fn is_handed_over(operation: &Operation, settled: &[&MemberState]) -> bool {
    let is_settled =
        |name: &Option<String>| settled.iter().any(|state| Some(state.instance.as_str()) == name.as_deref());
    operation.planned && is_settled(&operation.from) && is_settled(&operation.target)
}

/// Whether somebody may still come who makes a clone less likely (ha.md H22). The deposed primary is not waited for: what
/// it alone has was never acknowledged, and its server may take long to come back. Once it is settled itself, nobody has
/// what it has not.
fn is_worth_waiting(roster: &Roster<'_>, record: &Record, settled: &[&MemberState]) -> bool {
    let is_settled = |state: &MemberState| settled.iter().any(|other| other.instance == state.instance);
    let is_deposed = |state: &MemberState| record.primary.as_deref() == Some(state.instance.as_str());
    let target = record.operation.as_ref().and_then(|operation| operation.target.as_deref());
    let is_complete = settled.iter().any(|state| is_deposed(state));
    let mut late = roster.answered().filter(|state| is_running(state) && !is_settled(state));
    late.any(|state| target == Some(state.instance.as_str()) || (!is_complete && !is_deposed(state)))
}

/// A planned handover: the old primary stops first, the candidate receives the rest, and only then all are sealed.
/// Absent: there is none, or it ended.
fn handover(roster: &Roster<'_>, record: &Record, operation: &Operation, elapsed: Duration) -> Option<Step> {
    let candidate = roster.answer(operation.target.as_deref()?)?;
    let old = roster.answer(record.primary.as_deref()?)?;
    if !operation.planned || elapsed > HANDOVER || !receives_from(candidate, &old.instance) {
        return None;
    }
    if !matches!(old.role, Role::Sealed { term } if term == roster.term) {
        let orders = vec![roster.order(old, Action::Seal)];
        return Some(Step::order(
            Situation::Sealing,
            orders,
            format!("{} stops writing for a handover", old.instance),
        ));
    }
    let complete = possession(candidate)?.contains(&executed(old)?);
    (!complete).then(|| {
        Step::wait(
            Situation::Sealing,
            format!("{} receives the rest from {}", candidate.instance, old.instance),
        )
    })
}

/// Records the member with the highest history, then the greatest set (ha.md §1, H11, H24).
fn choose(roster: &Roster<'_>, record: &Record, settled: &[&MemberState]) -> Step {
    let preferred = record.operation.as_ref().and_then(|operation| operation.target.clone());
    let wish = preferred.as_deref().or(record.primary.as_deref());
    let Some(best) = settled
        .iter()
        .copied()
        .reduce(|best, next| if is_better(roster, record, wish, next, best) { next } else { best })
    else {
        return Step::wait(Situation::NoQuorum, "no member is sealed");
    };
    let mut chosen = record.clone();
    chosen.primary = Some(best.instance.clone());
    chosen.operation = record.operation.clone().map(|operation| Operation {
        kind: OperationKind::Promoting,
        target: Some(best.instance.clone()),
        sealed_at: Some(MicroTime(roster.view.now)),
        ..operation
    });
    let reason = format!(
        "{} has every acknowledged transaction and is promoted in term {}",
        best.instance, roster.term
    );
    Step::record(Situation::Promoting, chosen, reason).with_event(
        event::PRIMARY_ELECTED.event(&[("instance", &best.instance), ("term", &roster.term.to_string())]),
    )
}

fn is_better(
    roster: &Roster<'_>,
    record: &Record,
    wish: Option<&str>,
    next: &MemberState,
    best: &MemberState,
) -> bool {
    let (Some(next_data), Some(best_data)) = (&next.data, &best.data) else {
        return next.data.is_some();
    };
    if next_data.history != best_data.history {
        return next_data.history > best_data.history;
    }
    // In an order of its own: what it has may be more, and still lack what was acknowledged (H22).
    if next_data.strays.is_empty() != best_data.strays.is_empty() {
        return next_data.strays.is_empty();
    }
    let (Some(next_set), Some(best_set)) = (executed(next), executed(best)) else {
        return executed(next).is_some();
    };
    match (next_set.contains(&best_set), best_set.contains(&next_set)) {
        (true, true) => preference(roster, wish, next) < preference(roster, wish, best),
        (true, false) => true,
        (false, true) => false,
        (false, false) => match record.primary.as_deref() {
            // Chosen last, it had everything then, and since then nothing was acknowledged without it.
            Some(primary) if primary == best.instance => false,
            Some(primary) if primary == next.instance => true,
            _ => next_set.count() > best_set.count(),
        },
    }
}

/// Among equals: one that stays, then the wished one, then the one of the older release (A34), then one whose node is not to
/// be left, then the lowest ordinal. Smaller is better.
fn preference(
    roster: &Roster<'_>,
    wish: Option<&str>,
    state: &MemberState,
) -> (bool, bool, Option<Release>, bool, u32) {
    (
        roster.is_leaving(&state.instance),
        wish != Some(state.instance.as_str()),
        release::of(state),
        cordon::is_flawed(roster, &state.instance),
        ordinal(&state.instance).unwrap_or(u32::MAX),
    )
}

/// Whether enough members answer, and agree that the primary is gone, to begin an election: nobody is sealed on a false
/// alarm (ha.md §4b). A primary whose server answers speaks for itself; for a silent one, and for one whose server hangs,
/// its replicas do.
pub(super) fn primary_is_gone(roster: &Roster<'_>, primary: &str) -> bool {
    let speaks = |state: &&MemberState| is_running(state) || is_held(state) || state.instance == primary;
    let answered: Vec<&MemberState> =
        roster.answered().filter(speaks).filter(|state| can_promise(state)).collect();
    let nobody_hears = || answered.iter().all(|state| !hears(state, primary));
    let agreed = match roster.answer(primary) {
        Some(state) if reigns_in(state) != Some(roster.term) => true,
        // It can complete no commit, and says so itself.
        Some(state) if !can_promise(state) => true,
        Some(state) => !is_running(state) && nobody_hears(),
        None => nobody_hears(),
    };
    // With k = 0 the primary alone has everything: it is the one that must answer.
    let alone = roster.claim.k == 0 && answered.iter().any(|state| state.instance == primary);
    agreed && (alone || answered.len() >= roster.needed_seals())
}

/// Whom the members are sealed for.
pub(super) enum Aim {
    /// Whoever has everything; this one, if it does.
    Election(Option<String>),
    /// This one, while the primary is well.
    Handover(String),
}

/// The record that begins an election or a handover.
pub(super) fn begin(roster: &Roster<'_>, record: &Record, aim: Aim, message: String) -> Record {
    let (planned, target) = match aim {
        Aim::Election(preferred) => (false, preferred),
        Aim::Handover(to) => (true, Some(to)),
    };
    let highest = roster.view.members.values().filter_map(Look::answer).map(|state| state.promised);
    Record {
        term: highest.max().unwrap_or(0).max(record.term) + 1,
        term_owner: Some(roster.view.operator.clone()),
        quorum: record.quorum.clone(),
        primary: record.primary.clone(),
        operation: Some(Operation {
            kind: OperationKind::Sealing,
            planned,
            target,
            started_at: MicroTime(roster.view.now),
            sealed_at: None,
            from: record.primary.clone(),
            message,
        }),
    }
}
