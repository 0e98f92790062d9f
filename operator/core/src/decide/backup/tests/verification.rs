//! Backups that are stored without a look at their tables, and the look at what is stored.

use super::*;
use crate::names::ORIGIN_LABEL;
use porpoise_crds::{VERIFY_DUE, VerificationPhase};

const DUE: &str = "2026-11-22T05:00:00Z";

/// A backup of the schedule, of a cluster with this mode.
fn scheduled(mode: &Value) -> BackupView {
    let mut view = view();
    view.object.metadata.labels = Some(BTreeMap::from([(ORIGIN_LABEL.to_owned(), "schedule".to_owned())]));
    of(&mut view).spec.backup.as_mut().unwrap().verify = serde_json::from_value(mode.clone()).unwrap();
    view
}

/// What the Job of a decision is told.
fn told(plan: &BackupPlan) -> Value {
    let env = json!(plan.job)["spec"]["template"]["spec"]["containers"][0]["env"].clone();
    let variable = env.as_array().unwrap().iter().find(|one| one["name"] == "PORPOISE_BACKUP").unwrap();
    serde_json::from_str(variable["value"].as_str().unwrap()).unwrap()
}

/// A stored backup that nobody looked at, and that is to be verified.
fn owed() -> BackupView {
    let mut begun = after(&view(), &decided(&view()));
    begun.store = Some(job(JobState::Complete, &stored().replace("\"verified\":true", "\"verified\":false")));
    let plan = decided(&begun);
    assert_eq!((plan.status.verified, plan.status.verified_at.clone()), (Some(false), None));
    assert!(plan.status.message.contains("not verified"), "{}", plan.status.message);
    assert_eq!(reasons(&plan), ["BackupStored"]);
    let mut view = BackupView { store: None, ..after(&begun, &plan) };
    view.object.metadata.annotations = Some(BTreeMap::from([(VERIFY_DUE.to_owned(), DUE.to_owned())]));
    view
}

fn verified(tables: u64) -> String {
    report(&JobReport::Verified { tables })
}

fn phase(plan: &BackupPlan) -> VerificationPhase {
    plan.status.verification.as_ref().unwrap().phase
}

/// The view after the Job that `plan` makes was made.
fn checking(view: &BackupView, plan: &BackupPlan, state: JobState, words: &str) -> BackupView {
    let mut next = view.clone();
    next.object.status = Some(plan.status.clone());
    next.verify = Some(job(state, words));
    next
}

#[test]
fn a30_the_mode_says_which_copies_are_checked_before_they_are_stored() {
    for (mode, checked) in [
        (json!({}), true),
        (json!({"mode": "AfterEach"}), true),
        (json!({"mode": "Schedule", "schedule": "0 5 * * 0"}), false),
        (json!({"mode": "Off"}), false),
    ] {
        assert_eq!(told(&decided(&scheduled(&mode)))["verify"], checked, "{mode}");
    }
    // Something waits for these that needs a verified one.
    for origin in [Some("update"), Some("deletion"), None] {
        let mut view = scheduled(&json!({"mode": "Off"}));
        view.object.metadata.labels =
            origin.map(|origin| BTreeMap::from([(ORIGIN_LABEL.to_owned(), origin.to_owned())]));
        assert_eq!(told(&decided(&view))["verify"], true, "{origin:?}");
    }
}

#[test]
fn a30_a_stored_backup_is_fetched_and_verified_by_a_job_of_its_own() {
    let view = owed();
    let names: Vec<String> =
        needs(&view.object, view.cluster.as_ref()).into_iter().map(|need| need.name).collect();
    assert_eq!(names, ["store", "keys"]);
    let plan = decided(&view);
    assert_eq!(plan.job.as_ref().unwrap().metadata.name.as_deref(), Some("shop-a-verify"));
    let work = told(&plan);
    assert_eq!(work["do"], "verify");
    assert_eq!(work["location"]["path"], "daily/prod/shop/c1a5ter/shop-a");
    assert_eq!((phase(&plan), plan.status.phase), (VerificationPhase::Running, Some(BackupPhase::Succeeded)));
    let done = decided(&checking(&view, &plan, JobState::Complete, &verified(12)));
    assert_eq!((phase(&done), done.status.verified), (VerificationPhase::Verified, Some(true)));
    assert_eq!(done.status.verified_at.as_ref().map(|time| time.0), Some(view.now));
    assert_eq!(
        done.status.completed_at,
        view.object.status.as_ref().unwrap().completed_at,
        "it is no younger"
    );
    assert_eq!(reasons(&done), ["BackupVerified"]);
    // And that is all, until the next time.
    let mut quiet = checking(&view, &done, JobState::Complete, &verified(12));
    assert!(decided(&quiet).events.is_empty() && decided(&quiet).status == done.status);
    let annotations = quiet.object.metadata.annotations.as_mut().unwrap();
    annotations.insert(VERIFY_DUE.to_owned(), "2026-11-29T05:00:00Z".to_owned());
    let again = decided(&quiet);
    assert!(again.job.is_none());
    assert_eq!(again.stop.len(), 1, "the Job of the last time goes first");
    let next = BackupView { verify: None, ..checking(&quiet, &again, JobState::Active, "") };
    assert!(decided(&next).job.is_some());
}

