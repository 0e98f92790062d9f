//! A primary reigns: keep the others following it, let members join and leave, let clients in.

use super::claim::{self, ClaimMove};
use super::follower::{is_caught_up, is_foreign, is_healthy_follower, needs_clone};
use super::handover::{self, Handover};
use super::rejoin;
use super::roster::{Roster, can_promise, is_held, is_running, possession};
use super::step::{Situation, Step};
use crate::plan::Record;
use crate::protocol::{Action, MemberState, Order, Role, ServerPhase};

/// Decides while `primary` is the primary of the recorded term.
pub(super) fn step(roster: &Roster<'_>, record: &Record, primary: &MemberState) -> Step {
    let Role::Primary { proven_k, admitting, .. } = primary.role else {
        return Step::wait(Situation::Promoting, "the primary changed while it was looked at");
    };
    if proven_k.is_some() && record.operation.is_some() {
        let settled = Record { operation: None, ..record.clone() };
        return Step::record(
            Situation::Promoting,
            settled,
            format!("{} is the primary of term {}", primary.instance, roster.term),
        );
    }
    let Handover { step, request, awaits } = handover::next(roster, record, primary);
    let situation = if admitting { Situation::Reigning } else { Situation::Promoting };
    let step = step.unwrap_or_else(|| keep(roster, record, primary, situation)).awaiting(awaits);
    Step { request, ..step }
}

/// The next change of the claim, or the orders that keep everybody in place.
fn keep(roster: &Roster<'_>, record: &Record, primary: &MemberState, situation: Situation) -> Step {
    let wish = claim::next(roster, primary);
    if let Some(quorum) = wish.record {
        let next = Record { quorum: Some(quorum), ..record.clone() };
        return Step::record(situation, next, wish.reason);
    }
    let mut orders = followers_with(roster, primary, &wish);
    orders.extend(promotion(roster, primary, &wish));
    Step::order(situation, orders, wish.reason)
}

/// The order to the primary, when what it does differs from what it should do.
fn promotion(roster: &Roster<'_>, primary: &MemberState, wish: &ClaimMove) -> Option<Order> {
    let Role::Primary { proven_k, admitting, .. } = primary.role else {
        return None;
    };
    // The agent lets them in only when so many acknowledgements have been shown to arrive.
    let complete = wish.server_k == roster.claim.k && roster.cluster.may_admit(roster.claim);
    let admit = (admitting || complete) && !wish.close;
    let in_place = admit == admitting && proven_k == Some(wish.server_k);
    (!in_place).then(|| roster.order(primary, Action::Promote { k: wish.server_k, admit }))
}

/// Orders that make every other instance follow the chosen primary.
pub(super) fn followers(roster: &Roster<'_>, primary: &MemberState) -> Vec<Order> {
    followers_with(roster, primary, &ClaimMove::keep(roster, ""))
}

fn followers_with(roster: &Roster<'_>, primary: &MemberState, wish: &ClaimMove) -> Vec<Order> {
    // Whoever cannot be compared with the primary may have diverged from it.
    if possession(primary).is_none() {
        return Vec::new();
    }
    let others = roster.instances();
    let answers: Vec<&MemberState> = others.iter().filter_map(|name| roster.answer(name)).collect();
    let cloning = answers.iter().any(|state| state.server == ServerPhase::Cloning);
    let mut orders = Vec::new();
    let mut clone_ordered = cloning;
    for state in answers.into_iter().filter(|state| can_promise(state)) {
        if state.instance == primary.instance {
            continue;
        }
        let in_claim = roster.entry(state).is_some();
        let acknowledge = in_claim && !wish.stop_acknowledging.contains(&state.instance);
        if is_held(state) {
            orders.extend(rejoin::order(roster, primary, state, acknowledge));
        }
        if !is_running(state) {
            continue;
        }
        match (needs_clone(primary, state), in_claim) {
            (false, true) if !is_final(roster, state) => orders.push(roster.order(state, Action::Seal)),
            (false, _) => orders.extend(follow_order(roster, primary, state, acknowledge)),
            // It must leave the claim before its data may be replaced; until then it acknowledges nothing.
            (true, true) if acknowledges(state) => orders.push(roster.order(state, Action::Seal)),
            (true, true) => {}
            (true, false) if clone_ordered || is_foreign(primary, state) => {}
            (true, false) => {
                orders.extend(clone_order(roster, primary, state));
                clone_ordered = true;
            }
        }
    }
    orders
}

/// Whether what the member shows is all it has: nothing of its own waits that a restart would commit (H3). A member of
/// the claim that comes back from an older reign is sealed first: if it acknowledged with a tail that nobody has seen yet,
/// it would pass for a member that has everything.
fn is_final(roster: &Roster<'_>, state: &MemberState) -> bool {
    matches!(state.role, Role::Sealed { term } | Role::Replica { term, .. } if term == roster.term)
}

fn acknowledges(state: &MemberState) -> bool {
    matches!(state.role, Role::Replica { acknowledging: true, .. })
}

fn follow_order(
    roster: &Roster<'_>,
    primary: &MemberState,
    state: &MemberState,
    acknowledge: bool,
) -> Option<Order> {
    let in_place = matches!(&state.role, Role::Replica { term, source, acknowledging, .. }
        if *term == roster.term && *source == primary.instance && *acknowledging == acknowledge);
    if in_place {
        return None;
    }
    Some(roster.follow(state, primary, acknowledge, None))
}

/// A clone from a replica that is caught up, else from the primary unless it is blocked (H8, H17).
fn clone_order(roster: &Roster<'_>, primary: &MemberState, state: &MemberState) -> Option<Order> {
    let replica = roster
        .answered()
        .find(|other| is_healthy_follower(roster, primary, other) && is_caught_up(primary, other));
    let donor = match replica {
        Some(replica) => replica,
        None if matches!(primary.role, Role::Primary { proven_k: Some(_), .. }) => primary,
        None => return None,
    };
    let action = Action::Clone {
        donor: donor.instance.clone(),
        host: roster.cluster.names.host(&donor.instance),
        request: request(roster, state),
    };
    Some(roster.order(state, action))
}

/// Names the wish by what it replaces: the same data of the same server is not replaced twice. A server that begins blank
/// has another UUID each time.
fn request(roster: &Roster<'_>, state: &MemberState) -> String {
    use sha2::{Digest, Sha256};
    let executed = state.data.as_ref().map(|data| data.executed.as_str()).unwrap_or_default();
    let server = state.server_uuid.as_deref().unwrap_or_default();
    let digest = Sha256::digest(format!("{server} {executed}"));
    let short = digest.iter().take(6).fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("term-{}-{short}", roster.term)
}
