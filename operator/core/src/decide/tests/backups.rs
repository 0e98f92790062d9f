//! The backups of a cluster: schedule, requests, retention, and what is told of them.

use super::backup_news::ready;
use super::world::World;
use crate::decide;
use crate::fixture;
use crate::plan::Plan;
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{BackupPhase, BackupsStatus, Phase};
use serde_json::{Value, json};

/// A Healthy cluster with a target, seen at this time.
pub(super) fn view(now: &str, backup: &Value) -> ClusterView {
    let mut whole = json!({"target": {"s3": {"bucket": "safe"}}});
    for (key, value) in backup.as_object().unwrap() {
        whole[key] = value.clone();
    }
    let mut view = World::healthy(3).view();
    view.object.spec.backup = serde_json::from_value(whole).unwrap();
    view.now = at(now);
    view
}

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn decided(view: &ClusterView) -> Plan {
    decide::plan(view, &fixture::settings())
}

pub(super) fn names(plan: &Plan) -> Vec<&str> {
    plan.backups.iter().filter_map(|backup| backup.metadata.name.as_deref()).collect()
}

pub(super) fn retired(plan: &Plan) -> Vec<&str> {
    plan.retired_backups.iter().map(|(name, _)| name.as_str()).collect()
}

pub(super) fn status(plan: &Plan) -> BackupsStatus {
    plan.status.backup.clone().unwrap()
}

fn seen(origin: BackupOrigin, phase: BackupPhase, completed: &str) -> BackupSeen {
    BackupSeen {
        uid: format!("uid-{completed}"),
        created: Some(at(completed)),
        origin,
        phase: Some(phase),
        completed: Some(at(completed)),
        verified: phase == BackupPhase::Succeeded,
        message: "the bucket is full".to_owned(),
        deleting: false,
        ..BackupSeen::default()
    }
}

pub(super) fn good(day: u8) -> BackupSeen {
    seen(BackupOrigin::Schedule, BackupPhase::Succeeded, &format!("2026-11-{day:02}T03:10:00Z"))
}

pub(super) fn daily(day: u8) -> String {
    format!("shop-202611{day:02}0300")
}

/// The next look, some time later, with what the plan left behind.
pub(super) fn later(mut view: ClusterView, plan: &Plan, now: &str) -> ClusterView {
    view.object.status = Some(plan.status.clone());
    view.now = at(now);
    for backup in &plan.backups {
        let label = backup.metadata.labels.as_ref().unwrap().get(crate::names::ORIGIN_LABEL);
        let origin = BackupOrigin::of_label(label.map(String::as_str));
        let made = BackupSeen { origin, created: Some(view.now), ..BackupSeen::default() };
        view.backups.insert(backup.metadata.name.clone().unwrap(), made);
    }
    view
}

pub(super) fn over(view: &mut ClusterView, name: &str) {
    let backup = view.backups.get_mut(name).unwrap();
    (backup.phase, backup.completed, backup.verified) = (Some(BackupPhase::Succeeded), Some(view.now), true);
}

#[test]
fn b28_a_schedule_makes_one_backup_at_its_time() {
    let first = view("2026-11-21T02:00:00Z", &json!({"schedule": "0 3 * * *"}));
    let plan = decided(&first);
    assert!(names(&plan).is_empty(), "nothing was missed before anybody asked for it");
    assert_eq!(status(&plan).next_run, Some(Time(at("2026-11-21T03:00:00Z"))));
    let due = later(first, &plan, "2026-11-21T03:00:05Z");
    let plan = decided(&due);
    assert_eq!(names(&plan), ["shop-202611210300"]);
    let made = json!(plan.backups[0]);
    assert_eq!(
        made["spec"],
        json!({"clusterRef": {"name": "shop"}, "deletionPolicy": "Delete", "method": "Physical"})
    );
    assert_eq!(made["metadata"]["labels"]["mysql.porpoise.dev/origin"], "schedule");
    assert!(made["metadata"].get("ownerReferences").is_none(), "it outlives the cluster");
    // Until it is seen it is asked for again; then the time is taken care of.
    assert_eq!(status(&plan).last_scheduled, Some(Time(at("2026-11-21T02:00:00Z"))));
    let seen = later(due, &plan, "2026-11-21T03:00:06Z");
    let plan = decided(&seen);
    assert!(names(&plan).is_empty());
    assert_eq!(status(&plan).last_scheduled, Some(Time(at("2026-11-21T03:00:00Z"))));
    assert_eq!(status(&plan).next_run, Some(Time(at("2026-11-22T03:00:00Z"))));
    // And not again when somebody deletes it.
    let mut gone = later(seen, &plan, "2026-11-21T04:00:00Z");
    gone.backups.clear();
    assert!(names(&decided(&gone)).is_empty());
}