#[test]
fn a30_only_damage_that_was_found_makes_a_backup_worse_than_it_was() {
    let view = owed();
    let begun = decided(&view);
    let damaged = report(&JobReport::Damaged { reason: "chunk 3 is missing".to_owned() });
    for (case, state, words, want, verified, event) in [
        ("at work", JobState::Active, String::new(), VerificationPhase::Running, Some(true), None),
        (
            "store away",
            JobState::Active,
            failed("no answer", false),
            VerificationPhase::Running,
            Some(true),
            None,
        ),
        (
            "gave up",
            gave_up(),
            failed("no answer", false),
            VerificationPhase::Failed,
            Some(true),
            Some("VerificationFailed"),
        ),
        (
            "no key",
            JobState::Active,
            failed("find the key", true),
            VerificationPhase::Failed,
            Some(true),
            Some("VerificationFailed"),
        ),
        (
            "no report",
            JobState::Complete,
            String::new(),
            VerificationPhase::Failed,
            Some(true),
            Some("VerificationFailed"),
        ),
        ("damage", JobState::Active, damaged, VerificationPhase::Damaged, Some(false), Some("BackupDamaged")),
    ] {
        let mut running = checking(&view, &begun, state, &words);
        running.object.status.as_mut().unwrap().verified = Some(true);
        let plan = decided(&running);
        assert_eq!((phase(&plan), plan.status.verified), (want, verified), "{case}");
        assert_eq!(plan.status.phase, Some(BackupPhase::Succeeded), "{case}: it is still stored");
        assert_eq!(reasons(&plan), event.into_iter().collect::<Vec<_>>(), "{case}");
    }
}

#[test]
fn a30_what_a_verification_waits_for_is_said_and_it_ends() {
    type Change = fn(&mut BackupView);
    let cases: [(&str, Change, VerificationPhase, &str); 5] = [
        ("no Secret", |view| drop(view.secrets.remove("store")), VerificationPhase::Pending, "Secret store"),
        (
            "a backup is made",
            |view| {
                view.others.push(rival("shop-b", 2, Some(BackupPhase::Running)));
            },
            VerificationPhase::Pending,
            "shop-b is made first",
        ),
        ("no cluster", |view| view.cluster = None, VerificationPhase::Failed, "nobody boots it any more"),
        (
            "leaving",
            |view| of(view).metadata.deletion_timestamp = Some(epoch()),
            VerificationPhase::Failed,
            "nobody boots it any more",
        ),
        (
            "not ours",
            |view| view.verify = Some(JobView { owned: false, ..job(JobState::Active, "") }),
            VerificationPhase::Pending,
            "belongs to something else",
        ),
    ];
    for (case, change, want, words) in cases {
        let mut view = owed();
        change(&mut view);
        let plan = decided(&view);
        assert!(plan.job.is_none(), "{case}");
        assert_eq!(phase(&plan), want, "{case}");
        let message = &plan.status.verification.as_ref().unwrap().message;
        assert!(message.contains(words), "{case}: {message}");
    }
    let mut view = owed();
    for jobs in 1..=3 {
        let plan = decided(&view);
        assert_eq!((plan.job.is_some(), plan.status.verification.as_ref().unwrap().jobs), (true, jobs));
        view.object.status = Some(plan.status);
    }
    assert_eq!(phase(&decided(&view)), VerificationPhase::Failed);
}
