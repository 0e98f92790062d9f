//! Founding, election, claim changes (ha.md §1, §2, §4).

use super::world::{World, set};
use crate::protocol::{Action, Role};
use porpoise_crds::{OperationKind, Phase};

fn names(world: &World) -> Vec<String> {
    let mut names: Vec<String> = world.claim().members.iter().map(|member| member.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn a14_clusters_of_one_to_five_become_healthy() {
    for (instances, k) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)] {
        let world = World::healthy(instances);
        assert_eq!(world.claim().k, k, "{instances} instances");
        assert_eq!(names(&world).len(), usize::try_from(instances).unwrap());
        assert_eq!(world.primary(), "shop-0");
    }
}

#[test]
fn a28_clients_are_let_in_only_when_the_claim_is_complete() {
    let mut world = World::new(3);
    for _ in 0..50 {
        world.pass();
        let k = world.status().quorum.map_or(-1, |claim| claim.k);
        let admits = world
            .members
            .values()
            .any(|member| matches!(member.state.role, Role::Primary { admitting: true, .. }));
        assert!(!admits || k == 1, "clients were let in with k = {k}");
    }
}

#[test]
fn a27_the_primary_is_replaced_by_the_member_that_has_everything() {
    let mut world = World::healthy(3);
    world.write(false);
    // shop-1 misses the last acknowledged transaction; shop-2 has it.
    world.member("shop-1").state.role = Role::Idle;
    world.write(false);
    world.crash("shop-0");
    let term = world.status().term.unwrap();
    for _ in 0..40 {
        world.pass();
    }
    assert_eq!(world.primary(), "shop-2");
    assert!(world.status().term.unwrap() > term);
    assert_eq!(world.phase(), Some(Phase::Degraded));
}

#[test]
fn h24_history_beats_length() {
    let mut world = World::healthy(3);
    // shop-0 has a long tail of an older term; shop-1 reigned after it.
    for _ in 0..5 {
        world.write(true);
    }
    world.crash("shop-0");
    for _ in 0..40 {
        world.pass();
    }
    assert_eq!(world.primary(), "shop-1");
    world.crash("shop-1");
    world.boot("shop-0");
    for _ in 0..60 {
        world.pass();
    }
    assert_eq!(world.primary(), "shop-2", "the deposed primary's tail must not win");
}

#[test]
fn h22_a_member_that_received_past_the_primary_is_not_chosen_although_it_has_more() {
    let mut world = World::healthy(3);
    let strays = "0000000f-0000-4000-8000-000000000000:1-7";
    let member = world.member("shop-1");
    member.executes(strays);
    member.state.data.as_mut().unwrap().strays = strays.to_owned();
    world.write(false);
    world.crash("shop-0");
    for _ in 0..40 {
        world.pass();
    }
    assert_eq!(world.primary(), "shop-2");
}

#[test]
fn a16_two_of_three_members_silent_is_a_missing_quorum_not_a_guess() {
    let mut world = World::healthy(3);
    let term = world.status().term;
    world.crash("shop-0");
    world.crash("shop-1");
    world.until(Phase::QuorumUnavailable);
    assert_eq!(world.status().term, term, "nobody is sealed without a quorum");
    world.boot("shop-0");
    world.boot("shop-1");
    world.until(Phase::Healthy);
}

#[test]
fn a_restarted_primary_of_one_reigns_again_in_a_new_term() {
    let mut world = World::healthy(1);
    let term = world.status().term.unwrap();
    world.crash("shop-0");
    world.pass();
    world.boot("shop-0");
    world.until(Phase::Healthy);
    assert!(world.status().term.unwrap() > term);
}

#[test]
fn h22_a_diverged_member_leaves_the_claim_before_it_is_cloned() {
    let mut world = World::healthy(3);
    world.write(true);
    world.crash("shop-0");
    for _ in 0..40 {
        world.pass();
    }
    let primary = world.primary();
    assert_ne!(primary, "shop-0");
    world.boot("shop-0");
    world.until(Phase::Healthy);
    assert_eq!(names(&world), ["shop-0", "shop-1", "shop-2"]);
    let executed = |name: &str| set(&world.members[name].state.data.as_ref().unwrap().executed);
    assert_eq!(executed("shop-0"), executed(&primary));
}

#[test]
fn a_pair_heals_after_its_primary_diverged() {
    let mut world = World::healthy(2);
    world.write(true);
    world.crash("shop-0");
    for _ in 0..40 {
        world.pass();
    }
    assert_eq!(world.primary(), "shop-1");
    world.boot("shop-0");
    world.until(Phase::Healthy);
    assert_eq!(world.claim().k, 1);
}

#[test]
fn a_lost_volume_does_not_count_as_the_member_it_was() {
    let mut world = World::healthy(3);
    world.lose_volume("shop-2");
    world.crash("shop-0");
    world.until(Phase::QuorumUnavailable);
    world.boot("shop-0");
    world.until(Phase::Healthy);
    assert!(world.claim().members.iter().any(|member| member.volume == "new-volume-of-shop-2"));
    assert!(world.claim().members.iter().all(|member| member.volume != "volume-of-shop-2"));
}

