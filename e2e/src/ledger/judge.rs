//! The verdict, from what clients were told, what members hold, and who reigned when. Pure.

use super::clock::At;
use super::entry::{Entry, History, Outcome};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Rows of one member: who wrote them (writer and sequence), and through which server.
pub type Table = HashMap<(u32, u64), Arc<str>>;

/// One term, as its record in the data says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// The term.
    pub term: i64,
    /// The instance that recorded it.
    pub instance: String,
    /// When it did: the earliest moment at which it could commit in this term.
    pub since: At,
}

/// All that there is to judge.
pub struct Evidence<'a> {
    /// What clients noted.
    pub history: &'a History,
    /// What each member holds in the end.
    pub members: BTreeMap<String, Table>,
    /// Every term, ascending.
    pub reigns: Vec<Reign>,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// I1: an acknowledged row is not there.
    Lost {
        /// Where it is missing.
        member: String,
        /// The row.
        entry: Entry,
    },
    /// A row is there that the server had refused.
    Undead {
        /// Where it is.
        member: String,
        /// The row.
        entry: Entry,
    },
    /// A row is there that nobody sent, or with the mark of another server than the one that acknowledged it.
    Forged {
        /// Where it is.
        member: String,
        /// The row.
        row: (u32, u64),
        /// The mark it carries.
        server: Arc<str>,
    },
    /// Two members do not hold the same rows.
    Diverged {
        /// One member.
        one: String,
        /// The other.
        other: String,
        /// How many rows only one of them has.
        rows: usize,
        /// One of those rows.
        example: (u32, u64),
    },
    /// I2: a server acknowledged a write outside its reigns, by the servers' own clocks.
    Usurped {
        /// The write.
        entry: Entry,
        /// Its instance.
        instance: String,
    },
    /// I2: by the clients' clock alone, servers took turns more often than there were reigns.
    Interleaved {
        /// The write of one server.
        earlier: Entry,
        /// The later write of another one, for which no reign is left.
        later: Entry,
    },
}

/// How far wall clock and monotonic clock of one machine may drift apart during a scenario.
const SLACK: Duration = Duration::from_millis(20);

/// Every broken promise.
pub fn judge(evidence: &Evidence<'_>) -> Vec<Violation> {
    let mut violations = broken_rows(evidence.history, &evidence.members);
    let mut acknowledged: Vec<&Entry> =
        evidence.history.entries.iter().filter(|entry| entry.outcome == Outcome::Acknowledged).collect();
    acknowledged.sort_by_key(|entry| entry.end);
    violations.extend(acknowledged.iter().filter_map(|entry| usurped(evidence, entry)));
    violations.extend(interleaved(evidence, &acknowledged));
    violations
}

/// What clients were told against what members hold, whoever reigned.
pub fn broken_rows(history: &History, members: &BTreeMap<String, Table>) -> Vec<Violation> {
    let mut violations = rows(history, members);
    violations.extend(divergence(members));
    violations
}

/// Each row against each member's table.
fn rows(history: &History, members: &BTreeMap<String, Table>) -> Vec<Violation> {
    let sent: HashMap<(u32, u64), &Entry> =
        history.entries.iter().map(|entry| ((entry.writer, entry.sequence), entry)).collect();
    let mut violations = Vec::new();
    for (member, table) in members {
        let member = || member.clone();
        for (row, entry) in &sent {
            match (entry.outcome, table.get(row)) {
                (Outcome::Acknowledged, None) => {
                    violations.push(Violation::Lost { member: member(), entry: (*entry).clone() });
                }
                (Outcome::Failed, Some(_)) => {
                    violations.push(Violation::Undead { member: member(), entry: (*entry).clone() });
                }
                (Outcome::Acknowledged | Outcome::Failed | Outcome::Unknown, _) => {}
            }
        }
        let forged =
            table.iter().filter(|(row, server)| sent.get(*row).is_none_or(|entry| entry.server != **server));
        violations.extend(forged.map(|(row, server)| Violation::Forged {
            member: member(),
            row: *row,
            server: Arc::clone(server),
        }));
    }
    violations
}

/// Every member against the first: also rows whose fate no client knows are the same everywhere (I4).
fn divergence(members: &BTreeMap<String, Table>) -> Vec<Violation> {
    let mut members = members.iter();
    let Some((one, first)) = members.next() else { return Vec::new() };
    let differs = |(other, second): (&String, &Table)| {
        let only = |here: &Table, there: &Table| -> Vec<(u32, u64)> {
            here.keys().filter(|row| !there.contains_key(*row)).copied().collect()
        };
        let rows = [only(first, second), only(second, first)].concat();
        let example = *rows.iter().min()?;
        Some(Violation::Diverged { one: one.clone(), other: other.clone(), rows: rows.len(), example })
    };
    members.filter_map(differs).collect()
}

fn instance<'a>(evidence: &'a Evidence<'_>, entry: &Entry) -> &'a str {
    evidence.history.instances.get(&entry.server).map_or("unknown", String::as_str)
}

/// A write belongs to a reign of its instance: it was acknowledged after that reign began, and begun before another
/// instance's next one did. The later primary records its term only when the earlier one can commit no more.
fn usurped(evidence: &Evidence<'_>, entry: &Entry) -> Option<Violation> {
    let instance = instance(evidence, entry);
    let reigns = &evidence.reigns;
    let belongs = reigns.iter().enumerate().any(|(index, reign)| {
        let next = reigns[index..].iter().find(|later| later.instance != reign.instance);
        reign.instance == instance
            && reign.since <= entry.end + SLACK
            && next.is_none_or(|next| entry.start <= next.since + SLACK)
    });
    let usurped = || Violation::Usurped { entry: entry.clone(), instance: instance.to_owned() };
    (!belongs).then(usurped)
}

/// The longest chain of writes that certainly happened one after the other, each on another instance than the one before.
/// Its instances must be found, in this order, among the reigns.
fn interleaved(evidence: &Evidence<'_>, acknowledged: &[&Entry]) -> Option<Violation> {
    let mut reigns = evidence.reigns.iter();
    let mut last: Option<&Entry> = None;
    for entry in acknowledged {
        let turn = match last {
            None => true,
            Some(last) => last.precedes(entry) && instance(evidence, last) != instance(evidence, entry),
        };
        if !turn {
            continue;
        }
        let found = reigns.any(|reign| reign.instance == instance(evidence, entry));
        if !found {
            let earlier = last.unwrap_or(entry);
            return Some(Violation::Interleaved { earlier: earlier.clone(), later: (*entry).clone() });
        }
        last = Some(entry);
    }
    None
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { member, entry } => write!(formatter, "LOST on {member}: {entry}"),
            Self::Undead { member, entry } => write!(formatter, "refused, but on {member}: {entry}"),
            Self::Forged { member, row, server } => {
                write!(formatter, "row {row:?} on {member} was never sent to {server}, whose mark it carries")
            }
            Self::Diverged { one, other, rows, example } => {
                write!(formatter, "{rows} rows are only on one of {one} and {other}, such as {example:?}")
            }
            Self::Usurped { entry, instance } => {
                write!(formatter, "{instance} did not reign when it acknowledged {entry}")
            }
            Self::Interleaved { earlier, later } => {
                write!(formatter, "more turns than reigns: after {earlier} came {later}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