#[test]
fn b28_names_are_in_utc_whatever_the_zone() {
    let zone = json!({"schedule": "0 3 * * *", "timeZone": "Europe/Berlin"});
    let first = view("2026-07-01T00:00:00Z", &zone);
    let plan = decided(&first);
    let plan = decided(&later(first, &plan, "2026-07-01T01:00:00Z"));
    assert_eq!(names(&plan), ["shop-202607010100"]);
}

#[test]
fn what_was_missed_for_days_is_made_up_for_once() {
    let first = view("2026-11-01T00:00:00Z", &json!({"schedule": "0 3 * * *"}));
    let plan = decided(&first);
    let away = later(first, &plan, "2026-11-20T12:00:00Z");
    let plan = decided(&away);
    assert_eq!(names(&plan), ["shop-202611200300"]);
    let mut after = later(away, &plan, "2026-11-20T12:10:00Z");
    over(&mut after, "shop-202611200300");
    assert!(names(&decided(&after)).is_empty());
}

#[test]
fn a_backup_that_takes_long_is_not_overtaken() {
    let first = view("2026-11-21T02:30:00Z", &json!({"schedule": "0 * * * *"}));
    let plan = decided(&first);
    let first_due = later(first, &plan, "2026-11-21T03:00:01Z");
    let plan = decided(&first_due);
    let mut busy = later(first_due, &plan, "2026-11-21T05:30:00Z");
    let plan = decided(&busy);
    assert!(names(&plan).is_empty(), "two hours were missed meanwhile");
    over(&mut busy, "shop-202611210300");
    let done = later(busy, &plan, "2026-11-21T05:30:01Z");
    assert_eq!(names(&decided(&done)), ["shop-202611210500"]);
}

