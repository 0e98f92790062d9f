//! Mistakes that the simulator found in these decisions, each as small as it can be shown.

use super::world::{World, set};
use crate::decide::plan;
use crate::fixture;
use crate::plan::Plan;
use crate::protocol::{Action, Role};
use crate::view::{ClusterView, Look};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use porpoise_crds::{Operation, OperationKind, Phase, QuorumMember};
use std::time::Duration;

fn decide(view: &ClusterView) -> Plan {
    plan(view, &fixture::settings())
}

fn orders_to(plan: &Plan, instance: &str) -> Vec<Action> {
    plan.orders.iter().filter(|order| order.instance == instance).map(|order| order.action.clone()).collect()
}

fn member_names(plan: &Plan) -> Option<Vec<String>> {
    let claim = plan.record.as_ref()?.quorum.as_ref()?;
    Some(claim.members.iter().map(|member| member.name.clone()).collect())
}

fn add(world: &mut World, instance: &str, text: &str) {
    let data = world.member(instance).state.data.as_mut().unwrap();
    data.executed = set(&data.executed).union(&set(text)).to_string();
}

/// What the primary numbers next.
fn next_of(world: &World, primary: &str) -> String {
    format!("{}:500", world.members[primary].state.server_uuid.clone().unwrap())
}

/// Its commits wait and no look shows them; a restart would commit them (H3). With them it would acknowledge, count as a
/// member that has everything, and win an election by length over one that has what was acknowledged.
#[test]
fn h22_a_member_that_comes_back_is_sealed_before_it_acknowledges() {
    let mut world = World::healthy(3);
    let old = world.status().term.unwrap();
    world.crash("shop-0");
    world.passes(40);
    assert_eq!(world.primary(), "shop-1");
    world.boot("shop-0");
    for role in [Role::Primary { term: old, proven_k: Some(1), admitting: true }, Role::Idle] {
        world.member("shop-0").state.role = role;
        assert_eq!(orders_to(&decide(&world.view()), "shop-0"), [Action::Seal]);
    }
    world.until(Phase::Healthy);
}

#[test]
fn h22_nobody_acknowledges_to_a_primary_whose_data_is_not_known() {
    let mut world = World::healthy(3);
    let term = world.status().term.unwrap();
    world.member("shop-1").state.role = Role::Sealed { term };
    assert!(matches!(orders_to(&decide(&world.view()), "shop-1")[..], [Action::Follow { .. }]));
    world.member("shop-0").state.data = None;
    assert_eq!(orders_to(&decide(&world.view()), "shop-1"), []);
}

#[test]
fn with_k_0_the_recorded_primary_is_elected_alone() {
    let mut world = World::healthy(1);
    let mut claim = world.claim();
    claim.members.push(QuorumMember { name: "shop-1".to_owned(), volume: "lost".to_owned() });
    claim.version += 1;
    world.object.status.as_mut().unwrap().quorum = Some(claim);
    world.crash("shop-0");
    world.boot("shop-0");
    world.until(Phase::Healthy);
    assert_eq!(world.claim().members.len(), 1);
}

#[test]
fn of_two_sets_that_cannot_be_compared_the_recorded_primary_has_everything() {
    let mut world = World::healthy(3);
    add(&mut world, "shop-0", "aaaaaaaa-0000-0000-0000-000000000001:1");
    add(&mut world, "shop-1", "bbbbbbbb-0000-0000-0000-000000000001:1-9");
    let status = world.object.status.as_mut().unwrap();
    let term = status.term.unwrap() + 1;
    status.term = Some(term);
    status.operation = Some(Operation {
        kind: OperationKind::Sealing,
        target: None,
        started_at: MicroTime(world.now - jiff::SignedDuration::from_secs(4)),
        sealed_at: None,
        from: None,
        planned: false,
        message: String::new(),
    });
    for name in ["shop-0", "shop-1"] {
        let state = &mut world.member(name).state;
        (state.role, state.promised) = (Role::Sealed { term }, term);
    }
    world.crash("shop-2");
    assert_eq!(decide(&world.view()).record.unwrap().primary.as_deref(), Some("shop-0"));
}

#[test]
fn h21_a_silent_member_may_still_acknowledge_and_stays_in_the_claim() {
    let mut world = World::healthy(3);
    world.object.spec.instances = 2;
    let mut view = world.view();
    let silent = Look::Silent { reason: "cut off".to_owned(), lasting: Duration::from_mins(1) };
    view.members.insert("shop-2".to_owned(), silent);
    assert_eq!(member_names(&decide(&view)), None);
}

/// The primary answered first, then the leaver acknowledged once more and stopped.
#[test]
fn h21_what_a_leaver_acknowledged_last_is_elsewhere_before_it_goes() {
    let mut world = World::healthy(3);
    world.object.spec.instances = 2;
    if let Role::Replica { acknowledging, .. } = &mut world.member("shop-2").state.role {
        *acknowledging = false;
    }
    let last = next_of(&world, "shop-0");
    add(&mut world, "shop-2", &last);
    assert_eq!(member_names(&decide(&world.view())), None);
    add(&mut world, "shop-1", &last);
    assert_eq!(member_names(&decide(&world.view())).unwrap(), ["shop-0", "shop-1"]);
}

