//! Changes of the claim under a reigning primary, each true at every instant (ha.md §2, "Reconfiguration").

use super::follower::{follows, is_caught_up, is_healthy_follower, needs_clone};
use super::roster::{Roster, is_running, possession, written};
use crate::names::ordinal;
use crate::protocol::{MemberState, Role};
use crate::view::Look;
use porpoise_crds::{Quorum, QuorumMember};
use std::time::Duration;

/// How long members are waited for that may follow a new primary.
const FOLLOWERS: Duration = Duration::from_secs(5);

/// What to do about the claim.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClaimMove {
    /// The next claim, to be recorded now: it is already true.
    pub(super) record: Option<Quorum>,
    /// Acknowledgements that the primary shall wait for.
    pub(super) server_k: i32,
    /// Clients shall be turned away until the claim can be kept again.
    pub(super) close: bool,
    /// Members that shall stop acknowledging, so that they can be removed.
    pub(super) stop_acknowledging: Vec<String>,
    /// Why, in a sentence.
    pub(super) reason: String,
}

impl ClaimMove {
    pub(super) fn keep(roster: &Roster<'_>, reason: impl Into<String>) -> Self {
        Self {
            record: None,
            server_k: roster.claim.k,
            close: false,
            stop_acknowledging: Vec::new(),
            reason: reason.into(),
        }
    }

    fn record(roster: &Roster<'_>, members: Vec<QuorumMember>, k: i32, reason: String) -> Self {
        let quorum = Quorum { members, k, version: roster.claim.version + 1 };
        Self { record: Some(quorum), ..Self::keep(roster, reason) }
    }
}

/// Decides the next change of the claim: joins first, then removals, then the number of acknowledgements.
pub(super) fn next(roster: &Roster<'_>, primary: &MemberState) -> ClaimMove {
    join(roster, primary)
        .or_else(|| lower(roster))
        .or_else(|| degrade(roster, primary))
        .or_else(|| remove(roster, primary))
        .or_else(|| raise(roster, primary))
        .unwrap_or_else(|| ClaimMove::keep(roster, "the claim is as it should be"))
}

/// Adds instances that follow and are caught up. Recorded before their acknowledgements count.
fn join(roster: &Roster<'_>, primary: &MemberState) -> Option<ClaimMove> {
    let joiners: Vec<QuorumMember> = roster
        .wanted()
        .iter()
        .filter_map(|name| roster.answer(name))
        .filter(|state| roster.entry(state).is_none() && follows(roster, primary, state))
        .filter(|state| is_caught_up(primary, state) && !needs_clone(primary, state))
        .map(|state| QuorumMember { name: state.instance.clone(), volume: state.volume.clone() })
        .collect();
    let names: Vec<&str> = joiners.iter().map(|member| member.name.as_str()).collect();
    let reason = format!("{} caught up and joins the claim", names.join(", "));
    (!joiners.is_empty()).then(|| {
        let members = roster.claim.members.iter().cloned().chain(joiners.iter().cloned()).collect();
        ClaimMove::record(roster, members, roster.claim.k, reason)
    })
}

/// Lowers k when fewer instances are wanted: the weaker claim follows from the stronger, so it is recorded first.
fn lower(roster: &Roster<'_>) -> Option<ClaimMove> {
    let wanted = roster.cluster.wanted_k();
    (roster.claim.k > wanted).then(|| {
        let reason = format!("{} instances need {wanted} acknowledgements", roster.cluster.instances);
        ClaimMove::record(roster, roster.claim.members.clone(), wanted, reason)
    })
}

/// Lowers k to what is left, with `Degradable`: the primary turned its clients away because acknowledgements stopped, and
/// too few members answer. The weaker claim follows from the stronger, so it is recorded first.
fn degrade(roster: &Roster<'_>, primary: &MemberState) -> Option<ClaimMove> {
    let is_fenced = matches!(primary.role, Role::Primary { proven_k: None, admitting: false, .. });
    if !roster.cluster.may_degrade() || !is_fenced || is_just_chosen(roster) {
        return None;
    }
    let others = roster.answered().filter(|state| state.instance != primary.instance);
    let left = others.filter(|state| is_running(state) && !needs_clone(primary, state)).count();
    let left = i32::try_from(left).unwrap_or(i32::MAX);
    (left < roster.claim.k).then(|| {
        let reason = format!("{left} of {} members that acknowledge are left", roster.claim.k);
        ClaimMove::record(roster, roster.claim.members.clone(), left, reason)
    })
}

/// Whether the primary was chosen a moment ago: the others may still come to follow it.
fn is_just_chosen(roster: &Roster<'_>) -> bool {
    let operation = roster.view.object.status.as_ref().and_then(|status| status.operation.as_ref());
    operation.is_some_and(|operation| roster.since(&operation.started_at) < FOLLOWERS)
}

