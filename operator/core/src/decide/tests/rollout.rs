//! Rolling updates: replicas first, the primary last (C8), one watched first (C11), stopped by a member that does not work,
//! and healed by going back (D40).

use super::world::{Flaw, World, minutes};
use crate::condition::ConditionType;
use crate::view::TroubleKind;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use porpoise_crds::{Phase, Switchover, UpdateMode};

fn progressing(world: &World) -> Condition {
    let type_: &'static str = ConditionType::Progressing.into();
    world.status().conditions.into_iter().find(|one| one.type_ == type_).unwrap()
}

/// Passes until the condition `Progressing` has this reason.
fn until_reason(world: &mut World, reason: &str) -> Condition {
    for _ in 0..200 {
        world.pass();
        if progressing(world).reason == reason {
            return progressing(world);
        }
    }
    panic!("never {reason}: {:?}", progressing(world));
}

/// Passes until the rollout is over; whose Pods were replaced.
fn rolled(world: &mut World) -> Vec<String> {
    world.until(Phase::Updating);
    world.until(Phase::Healthy);
    std::mem::take(&mut world.replaced)
}

#[test]
fn c8_a33_replicas_restart_one_by_one_and_the_primary_last() {
    let mut world = World::healthy(3);
    world.change_template(None);
    assert_eq!(rolled(&mut world), ["shop-2", "shop-1", "shop-0"]);
    assert_ne!(world.primary(), "shop-0");
}

#[test]
fn d40_a_member_that_does_not_work_stops_the_rollout_and_going_back_heals() {
    for flaw in [Flaw::Image, Flaw::Setting, Flaw::Applier] {
        let mut world = World::healthy(3);
        let good = world.change_template(None);
        rolled(&mut world);
        let (primary, term) = (world.primary(), world.status().term);
        world.change_template(Some(flaw));
        if matches!(flaw, Flaw::Applier) {
            world.passes(10);
            world.now += jiff::SignedDuration::try_from(minutes(10)).unwrap();
        }
        let stopped = until_reason(&mut world, "RolloutStopped");
        assert_eq!(stopped.status, "False");
        let first = std::mem::take(&mut world.replaced);
        assert!(first.len() == 1 && first[0] != primary, "{flaw:?} {first:?}");
        assert!(stopped.message.starts_with(&first[0]), "{}", stopped.message);
        assert!(stopped.message.contains("Change the spec back"), "{}", stopped.message);
        world.write(false);
        world.passes(100);
        assert!(!world.last.events.iter().any(|event| event.reason == "RolloutStopped"), "told once");
        assert!(world.replaced.is_empty(), "{flaw:?}: nothing else is touched");
        assert_eq!((world.primary(), world.status().term), (primary, term), "{flaw:?}");
        world.change_back(good);
        world.until(Phase::Healthy);
        assert_eq!(world.replaced, first, "{flaw:?}: only the broken one is made anew");
    }
}

#[test]
fn d40_a_correction_replaces_the_broken_member_and_goes_on() {
    let mut world = World::healthy(3);
    world.change_template(Some(Flaw::Setting));
    until_reason(&mut world, "RolloutStopped");
    world.change_template(None);
    world.until(Phase::Healthy);
    assert_eq!(world.replaced, ["shop-2", "shop-2", "shop-1", "shop-0"]);
}

#[test]
fn d40_a_lone_member_that_does_not_work_comes_back() {
    for flaw in [Flaw::Image, Flaw::Setting] {
        let mut world = World::healthy(1);
        let good = world.change_template(None);
        rolled(&mut world);
        world.change_template(Some(flaw));
        world.passes(60);
        assert_ne!(world.phase(), Some(Phase::Healthy), "{flaw:?}");
        world.change_back(good);
        world.until(Phase::Healthy);
    }
}

#[test]
fn d40_a_cluster_whose_members_all_fail_comes_back() {
    let mut world = World::healthy(3);
    let good = world.change_template(None);
    rolled(&mut world);
    world.object.spec.hibernated = true;
    world.passes(3);
    world.object.spec.hibernated = false;
    world.change_template(Some(Flaw::Image));
    for name in ["shop-0", "shop-1", "shop-2"] {
        world.replace(name);
    }
    world.passes(60);
    assert_ne!(world.phase(), Some(Phase::Healthy));
    world.change_back(good);
    world.until(Phase::Healthy);
}

#[test]
fn d40_a_new_cluster_of_which_nothing_ever_ran_is_corrected() {
    let mut world = World::new(3);
    world.pass();
    world.change_template(Some(Flaw::Image));
    for name in ["shop-0", "shop-1", "shop-2"] {
        world.replace(name);
    }
    world.passes(20);
    assert!(world.replaced.is_empty());
    world.change_template(None);
    world.until(Phase::Healthy);
    assert_eq!(world.replaced.len(), 3);
}

