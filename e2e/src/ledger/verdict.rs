//! What is printed, and what benches count.

use super::entry::{Entry, History, Outcome};
use super::judge::{Evidence, Violation, judge};
use anyhow::{Result, bail};
use std::cmp::Reverse;
use std::fmt;

/// The longest list of violations that is printed.
const SHOWN: usize = 20;

/// What clients were told, counted.
#[derive(Clone, Debug)]
pub struct Tally {
    acknowledged: usize,
    failed: usize,
    unknown: usize,
    troubles: Vec<(String, u64)>,
}

/// A judged ledger.
#[derive(Clone, Debug)]
pub struct Verdict {
    tally: Tally,
    /// How many of the rows without an answer are there.
    kept: usize,
    reigns: usize,
    /// Every broken promise.
    pub violations: Vec<Violation>,
}

impl Tally {
    /// Counts.
    pub fn of(history: &History) -> Self {
        let mut troubles: Vec<(String, u64)> =
            history.troubles.iter().map(|(words, count)| (words.clone(), *count)).collect();
        troubles.sort_by_key(|(_, count)| Reverse(*count));
        Self {
            acknowledged: history.count(Outcome::Acknowledged),
            failed: history.count(Outcome::Failed),
            unknown: history.count(Outcome::Unknown),
            troubles,
        }
    }
}

impl Verdict {
    /// Judges the evidence.
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let table = evidence.members.values().next();
        let is_kept =
            |entry: &Entry| table.is_some_and(|table| table.contains_key(&(entry.writer, entry.sequence)));
        let unknown = evidence.history.entries.iter().filter(|entry| entry.outcome == Outcome::Unknown);
        Self {
            tally: Tally::of(evidence.history),
            kept: unknown.filter(|entry| is_kept(entry)).count(),
            reigns: evidence.reigns.len(),
            violations: judge(evidence),
        }
    }

    /// How many broken promises there are.
    pub fn count(&self) -> u64 {
        u64::try_from(self.violations.len()).unwrap_or(u64::MAX)
    }

    /// # Errors
    /// The whole verdict, when a promise was broken.
    pub fn ensure_clean(&self) -> Result<()> {
        if self.violations.is_empty() { Ok(()) } else { bail!("{self}") }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, failed, unknown, troubles } = self;
        write!(formatter, "{acknowledged} rows acknowledged, {failed} refused, {unknown} without an answer")?;
        for (words, count) in troubles {
            write!(formatter, "\n  {count:>6} x {words}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tally, kept, reigns, violations } = self;
        writeln!(formatter, "{tally}")?;
        writeln!(
            formatter,
            "  {kept} rows without an answer are there; {reigns} terms; {} violations",
            violations.len()
        )?;
        for violation in violations.iter().take(SHOWN) {
            writeln!(formatter, "  VIOLATION {violation}")?;
        }
        match violations.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => writeln!(formatter, "  and {more} more"),
            _ => Ok(()),
        }
    }
}