#[test]
fn h21_a_diverged_member_does_not_join() {
    let mut world = World::healthy(1);
    world.object.spec.instances = 2;
    while !matches!(
        world.members.get("shop-1").map(|one| &one.state.role),
        Some(Role::Replica { acknowledging: false, .. })
    ) {
        world.pass();
    }
    assert!(member_names(&decide(&world.view())).is_some());
    add(&mut world, "shop-1", "bbbbbbbb-0000-0000-0000-000000000001:1");
    assert_eq!(member_names(&decide(&world.view())), None);
}

#[test]
fn a_pair_whose_replica_diverged_under_an_open_primary_closes_and_heals() {
    let mut world = World::healthy(2);
    add(&mut world, "shop-1", "bbbbbbbb-0000-0000-0000-000000000001:1");
    world.pass();
    world.until(Phase::Healthy);
    assert_eq!(world.claim().k, 1);
}

#[test]
fn a_pair_heals_when_the_primarys_volume_is_lost_and_the_other_has_purged() {
    let mut world = World::healthy(2);
    let data = world.member("shop-1").state.data.as_mut().unwrap();
    data.purged.clone_from(&data.executed);
    world.lose_volume("shop-0");
    world.passes(40);
    world.until(Phase::Healthy);
    assert_eq!(world.primary(), "shop-1");
}

#[test]
fn a_wish_to_clone_names_the_server_that_is_replaced() {
    let mut world = World::healthy(3);
    world.lose_volume("shop-2");
    world.boot("shop-2");
    // The primary's binlogs do not reach back.
    let data = world.member("shop-0").state.data.as_mut().unwrap();
    data.purged.clone_from(&data.executed);
    world.pass(); // the lost volume leaves the claim
    let wish = |world: &World| match &orders_to(&decide(&world.view()), "shop-2")[..] {
        [Action::Clone { request, .. }] => request.clone(),
        other => panic!("{other:?}"),
    };
    let first = wish(&world);
    assert_eq!(first, wish(&world));
    world.member("shop-2").state.server_uuid = Some("0000000f-0000-0000-0000-000000000001".to_owned());
    assert_ne!(first, wish(&world));
}

#[test]
fn a_count_that_was_raised_in_vain_is_taken_back() {
    let mut world = World::healthy(3);
    let term = world.status().term.unwrap();
    // The agent works towards another count: nothing is proven.
    world.member("shop-0").state.role = Role::Primary { term, proven_k: None, admitting: true };
    assert_eq!(orders_to(&decide(&world.view()), "shop-0"), [Action::Promote { k: 1, admit: true }]);
}

#[test]
fn a_leaver_goes_on_acknowledging_until_the_term_record_is_proven() {
    let mut world = World::healthy(3);
    world.object.spec.instances = 2;
    world.crash("shop-1");
    let term = world.status().term.unwrap();
    world.member("shop-0").state.role = Role::Primary { term, proven_k: None, admitting: false };
    assert_eq!(orders_to(&decide(&world.view()), "shop-2"), []);
}

#[test]
fn a_primary_with_two_broken_replicas_waits_for_neither() {
    let mut world = World::healthy(3);
    for name in ["shop-1", "shop-2"] {
        add(&mut world, name, "bbbbbbbb-0000-0000-0000-000000000001:1");
    }
    world.pass();
    world.until(Phase::Healthy);
}

/// A primary that was just promoted has no fresh facts and no followers yet: that is no server that hangs.
#[test]
fn a_promotion_is_not_taken_for_a_server_that_hangs() {
    let mut world = World::healthy(3);
    let status = world.object.status.as_mut().unwrap();
    let term = status.term.unwrap() + 1;
    status.term = Some(term);
    let operation = Operation {
        kind: OperationKind::Promoting,
        target: Some("shop-0".to_owned()),
        started_at: MicroTime(world.now),
        sealed_at: Some(MicroTime(world.now)),
        from: Some("shop-1".to_owned()),
        planned: true,
        message: String::new(),
    };
    status.operation = Some(operation);
    for name in ["shop-1", "shop-2"] {
        let state = &mut world.member(name).state;
        (state.role, state.promised) = (Role::Sealed { term }, term);
    }
    let state = &mut world.member("shop-0").state;
    (state.role, state.promised) = (Role::Primary { term, proven_k: None, admitting: false }, term);
    state.data = None;
    assert_eq!(decide(&world.view()).record, None);
    // The same of a primary whose promotion is over is a server that hangs.
    world.object.status.as_mut().unwrap().operation = None;
    assert!(decide(&world.view()).record.is_some_and(|record| record.term > term));
}
