//! Backups: what a schema cannot tell.

use super::failover::within;
use super::{Problem, target};
use crate::backup::NamedBackup;
use crate::gtid::GtidSet;
use crate::schedule::{Schedule, ScheduleError};
use porpoise_crds::{
    Backup, BackupBefore, BackupVerification, DeletionPolicy, MySQLClusterSpec, PointInTime, Rehearsal,
    Retention, VerificationMode,
};
use std::time::Duration;

const SHORTEST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_hours(1);

/// Most characters of `spec.restore.requestId`.
const LONGEST_REQUEST: usize = 63;

/// Bounds of `spec.update.backupMaxAge`.
const YOUNGEST: Duration = Duration::from_mins(1);
const OLDEST: Duration = Duration::from_hours(24);

/// `name` is the cluster's.
pub(super) fn problems(spec: &MySQLClusterSpec, name: &str) -> Vec<Problem> {
    let backup = spec.backup.iter().flat_map(|backup| {
        let target = target::problems("spec.backup.target", &backup.target, name);
        let delay = &backup.binlog_archive.max_delay;
        let field = "spec.backup.binlogArchive.maxDelay";
        let delay = within(field, delay, SHORTEST_DELAY, LONGEST_DELAY, "200ms to 60m");
        read(backup)
            .err()
            .into_iter()
            .chain(target)
            .chain(retention(backup))
            .chain(verification(backup))
            .chain(delay)
    });
    let named = named(spec);
    let named = named.iter().flat_map(|one| stored(one, name));
    backup.chain(named).chain(request(spec)).chain(last(spec)).chain(before_update(spec)).collect()
}

fn retention(backup: &Backup) -> Vec<Problem> {
    let Retention { keep_last, window } = &backup.retention;
    let kept = (*keep_last < 1).then(|| {
        let message = "keep at least 1 backup; to make none any more, remove the schedule";
        Problem::new("spec.backup.retention.keepLast", "InvalidRetention", message)
    });
    let window = window.as_ref().filter(|text| hours_or_days(text).is_none()).map(|text| {
        let message = format!("{text:?} is not allowed; write whole hours or days, 1h to 9999d, such as 30d");
        Problem::new("spec.backup.retention.window", "InvalidRetention", message)
    });
    kept.into_iter().chain(window).collect()
}

