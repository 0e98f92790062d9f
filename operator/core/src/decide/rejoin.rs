//! A former primary comes back from its own data: it is told what it may keep before its mysqld starts (ha.md §4e).

use super::roster::{Roster, executed};
use crate::protocol::{MemberState, Order, Role, ServerPhase};

/// The order to a held member: follow, and keep what the primary has. None while the primary's own set is not final, or
/// while it still has to be: the member then goes on waiting, or starts with all it has.
pub(super) fn order(
    roster: &Roster<'_>,
    primary: &MemberState,
    state: &MemberState,
    acknowledge: bool,
) -> Option<Order> {
    let ServerPhase::Held { reigned } = state.server else {
        return None;
    };
    if reigned >= roster.term || !is_final(roster, primary) {
        return None;
    }
    let keep = executed(primary)?;
    Some(roster.follow(state, primary, acknowledge, Some(keep.to_string())))
}

/// Whether every acknowledged transaction of older terms is in the primary's executed set. It is as soon as the chosen
/// member is sealed for its term and has applied what it received: that is what it was chosen by. To wait for its term
/// record to be acknowledged would be wrong for a pair, where the held member is the only one who can do that.
fn is_final(roster: &Roster<'_>, primary: &MemberState) -> bool {
    match primary.role {
        Role::Primary { term, .. } => term == roster.term,
        Role::Sealed { term } => {
            term == roster.term && primary.data.as_ref().is_some_and(|data| data.settled)
        }
        Role::Idle | Role::Replica { .. } => false,
    }
}

/// Whether enough members can be sealed without the start of a held one, which would commit what nobody acknowledged and
/// so make a clone necessary.
pub(super) fn spares_held(roster: &Roster<'_>) -> bool {
    roster.answered().filter(|state| can_seal(state)).count() >= roster.needed_seals()
}

fn can_seal(state: &MemberState) -> bool {
    matches!(state.server, ServerPhase::Running | ServerPhase::Starting)
}
