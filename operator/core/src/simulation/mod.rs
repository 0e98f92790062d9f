//! A simulator of the protocol (ha.md): members with durable state, two operators, a network that loses and delays.
//!
//! It runs the product's own decisions, `decide` for the operator and `member::judge` for the agents, and carries out
//! what they decide step by step, with crashes, cuts and second faults between the steps. Every schedule follows from a
//! seed alone. The invariants of ha.md §6 are checked at every step and at rest.
//!
//! A search goes through the same world without chance: in each state it tries every event that is enabled, and goes on
//! from every state that it has not seen yet. A small scope is so covered completely.

mod checks;
mod copy;
mod dice;
mod disk;
mod event;
mod fingerprint;
mod member;
mod network;
mod operator;
mod planted;
mod pursuit;
mod recovery;
mod replication;
mod sabotage;
mod schedule;
mod scopes;
mod search;
mod server;
#[cfg(test)]
mod tests;
mod transaction;
mod world;

pub use checks::Violation;
pub use planted::Planted;
pub use search::Coverage;

use std::ops::Range;

/// What came out of a range of schedules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Schedules that were run.
    pub schedules: u64,
    /// Writes that were acknowledged to clients.
    pub acknowledged: u64,
    /// Decisions that operators made.
    pub decisions: u64,
    /// Those that were held against the whole `decide::plan`.
    pub compared: u64,
    /// Terms that were begun.
    pub terms: u64,
    /// Seeds whose schedule broke an invariant, and which.
    pub violations: Vec<(u64, Violation)>,
}

impl Report {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.schedules += other.schedules;
        self.acknowledged += other.acknowledged;
        self.decisions += other.decisions;
        self.compared += other.compared;
        self.terms += other.terms;
        self.violations.extend(other.violations);
        self
    }
}

/// Runs the schedules of all these seeds.
pub fn campaign(seeds: Range<u64>) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let world = schedule::run(seed, None, false);
        report.schedules += 1;
        report.acknowledged += u64::try_from(world.ledger.acknowledged.len()).unwrap_or(0);
        report.decisions += world.ledger.passes;
        report.compared += world.ledger.compared;
        report.terms += world.stored.status.term.unwrap_or(0).unsigned_abs();
        report.violations.extend(world.violation.map(|violation| (seed, violation)));
    }
    report
}

/// What happened in the schedule of a seed, line by line, and what it broke.
pub fn replay(seed: u64, planted: Option<Planted>) -> (Vec<String>, Option<Violation>) {
    let world = schedule::run(seed, planted, true);
    (world.trace.unwrap_or_default(), world.violation)
}

/// Which scopes are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scopes {
    /// Those that are covered completely within seconds.
    Small,
    /// Those that take minutes, each as far as so many distinct states.
    Deep(usize),
}

/// Searches everything that can happen within these scopes; `report` is told about each.
pub fn cover(scopes: Scopes, mut report: impl FnMut(&Coverage)) {
    let scopes = match scopes {
        Scopes::Small => scopes::small(),
        Scopes::Deep(states) => {
            scopes::deep().into_iter().map(|scope| search::Scope { states, ..scope }).collect()
        }
    };
    for scope in scopes {
        report(&search::search(&scope));
    }
}

/// Searches the scope in which a planted bug shows soonest, as far as so many distinct states. None: it needs a larger one.
pub fn uncover(planted: Planted, states: usize) -> Option<Coverage> {
    scopes::planted(planted).map(|scope| search::search(&search::Scope { states, ..scope }))
}

/// The first seed of these whose schedule finds the planted bug in a way that counts.
pub fn find(
    planted: Planted,
    seeds: Range<u64>,
    counts: impl Fn(&Violation) -> bool,
) -> Option<(u64, Violation)> {
    seeds.into_iter().find_map(|seed| {
        let violation = schedule::run(seed, Some(planted), false).violation?;
        counts(&violation).then_some((seed, violation))
    })
}
