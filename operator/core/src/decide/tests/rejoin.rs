//! A deposed primary comes back from its own data (ha.md §4e).

use super::world::{World, set};
use crate::protocol::{Action, Order, ServerPhase, Tail};
use porpoise_crds::Phase;

fn orders_to<'a>(world: &'a World, name: &str) -> Vec<&'a Order> {
    world.last.orders.iter().filter(|order| order.instance == name).collect()
}

fn executed(world: &World, name: &str) -> crate::gtid::GtidSet {
    set(&world.members[name].state.data.as_ref().unwrap().executed)
}

/// Runs the passes until the cluster is healthy; fails when anybody is cloned.
fn heals_without_clone(world: &mut World) {
    for _ in 0..200 {
        world.pass();
        let clones = world.last.orders.iter().any(|order| matches!(order.action, Action::Clone { .. }));
        assert!(!clones, "{}", world.last.reason);
        if world.phase() == Some(Phase::Healthy) {
            return;
        }
    }
    panic!("never healthy: {}", world.last.reason);
}

#[test]
fn h3_a_held_primary_is_replaced_without_its_seal_and_keeps_what_the_new_one_has() {
    for instances in [2, 3, 5] {
        let mut world = World::healthy(instances);
        world.write(false);
        world.write(true);
        world.crash("shop-0");
        world.boot_held("shop-0");
        assert!(matches!(world.members["shop-0"].state.server, ServerPhase::Held { reigned: 1 | 2 }));
        let began = world.now;
        while world.primary() == "shop-0" {
            world.pass();
            assert!(orders_to(&world, "shop-0").is_empty(), "{:?}", world.last.orders);
        }
        let took = world.now.duration_since(began);
        assert!(took < jiff::SignedDuration::from_secs(3), "a held member is no straggler: {took:?}");
        heals_without_clone(&mut world);
        let primary = world.primary();
        assert_eq!(executed(&world, "shop-0"), executed(&world, &primary), "{instances} instances");
        assert_eq!(world.rejoined, (1, 1));
    }
}

#[test]
fn a_held_member_may_keep_what_was_acknowledged_and_hears_it_from_nobody_but_the_new_primary() {
    let mut world = World::healthy(3);
    world.write(false);
    let acknowledged = executed(&world, "shop-0");
    world.crash("shop-0");
    world.boot_held("shop-0");
    for _ in 0..40 {
        world.pass();
        for order in orders_to(&world, "shop-0") {
            let Action::Follow { keep: Some(keep), source, .. } = &order.action else {
                continue;
            };
            assert_eq!(*source, world.primary());
            assert!(order.term > 1);
            assert!(set(keep).contains(&acknowledged));
        }
    }
    assert_eq!(world.rejoined, (1, 0));
}

#[test]
fn h3_a_held_member_that_is_needed_is_started_with_all_it_has() {
    let mut world = World::healthy(3);
    world.write(true);
    world.crash("shop-0");
    world.crash("shop-1");
    world.boot_held("shop-0");
    for _ in 0..40 {
        world.pass();
    }
    assert_eq!(world.primary(), "shop-0", "it has the greatest set of the two");
    assert_eq!(world.rejoined.0, 0);
    world.boot("shop-1");
    heals_without_clone(&mut world);
}

#[test]
fn a_chosen_primary_that_is_held_is_told_to_go_on() {
    let mut world = World::healthy(3);
    let primary = world.primary();
    let term = world.status().term;
    let mut status = world.status();
    status.operation = Some(porpoise_crds::Operation {
        kind: porpoise_crds::OperationKind::Promoting,
        target: Some(primary.clone()),
        started_at: k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(world.now),
        sealed_at: None,
        from: None,
        planned: false,
        message: String::new(),
    });
    world.object.status = Some(status);
    world.crash(&primary);
    world.boot_held(&primary);
    world.passes(2);
    assert_eq!(world.members[&primary].state.server, ServerPhase::Running);
    // Its replicas connect again.
    world.boot(&primary);
    heals_without_clone(&mut world);
    assert_eq!((world.status().term, world.primary()), (term, primary));
}

#[test]
fn what_was_cut_off_is_listed_in_the_status() {
    let mut world = World::healthy(3);
    let tail = Tail { file: "1-1795259474.binlog".to_owned(), term: 1, transactions: 8, bytes: 4096 };
    world.member("shop-1").state.tails = vec![tail];
    world.pass();
    let told: Vec<usize> = world.status().instances.iter().map(|instance| instance.tails.len()).collect();
    assert_eq!(told, [0, 1, 0]);
    let first = world.status().instances[1].tails[0].clone();
    assert_eq!((first.term, first.transactions, first.bytes), (1, 8, 4096));
}
