//! States that must never end in silence or in a guess (docs: "Bad states").

use super::world::World;
use crate::decide::plan;
use crate::fixture;
use crate::plan::Plan;
use crate::protocol::{Action, Role, ServerPhase};
use crate::view::{Ages, ClusterView};
use porpoise_crds::{OperationKind, Phase};
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
    let moments = Ages::moments(&view.object, view.pods.values(), &view.backups);
    view.ages = moments.into_iter().map(|moment| (moment, age)).collect();
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

/// Status, reason and message of a condition in the last pass.
fn condition(world: &World, type_: &str) -> (String, String, String) {
    let all = world.status().conditions;
    let found = all.into_iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status, found.reason, found.message)
}

fn assert_says(world: &World, type_: &str, status: &str, reason: &str, words: &[&str]) {
    let (found_status, found_reason, message) = condition(world, type_);
    assert_eq!((found_status.as_str(), found_reason.as_str()), (status, reason), "{message}");
    for word in words {
        assert!(message.contains(word), "{word} is missing in {message:?}");
    }
}

fn is_cloned(world: &World, instance: &str) -> bool {
    world
        .last
        .orders
        .iter()
        .any(|order| order.instance == instance && matches!(order.action, Action::Clone { .. }))
}

#[test]
fn a_missing_quorum_says_who_is_missing_and_what_not_to_delete() {
    let mut world = World::healthy(3);
    world.crash("shop-0");
    world.crash("shop-2");
    world.until(Phase::QuorumUnavailable);
    let words = ["Bring back", "delete none of their claims"];
    assert_says(&world, "Degraded", "True", "QuorumUnavailable", &words);
    assert_says(&world, "Writable", "False", "NoOpenPrimary", &[]);
    world.boot("shop-2");
    world.until(Phase::Degraded);
}

#[test]
fn a_diverged_member_is_named_with_what_it_has_and_heals() {
    let mut world = World::healthy(3);
    world.member("shop-2").executes("deadbeef-0000-0000-0000-000000000000:5-7");
    world.pass();
    let words = ["shop-2 has 3 transactions", "deadbeef-0000-0000-0000-000000000000:5-7", "copies the data"];
    assert_says(&world, "Degraded", "True", "Diverged", &words);
    world.until(Phase::Healthy);
    assert_says(&world, "Degraded", "False", "AsExpected", &[]);
}

#[test]
fn a_foreign_history_is_left_alone_until_a_person_gives_it_up() {
    let mut world = World::healthy(3);
    let data = world.member("shop-2").state.data.as_mut().unwrap();
    data.executed = "deadbeef-0000-0000-0000-000000000000:1-70".to_owned();
    data.retrieved.clear();
    let primary = world.primary();
    for _ in 0..60 {
        world.pass();
        assert!(!is_cloned(&world, "shop-2"), "data of unknown origin is overwritten");
    }
    let words = ["shop-2 shares no transaction", "delete the claim data-shop-2 and then the Pod shop-2"];
    assert_says(&world, "Degraded", "True", "ForeignHistory", &words);
    assert_says(&world, "Writable", "True", "PrimaryOpen", &[]);
    assert_eq!((world.primary(), world.claim().members.len()), (primary, 2));
    world.lose_volume("shop-2");
    world.boot("shop-2");
    world.until(Phase::Healthy);
}

/// The agent answers, and can say nothing about its volume.
fn unusable(world: &mut World, instance: &str, server: ServerPhase) {
    let state = &mut world.member(instance).state;
    state.process.push('+');
    (state.server, state.role) = (server, Role::Idle);
    (state.data, state.claim, state.promised) = (None, None, 0);
    state.volume.clear();
    state.cluster.clear();
}

fn broken_promise() -> ServerPhase {
    ServerPhase::UnusableVolume { reason: "understand /var/lib/mysql/porpoise/promise.json".to_owned() }
}

