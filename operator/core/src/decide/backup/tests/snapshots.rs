//! Backups that are snapshots of a member's volume (A10).

use super::*;
use crate::backup::{SNAPSHOTS_UNSERVED, SnapshotLook, SnapshotView};
use porpoise_crds::{BackupDeletionPolicy, BackupMethod, VERIFY_DUE, VerificationPhase};

fn of_method(verify: &str) -> BackupView {
    let mut view = view();
    let backup = view.cluster.as_mut().unwrap().spec.backup.as_mut().unwrap();
    backup.volume_snapshot_class_name = Some("quick".to_owned());
    backup.verify = serde_json::from_value(json!({"mode": verify})).unwrap();
    view.object.spec.method = BackupMethod::VolumeSnapshot;
    BackupView { snapshot: SnapshotLook::Absent, secrets: BTreeMap::new(), ..view }
}

/// One that has begun, with this snapshot.
fn begun(verify: &str, snapshot: SnapshotView, since: u64) -> BackupView {
    let view = of_method(verify);
    let next = after(&view, &decided(&view));
    BackupView { store: None, snapshot: found(snapshot), begun_for: Duration::from_secs(since), ..next }
}

fn found(snapshot: SnapshotView) -> SnapshotLook {
    SnapshotLook::Found(Box::new(SnapshotView { uid: "5nap".to_owned(), ..snapshot }))
}

fn ours() -> SnapshotView {
    SnapshotView { of: Some("bac4up".to_owned()), ..SnapshotView::default() }
}

fn ready() -> SnapshotView {
    SnapshotView { taken_up: true, ready: true, bytes: Some(40 << 30), ..ours() }
}

#[test]
fn a10_without_the_api_a_backup_waits_and_says_what_to_do() {
    let view = BackupView { snapshot: SnapshotLook::Unserved, ..of_method("AfterEach") };
    let plan = decided(&view);
    assert_eq!(plan.status.phase, Some(BackupPhase::Pending));
    assert_eq!(plan.status.message, SNAPSHOTS_UNSERVED);
    assert!(plan.snapshot.is_none() && plan.job.is_none() && plan.status.snapshot.is_none());
    let strange = BackupView { snapshot: found(SnapshotView::default()), ..view };
    let plan = decided(&strange);
    assert!(plan.status.message.contains("VolumeSnapshot shop-a exists"), "{}", plan.status.message);
    assert!(plan.snapshot.is_none() && plan.dropped_snapshot.is_none());
}

#[test]
fn a10_a_snapshot_of_a_replica_is_recorded_before_it_is_made() {
    let plan = decided(&of_method("AfterEach"));
    assert_eq!(
        json!(plan.status),
        json!({
            "phase": "Running", "startedAt": "2026-11-21T03:00:07Z", "cluster": "c1a5ter", "donor": "shop-2",
            "snapshot": {"name": "shop-a", "claim": "data-shop-2"},
            "message": "VolumeSnapshot shop-a of data-shop-2 is being taken", "observedGeneration": 2,
        })
    );
    assert_eq!(
        json!(plan.snapshot),
        json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {
                "name": "shop-a", "namespace": "prod",
                "annotations": {"mysql.porpoise.dev/backup-uid": "bac4up"},
                "labels": {
                    "app.kubernetes.io/name": "mysql-backup", "app.kubernetes.io/instance": "shop",
                    "app.kubernetes.io/component": "backup", "app.kubernetes.io/managed-by": "porpoise",
                    "app.kubernetes.io/part-of": "porpoise", "mysql.porpoise.dev/backup": "shop-a",
                },
            },
            "spec": {
                "volumeSnapshotClassName": "quick", "source": {"persistentVolumeClaimName": "data-shop-2"},
            },
        })
    );
    assert!(plan.job.is_none() && reasons(&plan) == ["SnapshotStarted"]);
    let mut own = of_method("AfterEach");
    own.object.spec.volume_snapshot_class_name = Some("slow".to_owned());
    assert_eq!(decided(&own).snapshot.unwrap().spec.volume_snapshot_class_name.as_deref(), Some("slow"));
}

