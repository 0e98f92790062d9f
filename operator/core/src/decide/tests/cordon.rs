//! The primary leaves a node that it will have to leave: cordoned (C4), or under pressure and allowed by a gate (H18).

use super::world::{World, node_of};
use crate::decide::plan;
use crate::fixture;
use crate::gate::FeatureGate;
use crate::protocol::LongTransactions;
use crate::view::NodeView;
use porpoise_crds::{FailoverMode, Phase, RequestOutcome, Switchover};

const CORDONED: NodeView = NodeView { cordoned: true, memory_pressure: false, disk_pressure: false };
const FULL: NodeView = NodeView { cordoned: false, memory_pressure: false, disk_pressure: true };
const TIGHT: NodeView = NodeView { cordoned: false, memory_pressure: true, disk_pressure: false };

/// A Healthy cluster whose nodes may be read.
fn world(instances: i32) -> World {
    let mut world = World::healthy(instances);
    for name in world.members.keys() {
        world.nodes.insert(node_of(name), NodeView::default());
    }
    world
}

fn set(world: &mut World, member: &str, node: NodeView) {
    world.nodes.insert(node_of(member), node);
}

/// Passes, and whether the primary or its term changed meanwhile.
fn stays(world: &mut World) -> bool {
    let before = (world.primary(), world.status().term);
    world.passes(40);
    (world.primary(), world.status().term) == before && world.phase() == Some(Phase::Healthy)
}

/// Passes until somebody else is the primary and all is well; the reason as the status keeps it.
fn moves(world: &mut World) -> String {
    let before = world.primary();
    for _ in 0..40 {
        world.pass();
        if world.primary() != before && world.phase() == Some(Phase::Healthy) {
            let last = world.status().last_switchover.unwrap();
            assert_eq!((last.from, last.to), (Some(before), world.primary()));
            return last.reason;
        }
    }
    panic!("{before} did not move: {}", world.last.reason);
}

#[test]
fn c4_the_primary_leaves_a_cordoned_node_for_one_that_is_not() {
    let mut world = world(3);
    assert_eq!(world.primary(), "shop-0");
    set(&mut world, "shop-0", CORDONED);
    set(&mut world, "shop-1", CORDONED);
    let reason = moves(&mut world);
    assert_eq!(reason, "the node node-of-shop-0 of shop-0 is cordoned; shop-2 takes over");
    assert!(stays(&mut world));
    for name in ["shop-0", "shop-1"] {
        set(&mut world, name, NodeView::default());
    }
    assert!(stays(&mut world), "uncordoning moves nothing back");
}

#[test]
fn c4_with_every_node_cordoned_or_unknown_the_primary_stays() {
    let mut all = world(3);
    for name in ["shop-0", "shop-1", "shop-2"] {
        set(&mut all, name, CORDONED);
    }
    assert!(stays(&mut all));
    let mut alone = world(1);
    set(&mut alone, "shop-0", CORDONED);
    assert!(stays(&mut alone));
    let mut unknown = world(3);
    unknown.nodes.clear();
    set(&mut unknown, "shop-0", CORDONED);
    assert!(stays(&mut unknown), "a node that is not there is no place to go");
}

#[test]
fn c4_a_member_that_cannot_take_over_is_waited_for() {
    let mut world = world(3);
    world.crash("shop-1");
    world.crash("shop-2");
    world.passes(5);
    set(&mut world, "shop-0", CORDONED);
    let term = world.status().term;
    world.passes(20);
    assert_eq!((world.primary().as_str(), world.status().term), ("shop-0", term));
    world.boot("shop-2");
    moves_to(&mut world, "shop-2");
}

fn moves_to(world: &mut World, name: &str) {
    for _ in 0..60 {
        world.pass();
        if world.primary() == name {
            return;
        }
    }
    panic!("{name} is never the primary: {}", world.last.reason);
}

#[test]
fn c4_planned_moves_go_on_while_failovers_wait_for_a_person_but_not_while_paused() {
    let mut world = world(3);
    world.object.spec.failover.mode = FailoverMode::Manual;
    set(&mut world, "shop-0", CORDONED);
    moves(&mut world);
    let at = world.primary();
    set(&mut world, &at, CORDONED);
    world.object.spec.paused = true;
    world.passes(40);
    assert_eq!(world.primary(), at);
}

#[test]
fn c4_long_transactions_are_waited_for_before_the_primary_leaves() {
    let mut world = world(3);
    set(&mut world, "shop-0", CORDONED);
    let found = LongTransactions { count: 1, session: 87, age_seconds: 4, lasting_seconds: 3 };
    world.member("shop-0").state.long_transactions = Some(found);
    world.passes(20);
    assert_eq!(world.primary(), "shop-0");
    assert!(world.last.reason.contains("session 87"), "{}", world.last.reason);
    world.member("shop-0").state.long_transactions = None;
    moves(&mut world);
}