#[test]
fn h21_scaling_up_records_members_before_their_acknowledgements_count() {
    let mut world = World::healthy(1);
    world.object.spec.instances = 3;
    for _ in 0..60 {
        world.pass();
        for member in world.members.values() {
            if matches!(member.state.role, Role::Replica { acknowledging: true, .. }) {
                assert!(world.claim().members.iter().any(|entry| entry.volume == member.state.volume));
            }
        }
    }
    assert_eq!(world.phase(), Some(Phase::Healthy));
    assert_eq!(world.claim().k, 1);
}

#[test]
fn a13_scaling_down_moves_the_primary_first() {
    let mut world = World::healthy(3);
    world.crash("shop-0");
    for _ in 0..40 {
        world.pass();
    }
    world.boot("shop-0");
    world.until(Phase::Healthy);
    let old = world.primary();
    assert_ne!(old, "shop-0");
    world.object.spec.instances = 1;
    for _ in 0..80 {
        world.pass();
        let admits =
            |name: &str| matches!(world.members[name].state.role, Role::Primary { admitting: true, .. });
        assert!(world.members.keys().filter(|name| world.members[*name].up && admits(name)).count() <= 1);
    }
    assert_eq!(world.primary(), "shop-0");
    assert_eq!(names(&world), ["shop-0"]);
    assert_eq!(world.claim().k, 0);
    assert!(!world.members["shop-2"].up);
    assert_eq!(world.phase(), Some(Phase::Healthy));
}

#[test]
fn every_order_carries_the_recorded_term() {
    let mut world = World::new(3);
    for _ in 0..60 {
        world.pass();
        let term = world.status().term.unwrap_or(0);
        for order in world.last.orders.iter().filter(|order| !matches!(order.action, Action::Adopt { .. })) {
            assert!(world.last.record.is_none());
            assert_eq!(order.term, term);
        }
    }
}

#[test]
fn a_status_older_than_the_members_is_corrected_in_a_new_term() {
    let mut world = World::healthy(3);
    let before = world.status();
    world.object.spec.instances = 5;
    world.until(Phase::Healthy);
    let newest = world.claim();
    let spec = world.object.spec.clone();
    world.object.status = Some(before.clone());
    world.object.spec = spec;
    world.passes(2);
    assert!(world.status().term.unwrap() > before.term.unwrap());
    assert!(world.claim().version >= newest.version);
    world.until(Phase::Healthy);
}

#[test]
fn a19_a_lost_status_is_read_back_from_the_volumes() {
    let mut world = World::healthy(3);
    let before = world.status();
    world.object.status = None;
    world.until(Phase::Healthy);
    assert_eq!(world.status().term, before.term, "a primary that still reigns is left alone");
    world.object.status = None;
    for name in ["shop-0", "shop-1", "shop-2"] {
        world.crash(name);
        world.boot(name);
    }
    world.until(Phase::Healthy);
    assert!(world.status().term.unwrap() > before.term.unwrap());
    assert_eq!(world.claim().k, 1);
}

#[test]
fn a_chosen_primary_that_dies_is_replaced() {
    let mut world = World::healthy(3);
    world.crash("shop-0");
    while world.status().operation.as_ref().map(|operation| operation.kind) != Some(OperationKind::Promoting)
    {
        world.pass();
    }
    let chosen = world.primary();
    world.boot("shop-0");
    world.crash(&chosen);
    for _ in 0..80 {
        world.pass();
    }
    assert_ne!(world.primary(), chosen);
    assert_eq!(world.phase(), Some(Phase::Degraded));
}

/// A replica that follows shows a transaction before its primary's own look does.
#[test]
fn h12_what_a_replica_shows_first_is_no_divergence() {
    let mut world = World::healthy(3);
    let uuid = world.member("shop-0").state.server_uuid.clone().unwrap();
    world.member("shop-1").executes(&format!("{uuid}:5000"));
    for _ in 0..20 {
        world.pass();
        assert!(!world.last.orders.iter().any(|order| matches!(order.action, Action::Clone { .. })));
    }
    assert_eq!(names(&world), ["shop-0", "shop-1", "shop-2"]);
    // Transactions of anybody else are one.
    let mut world = World::healthy(3);
    world.member("shop-1").executes("0000000f-0000-0000-0000-000000000000:1");
    let mut cloned = false;
    for _ in 0..40 {
        world.pass();
        cloned |= world.last.orders.iter().any(|order| matches!(order.action, Action::Clone { .. }));
    }
    assert!(cloned);
}

#[test]
fn h14_a_member_whose_transactions_the_source_has_purged_is_cloned() {
    let mut world = World::healthy(3);
    world.crash("shop-2");
    world.write(false);
    let executed = world.member("shop-0").state.data.as_ref().unwrap().executed.clone();
    for name in ["shop-0", "shop-1"] {
        world.member(name).state.data.as_mut().unwrap().purged = executed.clone();
    }
    world.boot("shop-2");
    let mut cloned = Vec::new();
    for _ in 0..40 {
        world.pass();
        let orders = world.last.orders.iter();
        cloned.extend(orders.filter_map(|order| match &order.action {
            Action::Clone { donor, .. } => Some((order.instance.clone(), donor.clone())),
            _ => None,
        }));
    }
    cloned.dedup();
    assert_eq!(cloned, [("shop-2".to_owned(), "shop-1".to_owned())], "from a replica, not from the writer");
}
