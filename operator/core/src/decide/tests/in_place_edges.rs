//! A restore in place beside what else happens to a cluster (A30, ADR 0028).

use super::archive;
use super::in_place::{asked, planned, restore, source, until, wish};
use super::world::World;
use crate::decide::update_gate;
use crate::gtid::GtidSet;
use crate::plan::Deletion;
use crate::view::{Ages, BackupSeen, ClusterView};
use k8s_openapi::api::apps::v1::StatefulSetStatus;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{BackupMethod, BackupPhase, DeletionPolicy, Phase, Rehearsal, RestorePhase};
use serde_json::json;
use std::collections::BTreeMap;

/// What was archived since the backup that is to be restored is not pruned because a newer one succeeded.
#[test]
fn a30_nothing_of_the_archive_is_needless_while_a_backup_is_to_be_restored() {
    let mut view = archive::archiving();
    archive::add(&mut view, 10, 20);
    let order = planned(&view).archive.remove(0);
    assert!(order.needless.is_some_and(|set| GtidSet::parse(&set).unwrap().count() == 20));
    view.object.spec.restore = Some(wish("after-the-accident"));
    assert!(planned(&view).archive.is_empty(), "what it was told last stays");
}

/// An operator that knows no lines writes a status without them.
#[test]
fn a30_a_request_is_not_done_again_when_the_status_forgot_it() {
    let mut world = asked();
    until(&mut world, RestorePhase::Done);
    world.until(Phase::Healthy);
    let status = world.object.status.as_mut().unwrap();
    (status.restore, status.line) = (None, None);
    world.passes(30);
    assert_eq!((world.mounted(), restore(&world).phase), (2, RestorePhase::Skipped));
    assert_eq!(restore(&world).past_requests, ["after-the-accident"]);
    world.object.spec.restore = Some(wish("once-more"));
    world.pass();
    until(&mut world, RestorePhase::Done);
    assert_eq!(world.mounted(), 3);
}

/// The old volumes come back as they were used last: another image is an update of them.
#[test]
fn a30_d15_the_way_back_from_a_restore_opens_no_gate() {
    for other in [None, Some("another")] {
        let mut world = asked();
        let image = |world: &World| world.view().stateful_set.as_ref().and_then(update_gate::image);
        let before = image(&world);
        until(&mut world, RestorePhase::Restoring);
        world.restore = None;
        let spec = &mut world.object.spec;
        spec.backup = serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}})).unwrap();
        (spec.image, spec.update.rehearsal) = (Some("mysql:9.7.2".to_owned()), Rehearsal::Skip);
        world.passes(5);
        assert_eq!(image(&world).as_deref(), Some("mysql:9.7.2"), "blank volumes take any");
        world.object.spec.restore = other.map(wish);
        until(&mut world, RestorePhase::Withdrawn);
        if other.is_some() {
            world.restore = Some(source());
            world.pass();
            until(&mut world, RestorePhase::Restoring);
            world.object.spec.restore = None;
            world.passes(1);
            until(&mut world, RestorePhase::Withdrawn);
        }
        while image(&world).is_none() || world.mounted() != 1 {
            world.pass();
        }
        assert_eq!(image(&world), before, "{other:?}");
        world.passes(5);
        assert_eq!((image(&world), restore(&world).former), (before, None), "{other:?}");
    }
}

/// A cluster that was deleted a moment ago, and whose volumes go when a last backup stands.
fn leaving(mut view: ClusterView) -> ClusterView {
    view.object.spec.backup = serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}})).unwrap();
    view.object.spec.storage.deletion_policy = DeletionPolicy::BackupThenDelete;
    view.object.metadata.deletion_timestamp = Some(Time(view.now));
    view
}

#[test]
fn a12_a30_no_restore_begins_in_a_cluster_that_is_being_deleted() {
    let mut world = asked();
    world.restore = None;
    world.passes(3);
    world.restore = Some(source());
    let plan = planned(&leaving(world.view()));
    assert_eq!(plan.status.phase, Some(Phase::Deleting));
    assert!(plan.record.is_none(), "{}", plan.reason);
    assert_eq!(plan.status.restore.unwrap().phase, RestorePhase::Waiting);
}

