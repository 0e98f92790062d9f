//! What a client was told about one write.

use super::clock::At;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How a write ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The server said that it is committed.
    Acknowledged,
    /// The server said, before any commit, that it will not be.
    Failed,
    /// The connection was lost or given up after the statement was sent: it may be committed or not.
    Unknown,
}

/// One attempt to write one row. No row is attempted twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Number of the client.
    pub writer: u32,
    /// Number of its attempt.
    pub sequence: u64,
    /// `@@server_uuid` of the server that the client was connected to.
    pub server: Arc<str>,
    /// When the statement was about to be sent.
    pub start: At,
    /// When the answer was there, or when the client gave up.
    pub end: At,
    /// The answer.
    pub outcome: Outcome,
}

impl Entry {
    /// Whether this one ended before the other began, so that their commits have an order.
    pub fn precedes(&self, other: &Self) -> bool {
        self.end < other.start
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writer, sequence, server, start, end, outcome } = self;
        let (start, end) = (start.as_secs_f64(), end.as_secs_f64());
        write!(
            formatter,
            "row ({writer}, {sequence}) {outcome:?} by {server} from {start:.4} s to {end:.4} s"
        )
    }
}

/// All that clients noted.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Every attempt, in no order.
    pub entries: Vec<Entry>,
    /// Why no row could be sent, or was not acknowledged, in the words of the driver, and how often.
    pub troubles: BTreeMap<String, u64>,
    /// Instance of each server, by `@@server_uuid`. A cloned instance is another server.
    pub instances: BTreeMap<Arc<str>, String>,
}

impl History {
    /// Takes over what others noted.
    pub fn extend(&mut self, other: Self) {
        let Self { entries, troubles, instances } = other;
        self.entries.extend(entries);
        for (words, count) in troubles {
            *self.troubles.entry(words).or_default() += count;
        }
        self.instances.extend(instances);
    }

    /// Notes why something did not work.
    pub fn trouble(&mut self, words: String) {
        *self.troubles.entry(words).or_default() += 1;
    }

    /// How many attempts ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.entries.iter().filter(|entry| entry.outcome == outcome).count()
    }
}
