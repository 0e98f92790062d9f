//! A restore into the cluster that is there (A30, ADR 0028): a new line of data beside the old one, and the way back.

use super::world::{World, set};
use crate::backup::{ArchiveState, RestoreSource, SnapshotSource, TargetSecrets};
use crate::decide::plan;
use crate::fixture;
use crate::line;
use crate::plan::{Deletion, Plan};
use crate::protocol::{Action, MemberState, Order};
use crate::view::{Ages, BackupSeen, ClusterView, PodView, RestoreLook};
use porpoise_crds::{BackupPhase, DeletionPolicy, InPlaceRestore, Phase, RestorePhase, RestoreStatus};
use serde_json::json;
use std::time::Duration;

/// What the backup of these tests holds.
const RESTORED: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-50";

pub(super) fn source() -> RestoreLook {
    let location = json!({"target": {"s3": {"bucket": "safe"}}, "path": "prod/shop/c1a5ter/shop-monday"});
    RestoreLook::Ready(Box::new(RestoreSource {
        location: serde_json::from_value(location).unwrap(),
        secrets: TargetSecrets::default(),
        point: None,
    }))
}

pub(super) fn wish(id: &str) -> InPlaceRestore {
    serde_json::from_value(json!({"requestId": id, "backupRef": {"name": "shop-monday"}})).unwrap()
}

/// A cluster that is well and has written, with a wish that can be fulfilled.
pub(super) fn asked() -> World {
    let mut world = World::new(3);
    world.follow_sets();
    world.until(Phase::Healthy);
    world.write(false);
    world.object.spec.restore = Some(wish("after-the-accident"));
    world.restore = Some(source());
    world
}

pub(super) fn restore(world: &World) -> RestoreStatus {
    world.status().restore.unwrap()
}

/// Passes until the restore stands like that.
pub(super) fn until(world: &mut World, phase: RestorePhase) {
    for _ in 0..200 {
        if world.status().restore.is_some_and(|restore| restore.phase == phase) {
            return;
        }
        world.pass();
    }
    panic!("never {phase:?}: {:#?} because {}", world.status(), world.last.reason);
}

fn executed(state: &MemberState) -> String {
    state.data.as_ref().unwrap().executed.clone()
}

fn volumes(world: &World) -> Vec<String> {
    world.members.values().map(|member| member.state.volume.clone()).collect()
}

#[test]
fn a30_a_restore_in_place_gives_the_members_new_volumes_and_keeps_the_old_ones() {
    let mut world = asked();
    let before = world.status();
    let old: Vec<String> = world.members.values().map(|member| executed(&member.state)).collect();
    until(&mut world, RestorePhase::Done);
    world.until(Phase::Healthy);
    let after = world.status();
    assert_eq!((after.line, restore(&world).line, world.mounted()), (Some(2), 2, 2));
    assert_eq!(volumes(&world), ["data-2-of-shop-0", "data-2-of-shop-1", "data-2-of-shop-2"]);
    for member in world.members.values() {
        assert!(set(&executed(&member.state)).contains(&set(RESTORED)), "{}", executed(&member.state));
        assert!(
            !set(&executed(&member.state)).contains(&set(&old[0])),
            "what was written after it is not there"
        );
    }
    assert!(after.term > before.term, "a term is never used twice");
    assert!(after.quorum.unwrap().version > before.quorum.unwrap().version, "an old claim is an older one");
    assert_eq!((restore(&world).former, restore(&world).past_requests.len()), (None, 1));
    let kept: Vec<String> = world.shelved(1).values().map(|member| executed(&member.state)).collect();
    assert_eq!(kept, old, "the old volumes are as they were");
    world.write(false);
    world.passes(40);
    assert_eq!((world.phase(), world.mounted()), (Some(Phase::Healthy), 2), "done once");
}

#[test]
fn a30_the_steps_of_a_restore_in_place_are_seen_in_the_state_and_in_events() {
    let mut world = asked();
    let (mut phases, mut steps, mut told) = (Vec::new(), Vec::new(), Vec::new());
    while world.phase() != Some(Phase::Healthy) || steps.is_empty() {
        world.pass();
        phases.push(world.phase().unwrap());
        steps.extend(world.status().restore.map(|restore| restore.phase));
        told.extend(world.last.events.iter().map(|event| event.reason));
    }
    phases.dedup();
    steps.dedup();
    assert_eq!(phases, [Phase::Restoring, Phase::Healthy]);
    let all = [RestorePhase::Stopping, RestorePhase::Restoring, RestorePhase::Opening, RestorePhase::Done];
    assert_eq!(steps, all);
    let place = |reason| told.iter().position(|one| *one == reason).unwrap_or_else(|| panic!("{told:?}"));
    assert!(place("RestoreStarted") < place("BootstrapStarted"));
    assert!(place("BootstrapStarted") < place("RestoreFinished"));
}