/// The last backup has the line that counts. What was restored away from may be nowhere else.
#[test]
fn a12_a30_a_last_backup_lets_no_other_line_of_data_be_deleted() {
    let mut world = asked();
    until(&mut world, RestorePhase::Done);
    world.until(Phase::Healthy);
    let mut view = leaving(world.view());
    let last = BackupSeen {
        created: Some(view.now),
        phase: Some(BackupPhase::Succeeded),
        verified: true,
        ..BackupSeen::default()
    };
    view.backups.insert("shop-final-c1a5ter".to_owned(), last);
    (view.pods, view.stateful_set) = (BTreeMap::new(), None);
    let claims: Vec<String> = planned(&view).deletions.into_iter().filter_map(claim).collect();
    assert_eq!(claims, ["data-2-shop-0", "data-2-shop-1", "data-2-shop-2"]);
}

fn claim(deletion: Deletion) -> Option<String> {
    if let Deletion::Claim { name, .. } = deletion { Some(name) } else { None }
}

/// Restored data that cannot be opened must not hold up the next try.
#[test]
fn a30_another_request_takes_the_place_of_one_whose_data_is_not_open() {
    let mut world = asked();
    until(&mut world, RestorePhase::Opening);
    world.object.spec.restore = Some(wish("another"));
    world.pass();
    let ended = restore(&world);
    assert_eq!((ended.request_id.as_str(), ended.phase), ("after-the-accident", RestorePhase::Withdrawn));
    assert!(ended.message.contains("data-* still hold"), "{}", ended.message);
    until(&mut world, RestorePhase::Restoring);
    assert_eq!(restore(&world).former.unwrap().line, 2, "somebody may have written to it");
    until(&mut world, RestorePhase::Done);
    world.until(Phase::Healthy);
    assert_eq!((world.mounted(), restore(&world).past_requests.len()), (3, 2));
    // One that is over takes no place.
    world.object.spec.restore = Some(wish("third"));
    world.pass();
    until(&mut world, RestorePhase::Opening);
    world.object.spec.restore = Some(wish("another"));
    until(&mut world, RestorePhase::Done);
}

/// Somebody asks for a backup of what there is, and then for the restore.
#[test]
fn a30_a_backup_that_was_asked_for_first_is_made_first() {
    let world = asked();
    let early = world.now - jiff::SignedDuration::from_secs(5);
    let late = world.now + jiff::SignedDuration::from_secs(5);
    for (created, phase, begins) in [
        (early, None, false),
        (early, Some(BackupPhase::Pending), false),
        (early, Some(BackupPhase::Failed), true),
        (late, Some(BackupPhase::Pending), true),
    ] {
        let mut view = world.view();
        let asked = BackupSeen { created: Some(created), phase, ..BackupSeen::default() };
        view.backups.insert("shop-before".to_owned(), asked);
        let plan = planned(&view);
        assert_eq!(plan.record.is_some(), begins, "{created} {phase:?}");
        let message = plan.status.restore.unwrap().message;
        assert!(begins || message.contains("MySQLBackup shop-before is older"), "{message}");
        assert!(begins || plan.look_again <= std::time::Duration::from_secs(3));
    }
}

#[test]
fn a30_a_snapshot_that_cannot_begin_does_not_hold_a_restore_up_for_ever() {
    let world = asked();
    for (method, begins) in [(BackupMethod::VolumeSnapshot, true), (BackupMethod::Physical, false)] {
        let mut view = world.view();
        let created = Some(world.now - jiff::SignedDuration::from_secs(5));
        let phase = Some(BackupPhase::Pending);
        let waiting = BackupSeen { created, method, phase, ..BackupSeen::default() };
        view.backups.insert("shop-before".to_owned(), waiting);
        let held = planned(&view);
        assert!(held.record.is_none(), "it was asked for before");
        view.object.status = Some(held.status);
        view.now += jiff::SignedDuration::from_mins(5);
        view.ages = Ages::by_steady_clock(&view.object, view.pods.values(), &view.backups, view.now);
        assert_eq!(planned(&view).record.is_some(), begins, "{method:?}");
    }
}

