//! The archive of the binlog: who is told what, how far a restore can go, and what is told of it (A29, A30).

use super::backup_news::ready;
use super::world::World;
use crate::backup::{ARCHIVE_FOLDER, ArchiveSettings, ArchiveState, FoundSecrets, about, archive_settings};
use crate::decide;
use crate::fixture;
use crate::plan::Plan;
use crate::protocol::Role;
use crate::view::{ArchiveLook, BackupSeen, ClusterView, Look};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{ArchiveMode, BackupPhase, BackupsStatus};
use serde_json::json;

const NOW: &str = "2026-11-21T12:00:00Z";
const SERVER: &str = "00000000-0000-0000-0000-000000000000";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn to(last: u64) -> String {
    format!("{SERVER}:1-{last}")
}

fn settings(view: &ClusterView) -> ArchiveSettings {
    archive_settings(&view.object, view.object.spec.backup.as_ref().unwrap(), &FoundSecrets::new()).unwrap()
}

/// A Healthy cluster whose primary, shop-0, was told nothing yet.
fn untold() -> ClusterView {
    let mut view = World::healthy(3).view();
    view.object.spec.backup = serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}})).unwrap();
    view.now = at(NOW);
    view.references.archive = Some(ArchiveLook::Ready(Box::new(settings(&view))));
    view
}

/// The same whose archive gets on, from transaction 11 until half a second ago.
pub(super) fn archiving() -> ClusterView {
    let mut view = untold();
    let state = ArchiveState {
        digest: settings(&view).digest(),
        begins: Some(to(10)),
        reached_at: Some("2026-11-21T11:59:59.5Z".to_owned()),
        ..ArchiveState::default()
    };
    tell(&mut view, "shop-0", Some(state));
    view
}

fn tell(view: &mut ClusterView, instance: &str, archive: Option<ArchiveState>) {
    let Some(Look::Answered(state)) = view.members.get_mut(instance) else { panic!("{instance} answers") };
    state.archive = archive;
}

/// Changes what the primary says of the archive.
pub(super) fn says(view: &mut ClusterView, change: impl FnOnce(&mut ArchiveState)) {
    let Some(Look::Answered(state)) = view.members.get_mut("shop-0") else { panic!("shop-0 answers") };
    change(state.archive.as_mut().unwrap());
}

/// A verified backup of this hour that holds the transactions up to this one.
pub(super) fn add(view: &mut ClusterView, hour: u8, last: u64) {
    let name = format!("shop-{hour}");
    let target = view.object.spec.backup.as_ref().unwrap().target.clone();
    let path = crate::backup::folder(&target, &about(&view.object, &name));
    let backup = BackupSeen {
        uid: name.clone(),
        phase: Some(BackupPhase::Succeeded),
        completed: Some(at(&format!("2026-11-21T{hour:02}:00:00Z"))),
        verified: true,
        cluster: view.object.metadata.uid.clone(),
        location: Some(porpoise_crds::BackupLocation { target, path }),
        gtid_set: Some(to(last)),
        ..BackupSeen::default()
    };
    view.backups.insert(name, backup);
}

fn change(view: &mut ClusterView, hour: u8, change: impl FnOnce(&mut BackupSeen)) {
    change(view.backups.get_mut(&format!("shop-{hour}")).unwrap());
}

fn decided(view: &ClusterView) -> Plan {
    decide::plan(view, &fixture::settings())
}

pub(super) fn status(plan: &Plan) -> BackupsStatus {
    plan.status.backup.clone().unwrap()
}

/// The next look, with what the plan left behind.
fn next(mut view: ClusterView, plan: &Plan) -> ClusterView {
    view.object.status = Some(plan.status.clone());
    view
}

fn condition(plan: &Plan) -> (String, String, String) {
    ready(plan).unwrap()
}

fn events(plan: &Plan) -> Vec<&str> {
    plan.events.iter().map(|event| event.reason).filter(|reason| reason.starts_with("Archive")).collect()
}

fn told(plan: &Plan) -> Vec<(&str, bool)> {
    plan.archive.iter().map(|order| (order.instance.as_str(), order.settings.is_some())).collect()
}