#[test]
fn a30_nothing_is_touched_while_the_backup_is_missing() {
    let missing = || "spec.restore.backupRef: name another".to_owned();
    let snapshot =
        SnapshotSource { snapshot: "shop-monday".to_owned(), cluster: "f0rmer".to_owned(), bytes: 1 };
    for (look, said) in [
        (None, "looking for"),
        (Some(RestoreLook::Missing(missing())), "name another"),
        (Some(RestoreLook::Awaited(missing())), "name another"),
        (Some(RestoreLook::Snapshot(Box::new(snapshot))), "name one with method Physical"),
    ] {
        let mut world = asked();
        world.restore = look.clone();
        let before = world.status();
        let mut told = 0;
        for _ in 0..20 {
            world.pass();
            assert!(world.last.deletions.iter().all(|one| !is_of_members(one)));
            told += world.last.events.iter().filter(|event| event.reason == "RestoreWaiting").count();
        }
        let after = world.status();
        assert_eq!((after.quorum, after.term, after.line), (before.quorum, before.term, None));
        assert_eq!((world.phase(), restore(&world).phase), (Some(Phase::Healthy), RestorePhase::Waiting));
        assert_eq!(told, usize::from(look.is_some()), "said once");
        assert!(restore(&world).message.contains(said), "{}", restore(&world).message);
        world.restore = Some(source());
        until(&mut world, RestorePhase::Done);
    }
}

fn is_of_members(deletion: &Deletion) -> bool {
    matches!(deletion, Deletion::StatefulSet { name, .. } | Deletion::Pod { name, .. } if name == "shop" || name.starts_with("shop-0"))
}

/// Git may name an old request again, for example when a newer commit is taken back.
#[test]
fn a30_no_request_is_done_twice() {
    let mut world = asked();
    until(&mut world, RestorePhase::Done);
    world.object.spec.restore = Some(wish("second"));
    world.pass();
    until(&mut world, RestorePhase::Done);
    while restore(&world).request_id != "second" || restore(&world).phase != RestorePhase::Done {
        world.pass();
    }
    assert_eq!(world.mounted(), 3, "a line of its own");
    for id in [Some("after-the-accident"), Some("second"), None] {
        world.object.spec.restore = id.map(wish);
        world.passes(30);
        assert_eq!((world.mounted(), restore(&world).request_id.as_str()), (3, "second"));
    }
    assert_eq!(restore(&world).past_requests, ["after-the-accident", "second"]);
}

/// A new cluster may be made from a manifest in which an old request still stands.
#[test]
fn a30_a_request_from_before_there_was_data_is_not_done() {
    let mut world = World::new(1);
    world.follow_sets();
    world.object.spec.restore = Some(wish("long-ago"));
    world.restore = Some(source());
    world.until(Phase::Healthy);
    world.passes(20);
    assert_eq!((restore(&world).phase, world.mounted()), (RestorePhase::Skipped, 1));
    world.object.spec.restore = Some(wish("now"));
    world.pass();
    until(&mut world, RestorePhase::Done);
    assert_eq!(world.mounted(), 2);
}

/// The operator dies in each pass in turn, once after all its writes but the status, once after the status alone.
#[test]
fn a30_an_operator_that_dies_in_any_step_is_taken_over_from() {
    for broken in 0..40 {
        for with_status in [false, true] {
            let mut world = asked();
            world.passes(broken);
            world.broken_pass(with_status);
            until(&mut world, RestorePhase::Done);
            world.until(Phase::Healthy);
            assert_eq!((world.mounted(), world.status().line), (2, Some(2)), "broken in pass {broken}");
            for member in world.members.values() {
                assert!(set(&executed(&member.state)).contains(&set(RESTORED)), "broken in pass {broken}");
            }
        }
    }
}

