//! A cluster that begins with a snapshot, and what counts of backups that are snapshots (A10, A30).

use super::world::World;
use super::{backup_news, backups};
use crate::backup::SnapshotSource;
use crate::fixture;
use crate::plan::{Desired, Plan};
use crate::protocol::{Action, ServerPhase};
use crate::quantity::Amount;
use crate::view::{BackupOrigin, BackupSeen, ClaimView, ClusterView, RestoreLook};
use porpoise_crds::{BackupMethod, BackupPhase, Phase, Quorum, QuorumMember};
use serde_json::json;
use std::collections::BTreeMap;

fn source() -> SnapshotSource {
    SnapshotSource { snapshot: "shop-monday".to_owned(), cluster: "f0rmer".to_owned(), bytes: 4 << 30 }
}

/// Before anything exists.
fn blank() -> (World, ClusterView) {
    let mut world = World::new(3);
    let restore = json!({"restore": {"backupRef": {"name": "shop-monday"}}});
    world.object.spec.bootstrap = Some(serde_json::from_value(restore).unwrap());
    world.restore = Some(RestoreLook::Snapshot(Box::new(source())));
    let view = world.view();
    (world, view)
}

fn decided(view: &ClusterView) -> Plan {
    crate::decide::plan(view, &fixture::settings())
}

fn makes_members(plan: &Plan) -> bool {
    plan.objects.iter().any(|object| matches!(object, Desired::StatefulSet(_)))
}

#[test]
fn a30_the_first_volume_is_made_from_the_snapshot_before_there_are_members() {
    let (_, mut view) = blank();
    let plan = decided(&view);
    assert!(!makes_members(&plan), "they would make a blank one");
    let claim = json!(plan.restored_claim);
    assert_eq!(
        claim["metadata"],
        json!({
            "name": "data-shop-0", "namespace": "prod",
            "annotations": {
                "mysql.porpoise.dev/restored-by": "restore-c1a5ter", "mysql.porpoise.dev/restored-from": "f0rmer",
            },
            "labels": claim["metadata"]["labels"],
        })
    );
    let snapshot =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "shop-monday"});
    assert_eq!(claim["spec"]["dataSource"], snapshot);
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "20Gi");
    let second = decided(&ClusterView { line: 2, ..view.clone() }).restored_claim;
    assert_eq!(second.unwrap().metadata.name.as_deref(), Some("data-2-shop-0"), "that of the line");
    let missing = "spec.bootstrap.restore.backupRef: MySQLBackup shop-monday is not complete yet";
    view.references.restore = Some(RestoreLook::Awaited(missing.to_owned()));
    let plan = decided(&view);
    assert!(!makes_members(&plan) && plan.restored_claim.is_none());
    assert_eq!((plan.reason.as_str(), plan.status.phase), (missing, Some(Phase::Initializing)));
    // What comes from a store needs no volume beforehand.
    view.references.restore = Some(RestoreLook::Missing("no Secret".to_owned()));
    assert!(makes_members(&decided(&view)));
}

/// The world with a first member on a volume that was made from the snapshot.
fn seeded(request: &str) -> World {
    let (mut world, _) = blank();
    // Its members appear with the next pass.
    world.restore = Some(RestoreLook::Missing("later".to_owned()));
    world.passes(3);
    world.restore = Some(RestoreLook::Snapshot(Box::new(source())));
    let first = world.members.get_mut("shop-0").unwrap();
    first.claim.restored_by = Some(request.to_owned());
    first.claim.restored_from = Some("f0rmer".to_owned());
    first.state.server = ServerPhase::ForeignVolume { cluster: "f0rmer".into(), owner: "prod/old".into() };
    first.state.cluster = "f0rmer".into();
    first.state.data = None;
    // The snapshot is of a living member's volume, so it has what that one promised.
    let members = vec![QuorumMember { name: "old-2".to_owned(), volume: "v0lume".to_owned() }];
    first.state.claim = Some(Quorum { members, k: 1, version: 12 });
    first.state.promised = 7;
    world
}