/// Removes one member: it stops acknowledging, the rest catch up to that point, then the claim without it is recorded.
fn remove(roster: &Roster<'_>, primary: &MemberState) -> Option<ClaimMove> {
    let (member, why) = leaver(roster, primary)?;
    let rest: Vec<QuorumMember> =
        roster.claim.members.iter().filter(|other| *other != member).cloned().collect();
    let Role::Primary { proven_k, admitting, .. } = primary.role else {
        return None;
    };
    // The server still waits for more acknowledgements than the claim asks for, or the term record for any at all: then
    // even a member on its way out is needed, unless it acknowledges nothing that counts.
    if proven_k != Some(roster.claim.k) && (admitting || !is_broken(roster, primary, member)) {
        return None;
    }
    let k = remaining_k(roster, primary, &rest);
    if k < roster.claim.k && admitting {
        return Some(needed(roster, primary, member, why));
    }
    if roster.member(member).is_none() && is_silent(roster, member) {
        let reason = format!("{} {why}, but does not answer and may still acknowledge", member.name);
        return Some(ClaimMove::keep(roster, reason));
    }
    if let Some(state) = roster.member(member)
        && matches!(state.role, Role::Replica { acknowledging: true, .. })
    {
        let mut stop = ClaimMove::keep(roster, format!("{} {why} and stops acknowledging", member.name));
        stop.stop_acknowledging.push(member.name.clone());
        return Some(stop);
    }
    if holders(roster, primary, member, &rest) < k {
        let mut wait = ClaimMove::keep(roster, format!("{} {why}; the others catch up first", member.name));
        wait.stop_acknowledging.push(member.name.clone());
        return Some(wait);
    }
    Some(ClaimMove::record(roster, rest, k, format!("{} {why} and leaves the claim", member.name)))
}

/// The member must go, and cannot while clients write. If its data must be replaced and nobody else is there to join, its
/// acknowledgements do not come back by waiting: clients are turned away until it is a member again.
fn needed(roster: &Roster<'_>, primary: &MemberState, member: &QuorumMember, why: &str) -> ClaimMove {
    let reason =
        format!("{} {why}, but every acknowledged write needs it until another member joins", member.name);
    let joins = |name: &String| roster.answer(name).is_some_and(|state| roster.entry(state).is_none());
    let close = is_broken(roster, primary, member) && !roster.wanted().iter().any(joins);
    ClaimMove { close, ..ClaimMove::keep(roster, reason) }
}

/// Whether the member's Pod is there and its agent says nothing: then nobody knows what its mysqld does.
fn is_silent(roster: &Roster<'_>, member: &QuorumMember) -> bool {
    matches!(roster.view.members.get(&member.name), Some(Look::Silent { .. }))
}

/// Whether nothing can be expected of the member: its data must be replaced, or its volume is not there any more.
fn is_broken(roster: &Roster<'_>, primary: &MemberState, member: &QuorumMember) -> bool {
    is_replaced(roster, member)
        || roster.member(member).is_some_and(|state| is_running(state) && needs_clone(primary, state))
}

/// Whether another volume answers under the member's name.
fn is_replaced(roster: &Roster<'_>, member: &QuorumMember) -> bool {
    roster.answer(&member.name).is_some_and(|state| !state.volume.is_empty() && state.volume != member.volume)
}

/// The k of the claim without a member: what the rest can hold. Members that must be cloned themselves are not waited
/// for. While no client is let in a smaller k does no harm: nothing new is acknowledged, and it is raised again before.
fn remaining_k(roster: &Roster<'_>, primary: &MemberState, rest: &[QuorumMember]) -> i32 {
    let others = rest.iter().filter(|member| member.name != primary.instance);
    let able = others.filter(|member| !is_broken(roster, primary, member)).count();
    roster.claim.k.min(i32::try_from(able).unwrap_or(i32::MAX))
}

/// The member to remove next: a volume that was replaced, data that cannot follow, or an instance that is not wanted.
fn leaver<'a>(roster: &Roster<'a>, primary: &MemberState) -> Option<(&'a QuorumMember, &'static str)> {
    let others = || {
        roster
            .claim
            .members
            .iter()
            .filter(|member| member.name != primary.instance || member.volume != primary.volume)
    };
    let replaced = others().find(|member| is_replaced(roster, member));
    let broken = || others().find(|member| is_broken(roster, primary, member));
    let unwanted = || {
        others().filter(|member| !roster.is_wanted(&member.name)).max_by_key(|member| ordinal(&member.name))
    };
    replaced
        .map(|member| (member, "has another volume"))
        .or_else(|| broken().map(|member| (member, "must be cloned")))
        .or_else(|| unwanted().map(|member| (member, "is to be removed")))
}

/// How many of these members, beside the primary, have everything the primary has written, and everything of this reign
/// that the leaver has: it may have acknowledged more since the primary answered. Written, not executed: a commit under way
/// may have the leaver's acknowledgement and complete after the claim was changed.
fn holders(
    roster: &Roster<'_>,
    primary: &MemberState,
    leaver: &QuorumMember,
    members: &[QuorumMember],
) -> i32 {
    let Some(written) = written(primary) else {
        return 0;
    };
    let uuid = primary.server_uuid.as_deref().unwrap_or_default();
    let last = roster.member(leaver).and_then(possession).unwrap_or_default();
    let everything = written.union(&last.subtract(&last.without_source(uuid)));
    let count = members
        .iter()
        .filter(|member| member.name != primary.instance)
        .filter_map(|member| roster.member(member))
        .filter(|state| possession(state).is_some_and(|set| set.contains(&everything)))
        .count();
    i32::try_from(count).unwrap_or(0)
}

/// Raises k: first the server waits for more acknowledgements, a write shows that they arrive (so everything older has
/// arrived too), and only then the claim is recorded.
fn raise(roster: &Roster<'_>, primary: &MemberState) -> Option<ClaimMove> {
    let Role::Primary { proven_k, .. } = primary.role else {
        return None;
    };
    let ackers = roster.answered().filter(|state| is_healthy_follower(roster, primary, state)).count();
    let target = roster.cluster.wanted_k().min(i32::try_from(ackers).unwrap_or(0));
    if target <= roster.claim.k {
        return None;
    }
    let reason = format!("{ackers} replicas acknowledge; each write shall wait for {target}");
    if proven_k == Some(target) {
        return Some(ClaimMove::record(roster, roster.claim.members.clone(), target, reason));
    }
    Some(ClaimMove { server_k: target, ..ClaimMove::keep(roster, reason) })
}
