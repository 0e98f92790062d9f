//! Backups of the method `Logical`.

use super::*;
use crate::backup::{BackupJob, DumpScope, JOB_VARIABLE};
use porpoise_crds::BackupMethod;

fn dump(databases: &[&str]) -> BackupView {
    let mut view = view();
    view.object.spec.method = BackupMethod::Logical;
    view.object.spec.databases = databases.iter().map(|name| (*name).to_owned()).collect();
    view
}

/// What the Job's Pod is told to do.
fn work(plan: &BackupPlan) -> BackupJob {
    let spec = plan.job.as_ref().unwrap().spec.as_ref().unwrap();
    let pod = spec.template.spec.as_ref().unwrap();
    let env = pod.containers[0].env.as_ref().unwrap();
    let text = env.iter().find(|one| one.name == JOB_VARIABLE).unwrap().value.as_ref().unwrap();
    serde_json::from_str(&text.replace("$$", "$")).unwrap()
}

fn scope(plan: &BackupPlan) -> Option<DumpScope> {
    match work(plan) {
        BackupJob::Store { dump, .. } => dump,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a29_a_logical_backup_is_dumped_and_a_physical_one_is_not() {
    assert_eq!(scope(&decided(&view())), None);
    assert_eq!(scope(&decided(&dump(&[]))), Some(DumpScope::default()));
    let some = dump(&["orders", "customers"]);
    let named = scope(&decided(&some)).unwrap().databases;
    assert_eq!(named, ["orders", "customers"]);
    let running = after(&some, &decided(&some));
    let plan = decided(&running);
    assert!(plan.status.message.contains("dumps a member"), "{}", plan.status.message);
    let done = BackupView { store: Some(job(JobState::Complete, &stored())), ..running };
    let plan = decided(&done);
    assert_eq!(
        plan.status.message,
        "complete: a server loaded the dump and found 12 table(s) in order, 9 of them the same as on shop-2"
    );
}

#[test]
fn a29_databases_that_cannot_be_dumped_are_refused_with_field_and_remedy() {
    for (name, method, words) in [
        ("MySQL", BackupMethod::Logical, "spec.databases: MySQL belongs to the server or to Porpoise"),
        ("porpoise", BackupMethod::Logical, "names databases of users"),
        ("orders", BackupMethod::Physical, "only a Logical backup can hold single databases"),
    ] {
        let mut view = dump(&["customers", name]);
        view.object.spec.method = method;
        let plan = decided(&view);
        assert!(plan.job.is_none() && plan.status.message.contains(words), "{}", plan.status.message);
    }
}
