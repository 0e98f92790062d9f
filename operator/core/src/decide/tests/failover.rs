//! `spec.failover`, `spec.durability` and requests of people (ha.md §1, §4).

use super::world::World;
use crate::protocol::{DiskState, LongTransactions, Role};
use porpoise_crds::{DurabilityPolicy, FailoverMode, Phase, RequestOutcome, Switchover};

fn passes(world: &mut World, count: usize) {
    for _ in 0..count {
        world.pass();
    }
}

fn wish(target: Option<&str>) -> Switchover {
    Switchover { request_id: "wish-1".to_owned(), target: target.map(str::to_owned) }
}

fn condition(world: &World, name: &str) -> (String, String, String) {
    let all = world.status().conditions;
    let found = all.iter().find(|condition| condition.type_ == name).unwrap();
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

#[test]
fn a_manual_failover_waits_for_a_person_and_says_so() {
    let mut world = World::healthy(3);
    world.object.spec.failover.mode = FailoverMode::Manual;
    let term = world.status().term;
    world.crash("shop-0");
    passes(&mut world, 400);
    assert_eq!((world.primary().as_str(), world.status().term), ("shop-0", term));
    assert_eq!(world.phase(), Some(Phase::FailingOver));
    assert!(condition(&world, "Writable").2.contains("failover.mode is Manual"));

    world.object.spec.switchover = Some(wish(Some("shop-2")));
    passes(&mut world, 40);
    assert_eq!(world.primary(), "shop-2");
    let request = world.status().switchover.unwrap();
    assert_eq!((request.request_id.as_str(), request.outcome), ("wish-1", RequestOutcome::Started));
    assert!(world.status().last_switchover.is_none(), "it was a failover");
    assert_eq!(world.status().last_failover.unwrap().to, "shop-2");
}

#[test]
fn a_primary_that_comes_back_needs_no_person() {
    let mut world = World::healthy(3);
    world.object.spec.failover.mode = FailoverMode::Manual;
    world.write(false);
    world.crash("shop-0");
    passes(&mut world, 40);
    world.boot("shop-0");
    world.until(Phase::Healthy);
    assert_eq!(world.primary(), "shop-0");
}

#[test]
fn a_request_prefers_no_member_that_lacks_something() {
    let mut world = World::healthy(3);
    world.object.spec.failover.mode = FailoverMode::Manual;
    world.member("shop-2").state.role = Role::Idle;
    world.write(false);
    world.crash("shop-0");
    world.object.spec.switchover = Some(wish(Some("shop-2")));
    passes(&mut world, 60);
    assert_eq!(world.primary(), "shop-1", "shop-2 lacks the last acknowledged write");
}

#[test]
fn a_lost_primary_is_waited_for_as_long_as_the_spec_says() {
    let mut world = World::healthy(3);
    world.object.spec.failover.delay = "30s".to_owned();
    world.crash("shop-0");
    // 250 ms each.
    passes(&mut world, 110);
    assert_eq!(world.primary(), "shop-0");
    assert!(condition(&world, "Writable").2.contains("failover.delay"));
    passes(&mut world, 30);
    assert_ne!(world.primary(), "shop-0");
}

#[test]
fn a_pair_that_may_degrade_goes_on_alone_and_says_so() {
    let mut world = World::healthy(2);
    world.object.spec.durability.policy = DurabilityPolicy::Degradable;
    world.crash("shop-1");
    passes(&mut world, 4);
    assert_eq!(world.claim().k, 1, "nothing is given up before acknowledgements stopped");
    world.fence("shop-0");
    passes(&mut world, 8);
    assert_eq!(world.claim().k, 0);
    assert_eq!(world.open_primaries(), ["shop-0"]);
    assert_eq!(world.claim().members.len(), 2);
    assert_eq!(condition(&world, "Writable").1, "DurabilityLowered");
    assert_eq!(world.phase(), Some(Phase::Degraded));
    // What it wrote alone nobody else has: nobody else is promoted.
    world.write(true);
    world.crash("shop-0");
    world.boot("shop-1");
    passes(&mut world, 100);
    assert_eq!(world.primary(), "shop-0");
    world.boot("shop-0");
    world.until(Phase::Healthy);
    assert_eq!((world.primary().as_str(), world.claim().k), ("shop-0", 1), "earned back");
}

#[test]
fn a_pair_that_is_strict_waits() {
    let mut world = World::healthy(2);
    world.crash("shop-1");
    world.fence("shop-0");
    passes(&mut world, 100);
    assert_eq!((world.claim().k, world.open_primaries().len()), (1, 0));
}

#[test]
fn a_planned_move_has_its_own_name_from_the_first_moment() {
    let mut world = World::healthy(3);
    world.object.spec.switchover = Some(wish(None));
    let term = world.status().term;
    let mut phases = Vec::new();
    while world.status().term == term || world.status().operation.is_some() {
        world.pass();
        let phase = world.phase().unwrap();
        if world.status().operation.is_some() && phases.last() != Some(&phase) {
            phases.push(phase);
        }
    }
    assert_eq!(phases, [Phase::SwitchingOver]);
    world.until(Phase::Healthy);
}

fn long(lasting_seconds: u64) -> LongTransactions {
    LongTransactions { count: 2, session: 87, age_seconds: lasting_seconds + 1, lasting_seconds }
}

#[test]
fn a_switchover_waits_for_long_transactions_before_anything_is_frozen() {
    let mut world = World::healthy(3);
    let term = world.status().term;
    world.member("shop-0").state.long_transactions = Some(long(3));
    world.object.spec.switchover = Some(wish(None));
    passes(&mut world, 20);
    assert_eq!((world.primary().as_str(), world.status().term), ("shop-0", term));
    let request = world.status().switchover.unwrap();
    assert_eq!(request.outcome, RequestOutcome::Waiting);
    assert!(request.message.contains("open for 4 s (session 87) and 1 more"), "{}", request.message);

    world.member("shop-0").state.long_transactions = None;
    passes(&mut world, 20);
    assert_ne!(world.primary(), "shop-0");
    assert_eq!(world.status().switchover.unwrap().outcome, RequestOutcome::Started);
}

#[test]
fn a_switchover_behind_a_transaction_that_does_not_end_is_refused() {
    let mut world = World::healthy(3);
    let term = world.status().term;
    world.member("shop-0").state.long_transactions = Some(long(600));
    world.object.spec.switchover = Some(wish(None));
    // 250 ms each.
    passes(&mut world, 250);
    assert_eq!((world.primary().as_str(), world.status().term), ("shop-0", term));
    let request = world.status().switchover.unwrap();
    assert_eq!(request.outcome, RequestOutcome::Refused);
    for part in ["KILL 87", "new requestId"] {
        assert!(request.message.contains(part), "{}", request.message);
    }
}

#[test]
fn a_pod_that_ends_waits_for_transactions_only_as_long_as_its_hook_allows() {
    let mut world = World::healthy(3);
    world.member("shop-0").state.long_transactions = Some(long(3));
    world.member("shop-0").ends = true;
    passes(&mut world, 10);
    assert_eq!(world.primary(), "shop-0");
    assert!(condition(&world, "Progressing").2.contains("session 87"));
    world.member("shop-0").state.long_transactions = Some(long(10));
    passes(&mut world, 20);
    assert_ne!(world.primary(), "shop-0");
}

#[test]
fn a_primary_whose_volume_hangs_is_replaced_and_the_volume_is_named() {
    let mut world = World::healthy(3);
    world.member("shop-0").state.disk = DiskState::Stalled;
    passes(&mut world, 20);
    assert_ne!(world.primary(), "shop-0");
    let (status, reason, message) = condition(&world, "StorageReady");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "VolumeStalled"));
    assert!(message.contains("shop-0"), "{message}");

    world.member("shop-0").state.disk = DiskState::Writable;
    world.until(Phase::Healthy);
}

