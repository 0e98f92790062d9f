//! Planted bugs of the operator: what it sees or what it decides is bent.

use super::planted::Planted;
use crate::gtid::GtidSet;
use crate::plan::{Plan, Record};
use crate::protocol::{Action, MemberState, Role};
use crate::view::{ClusterView, Look};
use porpoise_crds::{MySQLClusterStatus, OperationKind, Quorum};

/// Bends what the operator sees.
pub(super) fn before(planted: Option<Planted>, view: &mut ClusterView) {
    match planted {
        Some(Planted::OneSealTooFew) if is_sealing(view) => shift_k(view, 1),
        Some(Planted::LengthAlone) => each(view, |state, _| {
            if let Some(data) = &mut state.data {
                data.history = 0;
            }
        }),
        Some(Planted::TailKept) => each(view, hide_tail),
        Some(Planted::OwnedForgotten) => forget_owned(view),
        _ => {}
    }
}

/// Bends what the operator decided.
pub(super) fn after(planted: Option<Planted>, view: &ClusterView, plan: &mut Plan) {
    let Some(status) = view.object.status.as_ref() else { return };
    match planted {
        Some(Planted::OneSealTooFew) if is_sealing(view) => unshift_k(plan),
        Some(Planted::ClaimTooEarly) => record_early(status, plan),
        Some(Planted::ClaimTooLate) => record_late(view, status, plan),
        Some(Planted::LeavesTooEarly) => leave_early(status, plan),
        _ => {}
    }
}

fn forget_owned(view: &mut ClusterView) {
    for look in view.members.values_mut() {
        if let Look::Answered(state) = look
            && let Some(data) = &mut state.data
        {
            data.owned.clear();
        }
    }
}

fn is_sealing(view: &ClusterView) -> bool {
    let operation = view.object.status.as_ref().and_then(|status| status.operation.as_ref());
    operation.is_some_and(|operation| operation.kind == OperationKind::Sealing)
}

/// A larger k lets an election be content with fewer seals.
fn shift_k(view: &mut ClusterView, by: i32) {
    if let Some(claim) = view.object.status.as_mut().and_then(|status| status.quorum.as_mut()) {
        claim.k += by;
    }
}

fn unshift_k(plan: &mut Plan) {
    let orders = plan.orders.iter_mut().filter_map(|order| order.claim.as_mut());
    for claim in orders.chain(plan.record.iter_mut().filter_map(|record| record.quorum.as_mut())) {
        claim.k -= 1;
    }
}

fn each(view: &mut ClusterView, change: impl Fn(&mut MemberState, &GtidSet)) {
    let primary = view.object.status.as_ref().and_then(|status| status.primary.clone()).unwrap_or_default();
    let state = view.answer(&primary).and_then(|state| state.data.clone());
    let everything = state.and_then(|data| GtidSet::parse(&data.executed).ok()).unwrap_or_default();
    for (name, look) in &mut view.members {
        if let Look::Answered(state) = look
            && *name != primary
        {
            change(state, &everything);
        }
    }
}

/// What only this member has is not seen, so that it is never cloned.
fn hide_tail(state: &mut MemberState, everything: &GtidSet) {
    if !matches!(state.role, Role::Replica { .. } | Role::Sealed { .. } | Role::Idle) || everything.is_empty()
    {
        return;
    }
    if let Some(data) = &mut state.data {
        let seen = GtidSet::parse(&data.executed).unwrap_or_default();
        data.executed = seen.intersect(everything).to_string();
    }
}

fn record(status: &MySQLClusterStatus, claim: Quorum) -> Record {
    Record {
        term: status.term.unwrap_or(0),
        term_owner: status.term_owner.clone(),
        quorum: Some(Quorum { version: claim.version + 1, ..claim }),
        primary: status.primary.clone(),
        operation: status.operation.clone(),
    }
}

fn record_early(status: &MySQLClusterStatus, plan: &mut Plan) {
    let Some(claim) = &status.quorum else { return };
    let raised = plan.orders.iter().find_map(|order| match order.action {
        Action::Promote { k, .. } if k > claim.k => Some(k),
        _ => None,
    });
    if let Some(k) = raised {
        plan.record = Some(record(status, Quorum { k, ..claim.clone() }));
        plan.orders.clear();
    }
}

fn record_late(view: &ClusterView, status: &MySQLClusterStatus, plan: &mut Plan) {
    let (Some(claim), Some(next)) =
        (&status.quorum, plan.record.as_ref().and_then(|record| record.quorum.as_ref()))
    else {
        return;
    };
    let primary = status.primary.as_deref().and_then(|name| view.answer(name));
    let waits = primary.filter(|state| {
        matches!(state.role, Role::Primary { proven_k: Some(k), .. } if k > next.k) && next.k < claim.k
    });
    if let Some(state) = waits {
        let order = crate::protocol::Order {
            cluster: state.cluster.clone(),
            instance: state.instance.clone(),
            volume: Some(state.volume.clone()),
            term: status.term.unwrap_or(0),
            claim: Some(claim.clone()),
            seen: state.seen(),
            action: Action::Promote { k: next.k, admit: true },
        };
        (plan.record, plan.orders) = (None, vec![order]);
    }
}

fn leave_early(status: &MySQLClusterStatus, plan: &mut Plan) {
    let Some(claim) = &status.quorum else { return };
    let leaver =
        plan.orders.iter().find(|order| matches!(order.action, Action::Follow { acknowledge: false, .. }));
    let Some(name) = leaver.map(|order| order.instance.clone()) else { return };
    let rest: Vec<_> = claim.members.iter().filter(|member| member.name != name).cloned().collect();
    if rest.len() == claim.members.len() {
        return;
    }
    let k = claim.k.min(i32::try_from(rest.len()).unwrap_or(0) - 1);
    plan.record = Some(record(status, Quorum { members: rest, k, version: claim.version }));
    plan.orders.clear();
}
