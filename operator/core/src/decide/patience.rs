//! A planned move waits for long transactions of clients before anything is frozen (ha.md §4a), and not for ever.

use crate::protocol::{LongTransactions, MemberState};
use std::time::Duration;

/// How long a move waits that nobody is in a hurry for.
pub(super) const UNHURRIED: Duration = Duration::from_mins(1);
/// How long it waits when the primary's Pod is about to end: the rest of the agent's preStop hook (15 s) is for the move.
pub(super) const POD_ENDS: Duration = Duration::from_secs(10);

/// What is waited for, in a sentence; absent: nothing, or it took longer than this.
pub(super) fn awaited(primary: &MemberState, patience: Duration) -> Option<String> {
    let found = primary.long_transactions.as_ref()?;
    (Duration::from_secs(found.lasting_seconds) < patience).then(|| sentence(primary, found))
}

/// The transactions that are in the way, in a sentence.
pub(super) fn in_the_way(primary: &MemberState) -> Option<String> {
    primary.long_transactions.as_ref().map(|found| sentence(primary, found))
}

fn sentence(primary: &MemberState, found: &LongTransactions) -> String {
    let others = match found.count {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    format!(
        "waiting for a transaction on {} that has been open for {} s (session {}){others}: commit it, or end it with KILL {}",
        primary.instance, found.age_seconds, found.session, found.session
    )
}
