use super::*;
use crate::backup::{Compared, JobReport, JobState, JobView, Rival, Summary};
use crate::fixture;
use porpoise_crds::{BackupPhase, InstanceRole, InstanceStatus, Phase};
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod deletion;
mod lines;
mod logical;
mod snapshots;
mod verification;

fn instance(name: &str, role: InstanceRole, ready: bool) -> InstanceStatus {
    InstanceStatus { name: name.to_owned(), role, ready, ..InstanceStatus::default() }
}

/// `shop` with three ready members, a target and a key.
fn shop() -> MySQLCluster {
    let mut cluster = fixture::object();
    cluster.spec.backup = serde_json::from_value(json!({
        "target": {"s3": {"bucket": "safe", "prefix": "daily", "credentialsSecretRef": {"name": "store"}}},
        "encryption": {"keySecretRef": {"name": "keys"}, "keyName": "2026"},
    }))
    .unwrap();
    let status = cluster.status.get_or_insert_default();
    status.phase = Some(Phase::Healthy);
    status.instances = vec![
        instance("shop-0", InstanceRole::Primary, true),
        instance("shop-1", InstanceRole::Replica, true),
        instance("shop-2", InstanceRole::Replica, true),
    ];
    cluster
}

/// A backup that lacks nothing.
fn view() -> BackupView {
    let mut object = fixture::backup();
    object.metadata.finalizers = Some(vec![BACKUP_FINALIZER.to_owned()]);
    let entries = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<BTreeSet<_>>();
    BackupView {
        now: "2026-11-21T03:00:07Z".parse().unwrap(),
        deleted_for: Duration::ZERO,
        begun_for: Duration::ZERO,
        object,
        cluster: Some(shop()),
        namespace_terminating: false,
        others: Vec::new(),
        store: None,
        snapshot: crate::backup::SnapshotLook::Unasked,
        verify: None,
        removal: None,
        images: BTreeMap::new(),
        secrets: BTreeMap::from([
            ("store".to_owned(), entries(&["accessKeyId", "secretAccessKey"])),
            ("keys".to_owned(), entries(&["2026"])),
        ]),
    }
}

fn decided(view: &BackupView) -> BackupPlan {
    plan(view, &fixture::settings())
}

fn job(state: JobState, words: &str) -> JobView {
    JobView {
        name: "shop-a-store".to_owned(),
        uid: "j0b".to_owned(),
        owned: true,
        terminating: false,
        state,
        words: words.to_owned(),
        trouble: None,
    }
}

fn report(report: &JobReport) -> String {
    serde_json::to_string(report).unwrap()
}

fn failed(reason: &str, for_good: bool) -> String {
    report(&JobReport::Failed { reason: reason.to_owned(), for_good })
}

fn stored() -> String {
    report(&JobReport::Stored {
        summary: Summary {
            version: "9.7.1".to_owned(),
            donor: "shop-2".to_owned(),
            gtid_set: Some("a:1-9".to_owned()),
            tables: 12,
            data_bytes: 4000,
            stored_bytes: 900,
            verified: true,
            compared: Some(Compared {
                donor: "shop-2".to_owned(),
                tables: 9,
                rows: 70,
                changed: 1,
                skipped: 2,
                digest: "d1ge57".to_owned(),
            }),
        },
    })
}

fn gave_up() -> JobState {
    JobState::Failed { message: "Job has reached the specified backoff limit".to_owned() }
}

/// The view after what `plan` decided was done.
fn after(view: &BackupView, plan: &BackupPlan) -> BackupView {
    let mut next = view.clone();
    next.object.status = Some(plan.status.clone());
    next.store = plan.job.as_ref().map(|_| job(JobState::Active, ""));
    next
}

fn reasons(plan: &BackupPlan) -> Vec<&'static str> {
    plan.events.iter().map(|event| event.reason).collect()
}

#[test]
fn a_new_backup_is_guarded_before_anything_is_made_for_it() {
    let mut new = view();
    new.object.metadata.finalizers = None;
    let plan = decided(&new);
    assert!(plan.guard && plan.job.is_none() && plan.status.phase.is_none());
}

