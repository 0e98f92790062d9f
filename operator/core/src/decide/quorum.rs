//! The protocol's next step: one match on what is recorded and what the members answered (ha.md §2, §4).

use super::roster::{Roster, can_promise, is_held, is_running, reigns_in};
use super::sealing::Aim;
use super::step::{Situation, Step, recorded};
use super::{failover, founding, reign, sealing};
use crate::event;
use crate::plan::Record;
use crate::protocol::{Action, DiskState, MemberState, Role, ServerPhase};
use crate::validate::Cluster;
use crate::view::{ClusterView, Look};
use porpoise_crds::{Operation, OperationKind};
use std::time::Duration;

/// A silent primary is only asked about after this long; the replicas' word still decides.
const SILENCE: Duration = Duration::from_millis(800);
/// How long a chosen member may fail to answer before another is chosen.
const PROMOTION: Duration = Duration::from_secs(8);

/// Decides the next step of the protocol.
pub(super) fn step(cluster: &Cluster, view: &ClusterView) -> Step {
    let status = view.object.status.clone().unwrap_or_default();
    let record = recorded(&status);
    let mut step = match &record.quorum {
        None => founding::step(cluster, view),
        Some(claim) => {
            let roster = Roster { cluster, view, claim, term: record.term };
            newer_knowledge(&roster, &record).unwrap_or_else(|| recorded_step(&roster, &record))
        }
    };
    step.orders.extend(founding::adoptions(cluster, view));
    step
}

fn recorded_step(roster: &Roster<'_>, record: &Record) -> Step {
    match &record.operation {
        Some(operation) if operation.kind == OperationKind::Sealing => {
            sealing::step(roster, record, operation)
        }
        operation => match &record.primary {
            Some(primary) => under_primary(roster, record, primary, operation.as_ref()),
            None => unrecorded(roster, record),
        },
    }
}

/// The claim is known and the primary is not: whoever reigns in the recorded term is it; else one is elected.
fn unrecorded(roster: &Roster<'_>, record: &Record) -> Step {
    match roster.answered().find(|state| reigns_in(state) == Some(roster.term)) {
        Some(state) => {
            let known = Record { primary: Some(state.instance.clone()), ..record.clone() };
            let reason = format!("{} reigns in term {}", state.instance, roster.term);
            Step::record(Situation::Promoting, known, reason)
        }
        None => election(roster, record, "no primary is recorded"),
    }
}

/// A member that knows a newer claim or a higher term than the status: the status is older than the cluster, for example
/// after etcd was restored. The members' word wins, in a new term.
fn newer_knowledge(roster: &Roster<'_>, record: &Record) -> Option<Step> {
    let answers: Vec<&MemberState> =
        roster.instances().iter().filter_map(|name| roster.answer(name)).collect();
    let newest = answers.iter().filter_map(|state| state.claim.as_ref()).max_by_key(|claim| claim.version)?;
    let promised = answers.iter().map(|state| state.promised).max()?;
    if newest.version <= roster.claim.version && promised <= roster.term {
        return None;
    }
    let reason = format!(
        "members have promised term {promised} and know claim {}: the status is older",
        newest.version
    );
    // Who is primary is as old as the rest of the status: a preference, and no knowledge.
    let preferred = Aim::Election(record.primary.clone());
    let mut next = sealing::begin(roster, record, preferred, reason.clone());
    next.primary = None;
    if newest.version > roster.claim.version {
        next.quorum = Some(newest.clone());
    }
    let event = event::STATUS_OUTDATED.event(&[("reason", &reason), ("term", &next.term.to_string())]);
    Some(Step::record(Situation::Sealing, next, reason).with_event(event))
}

