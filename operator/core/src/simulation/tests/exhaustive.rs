//! Everything that can happen within small scopes, and planted bugs that must show in them.

use crate::simulation::dice::Dice;
use crate::simulation::event::{Event, Fault, Grain};
use crate::simulation::schedule::well;
use crate::simulation::{Coverage, Planted, Scopes, Violation, cover, uncover};
use std::time::Instant;

/// Distinct states within which a bug must show.
const BOUND: usize = 200_000;

/// Prints what was covered; a violation with all that led to it.
fn tell(coverage: &Coverage, began: Instant) {
    println!("{coverage}, in {:?}", began.elapsed());
    if let Some((violation, trace)) = &coverage.violation {
        panic!("{}\n{}: {violation:?}", trace.join("\n"), coverage.name);
    }
}

#[test]
fn i1_to_i8_hold_in_everything_that_small_scopes_allow() {
    let mut began = Instant::now();
    cover(Scopes::Small, |coverage| {
        tell(coverage, began);
        assert_eq!(coverage.cut_off, None, "{coverage}");
        assert_eq!(coverage.healed + 1, coverage.states, "{coverage}");
        began = Instant::now();
    });
}

/// Deeper scopes, each as far as so many distinct states.
#[test]
fn deeper_scopes() {
    let Ok(states) = std::env::var("PORPOISE_STATES") else { return };
    let states = states.parse().unwrap();
    let mut began = Instant::now();
    cover(Scopes::Deep(states), |coverage| {
        tell(coverage, began);
        began = Instant::now();
    });
}

/// A member on its way out acknowledges, and its node and Pod go before the primary has completed that commit: one way
/// through it, since all of them are too many.
fn a_member_without_a_pod(planted: Option<Planted>) -> Option<Violation> {
    let mut world = well(3);
    world.dice = Dice::searching();
    world.planted = planted;
    for event in [
        Event::Write(0),
        Event::Receive(2),
        Event::Acknowledge(0),
        Event::Mishap(Fault::Node, 2),
        Event::Scale(2),
        Event::Look(0),
        Event::Record(0),
        Event::Complete(0),
        Event::Mishap(Fault::Server, 0),
        Event::Look(0),
        Event::Record(0),
        Event::Look(0),
        Event::Deliver(1),
        Event::Pursue(1),
    ] {
        world.happen(event, Grain::Member);
    }
    world.dice = Dice::new(1);
    world.recover();
    world.violation
}

#[test]
fn h21_a_member_without_a_pod_stays_until_what_it_acknowledged_is_with_others() {
    assert_eq!(a_member_without_a_pod(None), None);
    let violation = a_member_without_a_pod(Some(Planted::OwnedForgotten));
    assert!(violation.is_some_and(|violation| violation.invariant == "I1"));
}

/// Unlike in random schedules a cluster that does not become well counts: without the bug every one in this scope does.
fn is_found(planted: Planted) {
    let coverage = uncover(planted, BOUND).unwrap();
    println!("{planted:?}: {coverage}");
    let (_, trace) = coverage.violation.unwrap_or_else(|| panic!("{planted:?} is not found"));
    assert!(trace.iter().any(|line| line.contains("VIOLATION")), "the way to {planted:?} leads there again");
}

#[test]
fn one_seal_too_few() {
    is_found(Planted::OneSealTooFew);
}

#[test]
fn a_record_without_compare_and_swap() {
    is_found(Planted::RecordWithoutCompareAndSwap);
}

#[test]
fn an_order_without_what_it_was_decided_on() {
    is_found(Planted::OrderWithoutSeen);
}

#[test]
fn clients_before_the_term_record() {
    is_found(Planted::ClientsBeforeTermRecord);
}

#[test]
fn h21_a_claim_too_early() {
    is_found(Planted::ClaimTooEarly);
}

#[test]
fn h5_semi_sync_that_times_out() {
    is_found(Planted::SemiSyncTimesOut);
}

#[test]
fn h10_relay_log_recovery() {
    is_found(Planted::RelayLogRecovery);
}

#[test]
fn h11_executed_instead_of_received() {
    is_found(Planted::ExecutedInsteadOfReceived);
}

#[test]
fn h21_a_claim_too_late() {
    is_found(Planted::ClaimTooLate);
}

#[test]
fn h21_a_proof_taken_back_too_late() {
    is_found(Planted::LoweredTooLate);
}

#[test]
fn h21_a_member_that_leaves_too_early() {
    is_found(Planted::LeavesTooEarly);
}

#[test]
fn h22_a_tail_that_is_kept() {
    is_found(Planted::TailKept);
}