#[test]
fn a29_the_open_primary_is_told_what_it_does_not_know_and_nobody_else_is() {
    type Change = fn(&mut ClusterView);
    for (case, change, want) in [
        ("knows all", (|_| ()) as Change, vec![]),
        ("was told nothing", |view| tell(view, "shop-0", None), vec![("shop-0", true)]),
        ("new credentials", |view| says(view, |state| state.digest.push('x')), vec![("shop-0", true)]),
        ("a backup holds more", |view| add(view, 3, 20), vec![("shop-0", true)]),
        (
            "not open",
            |view| {
                tell(view, "shop-0", None);
                let Some(Look::Answered(state)) = view.members.get_mut("shop-0") else { return };
                if let Role::Primary { admitting, .. } = &mut state.role {
                    *admitting = false;
                }
            },
            vec![],
        ),
        (
            "silent",
            |view| {
                let lasting = std::time::Duration::ZERO;
                view.members.insert("shop-0".to_owned(), Look::Silent { reason: String::new(), lasting });
            },
            vec![],
        ),
        (
            "paused",
            |view| {
                tell(view, "shop-0", None);
                view.object.spec.paused = true;
            },
            vec![],
        ),
        (
            "hibernated",
            |view| {
                tell(view, "shop-0", None);
                view.object.spec.hibernated = true;
            },
            vec![],
        ),
        (
            "deleted",
            |view| {
                tell(view, "shop-0", None);
                view.object.metadata.deletion_timestamp = Some(Time(view.now));
            },
            vec![],
        ),
        (
            "a Secret is missing",
            |view| {
                tell(view, "shop-0", None);
                view.references.archive = Some(ArchiveLook::Missing("make it".to_owned()));
            },
            vec![],
        ),
        (
            "off",
            |view| {
                let backup = view.object.spec.backup.as_mut().unwrap();
                backup.binlog_archive.mode = ArchiveMode::Off;
                view.references.archive = None;
                tell(view, "shop-2", Some(ArchiveState::default()));
            },
            vec![("shop-0", false), ("shop-2", false)],
        ),
        (
            "no backups any more",
            |view| {
                view.object.spec.backup = None;
                view.references.archive = None;
            },
            vec![("shop-0", false)],
        ),
    ] {
        let mut view = archiving();
        change(&mut view);
        let plan = decided(&view);
        assert_eq!(told(&plan), want, "{case}");
        assert!(plan.archive.iter().all(|order| order.cluster == "c1a5ter"), "{case}");
    }
}

/// A look at every step of a failover: the archive waits until it is over, and then the new primary is told.
#[test]
fn a29_nobody_is_told_while_the_primary_moves_and_then_its_successor_is() {
    let mut world = World::healthy(3);
    let backup = json!({"target": {"s3": {"bucket": "safe"}}});
    world.object.spec.backup = serde_json::from_value(backup).unwrap();
    let look = ArchiveLook::Ready(Box::new(settings(&world.view())));
    world.crash("shop-0");
    let mut moved = false;
    for _ in 0..200 {
        let mut view = world.view();
        view.references.archive = Some(look.clone());
        let plan = decided(&view);
        let operates = world.status().operation.is_some();
        assert!(plan.archive.is_empty() || (!operates && plan.record.is_none()));
        if world.primary() != "shop-0" && !plan.archive.is_empty() {
            assert_eq!(told(&plan), [(world.primary().as_str(), true)]);
            moved = true;
            break;
        }
        world.pass();
    }
    assert!(moved, "{:?}", world.status());
}

#[test]
fn a29_needless_is_what_every_kept_backup_of_this_cluster_holds() {
    type Change = fn(&mut ClusterView);
    let both = |view: &mut ClusterView| {
        add(view, 3, 20);
        add(view, 4, 30);
    };
    for (case, by, want) in [
        ("none", (|view| view.backups.clear()) as Change, None),
        ("both", |_| (), Some(20)),
        ("the older is being deleted", |view| change(view, 3, |one| one.deleting = true), Some(30)),
        ("the older failed", |view| change(view, 3, |one| one.phase = Some(BackupPhase::Failed)), Some(30)),
        ("unverified counts", |view| change(view, 3, |one| one.verified = false), Some(20)),
        ("one does not say", |view| change(view, 4, |one| one.gtid_set = None), None),
        ("one says nonsense", |view| change(view, 4, |one| one.gtid_set = Some("x".to_owned())), None),
        (
            "one of a former cluster",
            |view| change(view, 3, |one| one.cluster = Some("former".to_owned())),
            Some(30),
        ),
        (
            "nothing in common",
            |view| change(view, 3, |one| one.gtid_set = Some(SERVER.replace('0', "1") + ":1-5")),
            None,
        ),
    ] {
        let mut view = untold();
        both(&mut view);
        by(&mut view);
        assert_eq!(decided(&view).archive[0].needless, want.map(to), "{case}");
    }
}