#[test]
fn a30_the_first_member_takes_the_volume_over_and_the_others_copy_it() {
    let mut world = seeded("restore-c1a5ter");
    world.passes(1);
    let told = world.last.orders.iter().find(|order| matches!(order.action, Action::TakeOver { .. }));
    let told = told.unwrap_or_else(|| panic!("{}", world.last.reason));
    let want = Action::TakeOver { former: "f0rmer".to_owned(), request: "restore-c1a5ter".to_owned() };
    assert_eq!((told.instance.as_str(), &told.action), ("shop-0", &want));
    world.until(Phase::Healthy);
    assert!(world.claim().members.iter().all(|member| member.name.starts_with("shop-")));
    assert!(world.status().term.unwrap() > 7, "above every term that the data knows");
    for member in world.members.values() {
        let executed = &member.state.data.as_ref().unwrap().executed;
        assert!(executed.contains("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-50"), "{executed}");
    }
}

#[test]
fn a30_a_volume_that_is_to_be_taken_over_is_an_alarm_only_when_nobody_will() {
    let mut world = seeded("restore-c1a5ter");
    let foreign = world.members["shop-0"].state.server.clone();
    let reason = |world: &World| {
        let conditions = decided(&world.view()).status.conditions;
        conditions.into_iter().find(|one| one.type_ == "StorageReady").unwrap().reason
    };
    assert_ne!(reason(&world), "ForeignVolume");
    world.until(Phase::Healthy);
    world.members.get_mut("shop-0").unwrap().state.server = foreign;
    assert_eq!(reason(&world), "ForeignVolume");
}

#[test]
fn a30_a_volume_of_somebody_else_is_not_taken_over() {
    for request in ["restore-another", ""] {
        let mut world = seeded(request);
        world.passes(5);
        assert_eq!((world.status().quorum, world.last.orders.len()), (None, 0), "{request}");
        assert!(world.last.reason.contains("holds the data of an earlier cluster"), "{}", world.last.reason);
        assert!(world.last.reason.contains("delete the MySQLCluster and the volume claims"));
    }
}

/// What is known of the snapshot may change at any time, and nothing that was founded by mistake is ever undone.
#[test]
fn a30_a_volume_with_other_data_than_the_backup_is_of_is_not_taken_over() {
    let another = SnapshotSource { cluster: "an0ther".to_owned(), ..source() };
    let later = "spec.bootstrap.restore.backupRef: VolumeSnapshot shop-monday cannot be read now";
    for (look, is_wished) in [
        (Some(RestoreLook::Snapshot(Box::new(another))), true),
        (Some(RestoreLook::Snapshot(Box::new(source()))), true),
        (Some(RestoreLook::Awaited(later.to_owned())), true),
        (Some(RestoreLook::Missing(later.to_owned())), true),
        (None, true),
        (None, false),
    ] {
        let mut world = seeded("restore-c1a5ter");
        world.members.get_mut("shop-0").unwrap().claim.restored_from = Some("an0ther".to_owned());
        world.object.spec.bootstrap = world.object.spec.bootstrap.filter(|_| is_wished);
        world.restore.clone_from(&look);
        world.passes(5);
        assert_eq!((world.status().quorum, world.last.orders.len()), (None, 0), "{look:?}");
        for words in
            ["is to be of cluster an0ther, and holds the data of cluster f0rmer", "name another backup"]
        {
            assert!(world.last.reason.contains(words), "{look:?}: {}", world.last.reason);
        }
    }
}

#[test]
fn a30_a_bootstrap_that_is_removed_is_carried_out_if_its_volume_was_made() {
    let mut world = seeded("restore-c1a5ter");
    (world.object.spec.bootstrap, world.restore) = (None, None);
    world.until(Phase::Healthy);
    assert!(world.status().term.unwrap() > 7);
    let mut other = seeded("restore-another");
    (other.object.spec.bootstrap, other.restore) = (None, None);
    other.passes(5);
    assert_eq!((other.status().quorum, other.last.orders.len()), (None, 0), "of another cluster");
}

#[test]
fn a30_members_wait_for_a_claim_that_is_being_deleted_to_be_gone() {
    let (_, mut view) = blank();
    let going = ClaimView { terminating: true, ..ClaimView::default() };
    view.claims.insert("shop-0".to_owned(), going);
    let plan = decided(&view);
    assert!(!makes_members(&plan), "it would be followed by a blank one");
    assert!(plan.restored_claim.is_none());
    assert_eq!(
        plan.reason,
        "the volume claim data-shop-0 is being deleted; the first volume is made after that"
    );
    view.claims.clear();
    assert!(decided(&view).restored_claim.is_some());
}

