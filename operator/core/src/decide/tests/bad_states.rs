//! States that must never end in silence or in a guess (docs: "Bad states").

use super::world::World;
use crate::decide::plan;
use crate::fixture;
use crate::plan::Plan;
use crate::view::{Ages, ClusterView};
use porpoise_crds::OperationKind;
use std::time::Duration;

fn decide(view: &ClusterView) -> Plan {
    plan(view, &fixture::settings())
}

/// The chosen primary of a failover is silent, and the operation is known for so long.
fn silent_since(age: Duration) -> (World, ClusterView) {
    let mut world = World::healthy(3);
    world.crash("shop-0");
    while world.status().operation.as_ref().map(|operation| operation.kind) != Some(OperationKind::Promoting)
    {
        world.pass();
    }
    let chosen = world.primary();
    world.boot("shop-0");
    world.crash(&chosen);
    let mut view = world.view();
    let silent = crate::view::Look::Silent { reason: "time-out".to_owned(), lasting: age };
    view.members.insert(chosen, silent);
    view.ages = Ages::moments(&view.object).into_iter().map(|moment| (moment, age)).collect();
    (world, view)
}

#[test]
fn a_clock_that_jumps_ends_no_wait_and_prolongs_none() {
    let day = jiff::SignedDuration::from_hours(24);
    for (age, elects) in [(Duration::from_secs(2), false), (Duration::from_secs(9), true)] {
        let (world, mut view) = silent_since(age);
        for now in [world.now, world.now + day, world.now - day] {
            view.now = now;
            assert_eq!(decide(&view).record.is_some(), elects, "{age:?} {now}");
        }
    }
}