#[test]
fn a30_a_restore_can_go_from_the_oldest_verified_backup_that_the_archive_goes_on_from() {
    type Change = fn(&mut ClusterView);
    let window = |plan: &Plan| {
        let BackupsStatus { restorable_from, restorable_to, .. } = status(plan);
        let hour = |time: Option<Time>| time.map(|time| time.0.strftime("%H:%M:%S").to_string());
        (hour(restorable_from), hour(restorable_to))
    };
    for (case, by, from) in [
        ("both can be followed", (|_| ()) as Change, Some("03:00:00")),
        ("the archive begins later", |view| says(view, |one| one.begins = Some(to(25))), Some("04:00:00")),
        ("it begins after both", |view| says(view, |one| one.begins = Some(to(31))), None),
        ("the older is not verified", |view| change(view, 3, |one| one.verified = false), Some("04:00:00")),
        ("the older does not say", |view| change(view, 3, |one| one.gtid_set = None), Some("04:00:00")),
        (
            "the older is in another bucket",
            |view| {
                let other = json!({"s3": {"bucket": "other"}});
                let other = serde_json::from_value(other).unwrap();
                change(view, 3, |one| one.location.as_mut().unwrap().target = other);
            },
            Some("04:00:00"),
        ),
        (
            "the newest is newer than what is archived",
            |view| {
                says(view, |one| one.reached_at = Some("2026-11-21T02:00:00Z".to_owned()));
            },
            None,
        ),
        ("none", |view| view.backups.clear(), None),
    ] {
        let mut view = archiving();
        add(&mut view, 3, 20);
        add(&mut view, 4, 30);
        by(&mut view);
        let want = from.map(|from| (Some(from.to_owned()), Some("11:59:59".to_owned())));
        assert_eq!(window(&decided(&view)), want.unwrap_or_default(), "{case}");
    }
}

/// A primary that is away takes nothing of what is stored with it.
#[test]
fn a30_what_can_be_restored_stays_while_nobody_tells() {
    let mut view = archiving();
    add(&mut view, 3, 20);
    let before = decided(&view);
    let lasting = std::time::Duration::ZERO;
    let mut after = next(view, &before);
    after.members.insert("shop-0".to_owned(), Look::Silent { reason: String::new(), lasting });
    let plan = decided(&after);
    assert_eq!(status(&plan).restorable_from, status(&before).restorable_from);
    assert_eq!(status(&plan).restorable_to, status(&before).restorable_to);
    assert_eq!(plan.archive_delay, before.archive_delay);
    after.backups.clear();
    assert_eq!(status(&decided(&after)).restorable_from, None, "its backup is gone");
}

#[test]
fn a29_an_archive_that_fails_is_said_with_since_when_and_what_to_do() {
    type Change = fn(&mut ClusterView);
    for (case, by, words) in [
        (
            "an error",
            (|view| says(view, |one| "the bucket is full".clone_into(&mut one.error))) as Change,
            "shop-0 cannot archive its binlog: the bucket is full; what was committed before 2026-11-21T11:59Z is stored",
        ),
        (
            "behind",
            |view| says(view, |one| one.reached_at = Some("2026-11-21T11:58:59Z".to_owned())),
            "the archive of shop-0 is behind; what was committed before 2026-11-21T11:58Z is stored; see whether the store",
        ),
        (
            "a Secret is missing",
            |view| {
                view.references.archive =
                    Some(ArchiveLook::Missing("Secret store does not exist; make it".to_owned()));
            },
            "the binlog is not archived: Secret store does not exist; make it",
        ),
        (
            "refused",
            |view| {
                tell(view, "shop-0", None);
                view.references.archive_refusal = Some("another cluster".to_owned());
            },
            "shop-0 does not take what it is told about the archive: another cluster",
        ),
    ] {
        let mut view = archiving();
        add(&mut view, 3, 10);
        says(&mut view, |one| one.needless = Some(to(10)));
        let well = decided(&view);
        assert_eq!((condition(&well).1.as_str(), events(&well)), ("LastSucceeded", vec![]), "{case}");
        assert_eq!(status(&well).archive_failing_since, None, "{case}");
        let healed = view.clone();
        by(&mut view);
        let plan = decided(&view);
        let (truth, reason, message) = condition(&plan);
        assert_eq!((truth.as_str(), reason.as_str()), ("False", "ArchiveFailing"), "{case}");
        assert!(message.starts_with("since 2026-11-21T12:00:00Z: ") && message.contains(words), "{message}");
        assert!(message.ends_with("; shop-3 is stored and was verified"), "{message}");
        assert_eq!(events(&plan), ["ArchiveFailing"], "{case}");
        // Later it still counts from then, and is no new Event.
        let mut later = next(view, &plan);
        later.now = at("2026-11-21T12:00:50Z");
        let plan = decided(&later);
        assert_eq!(status(&plan).archive_failing_since, Some(Time(at(NOW))), "{case}");
        assert_eq!((condition(&plan).2, events(&plan)), (message, vec![]), "{case}");
        let plan = decided(&next(healed, &plan));
        assert_eq!(events(&plan), ["ArchiveRecovered"], "{case}");
        assert_eq!(
            (condition(&plan).0.as_str(), status(&plan).archive_failing_since),
            ("True", None),
            "{case}"
        );
    }
}