#[test]
fn an_unreadable_promise_stops_its_member_alone_and_names_file_and_remedy() {
    for lost in ["shop-2", "shop-0"] {
        let mut world = World::healthy(3);
        unusable(&mut world, lost, broken_promise());
        world.passes(80);
        world.write(false);
        let words = [lost, "promise.json", "delete the claim data-", "then the Pod"];
        assert_says(&world, "StorageReady", "False", "VolumeUnusable", &words);
        assert_says(&world, "Writable", "True", "PrimaryOpen", &[]);
        assert_eq!(world.phase(), Some(Phase::Degraded));
        assert_ne!(world.primary(), lost);
        world.lose_volume(lost);
        world.boot(lost);
        world.until(Phase::Healthy);
    }
}

#[test]
fn an_unreadable_promise_of_the_only_member_is_no_reason_to_delete_its_volume() {
    let mut world = World::healthy(1);
    unusable(&mut world, "shop-0", broken_promise());
    world.until(Phase::QuorumUnavailable);
    assert_says(&world, "StorageReady", "False", "VolumeUnusable", &["keep the claim data-shop-0"]);
    assert_says(&world, "Ready", "False", "QuorumUnavailable", &["the volume of shop-0 cannot be used"]);
}

#[test]
fn two_pods_on_one_volume_are_named_and_the_second_waits() {
    let mut world = World::healthy(3);
    let known = world.member("shop-2").state.clone();
    unusable(&mut world, "shop-2", ServerPhase::VolumeInUse);
    world.passes(20);
    let words = ["shop-2", "deleted by force", "Do not delete the claim data-shop-2"];
    assert_says(&world, "StorageReady", "False", "VolumeInUse", &words);
    assert_eq!(world.claim().members.len(), 3, "its volume still counts");
    let process = format!("{}++", known.process);
    world.member("shop-2").state = crate::protocol::MemberState { role: Role::Idle, process, ..known };
    world.until(Phase::Healthy);
}

#[test]
fn servers_of_one_uuid_are_named() {
    let mut world = World::healthy(3);
    world.member("shop-2").state.server_uuid = world.member("shop-1").state.server_uuid.clone();
    world.pass();
    assert_says(&world, "Degraded", "True", "TwinServers", &["shop-1 and shop-2", "copy"]);
}

#[test]
fn a_status_restored_from_a_backup_is_corrected_and_told() {
    let mut world = World::healthy(3);
    let old = world.object.status.clone();
    world.crash("shop-0");
    world.until(Phase::Degraded);
    world.boot("shop-0");
    world.until(Phase::Healthy);
    let promised = world.status().term.unwrap();
    world.object.status = old;
    world.pass();
    let told = world.last.events.iter().find(|event| event.reason == "StatusOutdated").unwrap();
    assert!(told.warning && told.note.contains(&format!("promised term {promised}")), "{}", told.note);
    assert!(world.status().term > Some(promised));
    world.until(Phase::Healthy);
}

/// The object was deleted without its Pods, and made again: what their agents know is another cluster's.
#[test]
fn agents_of_a_former_object_found_nothing_and_are_named() {
    let mut world = World::healthy(3);
    world.object.status = None;
    for name in ["shop-0", "shop-1", "shop-2"] {
        "f0rmer".clone_into(&mut world.member(name).state.cluster);
    }
    world.passes(5);
    assert_eq!(world.status().quorum, None);
    let words = ["shop-0 runs for a former cluster", "f0rmer", "delete the Pod shop-0"];
    assert_says(&world, "StorageReady", "False", "FormerCluster", &words);
}

#[test]
fn a_replica_that_lags_loses_its_reads_and_nothing_else() {
    let mut world = World::healthy(3);
    if let Role::Replica { lagging, .. } = &mut world.member("shop-2").state.role {
        *lagging = true;
    }
    world.pass();
    let reads = |name: &str| world.last.pod_metadata[name].labels[crate::names::READS_LABEL].clone();
    assert_eq!((reads("shop-1").as_deref(), reads("shop-2")), (Some("true"), None));
    assert_eq!(world.phase(), Some(Phase::Healthy));
    assert_eq!(world.claim().members.len(), 3);
    let told = world.status().instances.into_iter().find(|one| one.name == "shop-2").unwrap();
    assert!(told.ready && told.message.contains("maxLag"), "{}", told.message);
}