/// `12h` or `30d`: at least one, and at most four digits.
pub(crate) fn hours_or_days(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: u16 = digits.parse().ok().filter(|count| is_plain && (1..=9_999).contains(count))?;
    match text.strip_prefix(digits)? {
        "h" => Some(Duration::from_hours(u64::from(count))),
        "d" => Some(Duration::from_hours(u64::from(count) * 24)),
        _ => None,
    }
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

/// When the newest stored backup is verified, if there is a schedule for that. It was checked before.
pub(super) fn verification_schedule(spec: &MySQLClusterSpec) -> Option<Schedule> {
    let backup = spec.backup.as_ref()?;
    times(backup, backup.verify.schedule.as_ref(), VERIFICATION).ok()?
}

const VERIFICATION: &str = "spec.backup.verify.schedule";

fn verification(backup: &Backup) -> Option<Problem> {
    let BackupVerification { mode, schedule, checksums: _ } = &backup.verify;
    if (*mode == VerificationMode::Schedule) != schedule.is_some() {
        let message = "mode Schedule needs it, such as 0 5 * * 0, and no other mode has one";
        return Some(Problem::new(VERIFICATION, "InvalidSchedule", message));
    }
    times(backup, schedule.as_ref(), VERIFICATION).err()
}

fn read(backup: &Backup) -> Result<Option<Schedule>, Problem> {
    times(backup, backup.schedule.as_ref(), "spec.backup.schedule")
}

fn times(backup: &Backup, text: Option<&String>, field: &str) -> Result<Option<Schedule>, Problem> {
    let Some(text) = text else { return Ok(None) };
    Schedule::parse(text, &backup.time_zone).map(Some).map_err(|error| match error {
        ScheduleError::FindZone { .. } => {
            Problem::new("spec.backup.timeZone", "InvalidTimeZone", error.to_string())
        }
        ScheduleError::ReadFields { .. } | ScheduleError::FindTime { .. } => {
            Problem::new(field, "InvalidSchedule", error.to_string())
        }
    })
}

/// The stored backups that the spec names: what a new cluster begins with, and what is restored in place.
fn named(spec: &MySQLClusterSpec) -> Vec<NamedBackup> {
    let first = spec.bootstrap.as_ref().and_then(NamedBackup::of);
    first.into_iter().chain(spec.restore.as_ref().map(NamedBackup::in_place)).collect()
}

fn stored(named: &NamedBackup, name: &str) -> Vec<Problem> {
    let NamedBackup { field, restore, .. } = named;
    let is_one = restore.backup_ref.is_some() != restore.location.is_some();
    let message =
        "name either backupRef, a MySQLBackup of this namespace, or location, where a backup is stored";
    let source = (!is_one).then(|| Problem::new(*field, "InvalidRestore", message));
    let point = restore.point_in_time.as_ref().and_then(|point| point_in_time(field, point).err());
    source.into_iter().chain(location(named, name)).chain(point).collect()
}

/// A restore that nobody could tell from the next one would be done again and again.
fn request(spec: &MySQLClusterSpec) -> Option<Problem> {
    let id = &spec.restore.as_ref()?.request_id;
    let is_fit = (1..=LONGEST_REQUEST).contains(&id.chars().count());
    let message = "name the request with 1 to 63 characters; each new name restores once";
    (!is_fit).then(|| Problem::new("spec.restore.requestId", "InvalidRestore", message))
}

fn location(named: &NamedBackup, name: &str) -> Vec<Problem> {
    let Some(location) = &named.restore.location else { return Vec::new() };
    let field = format!("{}.{}.target", named.field, named.place);
    let mut problems = target::problems(&field, &location.target, name);
    let unnamed = location.target.volume.as_ref().is_some_and(|volume| volume.claim_name.is_none());
    problems.extend(unnamed.then(|| {
        Problem::new(format!("{field}.volume"), "InvalidTarget", "name the volume by its claimName")
    }));
    problems
}

/// Exactly one field, and one that means something. Whether the archive reaches as far is seen by whoever reads it.
fn point_in_time(field: &str, point: &PointInTime) -> Result<(), Problem> {
    let place = format!("{field}.pointInTime");
    let PointInTime { latest, time, gtid, before_gtid } = point;
    let named = [latest.is_some(), time.is_some(), gtid.is_some(), before_gtid.is_some()];
    if named.into_iter().filter(|named| *named).count() != 1 {
        let message = "name one of latest, time, gtid and beforeGtid";
        return Err(Problem::new(place, "InvalidPointInTime", message));
    }
    if *latest == Some(false) {
        let message = "latest can only be true; name time, gtid or beforeGtid instead";
        return Err(Problem::new(format!("{place}.latest"), "InvalidPointInTime", message));
    }
    for (field, text) in [("gtid", gtid), ("beforeGtid", before_gtid)] {
        if let Some(text) = text.as_ref().filter(|text| !is_transaction(text)) {
            let message = format!("{text:?} is no transaction; write one as UUID:NUMBER or UUID:TAG:NUMBER");
            return Err(Problem::new(format!("{place}.{field}"), "InvalidPointInTime", message));
        }
    }
    Ok(())
}

/// One transaction, written without ranges and spaces.
fn is_transaction(text: &str) -> bool {
    let number = text.rsplit(':').next().unwrap_or_default();
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit())
        && !text.contains(|letter: char| letter == ',' || letter.is_whitespace());
    is_plain && GtidSet::parse(text).is_ok_and(|set| set.count() == 1)
}

fn before_update(spec: &MySQLClusterSpec) -> Vec<Problem> {
    let needed = spec.update.backup_before == BackupBefore::Required;
    let missing = (needed && spec.backup.is_none()).then(|| {
        let message = "Required needs spec.backup: name a target there, or choose IfConfigured or Skip";
        Problem::new("spec.update.backupBefore", "BackupMissing", message)
    });
    let age = &spec.update.backup_max_age;
    let age = within("spec.update.backupMaxAge", age, YOUNGEST, OLDEST, "1m to 1440m");
    missing.into_iter().chain(rehearsal(spec)).chain(age).collect()
}

fn rehearsal(spec: &MySQLClusterSpec) -> Option<Problem> {
    let has_backup = spec.backup.is_some() && spec.update.backup_before != BackupBefore::Skip;
    let message = "Required needs a backup to rehearse on: name a target in spec.backup and choose backupBefore: IfConfigured or \
                   Required, or choose rehearsal: IfConfigured or Skip";
    (spec.update.rehearsal == Rehearsal::Required && !has_backup)
        .then(|| Problem::new("spec.update.rehearsal", "BackupMissing", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_or_days_table() {
        for (text, hours) in [
            ("1h", Some(1)),
            ("30d", Some(720)),
            ("9999d", Some(239_976)),
            ("0d", None),
            ("10000d", None),
            ("30", None),
            ("d", None),
            ("-1d", None),
            ("+1d", None),
            ("1.5d", None),
            ("60m", None),
            ("", None),
        ] {
            assert_eq!(hours_or_days(text), hours.map(Duration::from_hours), "{text:?}");
        }
    }
}
