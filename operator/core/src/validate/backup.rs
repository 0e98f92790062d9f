//! Backups: what a schema cannot tell.

use super::Problem;
use crate::schedule::{Schedule, ScheduleError};
use porpoise_crds::{Backup, Bootstrap, DeletionPolicy, MySQLClusterSpec};

pub(super) fn problems(spec: &MySQLClusterSpec) -> Vec<Problem> {
    let backup = spec.backup.iter().flat_map(|backup| {
        let target = backup.target.s3.is_none().then(|| {
            Problem::new("spec.backup.target", "InvalidTarget", "no place is named; name one target: s3")
        });
        let kept = (backup.retention.keep_last < 1).then(|| {
            Problem::new("spec.backup.retention.keepLast", "InvalidRetention", "keep at least 1 backup")
        });
        read(backup).err().into_iter().chain(target).chain(kept)
    });
    backup.chain(spec.bootstrap.iter().filter_map(restore)).chain(last(spec)).collect()
}

fn last(spec: &MySQLClusterSpec) -> Option<Problem> {
    let needed = spec.storage.deletion_policy == DeletionPolicy::BackupThenDelete;
    (needed && spec.backup.is_none()).then(|| {
        let message = "BackupThenDelete needs spec.backup: name a target there, or choose Retain or Delete";
        Problem::new("spec.storage.deletionPolicy", "BackupMissing", message)
    })
}

/// The schedule, if there is one. It was checked before.
pub(super) fn schedule(spec: &MySQLClusterSpec) -> Option<Schedule> {
    read(spec.backup.as_ref()?).ok()?
}

fn read(backup: &Backup) -> Result<Option<Schedule>, Problem> {
    let Some(text) = &backup.schedule else { return Ok(None) };
    Schedule::parse(text, &backup.time_zone).map(Some).map_err(|error| match error {
        ScheduleError::FindZone { .. } => {
            Problem::new("spec.backup.timeZone", "InvalidTimeZone", error.to_string())
        }
        ScheduleError::ReadFields { .. } | ScheduleError::FindTime { .. } => {
            Problem::new("spec.backup.schedule", "InvalidSchedule", error.to_string())
        }
    })
}

fn restore(bootstrap: &Bootstrap) -> Option<Problem> {
    let restore = &bootstrap.restore;
    (restore.backup_ref.is_some() == restore.location.is_some()).then(|| {
        let message =
            "name either backupRef, a MySQLBackup of this namespace, or location, where a backup is stored";
        Problem::new("spec.bootstrap.restore", "InvalidRestore", message)
    })
}
