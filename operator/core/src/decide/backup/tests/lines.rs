//! Backups of a cluster that is restored in place (A30, ADR 0028).

use super::*;

/// Its donors would be members of the new line, and its place is among the backups of the old one.
#[test]
fn a30_a_backup_that_lost_its_job_does_not_go_on_with_another_line_of_data() {
    let first = view();
    let mut begun = after(&first, &decided(&first));
    begun.store = None;
    assert!(decided(&begun).job.is_some(), "the same line: it goes on");
    begun.cluster.as_mut().unwrap().status.as_mut().unwrap().line = Some(2);
    let plan = decided(&begun);
    assert!(plan.job.is_none());
    assert_eq!((plan.status.phase, reasons(&plan)), (Some(BackupPhase::Failed), vec!["BackupFailed"]));
    assert!(plan.status.message.ends_with("a new MySQLBackup tries again"), "{}", plan.status.message);
}

#[test]
fn a12_a30_the_last_backup_of_a_deleted_cluster_is_made_of_the_line_that_is_being_opened() {
    for (phase, begins) in
        [("Stopping", false), ("Restoring", false), ("Opening", true), ("Returning", false)]
    {
        let mut view = view();
        view.object.metadata.name = Some("shop-final-c1a5ter".to_owned());
        let cluster = view.cluster.as_mut().unwrap();
        cluster.metadata.deletion_timestamp = Some(epoch());
        let status = cluster.status.as_mut().unwrap();
        status.primary = Some("shop-0".to_owned());
        status.restore = serde_json::from_value(json!({
            "requestId": "a", "phase": phase, "line": 2, "startedAt": "2026-11-21T02:00:00Z",
        }))
        .unwrap();
        assert_eq!(decided(&view).job.is_some(), begins, "{phase}");
    }
}