#[test]
fn a10_a_snapshot_is_of_the_line_of_data_that_counts_and_its_volume_says_whose_it_is() {
    let mut view = of_method("AfterEach");
    view.cluster.as_mut().unwrap().status.as_mut().unwrap().line = Some(2);
    let plan = decided(&view);
    assert_eq!(plan.status.cluster.as_deref(), Some("c1a5ter.2"));
    assert_eq!(plan.status.snapshot.as_ref().unwrap().claim, "data-2-shop-2");
    let begun = BackupView { snapshot: found(ready()), ..after(&view, &plan) };
    let job = json!(decided(&BackupView { store: None, ..begun }).job).to_string();
    assert!(job.contains("\\\"cluster\\\":\\\"c1a5ter\\\""), "{job}");
}

#[test]
fn a10_an_operator_that_was_stopped_before_it_made_the_snapshot_makes_it_then() {
    let absent = BackupView { snapshot: SnapshotLook::Absent, ..begun("AfterEach", ours(), 5) };
    let plan = decided(&absent);
    assert_eq!(plan.snapshot.unwrap().metadata.name.as_deref(), Some("shop-a"));
    let late = decided(&BackupView { begun_for: Duration::from_mins(10), ..absent });
    assert_eq!(late.status.phase, Some(BackupPhase::Failed));
    // Perhaps somebody deleted it, perhaps there is a quota.
    assert!(late.status.message.contains("could not be made, or is gone"), "{}", late.status.message);
}

#[test]
fn a10_a_snapshot_that_was_whole_is_never_made_again() {
    let mut gone = BackupView { snapshot: SnapshotLook::Absent, ..begun("AfterEach", ready(), 0) };
    gone.object.status.as_mut().unwrap().stored_bytes = Some(7);
    let plan = decided(&gone);
    assert_eq!((plan.snapshot, plan.status.phase), (None, Some(BackupPhase::Failed)));
    assert!(plan.status.message.contains("is gone"), "{}", plan.status.message);
}

#[test]
fn a10_what_is_not_taken_ends_with_a_sentence_and_is_taken_away() {
    let taken_up = SnapshotView { taken_up: true, ..ours() };
    let refused = SnapshotView { error: Some("no space left".to_owned()), ..ours() };
    for (snapshot, since, want) in [
        (ours(), 599, None),
        (ours(), 600, Some("was not taken up within 10 min; see that the snapshot controller runs")),
        (refused.clone(), 599, None),
        (refused, 600, Some("was not taken up within 10 min: no space left; see that")),
        (taken_up.clone(), 86_399, None),
        (taken_up, 86_400, Some("is not ready after 24 h")),
    ] {
        let view = begun("AfterEach", snapshot.clone(), since);
        let plan = decided(&view);
        // Of one that is Failed nobody would try the deletion again.
        assert_eq!(plan.status.phase, Some(BackupPhase::Running), "{snapshot:?}");
        let Some(words) = want else {
            let error = snapshot.error.unwrap_or_default();
            assert!(plan.status.message.ends_with(&error) && plan.dropped_snapshot.is_none());
            continue;
        };
        let dropped = Some(("shop-a".to_owned(), "5nap".to_owned()));
        assert!(plan.status.message.contains(words), "{}", plan.status.message);
        assert_eq!(plan.dropped_snapshot, dropped);
        let next = after(&view, &plan);
        assert_eq!(decided(&next).dropped_snapshot, dropped, "the API server did not answer");
        let unread = SnapshotLook::Unread("timed out".to_owned());
        let unsaid = decided(&BackupView { snapshot: unread, begun_for: Duration::ZERO, ..next.clone() });
        assert_eq!(unsaid.status, plan.status, "the reason is not forgotten");
        for going in [found(SnapshotView { terminating: true, ..snapshot }), SnapshotLook::Absent] {
            // Also by another operator, which begins to count anew.
            let plan = decided(&BackupView { snapshot: going, begun_for: Duration::ZERO, ..next.clone() });
            assert_eq!(plan.status.phase, Some(BackupPhase::Failed));
            assert!(plan.status.message.contains(words), "{}", plan.status.message);
            assert!(!plan.status.message.contains("it is deleted, so that"), "{}", plan.status.message);
            assert!(plan.snapshot.is_none() && plan.dropped_snapshot.is_none());
        }
    }
}

