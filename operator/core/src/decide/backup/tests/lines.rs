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
