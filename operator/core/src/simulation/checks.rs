//! What must hold at every instant (ha.md §6), and what must hold at the end.

use super::member::{NAMES, Stance};
use super::transaction::{Kind, Transaction};
use super::world::World;
use crate::decide;
use crate::fixture;
use crate::plan::Plan;
use crate::protocol::Term;
use crate::view::ClusterView;

/// Passes whose decision is held against the whole `decide::plan`: one in so many.
const SAMPLE: u64 = 100;

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name in ha.md §6, such as `I1`.
    pub invariant: &'static str,
    /// What was seen, in a sentence.
    pub seen: String,
}

/// What clients were told, and what was counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Writes that were acknowledged to a client.
    pub(super) acknowledged: Vec<Transaction>,
    /// By content: what a client has seen on an admitting primary.
    pub(super) visible: Vec<bool>,
    /// Term and server of the last commit that was completed.
    pub(super) completed: Option<(Term, usize)>,
    /// Passes of operators.
    pub(super) passes: u64,
    /// From where they are counted, so that every schedule holds other ones of its few passes against the whole.
    pub(super) offset: u64,
    /// Passes whose decision was held against the whole one.
    pub(super) compared: u64,
}

impl World {
    pub(super) fn fail(&mut self, invariant: &'static str, seen: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let violation = Violation { invariant, seen: seen() };
            self.note(|| format!("VIOLATION {violation:?}"));
            self.violation = Some(violation);
        }
    }

    /// A commit is completed, and its client answered. An acknowledgement may have been under way while the term ended:
    /// then the transaction is in the log of whoever completes commits since, and was so before its first own one (I2).
    pub(super) fn check_completion(
        &mut self,
        index: usize,
        term: Term,
        transaction: Transaction,
        answers: bool,
    ) {
        match self.ledger.completed {
            Some((last, by)) if term < last || (term == last && by != index) => {
                if !self.holds(by, transaction.content) {
                    self.fail("I2", || {
                        format!(
                            "{} completes {transaction:?} in term {term} after {} did so in {last}",
                            NAMES[index], NAMES[by]
                        )
                    });
                }
            }
            _ => self.ledger.completed = Some((term, index)),
        }
        if answers && transaction.kind == Kind::Write {
            self.note(|| format!("{} acknowledges {:?}", NAMES[index], transaction.gtid));
            self.ledger.acknowledged.push(transaction);
        }
    }

    fn holds(&self, index: usize, content: u16) -> bool {
        self.members[index].disk.log.iter().any(|one| one.content == content)
    }

    /// A client reads all there is.
    pub(super) fn read_by_client(&mut self, index: usize) {
        for transaction in &self.members[index].disk.log {
            let place = usize::from(transaction.content);
            if self.ledger.visible.len() <= place {
                self.ledger.visible.resize(place + 1, false);
            }
            self.ledger.visible[place] = true;
        }
    }

    /// A replica acknowledges to `source` (I3). One that was sealed and has nothing waiting completes nothing by it.
    pub(super) fn check_acknowledgement(&mut self, index: usize, source: usize) {
        let Some(server) = &self.members[source].server else { return };
        let (term, floor) = (server.term, self.members[index].floor);
        let completes = !server.read_only || !self.members[source].disk.tail.is_empty();
        if server.source_semi_sync && completes && term > 0 && term < floor {
            self.fail("I3", || {
                format!("{} acknowledges to {} in term {term} below {floor}", NAMES[index], NAMES[source])
            });
        }
    }

    /// Clients are let in: all that was acknowledged or seen must be there (I1, I6).
    pub(super) fn check_admission(&mut self, index: usize) {
        let term = self.members[index].server.as_ref().map_or(0, |server| server.term);
        if self.ledger.completed.is_none_or(|(last, _)| term >= last) {
            self.check_nothing_is_lost(index);
        }
    }

    fn check_nothing_is_lost(&mut self, index: usize) {
        let mut there = vec![false; 1 + usize::from(u16::MAX)];
        for transaction in &self.members[index].disk.log {
            there[usize::from(transaction.content)] = true;
        }
        let lost = self.ledger.acknowledged.iter().find(|one| !there[usize::from(one.content)]).copied();
        if let Some(lost) = lost {
            self.fail("I1", || format!("{lost:?} was acknowledged and is not on {}", NAMES[index]));
        }
        let unseen = self.ledger.visible.iter().zip(&there).position(|(seen, there)| *seen && !there);
        if let Some(content) = unseen {
            self.fail("I6", || format!("content {content} was seen and is not on {}", NAMES[index]));
        }
    }

    /// The protocol's part of a decision is that of the whole one.
    pub(super) fn check_plan(&mut self, view: &ClusterView, part: &Plan) {
        self.ledger.passes += 1;
        if !(self.ledger.passes + self.ledger.offset).is_multiple_of(SAMPLE) {
            return;
        }
        self.ledger.compared += 1;
        let whole = decide::plan(view, &fixture::settings());
        if whole.record != part.record || whole.orders != part.orders {
            self.fail("plan", || format!("{:?} is not {:?}", part.reason, whole.reason));
        }
    }

    /// Contents of a member's log, in order.
    fn tell_log(&self, index: usize) -> Vec<u16> {
        self.members[index].disk.log.iter().map(|one| one.content).collect()
    }

    /// At rest: one primary, recorded, open, with everything; the others are prefixes of it (I1, I4, I5, I6).
    pub(super) fn check_rest(&mut self) {
        let open = self.open_members();
        let recorded = self.stored.status.primary.clone().unwrap_or_default();
        let &[primary] = open.as_slice() else {
            return self.fail("I5", || format!("{open:?} are open at rest"));
        };
        if NAMES[primary] != recorded {
            self.fail("I5", || format!("{} is open and {recorded} is recorded", NAMES[primary]));
        }
        self.check_nothing_is_lost(primary);
        for index in (0..self.members.len()).filter(|index| *index != primary) {
            let replica = &self.members[index];
            let follows = matches!(replica.stance(), Stance::Replica { .. });
            let is_prefix = self.members[primary].disk.log.starts_with(&replica.disk.log);
            let claims = self.members[primary].disk.executed.covers(&replica.disk.executed);
            if follows && !(is_prefix && claims) {
                let logs = [self.tell_log(index), self.tell_log(primary)];
                self.fail("I4", || format!("{} is no prefix of {}: {logs:?}", NAMES[index], NAMES[primary]));
            }
        }
    }
}