#[test]
fn a_long_delay_that_is_asked_for_is_no_failure() {
    for (delay, reached, failing) in [
        ("1s", "2026-11-21T11:59:01Z", false),
        ("1s", "2026-11-21T11:58:59Z", true),
        ("1m", "2026-11-21T11:50:01Z", false),
        ("1m", "2026-11-21T11:49:59Z", true),
        // A clock that is ahead.
        ("1s", "2026-11-21T12:30:00Z", false),
    ] {
        let mut view = archiving();
        view.object.spec.backup.as_mut().unwrap().binlog_archive.max_delay = delay.to_owned();
        view.references.archive = Some(ArchiveLook::Ready(Box::new(settings(&view))));
        says(&mut view, |one| one.reached_at = Some(reached.to_owned()));
        let plan = decided(&view);
        assert_eq!(status(&plan).archive_failing_since.is_some(), failing, "{delay} {reached}");
        assert_eq!(condition(&plan).0 == "False", failing, "{delay} {reached}");
    }
}

#[test]
fn a29_an_archive_that_no_backup_leads_to_is_called_broken() {
    let mut view = archiving();
    let (truth, reason, message) = condition(&decided(&view));
    assert_eq!((truth.as_str(), reason.as_str()), ("Unknown", "NoneYet"), "{message}");
    assert!(message.starts_with("no backup was made yet; ") && message.contains("make a MySQLBackup"));
    add(&mut view, 3, 9);
    says(&mut view, |one| "binlog.000007 was purged before it was stored".clone_into(&mut one.broken));
    let plan = decided(&view);
    let (truth, reason, message) = condition(&plan);
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "ArchiveBroken"));
    for words in
        ["nothing can be restored", "(binlog.000007 was purged before it was stored)", "make a MySQLBackup"]
    {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(events(&plan), ["ArchiveBroken"]);
    let mut view = next(view, &plan);
    assert!(events(&decided(&view)).is_empty(), "told once");
    // One that does not say what it holds may do.
    change(&mut view, 3, |one| one.gtid_set = None);
    assert_eq!(condition(&decided(&view)).0, "True");
    change(&mut view, 3, |one| one.gtid_set = Some(to(9)));
    add(&mut view, 5, 12);
    assert_eq!(condition(&decided(&view)).0, "True", "a new backup closes the gap");
}

/// A failed backup is never hidden by what its archive does.
#[test]
fn a_failed_backup_comes_first() {
    let mut view = archiving();
    add(&mut view, 3, 10);
    change(&mut view, 3, |one| one.phase = Some(BackupPhase::Failed));
    says(&mut view, |one| "the bucket is full".clone_into(&mut one.error));
    let (truth, reason, message) = condition(&decided(&view));
    assert_eq!((truth.as_str(), reason.as_str()), ("False", "LastFailed"));
    assert!(message.starts_with("shop-3 failed: ") && message.contains("the bucket is full"), "{message}");
}

#[test]
fn an_archive_that_is_switched_off_leaves_nothing_to_be_said() {
    let mut view = archiving();
    add(&mut view, 3, 10);
    says(&mut view, |one| "the bucket is full".clone_into(&mut one.error));
    let plan = decided(&view);
    let mut view = next(view, &plan);
    view.object.spec.backup.as_mut().unwrap().binlog_archive.mode = ArchiveMode::Off;
    view.references.archive = None;
    let plan = decided(&view);
    let BackupsStatus { restorable_from, restorable_to, archive_failing_since, .. } = status(&plan);
    assert_eq!((restorable_from, restorable_to, archive_failing_since), (None, None, None));
    assert_eq!((condition(&plan).0.as_str(), plan.archive_delay), ("True", None));
    assert!(events(&plan).is_empty());
}

/// The archive lies beside the backups of the same cluster, and is called as none of them can be.
#[test]
fn the_archive_is_told_for_the_folder_beside_the_backups() {
    let view = untold();
    let plan = decided(&view);
    let settings = plan.archive[0].settings.as_ref().unwrap();
    assert_eq!(settings.folder(), format!("prod/shop/c1a5ter/{ARCHIVE_FOLDER}"));
    assert_eq!(settings.max_delay_milliseconds, 1_000);
}