#[test]
fn a10_what_cannot_be_read_is_said_and_ends_too() {
    let unread = || SnapshotLook::Unread("volumesnapshots is forbidden".to_owned());
    let plan = decided(&BackupView { snapshot: unread(), ..of_method("AfterEach") });
    assert_eq!(plan.status.phase, Some(BackupPhase::Pending));
    for (since, phase) in [(86_399, BackupPhase::Running), (86_400, BackupPhase::Failed)] {
        let plan = decided(&BackupView { snapshot: unread(), ..begun("AfterEach", ours(), since) });
        assert_eq!(plan.status.phase, Some(phase));
        assert!(plan.status.message.contains("cannot be read now: volumesnapshots is forbidden"));
        assert!(plan.snapshot.is_none() && plan.job.is_none());
    }
}

/// Whether this one begins beside another backup.
fn begins(view: BackupView, other: &Rival) -> bool {
    let plan = decided(&BackupView { others: vec![other.clone()], ..view });
    plan.job.is_some() || plan.snapshot.is_some()
}

#[test]
fn a10_a_snapshot_holds_no_other_backup_up_before_it_is_booted() {
    let method = BackupMethod::VolumeSnapshot;
    for phase in [None, Some(BackupPhase::Pending), Some(BackupPhase::Running)] {
        let bare = Rival { method, ..rival("shop-older", 2, phase) };
        assert!(begins(view(), &bare) && begins(of_method("Off"), &bare), "{phase:?}");
        let booted = Rival { jobs: 1, ..bare.clone() };
        assert!(!begins(view(), &booted), "{phase:?}");
        let stored = Rival { method: BackupMethod::Physical, ..bare };
        assert!(!begins(of_method("Off"), &stored), "{phase:?}");
    }
    // And it is booted when nothing else is made.
    let view = begun("AfterEach", ready(), 9);
    let busy = BackupView { others: vec![rival("shop-b", 2, Some(BackupPhase::Running))], ..view.clone() };
    let plan = decided(&busy);
    assert!(plan.job.is_none() && plan.status.message.contains("shop-b is made first"));
    let bare = Rival { method, ..rival("shop-b", 2, Some(BackupPhase::Running)) };
    assert!(decided(&BackupView { others: vec![bare], ..view }).job.is_some());
}

#[test]
fn a10_a_whole_snapshot_of_a_cluster_that_goes_is_kept_and_its_last_backup_does_not_wait() {
    let view = begun("AfterEach", ready(), 9);
    let mut going = view.clone();
    of(&mut going).metadata.deletion_timestamp = Some(epoch());
    for orphan in [going.clone(), BackupView { cluster: None, ..view }] {
        let plan = decided(&orphan);
        assert_eq!((plan.status.phase, plan.status.verified), (Some(BackupPhase::Succeeded), Some(false)));
        assert!(plan.status.message.contains("its MySQLCluster is deleted"), "{}", plan.status.message);
        assert!(plan.job.is_none() && plan.dropped_snapshot.is_none());
    }
    let mut last = super::view();
    last.object.metadata.name = Some("shop-final-c1a5ter".to_owned());
    of(&mut last).metadata.deletion_timestamp = Some(epoch());
    status(&mut last).primary = Some("shop-1".to_owned());
    let taken =
        Rival { method: BackupMethod::VolumeSnapshot, ..rival("shop-older", 2, Some(BackupPhase::Running)) };
    assert!(begins(last.clone(), &taken));
    assert!(!begins(last, &rival("shop-older", 2, Some(BackupPhase::Running))));
}

#[test]
fn a10_a_snapshot_counts_as_verified_only_after_a_server_booted_from_it() {
    let view = begun("AfterEach", ready(), 9);
    let plan = decided(&view);
    let job = json!(plan.job);
    let pod = &job["spec"]["template"]["spec"];
    let staging = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "staging");
    let spec = &staging.unwrap()["ephemeral"]["volumeClaimTemplate"]["spec"];
    assert_eq!(
        spec["dataSource"],
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "shop-a"})
    );
    assert_eq!(spec["resources"]["requests"]["storage"], "42949672960", "no smaller than the snapshot");
    let held = plan.status.verified;
    assert_eq!((plan.status.phase, held), (Some(BackupPhase::Running), None));

    let next = after(&view, &plan);
    let done =
        decided(&BackupView { store: Some(super::job(JobState::Complete, &stored())), ..next.clone() });
    assert_eq!((done.status.phase, done.status.verified), (Some(BackupPhase::Succeeded), Some(true)));
    assert_eq!(done.status.gtid_set.as_deref(), Some("a:1-9"));
    assert!(done.events[0].note.contains("VolumeSnapshot shop-a"), "{}", done.events[0].note);
    let bad = failed("recover the snapshot's data: mysqld exited with status 1", true);
    let failed = decided(&BackupView { store: Some(super::job(JobState::Active, &bad)), ..next });
    assert_eq!(failed.status.phase, Some(BackupPhase::Failed));
}