#[test]
fn a30_a_restore_that_cannot_be_done_is_withdrawn_and_the_cluster_is_what_it_was() {
    for other in [None, Some("another")] {
        let mut world = asked();
        let before = world.status();
        let old: Vec<String> = world.members.values().map(|member| executed(&member.state)).collect();
        until(&mut world, RestorePhase::Restoring);
        world.restore = Some(RestoreLook::Missing("the point cannot be reached".to_owned()));
        world.passes(30);
        assert_eq!((world.status().quorum, world.phase()), (None, Some(Phase::Restoring)));
        assert!(restore(&world).message.contains("cannot be reached"), "{}", restore(&world).message);
        world.object.spec.restore = other.map(wish);
        until(&mut world, RestorePhase::Withdrawn);
        assert_eq!(world.status().quorum, before.quorum);
        while world.mounted() != 1 {
            world.pass();
        }
        if other.is_none() {
            world.until(Phase::Healthy);
            for (member, old) in world.members.values().zip(&old) {
                assert!(set(&executed(&member.state)).contains(&set(old)), "nothing is lost");
            }
            assert!(world.status().term >= before.term);
            assert_eq!(world.status().line, Some(1));
        } else {
            world.restore = Some(source());
            until(&mut world, RestorePhase::Done);
            assert_eq!(world.mounted(), 3, "volumes of a restore that failed are not used again");
        }
    }
}

/// The way back is taken over as well.
#[test]
fn a30_an_operator_that_dies_on_the_way_back_is_taken_over_from() {
    for broken in 0..30 {
        for with_status in [false, true] {
            let mut world = asked();
            until(&mut world, RestorePhase::Restoring);
            world.restore = None;
            world.object.spec.restore = None;
            world.passes(broken);
            world.broken_pass(with_status);
            until(&mut world, RestorePhase::Withdrawn);
            world.until(Phase::Healthy);
            assert_eq!((world.mounted(), world.claim().members.len()), (1, 3), "broken in pass {broken}");
        }
    }
}

#[test]
fn a30_a_restore_is_withdrawn_while_the_members_stop() {
    let mut world = asked();
    until(&mut world, RestorePhase::Stopping);
    world.passes(1);
    world.object.spec.restore = None;
    until(&mut world, RestorePhase::Withdrawn);
    world.until(Phase::Healthy);
    assert_eq!((world.mounted(), world.status().line), (1, Some(1)));
}

/// Once somebody may have written to the restored data, taking the wish away changes nothing.
#[test]
fn a30_there_is_no_way_back_once_the_restored_data_is_being_opened() {
    let mut world = asked();
    until(&mut world, RestorePhase::Opening);
    world.object.spec.restore = None;
    until(&mut world, RestorePhase::Done);
    world.until(Phase::Healthy);
    assert_eq!(world.mounted(), 2);
}

pub(super) fn planned(view: &ClusterView) -> Plan {
    plan(view, &fixture::settings())
}

/// A Pod on a node that is cut off stays for long: nothing of the new line begins while it might still serve.
#[test]
fn a30_the_old_line_is_over_only_when_all_its_pods_are_gone() {
    let mut world = asked();
    until(&mut world, RestorePhase::Stopping);
    world.passes(1);
    let mut view = world.view();
    assert!(view.pods.is_empty() && planned(&view).record.is_some());
    view.pods.insert("shop-1".to_owned(), PodView { terminating: true, line: Some(1), ..PodView::default() });
    let held = planned(&view);
    assert!(held.record.is_none() && held.orders.is_empty());
    assert_eq!(held.status.restore.unwrap().message, "waiting for shop-1 to stop");
}

/// What a Job copies is of one line: it would otherwise store the new one's data among the old one's backups.
#[test]
fn a30_a_restore_waits_for_a_backup_that_is_being_made() {
    let mut world = asked();
    let running = BackupSeen { phase: Some(BackupPhase::Running), ..BackupSeen::default() };
    for phase in [RestorePhase::Waiting, RestorePhase::Stopping] {
        if phase == RestorePhase::Stopping {
            until(&mut world, phase);
            world.passes(1);
        }
        let mut view = world.view();
        view.backups.insert("shop-tuesday".to_owned(), running.clone());
        let held = planned(&view);
        assert!(held.record.is_none());
        let restore = held.status.restore.unwrap();
        assert_eq!(restore.phase, phase);
        assert!(restore.message.contains("MySQLBackup shop-tuesday is being made"), "{}", restore.message);
    }
}