/// While a member that cannot follow may still be needed it is left alone.
#[test]
fn a_broken_member_is_not_taken_from_a_claim_that_needs_it() {
    let mut world = World::healthy(3);
    let good = world.change_template(None);
    rolled(&mut world);
    world.change_template(Some(Flaw::Applier));
    world.passes(20);
    let broken = std::mem::take(&mut world.replaced).remove(0);
    let other = ["shop-0", "shop-1", "shop-2"]
        .into_iter()
        .find(|name| *name != broken && *name != world.primary())
        .unwrap();
    world.crash(other);
    world.change_back(good);
    world.passes(40);
    assert!(world.replaced.is_empty());
    world.boot(other);
    world.until(Phase::Healthy);
    assert_eq!(world.replaced, [broken]);
}

#[test]
fn a_member_whose_pod_is_refused_stops_the_rollout() {
    let mut world = World::healthy(3);
    world.change_template(None);
    world.pass();
    world.crash("shop-2");
    let mut view = world.view();
    view.troubles.push(crate::view::Trouble {
        kind: TroubleKind::QuotaExceeded,
        about: "StatefulSet shop".to_owned(),
        message: "create Pod shop-2 failed: exceeded quota: small".to_owned(),
    });
    let plan = crate::decide::plan(&view, &crate::fixture::settings());
    let told = plan.status.conditions.iter().find(|one| one.type_ == "Progressing").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "RolloutStopped"));
    assert!(told.message.contains("exceeded quota"), "{}", told.message);
}

#[test]
fn c11_the_first_member_is_watched_before_the_next_one_restarts() {
    let mut world = World::healthy(3);
    world.object.spec.update.soak = "30m".to_owned();
    world.change_template(None);
    let soaking = until_reason(&mut world, "Soaking");
    assert_eq!(soaking.status, "True");
    assert!(soaking.message.contains("shop-2") && soaking.message.contains("30m"), "{}", soaking.message);
    world.passes(100);
    assert_eq!(world.replaced, ["shop-2"]);
    let before = world.status();
    world.pass();
    assert_eq!(world.status().conditions, before.conditions, "watching writes nothing");
    world.now += jiff::SignedDuration::from_mins(29);
    world.passes(20);
    assert_eq!(world.replaced, ["shop-2"]);
    world.now += jiff::SignedDuration::from_mins(1);
    world.until(Phase::Healthy);
    assert_eq!(world.replaced, ["shop-2", "shop-1", "shop-0"], "only the first one is watched");
}

#[test]
fn c11_a_break_begins_the_watch_anew_and_a_restart_stops_the_rollout() {
    let mut world = World::healthy(3);
    world.object.spec.update.soak = "30m".to_owned();
    world.change_template(None);
    until_reason(&mut world, "Soaking");
    world.now += jiff::SignedDuration::from_mins(29);
    world.crash("shop-2");
    world.passes(4);
    world.boot("shop-2");
    until_reason(&mut world, "Soaking");
    world.now += jiff::SignedDuration::from_mins(2);
    world.passes(20);
    assert_eq!(world.replaced, ["shop-2"], "it was not ready for 30 minutes without a break");
    for trouble in ["container", "mysqld"] {
        let mut ill = World::healthy(3);
        ill.object.spec.update.soak = "30m".to_owned();
        ill.change_template(None);
        until_reason(&mut ill, "Soaking");
        match trouble {
            "container" => ill.member("shop-2").restarts = 1,
            _ => ill.member("shop-2").state.crashes = 1,
        }
        let stopped = until_reason(&mut ill, "RolloutStopped");
        assert!(stopped.message.contains("started again"), "{}", stopped.message);
        ill.now += jiff::SignedDuration::from_mins(60);
        ill.passes(20);
        assert_eq!(ill.replaced, ["shop-2"], "{trouble}");
    }
}

#[test]
fn c8_supervised_leaves_the_primary_alone_until_somebody_asks() {
    let mut world = World::healthy(3);
    world.object.spec.update.mode = UpdateMode::Supervised;
    world.change_template(None);
    let awaited = until_reason(&mut world, "SwitchoverAwaited");
    assert_eq!(awaited.status, "False");
    for words in ["shop-0", "spec.switchover.requestId", "spec.update.mode"] {
        assert!(awaited.message.contains(words), "{}", awaited.message);
    }
    world.passes(100);
    assert_eq!(
        (world.primary().as_str(), world.replaced.as_slice()),
        ("shop-0", &["shop-2".to_owned(), "shop-1".to_owned()][..])
    );
    assert_eq!(world.phase(), Some(Phase::Updating));
    world.object.spec.switchover = Some(Switchover { request_id: "now".to_owned(), target: None });
    world.until(Phase::Healthy);
    assert_eq!(world.replaced, ["shop-2", "shop-1", "shop-0"]);
    assert_ne!(world.primary(), "shop-0");
}

#[test]
fn c8_supervised_ends_with_automatic() {
    for instances in [1, 3] {
        let mut world = World::healthy(instances);
        world.object.spec.update.mode = UpdateMode::Supervised;
        world.change_template(None);
        until_reason(&mut world, "SwitchoverAwaited");
        world.passes(40);
        assert!(!world.replaced.contains(&"shop-0".to_owned()));
        world.object.spec.update.mode = UpdateMode::Automatic;
        world.until(Phase::Healthy);
        assert!(world.replaced.contains(&"shop-0".to_owned()));
    }
}