#[test]
fn a29_a_backup_that_lacks_nothing_begins_and_is_recorded_with_its_place() {
    let plan = decided(&view());
    assert_eq!(plan.job.as_ref().and_then(|job| job.metadata.name.as_deref()), Some("shop-a-store"));
    assert_eq!(plan.account.unwrap().metadata.name.as_deref(), Some("shop-backup"));
    assert_eq!(
        json!(plan.status),
        json!({
            "phase": "Running", "jobs": 1, "startedAt": "2026-11-21T03:00:07Z", "cluster": "c1a5ter",
            "location": {
                "path": "daily/prod/shop/c1a5ter/shop-a",
                "target": json!(shop().spec.backup.unwrap().target),
            },
            "encryption": {"keySecretRef": {"name": "keys"}, "keyName": "2026"},
            "message": "Job shop-a-store begins", "observedGeneration": 2,
        })
    );
    let env = json!(plan.job)["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let told: Value = serde_json::from_str(env[3]["value"].as_str().unwrap()).unwrap();
    assert_eq!(told["do"], "store");
    assert_eq!(told["keyName"], "2026");
    assert_eq!(told["donors"][0], json!({"instance": "shop-2", "host": "shop-2.shop-members.prod.svc"}));
    assert_eq!(plan.events[0].reason, "BackupStarted");
}

#[test]
fn what_is_missing_is_waited_for_and_said() {
    type Change = fn(&mut BackupView);
    let cases: [(&str, Change, &str); 13] = [
        ("no cluster", |view| view.cluster = None, "MySQLCluster shop does not exist in this namespace"),
        ("no target", |view| of(view).spec.backup = None, "has no spec.backup; name a target there"),
        ("leaving", |view| of(view).metadata.deletion_timestamp = Some(epoch()), "is being deleted"),
        (
            "invalid",
            |view| status(view).phase = Some(Phase::Invalid),
            "ConfigurationValid says what to change",
        ),
        ("broken", |view| of(view).spec.instances = 99, "MySQLCluster shop is not valid: spec.instances"),
        (
            "no Secret",
            |view| {
                view.secrets.remove("store");
            },
            "MySQLCluster shop: spec.backup.target.s3.credentialsSecretRef: Secret store does not exist; make it",
        ),
        (
            "no key",
            |view| {
                view.secrets.insert("keys".to_owned(), BTreeSet::new());
            },
            "spec.backup.encryption.keySecretRef: Secret keys has no entry 2026; add it",
        ),
        ("changing", |view| status(view).operation = Some(operation()), "is changing its primary"),
        ("nobody", |view| status(view).instances.clear(), "no member of MySQLCluster shop is ready"),
        (
            "no replica",
            |view| {
                status(view).instances.truncate(1);
                of(view).spec.backup.as_mut().unwrap().from = porpoise_crds::BackupSource::Replica;
            },
            "spec.backup.from: PreferReplica would copy the primary",
        ),
        (
            "no primary",
            |view| {
                status(view).instances[0].ready = false;
                of(view).spec.backup.as_mut().unwrap().from = porpoise_crds::BackupSource::Primary;
            },
            "the primary of MySQLCluster shop is not ready",
        ),
        (
            "another runs",
            |view| view.others = vec![rival("shop-z", 9, Some(BackupPhase::Running))],
            "shop-z comes first",
        ),
        ("an older one", |view| view.others = vec![rival("shop-z", 2, None)], "shop-z comes first"),
    ];
    for (case, change, words) in cases {
        let mut view = view();
        change(&mut view);
        let plan = decided(&view);
        assert_eq!(plan.status.phase, Some(BackupPhase::Pending), "{case}");
        assert!(plan.status.message.contains(words), "{case}: {}", plan.status.message);
        assert!(plan.job.is_none() && plan.status.location.is_none(), "{case}");
        assert_eq!(reasons(&plan), ["BackupWaiting"], "{case}");
        let again = decided(&after(&view, &plan));
        assert!(again.events.is_empty(), "{case}: told once");
    }
}

fn of(view: &mut BackupView) -> &mut MySQLCluster {
    view.cluster.as_mut().unwrap()
}

fn status(view: &mut BackupView) -> &mut porpoise_crds::MySQLClusterStatus {
    of(view).status.as_mut().unwrap()
}

fn epoch() -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH)
}

fn operation() -> porpoise_crds::Operation {
    serde_json::from_value(json!({"kind": "Sealing", "startedAt": "2026-11-21T03:00:00.000000Z"})).unwrap()
}

/// Made at this hour of the day on which [`fixture::backup`] was made at three.
fn rival(name: &str, hour: i8, phase: Option<BackupPhase>) -> Rival {
    let created = format!("2026-11-21T{hour:02}:00:00Z").parse().unwrap();
    Rival { name: name.to_owned(), created: Some(created), phase, ..Rival::default() }
}