/// It could not begin before: how long the other one takes says nothing of it.
#[test]
fn a30_a_snapshot_that_waited_for_another_backup_gets_its_time_after_that() {
    let world = asked();
    let seen = |seconds_before, method, phase| BackupSeen {
        created: Some(world.now - jiff::SignedDuration::from_secs(seconds_before)),
        method,
        phase: Some(phase),
        ..BackupSeen::default()
    };
    let later = |view: &ClusterView, minutes| {
        let mut view = view.clone();
        view.object.status = Some(planned(&view).status);
        view.now += jiff::SignedDuration::from_mins(minutes);
        view.ages = Ages::by_steady_clock(&view.object, view.pods.values(), &view.backups, view.now);
        view
    };
    let mut view = world.view();
    let waiting = seen(5, BackupMethod::VolumeSnapshot, BackupPhase::Pending);
    view.backups.insert("shop-before".to_owned(), waiting);
    view.backups.insert("shop-first".to_owned(), seen(900, BackupMethod::Physical, BackupPhase::Running));
    let mut view = later(&view, 30);
    let first = view.backups.get_mut("shop-first").unwrap();
    (first.phase, first.completed) = (Some(BackupPhase::Succeeded), Some(view.now));
    let view = later(&view, 0);
    let plan = planned(&view);
    let message = plan.status.restore.unwrap().message;
    assert!(plan.record.is_none() && message.contains("MySQLBackup shop-before is older"), "{message}");
    assert!(planned(&later(&view, 4)).record.is_none());
    assert!(planned(&later(&view, 5)).record.is_some(), "it had its time");
    // What is younger than the request does not prolong it, or there would be no end.
    let mut many = view.clone();
    let end = Some(view.now + jiff::SignedDuration::from_mins(5));
    let young = BackupSeen { completed: end, ..seen(-60, BackupMethod::Physical, BackupPhase::Failed) };
    many.backups.insert("shop-young".to_owned(), young);
    assert!(planned(&later(&many, 5)).record.is_some());
}

/// It began in the moment in which the restore did. No member is needed for it, and what it is made of stays.
#[test]
fn a30_members_that_are_stopped_wait_for_no_snapshot() {
    let mut world = asked();
    until(&mut world, RestorePhase::Stopping);
    while !world.view().pods.is_empty() || planned(&world.view()).record.is_none() {
        world.pass();
    }
    assert_eq!(restore(&world).phase, RestorePhase::Stopping);
    for (method, goes_on) in [(BackupMethod::VolumeSnapshot, true), (BackupMethod::Physical, false)] {
        let mut view = world.view();
        let runs = BackupSeen { method, phase: Some(BackupPhase::Running), ..BackupSeen::default() };
        view.backups.insert("shop-before".to_owned(), runs);
        assert_eq!(planned(&view).record.is_some(), goes_on, "{method:?}");
    }
}

/// A spec that the old volumes do not fit would keep their members from coming back.
#[test]
fn a30_k9_the_volumes_of_the_way_back_do_not_shrink() {
    let mut world = asked();
    until(&mut world, RestorePhase::Restoring);
    let mut view = world.view();
    assert!(view.claims.is_empty());
    view.object.spec.storage.size = Quantity("10Gi".to_owned());
    let plan = planned(&view);
    assert_eq!(plan.status.phase, Some(Phase::Invalid));
    let told = plan.status.conditions.iter().any(|one| one.message.contains("cannot shrink to 10Gi"));
    assert!(told, "{:?}", plan.status.conditions);
    until(&mut world, RestorePhase::Done);
    let mut view = world.view();
    view.object.spec.storage.size = Quantity("10Gi".to_owned());
    view.claims.clear();
    assert_ne!(planned(&view).status.phase, Some(Phase::Invalid), "the old volumes do not count any more");
}

/// The Pods are seen by another watch than the `StatefulSet`, and either may lag behind.
#[test]
fn a30_the_old_line_is_not_over_while_its_stateful_set_counts_members() {
    let mut world = asked();
    until(&mut world, RestorePhase::Stopping);
    world.passes(1);
    let mut view = world.view();
    for (replicas, is_over) in [(1, false), (0, true)] {
        let status = StatefulSetStatus { replicas, ..StatefulSetStatus::default() };
        view.stateful_set.as_mut().unwrap().status = Some(status);
        let plan = planned(&view);
        assert_eq!(plan.record.is_some(), is_over, "{replicas}");
        assert!(is_over || plan.status.restore.unwrap().message.contains("scaled to 0"));
    }
}
