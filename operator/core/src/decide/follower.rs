//! How well a member follows the reigning primary, and whether its data can lead there at all.

use super::roster::{Roster, can_promise, executed, possession};
use crate::gtid::GtidSet;
use crate::protocol::{MemberState, Role};

/// Whether the member's own data cannot lead to the primary's: it diverged, the primary no longer has the binlogs it
/// needs (H14), or it is blank and the cluster already serves.
pub(super) fn needs_clone(primary: &MemberState, state: &MemberState) -> bool {
    if matches!(state.role, Role::Replica { needs_clone: true, .. }) {
        return true;
    }
    let (Some(ours), Some(theirs), Some(purged)) = (possession(primary), possession(state), purged(primary))
    else {
        return false;
    };
    // A donor whose commits wait for acknowledgement cannot be cloned (H8); its binlogs can still be followed.
    let serves = matches!(primary.role, Role::Primary { admitting: true, .. })
        && primary.data.as_ref().is_some_and(|data| data.waiting_commits == 0);
    // By what it executed: a clone that failed half-way may leave a receiver that knows more than the data.
    let blank = executed(state).is_none_or(|set| set.is_empty());
    !beyond(primary, &ours, &theirs).is_empty()
        || !executed(state).is_some_and(|set| set.contains(&purged))
        || (blank && serves)
}

/// Whether the member has data and not one transaction of it is the primary's: whose it is nobody knows, and it is replaced
/// only when a person says so. By what it executed, as a clone that failed half-way leaves a receiver with other marks.
pub(super) fn is_foreign(primary: &MemberState, state: &MemberState) -> bool {
    let (Some(ours), Some(theirs)) = (possession(primary), executed(state)) else {
        return false;
    };
    let own = theirs.without_source(primary.server_uuid.as_deref().unwrap_or_default());
    !ours.is_empty() && !own.is_empty() && theirs.intersect(&ours).is_empty()
}

/// What a member has that leads away from the primary. Transactions of the reigning primary itself may be there before it
/// shows them (H12).
pub(super) fn beyond(primary: &MemberState, ours: &GtidSet, theirs: &GtidSet) -> GtidSet {
    theirs.subtract(ours).without_source(primary.server_uuid.as_deref().unwrap_or_default())
}

fn purged(state: &MemberState) -> Option<GtidSet> {
    GtidSet::parse(&state.data.as_ref()?.purged).ok()
}

/// A member of the claim that follows this primary without trouble and whose acknowledgements count.
pub(super) fn is_healthy_follower(roster: &Roster<'_>, primary: &MemberState, state: &MemberState) -> bool {
    roster.entry(state).is_some()
        && can_promise(state)
        && follows(roster, primary, state)
        && matches!(state.role, Role::Replica { acknowledging: true, .. })
}

/// Whether the member receives from this primary in this term and applies, without an error.
pub(super) fn follows(roster: &Roster<'_>, primary: &MemberState, state: &MemberState) -> bool {
    matches!(&state.role, Role::Replica { term, source, receiving: true, applying: true, error, .. }
        if *term == roster.term && *source == primary.instance && error.is_empty())
}

/// How many transactions a member may be behind the primary and still count as caught up: a few passes' worth.
const CAUGHT_UP: u64 = 1000;

/// Whether the member lacks no more than a moment's transactions.
pub(super) fn is_caught_up(primary: &MemberState, state: &MemberState) -> bool {
    let (Some(everything), Some(theirs)) = (executed(primary), executed(state)) else {
        return false;
    };
    everything.subtract(&theirs).count() <= CAUGHT_UP
}