/// A restore in place may have begun in the same moment, and a primary may be looked for: a boot needs no member.
#[test]
fn a10_a30_a_snapshot_is_booted_whatever_is_done_to_the_members() {
    let base = begun("AfterEach", ready(), 5);
    let with = |status: Value| {
        let mut view = base.clone();
        let mut known = json!(view.cluster.as_ref().unwrap().status);
        known.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        view.cluster.as_mut().unwrap().status = serde_json::from_value(known).unwrap();
        decided(&view)
    };
    let since = "2026-11-21T03:00:00Z";
    let restore =
        json!({"requestId": "r", "phase": "Stopping", "line": 2, "message": "", "startedAt": since});
    let operation = json!({"kind": "Promoting", "startedAt": "2026-11-21T03:00:00.000000Z", "message": ""});
    for status in [json!({"restore": restore}), json!({"operation": operation})] {
        let plan = with(status);
        assert!(plan.job.is_some(), "{}", plan.status.message);
    }
    let plan = with(json!({"phase": "Invalid"}));
    assert!(plan.job.is_none() && plan.status.message.contains("ConfigurationValid"));
}

#[test]
fn a10_one_that_nobody_boots_is_not_called_verified_and_can_be_verified_later() {
    let plan = decided(&begun("Off", ready(), 9).by_schedule());
    assert_eq!((plan.status.phase, plan.status.verified), (Some(BackupPhase::Succeeded), Some(false)));
    assert!(plan.job.is_none() && plan.status.stored_bytes == Some(40 << 30));
    let mut later = after(&begun("Off", ready(), 9), &plan);
    let due = BTreeMap::from([(VERIFY_DUE.to_owned(), "2026-11-21T05:00:00Z".to_owned())]);
    later.object.metadata.annotations = Some(due);
    let plan = decided(&later);
    assert!(json!(plan.job).to_string().contains("\\\"do\\\":\\\"examine\\\""), "{:?}", plan.job);
    let mut next = after(&later, &plan);
    next.store = None;
    next.verify = Some(job(JobState::Complete, &stored()));
    let plan = decided(&next);
    assert_eq!((plan.status.verified, plan.status.gtid_set.as_deref()), (Some(true), Some("a:1-9")));
    next.object.status.as_mut().unwrap().version = Some("8.4.6".to_owned());
    let later = decided(&next).status.version;
    assert_eq!(later.as_deref(), Some("8.4.6"), "that of its data, whatever it is checked with");
    assert_eq!(plan.status.verification.unwrap().phase, VerificationPhase::Verified);
}

#[test]
fn a10_the_snapshot_goes_with_its_backup_unless_the_policy_keeps_it() {
    let mut leaving = begun("AfterEach", ready(), 9);
    leaving.object.metadata.deletion_timestamp = Some(epoch());
    let plan = decided(&leaving);
    assert_eq!(plan.dropped_snapshot, Some(("shop-a".to_owned(), "5nap".to_owned())));
    assert!(!plan.release, "it is waited for");
    let going = found(SnapshotView { terminating: true, ..ready() });
    let going = decided(&BackupView { snapshot: going, ..leaving.clone() });
    assert!(!going.release && going.dropped_snapshot.is_none());
    let other = found(SnapshotView { of: Some("another".to_owned()), ..ready() });
    for gone in [SnapshotLook::Absent, SnapshotLook::Unserved, other] {
        let plan = decided(&BackupView { snapshot: gone, ..leaving.clone() });
        assert!(plan.release && plan.dropped_snapshot.is_none());
    }
    leaving.object.spec.deletion_policy = BackupDeletionPolicy::Retain;
    let kept = decided(&leaving);
    assert!(kept.release && kept.dropped_snapshot.is_none(), "{}", kept.reason);
}

impl BackupView {
    fn by_schedule(mut self) -> Self {
        let label = (crate::names::ORIGIN_LABEL.to_owned(), "schedule".to_owned());
        self.object.metadata.labels.get_or_insert_default().extend([label]);
        self
    }
}