#[test]
fn nobody_is_sealed_when_too_many_volumes_hang() {
    let mut world = World::healthy(3);
    let term = world.status().term;
    for name in ["shop-0", "shop-1"] {
        world.member(name).state.disk = DiskState::Stalled;
    }
    passes(&mut world, 20);
    assert_eq!((world.primary().as_str(), world.status().term), ("shop-0", term));
}

#[test]
fn a_primary_with_a_full_volume_is_replaced_when_its_writes_get_stuck() {
    let mut world = World::healthy(3);
    world.member("shop-0").state.disk = DiskState::Full;
    passes(&mut world, 20);
    assert_eq!(world.primary(), "shop-0", "it still accepts writes");
    assert_eq!(condition(&world, "StorageReady").1, "VolumeFull");
    world.fence("shop-0");
    passes(&mut world, 20);
    assert_ne!(world.primary(), "shop-0");
}

#[test]
fn a_deposed_primary_that_still_admits_in_its_own_term_is_not_ready() {
    let mut world = World::healthy(3);
    let deposed = world.member("shop-0").state.role.clone();
    world.crash("shop-0");
    passes(&mut world, 40);
    assert_ne!(world.primary(), "shop-0");
    // It was only cut off.
    let member = world.member("shop-0");
    (member.up, member.state.role) = (true, deposed);
    world.pass();
    assert_ne!(world.phase(), Some(Phase::Healthy));
    let status = world.status();
    assert!(status.instances.iter().all(|one| one.ready == (one.name != "shop-0")), "{:?}", status.instances);
    world.until(Phase::Healthy);
}