#[test]
fn b28_the_oldest_that_waits_goes_first_and_what_is_over_holds_nobody_up() {
    for (other, waits) in [
        (rival("shop-z", 2, Some(BackupPhase::Pending)), true),
        (rival("shop-0", 3, None), true),
        (rival("shop-z", 3, None), false),
        (rival("shop-z", 4, None), false),
        (Rival { deleting: true, ..rival("shop-z", 2, None) }, false),
        (rival("shop-z", 2, Some(BackupPhase::Succeeded)), false),
        (rival("shop-z", 2, Some(BackupPhase::Failed)), false),
        (rival("shop-z", 2, Some(BackupPhase::Deleting)), false),
    ] {
        let plan = decided(&BackupView { others: vec![other.clone()], ..view() });
        assert_eq!(plan.job.is_none(), waits, "{other:?}");
    }
}

#[test]
fn donors_table() {
    use porpoise_crds::BackupSource::{PreferReplica, Primary, Replica};
    let mut cluster = shop();
    let names = |cluster: &MySQLCluster, from| {
        donors(cluster, from).into_iter().map(|donor| donor.instance).collect::<Vec<_>>()
    };
    assert_eq!(names(&cluster, PreferReplica), ["shop-2", "shop-1", "shop-0"]);
    assert_eq!(names(&cluster, Replica), ["shop-2", "shop-1"]);
    assert_eq!(names(&cluster, Primary), ["shop-0"]);
    let instances = &mut cluster.status.as_mut().unwrap().instances;
    "gets no reads".clone_into(&mut instances[2].message);
    assert_eq!(names(&cluster, Replica), ["shop-1", "shop-2"], "one with a complaint comes later");
    let instances = &mut cluster.status.as_mut().unwrap().instances;
    (instances[1].ready, instances[2].role) = (false, InstanceRole::Joining);
    assert_eq!(names(&cluster, PreferReplica), ["shop-0"]);
    assert!(names(&cluster, Replica).is_empty());
}

#[test]
fn a29_a_job_that_reports_what_it_stored_makes_the_backup_a_record() {
    let begun = after(&view(), &decided(&view()));
    let plan = decided(&BackupView { store: Some(job(JobState::Complete, &stored())), ..begun.clone() });
    let status = &plan.status;
    assert_eq!((status.phase, status.verified), (Some(BackupPhase::Succeeded), Some(true)));
    assert_eq!((status.data_bytes, status.stored_bytes), (Some(4000), Some(900)));
    assert_eq!((status.donor.as_deref(), status.version.as_deref()), (Some("shop-2"), Some("9.7.1")));
    assert_eq!(status.gtid_set.as_deref(), Some("a:1-9"));
    assert_eq!(
        json!(status.compared),
        json!({"tables": 9, "rows": 70, "changed": 1, "skipped": 2, "digest": "d1ge57"})
    );
    assert!(status.message.ends_with("12 table(s) in order, 9 of them the same as on shop-2"));
    assert_eq!(status.completed_at.as_ref().map(|time| time.0), Some(begun.now));
    assert_eq!(reasons(&plan), ["BackupSucceeded"]);
    // The record survives its Job, and the cluster.
    let later = BackupView { cluster: None, ..after(&begun, &plan) };
    let quiet = decided(&later);
    assert!(quiet.events.is_empty() && quiet.job.is_none() && quiet.status == plan.status);
}

#[test]
fn a_job_that_does_not_work_is_followed_to_its_end() {
    let begun = after(&view(), &decided(&view()));
    let running = Some(BackupPhase::Running);
    let over = Some(BackupPhase::Failed);
    for (case, state, words, phase, message) in [
        ("at work", JobState::Active, String::new(), running, "copies a member"),
        (
            "one Pod failed",
            JobState::Active,
            failed("the bucket is full", false),
            running,
            "tries again: the bucket is full",
        ),
        ("a crash", JobState::Active, "a\nout of memory\n".to_owned(), running, "last words: out of memory"),
        (
            "wrong input",
            JobState::Active,
            failed("no such bucket", true),
            over,
            "no such bucket; a new MySQLBackup",
        ),
        (
            "gave up",
            gave_up(),
            failed("the bucket is full", false),
            over,
            "the bucket is full; a new MySQLBackup",
        ),
        ("no word", gave_up(), String::new(), over, "specified backoff limit"),
        ("no report", JobState::Complete, String::new(), over, "without a report"),
        ("an odd report", JobState::Complete, report(&JobReport::Removed), over, "without a report"),
    ] {
        let plan = decided(&BackupView { store: Some(job(state, &words)), ..begun.clone() });
        assert_eq!(plan.status.phase, phase, "{case}");
        assert!(plan.status.message.contains(message), "{case}: {}", plan.status.message);
        assert_eq!(plan.status.completed_at.is_some(), phase == over, "{case}");
        assert_eq!(reasons(&plan), if phase == over { vec!["BackupFailed"] } else { vec![] }, "{case}");
        assert_eq!(
            plan.stop.is_empty(),
            case != "wrong input",
            "{case}: what cannot succeed is not tried on"
        );
        assert_eq!(plan.status.verified, None, "{case}");
    }
    let held = JobView { trouble: Some("0/3 nodes are available".to_owned()), ..job(JobState::Active, "") };
    let plan = decided(&BackupView { store: Some(held), ..begun });
    assert!(plan.status.message.contains("cannot go on: 0/3 nodes"));
}

