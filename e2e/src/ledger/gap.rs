//! How long clients could not write.

use super::clock::At;
use super::entry::{Entry, Outcome};
use std::time::Duration;

/// Two acknowledged writes, of whichever clients, with none between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the earlier one was acknowledged.
    pub from: At,
    /// When the later one was.
    pub to: At,
}

impl Gap {
    /// How long it is.
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// The longest gap that ends after `fault`; `None` when nothing was acknowledged after it.
pub fn longest_gap(entries: &[Entry], fault: At) -> Option<Gap> {
    let acknowledged = entries.iter().filter(|entry| entry.outcome == Outcome::Acknowledged);
    let mut times: Vec<At> = acknowledged.map(|entry| entry.end).collect();
    times.sort_unstable();
    let gaps = times.windows(2).filter_map(|pair| match pair {
        &[from, to] if to > fault => Some(Gap { from, to }),
        _ => None,
    });
    gaps.max_by_key(Gap::length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(end: u64) -> Entry {
        let at = At::from_millis;
        Entry {
            writer: 1,
            sequence: end,
            server: "a".into(),
            start: at(end - 1),
            end: at(end),
            outcome: Outcome::Acknowledged,
        }
    }

    fn gap(entries: &[Entry], fault: u64) -> Option<(u128, u128)> {
        let gap = longest_gap(entries, At::from_millis(fault))?;
        Some((gap.from.as_millis(), gap.to.as_millis()))
    }

    #[test]
    fn it_spans_the_fault_and_takes_all_clients_together() {
        let mut entries: Vec<Entry> = [10, 500, 510, 900, 905].map(acknowledged).into();
        let mut unknown = acknowledged(700);
        unknown.outcome = Outcome::Unknown;
        entries.push(unknown);
        assert_eq!(gap(&entries, 505), Some((510, 900)), "the write without an answer ends nothing");
        assert_eq!(gap(&entries, 20), Some((10, 500)));
        assert_eq!(gap(&entries, 902), Some((900, 905)));
        assert_eq!(gap(&entries, 905), None);
        assert_eq!(gap(&entries[..1], 1), None, "one write is no gap");
    }
}
