//! An update is tried on a copy before it touches a member (D15).

use super::world::World;
use crate::backup::{BackupJob, JOB_VARIABLE, JobReport, JobState, JobView};
use crate::build::{self, PodInputs};
use crate::decide;
use crate::fixture;
use crate::plan::{Deletion, Desired, Plan};
use crate::view::{Ages, BackupOrigin, BackupSeen, ClusterView};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{BackupBefore, BackupPhase, Rehearsal, RehearsalOutcome};
use serde_json::json;
use std::time::Duration;

const OLD: &str = "mysql:9.7";
const NEW: &str = "mysql:9.7.5";
const BACKUP: &str = "shop-a";

/// A Healthy cluster that shall get another image, with a fresh backup.
fn updating() -> ClusterView {
    let mut view = World::healthy(3).view();
    let old = fixture::cluster_of(&view.object);
    view.stateful_set = Some(build::stateful_set(&old, &PodInputs::default(), 3, None));
    view.object.metadata.creation_timestamp = Some(Time("2026-11-01T00:00:00Z".parse().unwrap()));
    view.object.spec.backup = serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}})).unwrap();
    view.object.spec.image = Some(NEW.to_owned());
    let backup = backup(&view, "bac4up", 1);
    view.backups.insert(BACKUP.to_owned(), backup);
    view
}

fn backup(view: &ClusterView, uid: &str, minutes_ago: i64) -> BackupSeen {
    let then = view.now - jiff::SignedDuration::from_mins(minutes_ago);
    let location = json!({"path": "prod/shop/u/shop-a", "target": {"s3": {"bucket": "safe"}}});
    BackupSeen {
        uid: uid.to_owned(),
        created: Some(then),
        origin: BackupOrigin::Hand,
        phase: Some(BackupPhase::Succeeded),
        completed: Some(then),
        verified: true,
        location: serde_json::from_value(location).unwrap(),
        encryption: serde_json::from_value(json!({"keySecretRef": {"name": "keys"}, "keyName": "2026"}))
            .unwrap(),
        ..BackupSeen::default()
    }
}

fn decided(view: &ClusterView) -> Plan {
    decide::plan(view, &fixture::settings())
}

/// The next view, after what was decided was done.
fn after(view: &ClusterView, plan: &Plan, job: Option<JobView>) -> ClusterView {
    let mut view = view.clone();
    view.object.status = Some(plan.status.clone());
    view.references.rehearsal = job;
    view
}

fn job(plan: &Plan, state: JobState, report: Option<&JobReport>) -> JobView {
    JobView {
        name: plan.status.rehearsal.as_ref().unwrap().job.clone(),
        uid: "j0b".to_owned(),
        owned: true,
        terminating: false,
        state,
        words: report.map(|report| json!(report).to_string()).unwrap_or_default(),
        trouble: None,
    }
}

fn good() -> JobReport {
    JobReport::Rehearsed { version: "9.7.5".to_owned(), tables: 40 }
}

fn bad(reason: &str, for_good: bool) -> JobReport {
    JobReport::Failed { reason: reason.to_owned(), for_good }
}

fn image(plan: &Plan) -> Option<String> {
    plan.objects.iter().find_map(|object| match object {
        Desired::StatefulSet(set) => {
            set.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.clone()
        }
        _ => None,
    })
}

fn progressing(plan: &Plan) -> (String, String) {
    let found = plan.status.conditions.iter().find(|one| one.type_ == "Progressing").unwrap();
    (found.reason.clone(), found.message.clone())
}

fn outcome(plan: &Plan) -> Option<RehearsalOutcome> {
    plan.status.rehearsal.as_ref().map(|rehearsal| rehearsal.outcome)
}

fn has(plan: &Plan, reason: &str) -> bool {
    plan.events.iter().any(|event| event.reason == reason)
}