/// What alerts are about: since when a backup is owed, however often it was tried, until one succeeds.
#[test]
fn f21_a_time_of_the_schedule_is_owed_until_a_backup_succeeds() {
    let first = view("2026-11-21T02:00:00Z", &json!({"schedule": "0 3 * * *"}));
    let plan = decided(&first);
    assert_eq!(status(&plan).due_since, None, "nothing is owed yet");
    let due = later(first, &plan, "2026-11-21T03:00:05Z");
    let plan = decided(&due);
    let owed = Some(Time(at("2026-11-21T03:00:00Z")));
    assert_eq!(status(&plan).due_since, owed);
    let mut next_day = later(due, &plan, "2026-11-22T04:00:00Z");
    next_day.backups.get_mut(&daily(21)).unwrap().phase = Some(BackupPhase::Failed);
    let plan = decided(&next_day);
    assert_eq!(status(&plan).due_since, owed, "since the first time, not the last");
    let mut done = later(next_day, &plan, "2026-11-22T04:10:00Z");
    over(&mut done, &daily(22));
    let plan = decided(&done);
    assert_eq!(status(&plan).due_since, None);
    let mut asleep = later(done, &plan, "2026-11-23T09:00:00Z");
    asleep.object.spec.hibernated = true;
    assert_eq!(status(&decided(&asleep)).due_since, None, "nobody can copy a cluster that sleeps");
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_the_backups() {
    let mut first = view("2026-11-21T02:00:00Z", &json!({"schedule": "0 3 * * *"}));
    let future =
        BackupsStatus { last_scheduled: Some(Time(at("2036-01-01T00:00:00Z"))), ..BackupsStatus::default() };
    first.object.status.as_mut().unwrap().backup = Some(future);
    let plan = decided(&first);
    assert_eq!(status(&plan).last_scheduled, Some(Time(at("2026-11-21T02:00:00Z"))));
    assert_eq!(names(&decided(&later(first, &plan, "2026-11-21T03:00:00Z"))), ["shop-202611210300"]);
}

#[test]
fn a_hibernated_cluster_is_backed_up_when_it_wakes() {
    let mut asleep = view("2026-11-21T02:00:00Z", &json!({"schedule": "0 3 * * *"}));
    asleep.object.spec.hibernated = true;
    let plan = decided(&asleep);
    let mut due = later(asleep, &plan, "2026-11-21T08:00:00Z");
    assert!(names(&decided(&due)).is_empty());
    due.object.spec.hibernated = false;
    assert_eq!(names(&decided(&due)), ["shop-202611210300"]);
}

#[test]
fn a29_every_request_makes_one_backup() {
    let asked = view("2026-11-21T02:00:00Z", &json!({"onDemand": {"requestId": "before-migration"}}));
    let plan = decided(&asked);
    assert_eq!(names(&plan), ["shop-before-migration"]);
    assert_eq!(json!(plan.backups[0])["metadata"]["labels"]["mysql.porpoise.dev/origin"], "request");
    let made = later(asked, &plan, "2026-11-21T02:00:01Z");
    let plan = decided(&made);
    assert!(names(&plan).is_empty());
    assert_eq!(status(&plan).request_id.as_deref(), Some("before-migration"));
    // L6: applying the same spec again, even after somebody deleted the backup, makes none.
    let mut again = later(made, &plan, "2026-11-22T02:00:00Z");
    again.backups.clear();
    assert!(names(&decided(&again)).is_empty());
    again.object.spec.backup.as_mut().unwrap().on_demand.as_mut().unwrap().request_id = "next".to_owned();
    assert_eq!(names(&decided(&again)), ["shop-next"]);
}

#[test]
fn retention_deletes_what_newer_ones_replace() {
    let keep = |count: i32| view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": count}}));
    let mut three = keep(3);
    three.backups.extend((16..=20).map(|day| (daily(day), good(day))));
    let plan = decided(&three);
    assert_eq!(retired(&plan), [daily(17), daily(16)]);
    assert_eq!(
        plan.retired_backups[0].1, "uid-2026-11-17T03:10:00Z",
        "a successor of that name is not meant"
    );
    assert!(plan.events.iter().any(|event| event.reason == "BackupRetired"));
    // One that is on its way out is not counted, and not deleted twice.
    three.backups.get_mut(&daily(16)).unwrap().deleting = true;
    assert_eq!(retired(&decided(&three)), [daily(17)]);
}

/// A newer one may succeed while a restore waits for it.
#[test]
fn a30_a_backup_that_is_to_be_restored_is_not_retired() {
    let mut one = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1}}));
    one.backups.extend((18..=20).map(|day| (daily(day), good(day))));
    let location = json!({"target": {"s3": {"bucket": "safe"}}, "path": "prod/shop/c1a5ter/the-18th"});
    one.backups.get_mut(&daily(18)).unwrap().location = serde_json::from_value(location.clone()).unwrap();
    for (wish, want) in [
        (json!({"requestId": "a", "backupRef": {"name": daily(18)}}), vec![daily(19)]),
        (json!({"requestId": "a", "location": location}), vec![daily(19)]),
        (json!({"requestId": "a", "backupRef": {"name": "other"}}), vec![daily(19), daily(18)]),
    ] {
        one.object.spec.restore = serde_json::from_value(wish).unwrap();
        assert_eq!(retired(&decided(&one)), want);
    }
}

#[test]
fn retention_counts_the_schedules_own_successes_only() {
    let mut one = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1}}));
    one.backups.insert(daily(18), good(18));
    for (name, origin, phase) in [
        ("shop-before-migration", BackupOrigin::Request, BackupPhase::Succeeded),
        ("by-hand", BackupOrigin::Hand, BackupPhase::Succeeded),
        ("failed", BackupOrigin::Schedule, BackupPhase::Failed),
        ("under-way", BackupOrigin::Schedule, BackupPhase::Running),
    ] {
        one.backups.insert(name.to_owned(), seen(origin, phase, "2026-11-20T03:10:00Z"));
    }
    assert!(retired(&decided(&one)).is_empty());
    one.backups.insert(daily(19), good(19));
    assert_eq!(retired(&decided(&one)), [daily(18)]);
}

#[test]
fn the_newest_verified_backup_is_never_deleted() {
    let mut one = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 1}}));
    one.backups.insert(daily(18), good(18));
    one.backups.insert(daily(19), BackupSeen { verified: false, ..good(19) });
    assert!(retired(&decided(&one)).is_empty());
    one.backups.insert(daily(20), good(20));
    assert_eq!(retired(&decided(&one)), [daily(19), daily(18)]);
}

