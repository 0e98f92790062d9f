//! What a member decides by itself: pure, so that agents and the simulator run the same code.
//!
//! `order` judges what comes in; `promise` is what must be durable before anything else happens.

mod order;
mod promise;

pub use order::{Standing, Verdict, judge};
pub use promise::Promise;

use crate::protocol::{Action, Order, Term};
use serde::{Deserialize, Serialize};

/// Whose volume it is; content of `identity.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// UID of the `MySQLCluster` that owns the volume.
    pub cluster: String,
    /// `NAMESPACE/NAME` of the owner.
    pub owner: String,
    /// Instance whose volume it is.
    pub instance: String,
    /// Identity of the volume, made at random when it was blank.
    pub volume: String,
    /// `@@server_id`.
    pub server_id: u32,
}

/// Whose volume it turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Volume {
    /// Ours.
    Ours(Identity),
    /// Another cluster's: nothing is touched.
    Foreign(Identity),
    /// Nobody can say; why, in a sentence. Nothing is touched.
    Unusable(String),
    /// Another process works on it. Nothing is read, since it may change at any moment.
    InUse,
}

impl Volume {
    /// Its identity, if it has one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Ours(identity) | Self::Foreign(identity) => Some(&identity.volume),
            Self::Unusable(_) | Self::InUse => None,
        }
    }
}

/// What the agent works towards. In memory only: after a restart it waits for orders.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// Term of the order.
    pub term: Term,
    /// What it asks for.
    pub action: Action,
}

impl Goal {
    /// The goal that an accepted order sets; none when nothing is left to do (adopting was done when it came).
    pub fn of(order: &Order) -> Option<Self> {
        match order.action {
            Action::Adopt { .. } => None,
            Action::Seal
            | Action::Promote { .. }
            | Action::Follow { .. }
            | Action::Clone { .. }
            | Action::Restore { .. }
            | Action::Begin { .. }
            | Action::TakeOver { .. }
            | Action::Shutdown => Some(Self { term: order.term, action: order.action.clone() }),
        }
    }

    /// What may be told as proven while this goal is pursued: nothing while the count is being changed, so that whoever
    /// looks sees that the change is not over (protocol.rs, `Role::Primary`).
    pub fn proven(&self, proven_k: Option<i32>) -> Option<i32> {
        match self.action {
            Action::Promote { k, .. } => proven_k.filter(|proven| *proven == k),
            Action::Seal
            | Action::Follow { .. }
            | Action::Clone { .. }
            | Action::Restore { .. }
            | Action::Begin { .. }
            | Action::Adopt { .. }
            | Action::TakeOver { .. }
            | Action::Shutdown => None,
        }
    }

    /// Whether this goal ends with the run of mysqld that reigned in `term`: a primary does not become primary again by
    /// itself, since what it last wrote may not be acknowledged.
    pub fn ends_with_reign(&self, term: Term) -> bool {
        self.term == term && matches!(self.action, Action::Promote { .. })
    }
}

/// Whether a replica is too far behind to be read from. It comes back only well below the bound, so that one at its edge is
/// not moved in and out of the ro Service all the time. Of what is not known the worse is assumed.
pub fn is_lagging(was_lagging: bool, lag_seconds: Option<u64>, bound_seconds: u64) -> bool {
    let bound = if was_lagging { bound_seconds / 2 } else { bound_seconds };
    lag_seconds.is_none_or(|lag| lag > bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_leaves_the_reads_above_the_bound_and_returns_at_half_of_it() {
        for (was_lagging, lag, bound, lagging) in [
            (false, Some(0), 10, false),
            (false, Some(10), 10, false),
            (false, Some(11), 10, true),
            (true, Some(10), 10, true),
            (true, Some(6), 10, true),
            (true, Some(5), 10, false),
            (true, Some(0), 1, false),
            (true, Some(1), 1, true),
            (false, None, 10, true),
        ] {
            assert_eq!(is_lagging(was_lagging, lag, bound), lagging, "{was_lagging} {lag:?} {bound}");
        }
    }

    #[test]
    fn a_count_is_proven_only_while_it_is_the_wanted_one() {
        let goal = Goal { term: 3, action: Action::Promote { k: 2, admit: true } };
        assert_eq!(goal.proven(Some(2)), Some(2));
        assert_eq!(goal.proven(Some(1)), None);
        assert_eq!(goal.proven(None), None);
        assert_eq!(Goal { term: 3, action: Action::Seal }.proven(Some(2)), None);
    }

    #[test]
    fn only_a_promotion_in_its_term_ends_with_the_reign() {
        let goal = Goal { term: 3, action: Action::Promote { k: 2, admit: true } };
        assert!(goal.ends_with_reign(3) && !goal.ends_with_reign(2));
        assert!(!Goal { term: 3, action: Action::Seal }.ends_with_reign(3));
    }
}
