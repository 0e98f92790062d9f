//! Random schedules of the product as it is.

use crate::simulation::{campaign, replay};
use std::time::Instant;

/// A number from the environment of the test.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run(schedules: u64) {
    let began = Instant::now();
    let first = number("PORPOISE_FIRST", 1);
    let half = first + schedules / 2;
    let report = std::thread::scope(|scope| {
        let other = scope.spawn(|| campaign(half..first + schedules));
        campaign(first..half).and(other.join().unwrap())
    });
    println!(
        "{} schedules in {:?}: {} writes acknowledged, {} decisions ({} compared with the whole plan), \
         {} terms, {} violations",
        report.schedules,
        began.elapsed(),
        report.acknowledged,
        report.decisions,
        report.compared,
        report.terms,
        report.violations.len()
    );
    if let Some((seed, violation)) = report.violations.first() {
        let mut all = report.violations.clone();
        all.sort_by_key(|(_, violation)| violation.invariant);
        for (seed, violation) in all.iter().take(20) {
            println!("seed {seed}: {violation:?}");
        }
        println!("{}", replay(*seed, None).0.join("\n"));
        panic!(
            "seed {seed}: {violation:?}; again: PORPOISE_SEED={seed} cargo test -p porpoise-core simulation_replay"
        );
    }
    assert!(report.acknowledged > schedules, "the schedules hardly wrote anything: {report:?}");
    assert!(report.compared > report.decisions / 200, "the whole plan was hardly ever asked: {report:?}");
}

#[test]
fn i1_to_i8_hold_in_random_schedules() {
    run(number("PORPOISE_SCHEDULES", 100_000));
}

#[test]
fn simulation_replay() {
    let Ok(seed) = std::env::var("PORPOISE_SEED") else { return };
    let (trace, violation) = replay(seed.parse().unwrap(), None);
    println!("{}", trace.join("\n"));
    assert_eq!(violation, None);
}