/// Nothing of the members changes: neither the template nor the settings.
fn touches_nothing(view: &ClusterView, plan: &Plan) -> bool {
    let stored = view.stateful_set.as_ref().unwrap().spec.as_ref().unwrap();
    let same = plan.objects.iter().all(|object| match object {
        Desired::StatefulSet(set) => set.spec.as_ref().unwrap().template == stored.template,
        _ => true,
    });
    same && !plan.deletions.iter().any(|one| matches!(one, Deletion::Pod { .. } | Deletion::IdlePod { .. }))
}

/// The view after the first pass, while the Job runs.
fn running() -> (ClusterView, Plan) {
    let view = updating();
    let plan = decided(&view);
    let job = job(&plan, JobState::Active, None);
    (after(&view, &plan, Some(job)), plan)
}

#[test]
fn d15_the_members_get_an_image_only_when_it_was_tried_on_a_copy() {
    let view = updating();
    let plan = decided(&view);
    assert_eq!(image(&plan).as_deref(), Some(OLD));
    let wish = plan.rehearsal.clone().unwrap();
    assert_eq!((wish.backup.as_str(), wish.account.metadata.name.as_deref()), (BACKUP, Some("shop-backup")));
    assert!(has(&plan, "UpdateRehearsalStarted") && progressing(&plan).0 == "RehearsalRunning");
    assert!(plan.look_again <= Duration::from_secs(3));
    let running = job(&plan, JobState::Active, None);
    let later = after(&view, &plan, Some(running));
    let waiting = decided(&later);
    assert!(waiting.rehearsal.is_none() && touches_nothing(&later, &waiting));
    let over = job(&plan, JobState::Complete, Some(&good()));
    let done = decided(&after(&later, &waiting, Some(over)));
    assert_eq!((image(&done).as_deref(), outcome(&done)), (Some(NEW), Some(RehearsalOutcome::Succeeded)));
    assert_eq!(done.stopped_rehearsals, [(wish.job.metadata.name.unwrap(), "j0b".to_owned())]);
    assert!(has(&done, "UpdateRehearsed"));
    // An operator that was killed in between finds the success again, and repeats nothing.
    let again = decided(&after(&later, &done, None));
    assert!(again.rehearsal.is_none() && image(&again).as_deref() == Some(NEW));
}

#[test]
fn d15_the_job_has_the_wanted_image_and_settings_and_the_keys_of_the_backup() {
    let mut view = updating();
    view.object.spec.mysql.config.insert("max_connections".to_owned(), "77".to_owned());
    let wish = decided(&view).rehearsal.unwrap();
    let pod = json!(wish.job)["spec"]["template"]["spec"].clone();
    let container = &pod["containers"][0];
    assert_eq!(container["image"], NEW);
    let env = container["env"].as_array().unwrap();
    let text = env.iter().find(|one| one["name"] == JOB_VARIABLE).unwrap()["value"].as_str().unwrap();
    match serde_json::from_str(text).unwrap() {
        BackupJob::Rehearse { location, my_cnf } => {
            assert_eq!(location.path, "prod/shop/u/shop-a");
            assert!(my_cnf.contains("max_connections=77"), "{my_cnf}");
        }
        other => panic!("{other:?}"),
    }
    let volumes = pod["volumes"].as_array().unwrap();
    let keys = volumes.iter().find(|volume| volume["name"] == "keys").unwrap();
    assert_eq!(keys["secret"]["items"][0]["key"], "2026");
    assert!(volumes.iter().any(|volume| volume["name"] == "staging" && volume["ephemeral"].is_object()));
    assert_eq!(json!(wish.job)["metadata"]["ownerReferences"][0]["uid"], "bac4up");
}