/// Whoever then removes `spec.bootstrap` goes on with that data: nothing of the snapshot is in its way.
#[test]
fn a30_no_volume_is_made_beside_those_that_an_earlier_cluster_left() {
    let (_, mut view) = blank();
    for name in ["shop-1", "shop-2"] {
        view.claims.insert(name.to_owned(), ClaimView::default());
    }
    let plan = decided(&view);
    assert!(!makes_members(&plan) && plan.restored_claim.is_none());
    assert!(
        plan.reason.contains("left the volume claims data-shop-1, data-shop-2: delete them"),
        "{}",
        plan.reason
    );
    (view.object.spec.bootstrap, view.references.restore) = (None, None);
    let plan = decided(&view);
    assert!(makes_members(&plan) && plan.restored_claim.is_none());
}

/// The first member could hold the data and the others could not.
#[test]
fn a30_a_snapshot_that_is_larger_than_the_members_volumes_is_not_begun_with() {
    let (_, mut view) = blank();
    let large = |bytes| Some(RestoreLook::Snapshot(Box::new(SnapshotSource { bytes, ..source() })));
    view.references.restore = large(40 << 30);
    let plan = decided(&view);
    assert!(!makes_members(&plan) && plan.restored_claim.is_none());
    assert!(plan.reason.contains("spec.storage.size: VolumeSnapshot shop-monday"), "{}", plan.reason);
    assert!(plan.reason.contains("ask for at least 40Gi"), "{}", plan.reason);
    // The very same spec as that of the source, by a driver that makes volumes of whole gibibytes.
    for (size, bytes) in [("40Gi", 40 << 30), ("40G", 38 << 30)] {
        view.object.spec.storage.size.0 = size.to_owned();
        view.references.restore = large(bytes);
        let claim = decided(&view).restored_claim.unwrap_or_else(|| panic!("{size}")).spec.unwrap();
        let asked = Amount::parse(&claim.resources.unwrap().requests.unwrap()["storage"].0).unwrap();
        assert_eq!(asked.units(), bytes, "{size}");
        let mut made = view.clone();
        let restored_by = Some("restore-c1a5ter".to_owned());
        let claim = ClaimView { restored_by, size_bytes: bytes, ..ClaimView::default() };
        made.claims.insert("shop-0".to_owned(), claim);
        let plan = decided(&made);
        assert!(makes_members(&plan), "{size}: {}", plan.reason);
        assert_eq!(plan.reason, "the first volume is made from VolumeSnapshot shop-monday", "{size}");
    }
}

#[test]
fn a30_a_blank_first_volume_never_takes_the_place_of_the_snapshot() {
    let (mut world, _) = blank();
    world.restore = Some(RestoreLook::Missing("later".to_owned()));
    world.passes(3);
    world.restore = Some(RestoreLook::Snapshot(Box::new(source())));
    world.passes(5);
    assert_eq!((world.status().quorum, world.last.orders.len()), (None, 0));
    assert!(world.last.reason.contains("the volume of the first member is blank"), "{}", world.last.reason);
}

fn with_backups() -> (World, ClusterView) {
    let mut world = World::healthy(3);
    let backup = json!({
        "target": {"s3": {"bucket": "safe"}}, "method": "VolumeSnapshot", "retention": {"keepLast": 1},
    });
    world.object.spec.backup = serde_json::from_value(backup).unwrap();
    let view = world.view();
    (world, view)
}

fn seen(view: &ClusterView, method: BackupMethod, minutes_ago: i64) -> BackupSeen {
    let moment = view.now - jiff::SignedDuration::from_mins(minutes_ago);
    BackupSeen {
        uid: format!("u{minutes_ago}"),
        origin: BackupOrigin::Schedule,
        phase: Some(BackupPhase::Succeeded),
        created: Some(moment),
        completed: Some(moment),
        verified: true,
        method,
        ..BackupSeen::default()
    }
}