/// What was committed before the wish is archived before the members stop, unless the archive does not get on.
#[test]
fn a30_a_restore_to_a_point_waits_a_little_for_the_archive() {
    let mut world = asked();
    world.object.spec.restore.as_mut().unwrap().point_in_time =
        serde_json::from_value(json!({"latest": true})).unwrap();
    world.object.spec.backup = serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}})).unwrap();
    let primary = world.primary();
    let reached = |world: &mut World, at: &str| {
        let archive = ArchiveState { reached_at: Some(at.to_owned()), ..ArchiveState::default() };
        world.member(&primary).state.archive = Some(archive);
    };
    reached(&mut world, "2026-11-21T10:00:00Z");
    world.passes(20);
    assert_eq!(restore(&world).phase, RestorePhase::Waiting);
    assert!(restore(&world).message.contains("is being archived"), "{}", restore(&world).message);
    assert!(world.last.look_again <= Duration::from_secs(3), "nothing tells of it");
    let mut late = world.view();
    late.now += jiff::SignedDuration::from_secs(31);
    late.ages = Ages::by_steady_clock(&late.object, late.pods.values(), &late.backups, late.now);
    assert_eq!(planned(&late).status.restore.unwrap().phase, RestorePhase::Stopping);
    reached(&mut world, "2026-11-21T11:00:00Z");
    world.pass();
    assert_eq!(restore(&world).phase, RestorePhase::Stopping);
}

#[test]
fn a30_a_sleeping_cluster_is_restored_when_it_wakes() {
    let mut world = asked();
    world.object.spec.hibernated = true;
    world.passes(10);
    assert_eq!((world.phase(), restore(&world).phase), (Some(Phase::Hibernated), RestorePhase::Waiting));
    assert!(restore(&world).message.contains("spec.hibernated"), "{}", restore(&world).message);
    world.object.spec.hibernated = false;
    until(&mut world, RestorePhase::Done);
}

/// Orders of the new line name its volumes, so that a member of the old one refuses them.
#[test]
fn a30_only_members_of_the_new_line_are_told_anything() {
    let mut world = asked();
    until(&mut world, RestorePhase::Stopping);
    let mut given: Vec<Order> = Vec::new();
    while restore(&world).phase != RestorePhase::Done {
        world.pass();
        given.extend(world.last.orders.iter().cloned());
    }
    assert!(given.iter().any(|order| matches!(order.action, Action::Restore { .. })));
    for order in given {
        assert!(order.volume.as_ref().is_some_and(|volume| volume.starts_with("data-2-")), "{order:?}");
    }
}

/// Until the restored data is open the old volumes have what was acknowledged; then the new ones.
#[test]
fn a19_a30_a_deleted_cluster_leaves_the_line_that_counts() {
    for (phase, kept) in [(RestorePhase::Restoring, "data-shop-"), (RestorePhase::Done, "data-2-shop-")] {
        let mut world = asked();
        until(&mut world, phase);
        while world.mounted() == 1 || world.members.is_empty() {
            world.pass();
        }
        let mut view = world.view();
        let since = "2026-11-21T11:00:00Z".parse().unwrap();
        view.object.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(since));
        (view.pods, view.stateful_set) = (std::collections::BTreeMap::new(), None);
        let marked: Vec<String> = planned(&view).claim_annotations.into_keys().collect();
        assert_eq!(marked.len(), 3);
        assert!(marked.iter().all(|name| name.starts_with(kept)), "{marked:?}");
        view.object.spec.storage.deletion_policy = DeletionPolicy::Delete;
        let deleted = planned(&view).deletions;
        let claims = deleted.iter().filter(|one| matches!(one, Deletion::Claim { .. })).count();
        assert_eq!(claims, 6, "Delete leaves nothing of any line: {deleted:?}");
    }
}

#[test]
fn a30_backups_and_archive_of_each_line_have_a_place_of_their_own() {
    let mut world = asked();
    let place = |world: &World| crate::backup::about(&world.object, "x").cluster;
    assert_eq!(place(&world), "c1a5ter");
    until(&mut world, RestorePhase::Done);
    assert_eq!(place(&world), "c1a5ter.2");
    assert_eq!(line::recorded_history(&world.object), "c1a5ter.2");
}