#[test]
fn c4_a_member_on_a_cordoned_node_is_the_last_choice_but_a_choice() {
    let mut world = world(3);
    set(&mut world, "shop-1", CORDONED);
    world.object.spec.switchover = Some(Switchover { request_id: "any".to_owned(), target: None });
    moves(&mut world);
    assert_eq!(world.primary(), "shop-2");
    set(&mut world, "shop-0", CORDONED);
    world.crash("shop-2");
    world.until(Phase::Degraded);
    assert!(["shop-0", "shop-1"].contains(&world.primary().as_str()));
}

#[test]
fn c4_an_election_among_equals_avoids_the_cordoned_node() {
    let mut world = world(3);
    set(&mut world, "shop-1", CORDONED);
    world.crash("shop-0");
    world.until(Phase::Degraded);
    assert_eq!(world.primary(), "shop-2");
}

#[test]
fn c4_a_request_for_a_member_that_could_not_stay_is_explained() {
    let mut world = world(3);
    set(&mut world, "shop-1", CORDONED);
    let wish = Switchover { request_id: "there".to_owned(), target: Some("shop-1".to_owned()) };
    world.object.spec.switchover = Some(wish);
    world.pass();
    let answer = world.status().switchover.unwrap();
    assert_eq!(answer.outcome, RequestOutcome::Waiting);
    assert_eq!(
        answer.message,
        "the node node-of-shop-1 of shop-1 is cordoned: uncordon it, or name another member"
    );
    set(&mut world, "shop-1", NodeView::default());
    moves_to(&mut world, "shop-1");
}

#[test]
fn c4_a_move_that_ended_where_it_began_is_not_tried_again_at_once() {
    let mut world = world(3);
    set(&mut world, "shop-0", CORDONED);
    moves(&mut world);
    let mut status = world.status();
    let mut last = status.last_switchover.take().unwrap();
    let at = world.primary();
    (last.from, last.to) = (Some(at.clone()), at.clone());
    status.last_switchover = Some(last);
    world.object.status = Some(status);
    set(&mut world, "shop-0", NodeView::default());
    set(&mut world, &at, CORDONED);
    assert!(stays(&mut world));
    world.now += jiff::SignedDuration::from_mins(5);
    moves(&mut world);
}

/// To whom one pass moves the primary when the Pods of `old` were made from a former template.
fn taker(world: &World, old: &[&str]) -> Option<String> {
    let view = world.view_with_old(old);
    plan(&view, &fixture::settings()).record?.operation?.target
}

#[test]
fn c4_a_rollout_and_a_cordon_do_not_pass_the_primary_to_and_fro() {
    let mut world = world(3);
    set(&mut world, "shop-0", CORDONED);
    assert_eq!(
        taker(&world, &["shop-1"]).as_deref(),
        Some("shop-2"),
        "rather one that is not restarted soon"
    );
    assert_eq!(taker(&world, &["shop-1", "shop-2"]), None, "the rollout would bring it back");
    assert_eq!(taker(&world, &["shop-0", "shop-1", "shop-2"]).as_deref(), Some("shop-1"));
}

#[test]
fn d37_h18_pressure_moves_the_primary_only_behind_its_gate() {
    for pressure in [FULL, TIGHT] {
        let mut world = world(3);
        set(&mut world, "shop-0", pressure);
        assert!(stays(&mut world), "off by default");
        world.gates.insert(FeatureGate::MoveFromPressure);
        let reason = moves(&mut world);
        let kind = if pressure.disk_pressure { "disk" } else { "memory" };
        assert_eq!(
            reason,
            format!("the node node-of-shop-0 of shop-0 reports {kind} pressure; shop-1 takes over")
        );
    }
}

#[test]
fn h18_nodes_that_run_short_in_turn_do_not_pass_the_primary_to_and_fro() {
    let mut world = world(3);
    world.gates.insert(FeatureGate::MoveFromPressure);
    set(&mut world, "shop-2", TIGHT);
    set(&mut world, "shop-0", TIGHT);
    moves(&mut world);
    assert_eq!(world.primary(), "shop-1");
    set(&mut world, "shop-0", NodeView::default());
    set(&mut world, "shop-1", TIGHT);
    assert!(stays(&mut world));
    set(&mut world, "shop-1", CORDONED);
    moves(&mut world);
    assert_eq!(world.primary(), "shop-0", "a cordon does not wait");
    set(&mut world, "shop-0", TIGHT);
    set(&mut world, "shop-1", NodeView::default());
    world.now += jiff::SignedDuration::from_mins(30);
    moves(&mut world);
}
