//! I7: an operator that crashes between any two steps ends in the same state as one that does not.

use crate::simulation::schedule::well;
use crate::simulation::world::World;

/// Steps of a failover's passes, and more.
const STEPS: usize = 60;

/// The primary of three is gone for good while one operator works; it crashes after this step, if any.
fn failover(crash_after: Option<usize>) -> World {
    let mut world = well(3);
    world.calm = true;
    world.run_replicas(3);
    world.lose_server(0);
    for step in 0..STEPS {
        match step % 3 {
            0 => world.read(0),
            1 => world.decide(0),
            _ => {
                world.act(0);
                world.settle_members();
                world.now += 250;
            }
        }
        if crash_after == Some(step) {
            world.operators[0].crash();
        }
    }
    world
}

fn end(world: &World) -> String {
    let status = &world.stored.status;
    let claim = status.quorum.as_ref().map(|claim| (claim.members.len(), claim.k, claim.version));
    format!(
        "term {:?} primary {:?} claim {claim:?} open {:?}",
        status.term,
        status.primary,
        world.open_members()
    )
}

#[test]
fn i7_an_operator_crash_between_any_two_steps_ends_in_the_same_state() {
    let undisturbed = failover(None);
    assert!(undisturbed.is_well(), "{}", end(&undisturbed));
    for step in 0..STEPS / 2 {
        let mut world = failover(Some(step));
        assert!(world.is_well(), "crash after step {step}: {}", end(&world));
        assert_eq!(end(&world), end(&undisturbed), "crash after step {step}");
        world.check_rest();
        assert_eq!(world.violation, None, "crash after step {step}");
    }
}
