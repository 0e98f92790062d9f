//! The judge itself is judged: every sort of bad history must be found, and good ones left alone.

use super::*;

/// A history of one cluster: `a` reigns from 0, `b` from 1000 ms; each acknowledged row is on both members.
struct Trial {
    history: History,
    members: BTreeMap<String, Table>,
    reigns: Vec<Reign>,
}

fn reign(term: i64, instance: &str, since: u64) -> Reign {
    Reign { term, instance: instance.to_owned(), since: At::from_millis(since) }
}

impl Trial {
    fn new() -> Self {
        let mut history = History::default();
        for name in ["a", "b"] {
            history.instances.insert(format!("uuid-{name}").into(), name.to_owned());
        }
        let members = ["a", "b"].map(|name| (name.to_owned(), Table::new())).into();
        Self { history, members, reigns: vec![reign(1, "a", 0), reign(2, "b", 1000)] }
    }

    /// A write of its own writer through a server, from and to these milliseconds.
    fn write(mut self, server: &str, times: (u64, u64), outcome: Outcome) -> Self {
        let server: Arc<str> = format!("uuid-{server}").into();
        let writer = u32::try_from(self.history.entries.len()).unwrap();
        if outcome == Outcome::Acknowledged {
            for table in self.members.values_mut() {
                table.insert((writer, 1), Arc::clone(&server));
            }
        }
        let (start, end) = (At::from_millis(times.0), At::from_millis(times.1));
        self.history.entries.push(Entry { writer, sequence: 1, server, start, end, outcome });
        self
    }

    fn acknowledged(self, server: &str, times: (u64, u64)) -> Self {
        self.write(server, times, Outcome::Acknowledged)
    }

    fn holds(mut self, member: &str, row: (u32, u64), server: &str) -> Self {
        self.members.get_mut(member).unwrap().insert(row, format!("uuid-{server}").into());
        self
    }

    fn lacks(mut self, member: &str, row: (u32, u64)) -> Self {
        self.members.get_mut(member).unwrap().remove(&row);
        self
    }

    fn verdict(self) -> Vec<Violation> {
        let Self { history, members, reigns } = self;
        judge(&Evidence { history: &history, members, reigns })
    }
}

#[test]
fn an_orderly_failover_is_fine() {
    let trial = Trial::new()
        .acknowledged("a", (10, 20))
        .write("a", (900, 1900), Outcome::Unknown)
        .write("a", (910, 915), Outcome::Failed)
        // Acknowledged before the handover; its client heard of it late.
        .acknowledged("a", (990, 1100))
        .acknowledged("b", (1050, 1060))
        .acknowledged("b", (1200, 1210));
    assert_eq!(trial.verdict(), []);
}

#[test]
fn a_write_without_an_answer_may_be_there_or_not() {
    let sent = || Trial::new().write("a", (10, 20), Outcome::Unknown);
    assert_eq!(sent().verdict(), []);
    assert_eq!(sent().holds("a", (0, 1), "a").holds("b", (0, 1), "a").verdict(), []);
}

#[test]
fn i1_a_lost_row_is_found_on_the_member_that_lacks_it() {
    let trial = Trial::new().acknowledged("a", (10, 20)).lacks("b", (0, 1));
    let violations = trial.verdict();
    assert!(matches!(&violations[0], Violation::Lost { member, .. } if member == "b"), "{violations:?}");
    assert!(matches!(&violations[1], Violation::Diverged { rows: 1, .. }), "{violations:?}");
}

#[test]
fn i1_a_row_lost_everywhere_is_found() {
    let trial = Trial::new().acknowledged("a", (10, 20)).lacks("a", (0, 1)).lacks("b", (0, 1));
    assert_eq!(trial.verdict().iter().filter(|found| matches!(found, Violation::Lost { .. })).count(), 2);
}

#[test]
fn a_refused_row_that_is_there_is_found() {
    let trial = Trial::new().write("a", (10, 20), Outcome::Failed);
    let trial = trial.holds("a", (0, 1), "a").holds("b", (0, 1), "a");
    let violations = trial.verdict();
    assert_eq!(violations.len(), 2);
    assert!(violations.iter().all(|found| matches!(found, Violation::Undead { .. })), "{violations:?}");
}

#[test]
fn a_row_that_nobody_sent_is_found() {
    let stray = Trial::new().holds("a", (7, 7), "a").holds("b", (7, 7), "a").verdict();
    assert!(matches!(&stray[0], Violation::Forged { row: (7, 7), .. }), "{stray:?}");
    let mark = Trial::new().acknowledged("a", (10, 20)).holds("a", (0, 1), "b").verdict();
    assert!(matches!(&mark[0], Violation::Forged { member, .. } if member == "a"), "{mark:?}");
}

#[test]
fn i4_members_that_differ_are_found_even_when_no_client_was_promised_anything() {
    let trial = Trial::new().write("a", (10, 20), Outcome::Unknown).holds("a", (0, 1), "a");
    let violations = trial.verdict();
    assert!(matches!(&violations[..], [Violation::Diverged { rows: 1, .. }]), "{violations:?}");
}

#[test]
fn i2_a_deposed_server_that_goes_on_is_found() {
    let trial = Trial::new()
        .acknowledged("a", (10, 20))
        .acknowledged("b", (1100, 1110))
        .acknowledged("a", (1200, 1210));
    let violations = trial.verdict();
    assert!(
        matches!(&violations[..], [Violation::Usurped { instance, .. }, Violation::Interleaved { .. }] if instance == "a"),
        "{violations:?}"
    );
}

#[test]
fn i2_a_server_that_admits_clients_before_its_term_is_recorded_is_found() {
    let violations = Trial::new().acknowledged("b", (700, 710)).verdict();
    assert!(matches!(&violations[..], [Violation::Usurped { .. }]), "{violations:?}");
}

/// The servers' clocks may not be ours: then the clients' own is enough.
#[test]
fn i2_turns_without_reigns_are_found_by_the_clients_clock_alone() {
    let mut trial = Trial::new();
    for turn in 0..3 {
        let at = turn * 100;
        trial = trial.acknowledged("a", (at, at + 10)).acknowledged("b", (at + 50, at + 60));
    }
    trial.reigns = vec![reign(1, "a", 0), reign(2, "b", 0)];
    let violations = trial.verdict();
    let interleaved = violations.iter().filter(|found| matches!(found, Violation::Interleaved { .. }));
    assert_eq!(interleaved.count(), 1, "{violations:?}");
}

#[test]
fn a_server_may_reign_again() {
    let mut trial = Trial::new()
        .acknowledged("a", (10, 20))
        .acknowledged("b", (1100, 1110))
        .acknowledged("a", (2100, 2110))
        .acknowledged("a", (3100, 3110));
    trial.reigns.extend([reign(3, "a", 2000), reign(4, "a", 3000)]);
    assert_eq!(trial.verdict(), []);
}

#[test]
fn writes_that_overlap_have_no_order_and_are_no_turn() {
    let mut trial = Trial::new();
    trial.reigns[1].since = At::from_millis(100);
    let trial = trial.acknowledged("a", (90, 130)).acknowledged("b", (110, 120)).acknowledged("a", (95, 140));
    assert_eq!(trial.verdict(), []);
}