#[test]
fn d15_a_rehearsal_that_fails_touches_nothing_and_says_what_to_do() {
    let (view, plan) = running();
    let why = "take the settings: it exited with status 1: unknown variable 'old_setting=1'.";
    let failed = decided(&after(&view, &plan, Some(job(&plan, JobState::Active, Some(&bad(why, true))))));
    assert!(touches_nothing(&view, &failed) && has(&failed, "UpdateHeld"));
    assert_eq!(failed.stopped_rehearsals.len(), 1);
    let (reason, message) = progressing(&failed);
    assert_eq!(reason, "RehearsalFailed");
    for words in
        ["unknown variable 'old_setting=1'", "Nothing was touched", "spec.update.rehearsal: Skip", BACKUP]
    {
        assert!(message.contains(words), "{message}");
    }
    // It is neither told nor tried again, however long it takes and whatever becomes of the age of the backup.
    let mut later = after(&view, &failed, None);
    later.now += jiff::SignedDuration::from_hours(30);
    let still = decided(&later);
    assert!(touches_nothing(&later, &still) && still.rehearsal.is_none() && still.backups.is_empty());
    assert!(!has(&still, "UpdateHeld"));
}

#[test]
fn d15_what_failed_is_tried_again_with_other_settings_or_another_backup() {
    let (view, plan) = running();
    let failed = decided(&after(&view, &plan, Some(job(&plan, JobState::Active, Some(&bad("no", true))))));
    let stuck = after(&view, &failed, None);
    let mut corrected = stuck.clone();
    corrected.object.spec.mysql.config.insert("max_connections".to_owned(), "77".to_owned());
    assert_ne!(
        decided(&corrected).rehearsal.unwrap().job.metadata.name,
        plan.rehearsal.clone().unwrap().job.metadata.name
    );
    let mut newer = stuck.clone();
    newer.now += jiff::SignedDuration::from_mins(5);
    let backup = backup(&newer, "newer", 1);
    newer.backups.insert("shop-b".to_owned(), backup);
    assert_eq!(decided(&newer).rehearsal.unwrap().backup, "shop-b");
    let mut deleted = stuck.clone();
    deleted.backups.clear();
    assert_eq!(decided(&deleted).backups.len(), 1, "another backup is made");
    let mut skipped = stuck;
    skipped.object.spec.update.rehearsal = Rehearsal::Skip;
    let plan = decided(&skipped);
    assert_eq!((image(&plan).as_deref(), outcome(&plan)), (Some(NEW), None));
}

#[test]
fn d15_a_rehearsal_that_was_interrupted_is_tried_again_after_a_pause_and_not_for_ever() {
    let (view, plan) = running();
    let gave_up = JobState::Failed { message: "BackoffLimitExceeded".to_owned() };
    let mut now =
        decided(&after(&view, &plan, Some(job(&plan, gave_up.clone(), Some(&bad("store away", false))))));
    for attempt in 2..=5 {
        assert_eq!(outcome(&now), Some(RehearsalOutcome::Interrupted));
        let mut waiting = after(&view, &now, None);
        assert!(decided(&waiting).rehearsal.is_none(), "not at once");
        let ended = now.status.rehearsal.as_ref().unwrap().ended_at.as_ref().unwrap().0;
        waiting.ages = Ages::from_iter([(ended, Duration::from_hours(1))]);
        let begun = decided(&waiting);
        assert_eq!(begun.status.rehearsal.as_ref().unwrap().attempt, attempt);
        let over = job(&begun, gave_up.clone(), Some(&bad("store away", false)));
        now = decided(&after(&waiting, &begun, Some(over)));
    }
    let mut last = after(&view, &now, None);
    let ended = now.status.rehearsal.as_ref().unwrap().ended_at.as_ref().unwrap().0;
    last.ages = Ages::from_iter([(ended, Duration::from_hours(9))]);
    let plan = decided(&last);
    assert!(
        plan.rehearsal.is_none() && progressing(&plan).0 == "RehearsalFailed",
        "{:?}",
        progressing(&plan)
    );
}

#[test]
fn d15_a_rehearsal_that_takes_long_needs_no_younger_backup() {
    let (mut view, _) = running();
    view.now += jiff::SignedDuration::from_hours(5);
    let plan = decided(&view);
    assert!(plan.backups.is_empty() && progressing(&plan).0 == "RehearsalRunning");
}