/// A window keeps more than `keepLast`, never less; and what it begins with.
#[test]
fn a_window_keeps_what_every_moment_of_it_needs() {
    let kept = |keep: i32, window: &str, change: fn(&mut ClusterView)| {
        let retention = json!({"retention": {"keepLast": keep, "window": window}});
        let mut view = view("2026-11-21T12:00:00Z", &retention);
        view.backups.extend((11..=20).map(|day| (daily(day), good(day))));
        change(&mut view);
        let plan = decided(&view);
        let gone: Vec<String> = retired(&plan).into_iter().map(str::to_owned).collect();
        view.backups.keys().filter(|name| !gone.contains(name)).cloned().collect::<Vec<_>>()
    };
    let days = |from: u8| (from..=20).map(daily).collect::<Vec<_>>();
    let as_they_are = |_: &mut ClusterView| {};
    assert_eq!(kept(1, "3d", as_they_are), days(18), "the 19th and 20th, and the one before them");
    assert_eq!(kept(1, "72h", as_they_are), days(18));
    assert_eq!(kept(6, "3d", as_they_are), days(15), "keepLast wants more");
    assert_eq!(kept(1, "30d", as_they_are), days(11), "all of them are in the window");
    let unverified = |view: &mut ClusterView| view.backups.get_mut(&daily(18)).unwrap().verified = false;
    assert_eq!(kept(1, "3d", unverified), days(17), "nothing can be restored from the 18th for sure");
    let never = |view: &mut ClusterView| {
        view.backups.values_mut().for_each(|backup| backup.verified = false);
    };
    assert_eq!(kept(1, "3d", never), days(19), "none is an anchor");
}

#[test]
fn a_window_that_all_backups_have_left_leaves_keep_last() {
    let retention = json!({"retention": {"keepLast": 2, "window": "24h"}});
    let mut view = view("2026-11-23T12:00:00Z", &retention);
    view.backups.extend((16..=20).map(|day| (daily(day), good(day))));
    let plan = decided(&view);
    assert_eq!(retired(&plan), [daily(18), daily(17), daily(16)]);
    let reason = plan.events.iter().find(|event| event.reason == "BackupRetired").map(|one| one.note.clone());
    assert_eq!(
        reason.unwrap(),
        format!(
            "{} is deleted: spec.backup.retention.keepLast is 2, window is 24h, and newer ones are stored",
            daily(18)
        )
    );
}

/// A backup that is known to be damaged takes no other one's place.
#[test]
fn a30_a_damaged_backup_is_not_counted() {
    let mut view = view("2026-11-21T12:00:00Z", &json!({"retention": {"keepLast": 2}}));
    view.backups.extend((17..=20).map(|day| (daily(day), good(day))));
    let newest = view.backups.get_mut(&daily(20)).unwrap();
    (newest.verified, newest.damage) = (false, Some("chunk 3 is missing".to_owned()));
    let plan = decided(&view);
    assert_eq!(retired(&plan), [daily(17)], "the 18th and 19th are the two that are whole");
    let stands = status(&plan);
    assert_eq!(stands.last_success, Some(Time(at("2026-11-19T03:10:00Z"))));
    assert_eq!(stands.last_verified, stands.last_success);
    let (truth, reason, message) = ready(&plan).unwrap();
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "LastDamaged"));
    assert_eq!(
        message,
        format!("{} cannot be restored: chunk 3 is missing; make another MySQLBackup", daily(20))
    );
}