fn under_primary(roster: &Roster<'_>, record: &Record, primary: &str, operation: Option<&Operation>) -> Step {
    match roster.view.members.get(primary) {
        Some(Look::Answered(state)) if reigns_in(state) == Some(roster.term) => {
            let had_time = operation.is_none_or(|operation| roster.since(&operation.started_at) > PROMOTION);
            if had_time && hangs(roster, state) {
                return election(roster, record, &format!("{primary} {}", ailment(state)));
            }
            reign::step(roster, record, state)
        }
        Some(Look::Answered(state)) if roster.entry(state).is_none() => {
            election(roster, record, &without_volume(state))
        }
        Some(Look::Answered(state)) => not_reigning(roster, record, state, operation),
        Some(Look::Silent { lasting, reason }) if *lasting < SILENCE => {
            Step::wait(Situation::Sealing, format!("{primary} does not answer: {reason}"))
        }
        Some(Look::Silent { reason, .. }) => match operation {
            Some(operation) if roster.since(&operation.started_at) < PROMOTION => Step::wait(
                Situation::Promoting,
                format!("{primary} was chosen and does not answer: {reason}"),
            ),
            _ => election(roster, record, &format!("{primary} does not answer: {reason}")),
        },
        Some(Look::Absent) | None => election(roster, record, &format!("{primary} has no running Pod")),
    }
}

/// Why the member that answers is not the one of the claim.
fn without_volume(state: &MemberState) -> String {
    let name = &state.instance;
    match &state.server {
        ServerPhase::UnusableVolume { reason } => format!("the volume of {name} cannot be used ({reason})"),
        ServerPhase::VolumeInUse => format!("another process works on the volume of {name}"),
        _ => format!("{name} came back without its volume"),
    }
}

/// Its agent answers for a server that does not, and nobody hears that server; or for a volume that takes no writes. While it
/// is being promoted nobody follows it yet, and what its agent saw before says nothing.
fn hangs(roster: &Roster<'_>, primary: &MemberState) -> bool {
    let is_ailing = !is_running(primary)
        || match primary.disk {
            DiskState::Writable => false,
            DiskState::Stalled => true,
            // What is allocated already may still do for a while.
            DiskState::Full => !matches!(primary.role, Role::Primary { admitting: true, .. }),
        };
    roster.claim.k > 0 && is_ailing && sealing::primary_is_gone(roster, &primary.instance)
}

fn ailment(primary: &MemberState) -> &'static str {
    if can_promise(primary) {
        "has a mysqld that does not answer"
    } else {
        "has a volume that takes no writes"
    }
}

/// The recorded primary answers but does not reign: it was just chosen, or it restarted.
fn not_reigning(
    roster: &Roster<'_>,
    record: &Record,
    state: &MemberState,
    operation: Option<&Operation>,
) -> Step {
    let Some(operation) = operation else {
        return election(roster, record, &format!("{} restarted", state.instance));
    };
    let stuck = roster.since(&operation.started_at) > PROMOTION
        && matches!(state.server, ServerPhase::Failed { .. } | ServerPhase::Stopped)
        && roster.claim.members.len() > 1;
    if stuck {
        return election(
            roster,
            record,
            &format!("{} was chosen but mysqld does not come up", state.instance),
        );
    }
    // The agent lets clients in only when the term record is acknowledged: with a complete claim nothing else is waited for.
    let admit = roster.cluster.may_admit(roster.claim);
    let mut orders = vec![roster.order(state, Action::Promote { k: roster.claim.k, admit })];
    if is_running(state) || matches!(state.role, Role::Sealed { .. }) {
        orders.extend(reign::followers(roster, state));
    } else if !is_held(state) {
        orders.clear();
    }
    Step::order(
        Situation::Promoting,
        orders,
        format!("{} is to become the primary of term {}", state.instance, roster.term),
    )
}

/// Begins an election, if enough members agree that the primary is gone.
fn election(roster: &Roster<'_>, record: &Record, why: &str) -> Step {
    let primary = record.primary.as_deref().unwrap_or_default();
    if !sealing::primary_is_gone(roster, primary) {
        let reason = format!(
            "{why}; an election needs {} of {} members to answer and agree",
            roster.needed_seals(),
            roster.claim.members.len()
        );
        return Step::wait(Situation::NoQuorum, reason);
    }
    if let Some(obstacle) = failover::obstacle(roster, primary) {
        return Step::wait(Situation::Sealing, format!("{why}; {obstacle}"));
    }
    failover::begin(roster, record, why)
}