#[test]
fn a_job_that_somebody_deletes_is_made_again_at_the_same_place_but_not_for_ever() {
    let mut view = view();
    for jobs in 1..=3 {
        let plan = decided(&view);
        assert_eq!((plan.job.is_some(), plan.status.jobs), (true, Some(jobs)));
        view = BackupView { store: None, ..after(&view, &plan) };
        // The target was changed meanwhile: what the first Job began is finished where it began.
        of(&mut view).spec.backup.as_mut().unwrap().target.s3.as_mut().unwrap().bucket = "other".to_owned();
        let kept = view.object.status.as_ref().unwrap().location.as_ref().unwrap();
        assert_eq!(kept.target.s3.as_ref().unwrap().bucket, "safe");
    }
    let plan = decided(&view);
    assert_eq!((plan.job.is_some(), plan.status.phase), (false, Some(BackupPhase::Failed)));
    assert!(plan.status.message.contains("3 times"));
}

#[test]
fn a_job_of_that_name_that_is_not_ours_is_left_alone() {
    let other = JobView { owned: false, ..job(JobState::Complete, &stored()) };
    let plan = decided(&BackupView { store: Some(other), ..view() });
    assert_eq!(plan.status.phase, Some(BackupPhase::Pending));
    assert!(plan.status.message.contains("belongs to something else") && plan.stop.is_empty());
}

#[test]
fn nothing_is_made_in_a_namespace_that_is_being_deleted() {
    let plan = decided(&BackupView { namespace_terminating: true, ..view() });
    assert!(plan.job.is_none() && !plan.guard && plan.status.phase.is_none());
}

#[test]
fn only_what_the_next_step_needs_is_asked_for() {
    let names = |object: &MySQLBackup, cluster: Option<&MySQLCluster>| {
        needs(object, cluster).into_iter().map(|need| need.name).collect::<Vec<_>>()
    };
    let (mut object, cluster) = (view().object, shop());
    assert_eq!(names(&object, Some(&cluster)), ["store", "keys"]);
    assert!(names(&object, None).is_empty());
    object.status = Some(decided(&view()).status);
    object.status.as_mut().unwrap().phase = Some(BackupPhase::Succeeded);
    assert!(names(&object, Some(&cluster)).is_empty());
    object.metadata.deletion_timestamp = Some(epoch());
    assert_eq!(names(&object, None), ["store"]);
}

#[test]
fn d15_a_copy_is_booted_by_the_image_that_its_member_runs() {
    let image = |view: &BackupView| {
        let job = serde_json::to_value(decided(view).job.unwrap()).unwrap();
        job["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    };
    let mut view = view();
    view.cluster.as_mut().unwrap().spec.image = Some("mysql:next".to_owned());
    assert_eq!(image(&view), "mysql:next", "nothing is known of the Pods");
    for instance in ["shop-0", "shop-1", "shop-2"] {
        view.images.insert(instance.to_owned(), "mysql:9.7".to_owned());
    }
    assert_eq!(image(&view), "mysql:9.7");
}

/// Its time is bounded by its Job, and the pause before it is given up by a clock that nobody sets.
#[test]
fn a29_a_clock_that_jumps_ends_no_backup_that_runs() {
    let plan = decided(&view());
    let running = after(&view(), &plan);
    let calm = decided(&running);
    for now in
        ["1970-01-01T00:00:00Z", "2026-11-20T03:00:00Z", "2026-12-01T03:00:00Z", "2099-01-01T00:00:00Z"]
    {
        let jumped = BackupView { now: now.parse().unwrap(), ..running.clone() };
        let plan = decided(&jumped);
        assert_eq!((&plan.status, plan.stop.len()), (&calm.status, 0), "{now}");
        let mut done = jumped;
        done.store = Some(job(JobState::Complete, &stored()));
        let plan = decided(&done);
        assert_eq!(plan.status.phase, Some(BackupPhase::Succeeded), "{now}");
        assert_eq!(plan.status.started_at, calm.status.started_at);
    }
}
