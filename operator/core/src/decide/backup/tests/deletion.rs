//! The end of a backup: it always comes.

use super::*;
use porpoise_crds::BackupDeletionPolicy;
use serde_json::json;

/// A stored backup whose deletion was asked for.
fn leaving() -> BackupView {
    let mut view = after(&view(), &decided(&view()));
    view.store = None;
    view.object.metadata.deletion_timestamp = Some(epoch());
    let status = view.object.status.as_mut().unwrap();
    (status.phase, status.version) = (Some(BackupPhase::Succeeded), Some("8.4.7".to_owned()));
    view
}

fn removal(state: JobState, words: &str) -> JobView {
    JobView { name: "shop-a-remove".to_owned(), ..job(state, words) }
}

fn removed() -> String {
    report(&JobReport::Removed)
}

#[test]
fn what_was_stored_is_removed_and_then_the_object_goes() {
    let view = leaving();
    let plan = decided(&view);
    assert_eq!(plan.status.phase, Some(BackupPhase::Deleting));
    let made = plan.job.unwrap();
    assert_eq!(made.metadata.name.as_deref(), Some("shop-a-remove"));
    assert!(!plan.release);
    let busy = decided(&BackupView { removal: Some(removal(JobState::Active, "")), ..view.clone() });
    assert!(!busy.release && busy.job.is_none());
    let done = decided(&BackupView { removal: Some(removal(JobState::Complete, &removed())), ..view });
    assert!(done.release);
    assert_eq!(reasons(&done), ["BackupRemoved"]);
}

#[test]
fn a_backup_outlives_its_cluster_and_is_removed_all_the_same() {
    let plan = decided(&BackupView { cluster: None, ..leaving() });
    let pod = json!(plan.job)["spec"]["template"]["spec"].clone();
    assert_eq!(pod["containers"][0]["image"], "mysql:8.4");
    let names: Vec<&Value> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
    assert_eq!(names, ["agent", "tmp", "credentials"]);
}

#[test]
fn a_job_that_still_stores_is_stopped_first() {
    let view = BackupView { store: Some(job(JobState::Active, "")), ..leaving() };
    let plan = decided(&view);
    assert_eq!(plan.stop, [("shop-a-store".to_owned(), "j0b".to_owned())]);
    assert!(plan.job.is_none() && !plan.release);
    let ending = JobView { terminating: true, ..job(JobState::Active, "") };
    let plan = decided(&BackupView { store: Some(ending), ..leaving() });
    assert!(plan.stop.is_empty() && plan.job.is_none() && !plan.release);
    let over = decided(&BackupView { store: Some(job(gave_up(), "")), ..leaving() });
    assert!(over.job.is_some(), "a Job that is over holds nothing up");
}

#[test]
fn a_removal_that_fails_is_tried_again_until_the_deadline_and_what_is_left_is_named() {
    let failing = |minutes| BackupView {
        removal: Some(removal(gave_up(), &failed("access denied", false))),
        deleted_for: Duration::from_mins(minutes),
        ..leaving()
    };
    let again = decided(&failing(9));
    assert_eq!((again.stop.len(), again.release), (1, false));
    assert!(again.status.message.contains("access denied"));
    let given_up = decided(&failing(10));
    assert!(given_up.release);
    assert_eq!(reasons(&given_up), ["BackupLeft"]);
    let note = &given_up.events[0].note;
    for words in ["daily/prod/shop/c1a5ter/shop-a", "bucket safe", "access denied", "by hand"] {
        assert!(note.contains(words), "{note}");
    }
}

#[test]
fn a_missing_secret_is_said_while_there_is_time() {
    let view = BackupView { secrets: BTreeMap::new(), ..leaving() };
    let plan = decided(&view);
    assert!(plan.job.is_none() && !plan.release);
    assert!(plan.status.message.contains("Secret store does not exist"));
    let late = BackupView { deleted_for: Duration::from_mins(10), ..after(&view, &plan) };
    let late = decided(&late);
    assert!(late.release && late.events[0].note.contains("Secret store does not exist"));
}

#[test]
fn some_let_go_at_once() {
    type Change = fn(&mut BackupView);
    let cases: [(&str, Change, &[&str]); 5] = [
        ("kept by policy", |view| view.object.spec.deletion_policy = BackupDeletionPolicy::Retain, &[]),
        ("the namespace goes", |view| view.namespace_terminating = true, &[]),
        ("nothing was stored", |view| view.object.status.as_mut().unwrap().location = None, &[]),
        (
            "skipped by annotation",
            |view| {
                let skip = (porpoise_crds::SKIP_CLEANUP.to_owned(), "true".to_owned());
                view.object.metadata.annotations = Some(BTreeMap::from([skip]));
            },
            &["BackupLeft"],
        ),
        (
            "kept, while it still runs",
            |view| {
                view.object.spec.deletion_policy = BackupDeletionPolicy::Retain;
                view.store = Some(job(JobState::Active, ""));
            },
            &[],
        ),
    ];
    for (case, change, events) in cases {
        let mut view = leaving();
        change(&mut view);
        let plan = decided(&view);
        assert!(plan.release && plan.job.is_none(), "{case}");
        assert_eq!(reasons(&plan), events, "{case}");
        assert_eq!(plan.stop.len(), usize::from(view.store.is_some()), "{case}");
    }
    let mut gone = leaving();
    gone.object.metadata.finalizers = None;
    let plan = decided(&gone);
    assert!(!plan.release && plan.job.is_none());
}

#[test]
fn a12_of_a_cluster_that_is_being_deleted_only_the_last_backup_is_made() {
    let mut view = view();
    let cluster = view.cluster.as_mut().unwrap();
    cluster.metadata.deletion_timestamp = view.object.metadata.creation_timestamp.clone();
    let status = cluster.status.as_mut().unwrap();
    (status.phase, status.primary) = (Some(Phase::Deleting), Some("shop-1".to_owned()));
    let refused = decided(&view);
    assert!(refused.job.is_none() && refused.status.message.contains("is being deleted"));
    view.object.metadata.name = Some("shop-final-c1a5ter".to_owned());
    // One that waits in vain does not hold it up; one that runs does.
    let rival = |phase| rival("shop-older", 2, Some(phase));
    view.others = vec![rival(BackupPhase::Pending)];
    let job = json!(decided(&view).job.unwrap()).to_string();
    // The closed primary has everything; a replica may lack the end.
    assert!(job.contains("shop-1.shop-members") && !job.contains("shop-2.shop-members"), "{job}");
    view.others = vec![rival(BackupPhase::Running)];
    assert!(decided(&view).job.is_none());
    // A successor of the name does not get its predecessor's last backup.
    view.others.clear();
    view.cluster.as_mut().unwrap().metadata.uid = Some("other".to_owned());
    assert!(decided(&view).job.is_none());
}