#[test]
fn a30_the_newest_stored_backup_is_verified_at_its_time_and_once() {
    let weekly = json!({"verify": {"mode": "Schedule", "schedule": "0 5 * * 0"}});
    let mut first = view("2026-11-21T12:00:00Z", &weekly);
    let uid = first.object.metadata.uid.clone();
    for day in [18, 19, 20] {
        let cluster = if day == 20 { Some("a former one".to_owned()) } else { uid.clone() };
        first.backups.insert(daily(day), BackupSeen { cluster, verified: false, ..good(day) });
    }
    let plan = decided(&first);
    assert!(plan.verifications.is_empty(), "nothing was missed before anybody asked for it");
    let due = at("2026-11-22T05:00:00Z");
    assert_eq!(status(&plan).next_verification, Some(Time(due)));
    let sunday = later(first, &plan, "2026-11-22T05:00:03Z");
    let mut plan = decided(&sunday);
    let asked = plan.verifications.remove(0);
    assert_eq!((asked.backup.as_str(), asked.due), (daily(19).as_str(), due));
    assert_eq!(asked.uid, sunday.backups[&daily(19)].uid);
    assert!(plan.verifications.is_empty());
    // Until it is seen to be asked for it is asked for again; a newer backup is not verified at the same time.
    assert_eq!(decided(&later(sunday.clone(), &plan, "2026-11-22T05:00:04Z")).verifications.len(), 1);
    let mut told = later(sunday, &plan, "2026-11-22T05:00:05Z");
    told.backups.get_mut(&daily(19)).unwrap().verify_due = Some(due);
    told.backups.insert(daily(21), BackupSeen { cluster: uid, verified: false, ..good(21) });
    let plan = decided(&told);
    assert!(plan.verifications.is_empty());
    assert_eq!(status(&plan).last_verification, Some(Time(due)));
    assert_eq!(status(&plan).next_verification, Some(Time(at("2026-11-29T05:00:00Z"))));
}

#[test]
fn a30_nothing_is_verified_while_a_cluster_sleeps_or_without_a_backup() {
    let daily_check = json!({"verify": {"mode": "Schedule", "schedule": "0 5 * * *"}});
    let mut asleep = view("2026-11-21T04:00:00Z", &daily_check);
    let plan = decided(&asleep);
    asleep = later(asleep, &plan, "2026-11-21T05:00:03Z");
    assert!(decided(&asleep).verifications.is_empty(), "there is none");
    let cluster = asleep.object.metadata.uid.clone();
    asleep.backups.insert(daily(20), BackupSeen { cluster, ..good(20) });
    asleep.object.spec.hibernated = true;
    let plan = decided(&asleep);
    assert!(plan.verifications.is_empty());
    let mut awake = later(asleep, &plan, "2026-11-21T09:00:00Z");
    awake.object.spec.hibernated = false;
    assert_eq!(decided(&awake).verifications.len(), 1, "it is made up for");
}

#[test]
fn d17_only_the_last_failures_are_kept() {
    let mut view = view("2026-11-21T12:00:00Z", &json!({}));
    for day in 10..=14 {
        let failed = BackupSeen { phase: Some(BackupPhase::Failed), verified: false, ..good(day) };
        view.backups.insert(daily(day), failed);
    }
    assert_eq!(retired(&decided(&view)), [daily(11), daily(10)]);
}

#[test]
fn what_means_nothing_leaves_the_database_as_it_is() {
    for (backup, field, words) in [
        (json!({"schedule": "0 25 * * *"}), "spec.backup.schedule", "is no schedule"),
        (json!({"schedule": "0 0 31 2 *"}), "spec.backup.schedule", "is never"),
        (json!({"verify": {"mode": "Schedule"}}), "spec.backup.verify.schedule", "mode Schedule needs it"),
        (
            json!({"verify": {"schedule": "0 5 * * 0"}}),
            "spec.backup.verify.schedule",
            "no other mode has one",
        ),
        (
            json!({"verify": {"mode": "Schedule", "schedule": "0 25 * * *"}}),
            "spec.backup.verify.schedule",
            "is no schedule",
        ),
        (json!({"retention": {"keepLast": 0}}), "spec.backup.retention.keepLast", "keep at least 1 backup"),
        (json!({"retention": {"window": "0d"}}), "spec.backup.retention.window", "such as 30d"),
        (json!({"retention": {"window": "30"}}), "spec.backup.retention.window", "whole hours or days"),
        (
            json!({"schedule": "0 3 * * *", "timeZone": "Mars/Olympus"}),
            "spec.backup.timeZone",
            "is no time zone",
        ),
    ] {
        let plan = decided(&view("2026-11-21T12:00:00Z", &backup));
        assert_eq!(plan.status.phase, Some(Phase::Invalid));
        let valid = plan.status.conditions.iter().find(|one| one.type_ == "ConfigurationValid").unwrap();
        assert_eq!(valid.status, "False");
        assert!(valid.message.starts_with(field) && valid.message.contains(words), "{}", valid.message);
        assert!(plan.objects.is_empty() && plan.deletions.is_empty() && plan.orders.is_empty());
        assert!(plan.record.is_none() && plan.backups.is_empty());
    }
}
