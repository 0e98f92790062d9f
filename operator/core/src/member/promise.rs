//! The durable promise: no order below this term (ha.md §2).

use crate::protocol::{Order, Term};
use porpoise_crds::Quorum;
use serde::{Deserialize, Serialize};

/// Content of `promise.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Promise {
    /// Highest term promised.
    pub term: Term,
    /// Newest claim told.
    pub claim: Option<Quorum>,
}

impl Promise {
    /// The promise after `order`, whose term is not below it.
    #[must_use]
    pub fn after(&self, order: &Order) -> Self {
        let newer = |new: &Quorum| self.claim.as_ref().is_none_or(|old| new.version > old.version);
        let claim = order.claim.clone().filter(newer);
        Self { term: self.term.max(order.term), claim: claim.or_else(|| self.claim.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Action, Seen};

    fn order(term: Term, version: Option<i64>, action: Action) -> Order {
        Order {
            cluster: "uid".into(),
            instance: "shop-1".into(),
            volume: None,
            term,
            claim: version.map(|version| Quorum { version, ..Quorum::default() }),
            seen: Seen::default(),
            action,
        }
    }

    #[test]
    fn only_a_newer_claim_replaces() {
        let first = Promise::default().after(&order(3, Some(5), Action::Seal));
        assert_eq!((first.term, first.claim.as_ref().map(|c| c.version)), (3, Some(5)));
        let older = first.after(&order(4, Some(5), Action::Seal));
        assert_eq!((older.term, older.claim.as_ref().map(|c| c.version)), (4, Some(5)));
        let none = older.after(&order(4, None, Action::Promote { k: 1, admit: false }));
        assert_eq!(none.claim.map(|c| c.version), Some(5));
    }
}