#[test]
fn d15_an_image_that_cannot_be_pulled_is_told_once_and_touches_nothing() {
    let (view, plan) = running();
    let mut stuck = job(&plan, JobState::Active, None);
    stuck.trouble = Some("ErrImagePull: not found".to_owned());
    stuck.trouble = Some("0/3 nodes are available".to_owned());
    let early = decided(&after(&view, &plan, Some(stuck.clone())));
    assert_eq!(progressing(&early).0, "RehearsalRunning", "a volume takes its time");
    stuck.trouble = Some("ErrImagePull: not found".to_owned());
    let begun = plan.status.rehearsal.as_ref().unwrap().started_at.0;
    let mut view = view;
    view.ages = Ages::from_iter([(begun, Duration::from_secs(30))]);
    let held = decided(&after(&view, &plan, Some(stuck.clone())));
    assert!(touches_nothing(&view, &held) && has(&held, "UpdateHeld"));
    assert!(progressing(&held).1.contains("ErrImagePull"), "{:?}", progressing(&held));
    stuck.trouble = Some("ImagePullBackOff: not found".to_owned());
    let still = decided(&after(&view, &held, Some(stuck)));
    assert!(!has(&still, "UpdateHeld") && progressing(&still).0 == "RehearsalHeldUp");
}

#[test]
fn d15_settings_that_come_with_an_image_wait_with_it() {
    let (mut view, _) = running();
    view.object.spec.mysql.config.insert("max_connections".to_owned(), "77".to_owned());
    let plan = decided(&view);
    assert!(touches_nothing(&view, &plan));
    let settings = plan.objects.iter().any(|object| matches!(object, Desired::ConfigMap(_)));
    assert!(!settings, "the stored settings are those of the stored template");
    assert_eq!(plan.stopped_rehearsals.len(), 1, "the former wish is tried no more");
    assert!(plan.rehearsal.is_some());
}

#[test]
fn d15_a_wish_that_is_taken_back_stops_its_rehearsal() {
    let (mut view, _) = running();
    view.object.spec.image = None;
    let plan = decided(&view);
    assert_eq!((plan.stopped_rehearsals.len(), outcome(&plan)), (1, None));
    assert!(touches_nothing(&view, &plan));
}

#[test]
fn d15_a_job_that_is_gone_is_made_again() {
    let (mut view, plan) = running();
    view.references.rehearsal = None;
    let again = decided(&view);
    assert_eq!(again.rehearsal.unwrap().job.metadata.name, plan.rehearsal.unwrap().job.metadata.name);
}

#[test]
fn d15_a_backup_that_is_deleted_meanwhile_opens_no_gate() {
    let (mut view, _) = running();
    view.references.rehearsal = None;
    let other = backup(&view, "other", 2);
    view.backups.insert("shop-b".to_owned(), other);
    view.backups.remove(BACKUP);
    let again = decided(&view);
    assert_eq!(image(&again).as_deref(), Some(OLD));
    assert_eq!(again.rehearsal.unwrap().backup, "shop-b");
    view.backups.clear();
    let again = decided(&view);
    assert_eq!((image(&again).as_deref(), again.backups.len()), (Some(OLD), 1));
    let mut lost = updating();
    lost.backups.get_mut(BACKUP).unwrap().location = None;
    assert_eq!(progressing(&decided(&lost)).0, "RehearsalHeldUp");
}

#[test]
fn d15_without_a_backup_or_by_wish_nothing_is_rehearsed() {
    type Change = fn(&mut ClusterView);
    let changes: [Change; 3] = [
        |view| view.object.spec.update.rehearsal = Rehearsal::Skip,
        |view| view.object.spec.update.backup_before = BackupBefore::Skip,
        |view| view.object.spec.backup = None,
    ];
    for change in changes {
        let mut view = updating();
        change(&mut view);
        let plan = decided(&view);
        assert!(plan.rehearsal.is_none() && image(&plan).as_deref() == Some(NEW));
    }
}