#[test]
fn a10_snapshots_are_counted_on_their_own_and_take_no_stored_backups_place() {
    let (_, mut view) = with_backups();
    for (name, method, minutes_ago) in [
        ("shop-a", BackupMethod::Physical, 60),
        ("shop-b", BackupMethod::Physical, 50),
        ("shop-c", BackupMethod::VolumeSnapshot, 40),
        ("shop-d", BackupMethod::VolumeSnapshot, 30),
        ("shop-e", BackupMethod::Logical, 20),
        ("shop-f", BackupMethod::Logical, 10),
    ] {
        // Whether it was verified does not change what is counted.
        let seen = BackupSeen { verified: false, ..seen(&view, method, minutes_ago) };
        view.backups.insert(name.to_owned(), seen);
    }
    let retired: Vec<String> = decided(&view).retired_backups.into_iter().map(|(name, _)| name).collect();
    assert_eq!(retired, ["shop-a", "shop-e", "shop-c"], "one of each method is kept");
}

#[test]
fn a10_where_snapshots_are_not_served_the_condition_says_what_to_do() {
    let (_, mut view) = with_backups();
    for (serves, reason) in
        [(Some(false), "SnapshotsUnavailable"), (Some(true), "NoneYet"), (None, "NoneYet")]
    {
        view.references.serves_snapshots = serves;
        let conditions = decided(&view).status.conditions;
        let ready = conditions.iter().find(|one| one.type_ == "BackupReady").unwrap();
        assert_eq!(ready.reason, reason, "{serves:?}");
        assert_eq!(
            ready.message.contains("choose method: Physical"),
            serves == Some(false),
            "{}",
            ready.message
        );
    }
}

/// A method that does not work is left by choosing another one: the backup that waits in vain cannot change.
#[test]
fn b28_a_snapshot_that_cannot_begin_does_not_hold_a_schedule_of_another_method_up() {
    let hourly = |method: &str| {
        backups::view("2026-11-21T02:30:00Z", &json!({"schedule": "0 * * * *", "method": method}))
    };
    for (method, jobs, phase, made) in [
        ("Physical", 0, BackupPhase::Pending, true),
        ("Physical", 0, BackupPhase::Running, true),
        ("Physical", 1, BackupPhase::Running, false),
        ("VolumeSnapshot", 0, BackupPhase::Pending, false),
        ("VolumeSnapshot", 0, BackupPhase::Running, false),
    ] {
        let first = hourly(method);
        let mut due = backups::later(first.clone(), &decided(&first), "2026-11-21T03:00:01Z");
        let late = seen(&due, BackupMethod::VolumeSnapshot, 60);
        let late = BackupSeen { phase: Some(phase), completed: None, jobs, ..late };
        due.backups.insert("shop-202611210200".to_owned(), late);
        assert_eq!(
            backups::names(&decided(&due)) == ["shop-202611210300"],
            made,
            "{method} {jobs} {phase:?}"
        );
        due.backups.insert("shop-202611210230".to_owned(), backups::good(21));
        let waits = backup_news::ready(&decided(&due)).unwrap().1 == "Waiting";
        assert_eq!(waits, method == "VolumeSnapshot" && phase == BackupPhase::Pending, "{method} {phase:?}");
    }
}

#[test]
fn d15_no_update_passes_the_gate_with_a_snapshot() {
    let (_, mut view) = with_backups();
    let age = std::time::Duration::from_mins(10);
    let fresh = |method| seen(&view, method, 1).is_fresh(&view.object, age, view.now);
    assert!(fresh(BackupMethod::Physical));
    assert!(!fresh(BackupMethod::VolumeSnapshot), "it cannot be tried on");
    let names = crate::names::ClusterNames::new("shop", "prod");
    for origin in [BackupOrigin::Update, BackupOrigin::Deletion] {
        let wish = super::super::backups::wish(&names, &BTreeMap::new(), "a".into(), origin);
        assert_eq!(wish.spec.method, BackupMethod::Physical);
    }
    let wish = json!({"requestId": "now"});
    view.object.spec.backup.as_mut().unwrap().on_demand = serde_json::from_value(wish).unwrap();
    let made: Vec<BackupMethod> = decided(&view).backups.iter().map(|backup| backup.spec.method).collect();
    assert_eq!(made, [BackupMethod::VolumeSnapshot], "as spec.backup.method says");
}
