//! The backups of a cluster: those that a schedule or a request asks for are made, those beyond retention are deleted, and
//! the status tells how they stand.

use super::retention::{newest_first, retire};
use crate::backup::{NONE_YET, SNAPSHOTS_UNSERVED};
use crate::build;
use crate::condition::{ConditionType, News, Truth};
use crate::line;
use crate::names::{ClusterNames, ORIGIN_LABEL};
use crate::plan::{Plan, Verification};
use crate::validate::Cluster;
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use porpoise_crds::{
    Backup, BackupDeletionPolicy, BackupMethod, BackupPhase, BackupsStatus, LocalReference, MySQLBackup,
    MySQLBackupSpec,
};
use std::collections::BTreeMap;

/// How long before its time no backup of the schedule is made, however much two clocks differ.
const EARLY: SignedDuration = SignedDuration::from_hours(1);

/// Reason of `BackupReady` where backups are to be snapshots and there are none.
const SNAPSHOTS_UNAVAILABLE: &str = "SnapshotsUnavailable";

/// Decides about the backups of a valid cluster.
pub(super) fn plan(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) {
    let before = plan.status.backup.take().unwrap_or_default();
    let Some(spec) = &cluster.spec.backup else { return };
    let completed =
        |backup: &BackupSeen| backup.completed.filter(|_| is_whole(backup) && backup.damage.is_none());
    let newest = |wanted: fn(&BackupSeen) -> bool| {
        let ours = view.backups.values().filter(|backup| backup.is_of_this_line(&view.object));
        ours.filter(|backup| wanted(backup)).filter_map(completed).max().map(Time)
    };
    let mut status = BackupsStatus {
        last_success: newest(|_| true),
        last_verified: newest(|backup| backup.verified),
        request_id: before.request_id.clone(),
        restorable_from: before.restorable_from.clone(),
        restorable_to: before.restorable_to.clone(),
        archive_failing_since: before.archive_failing_since.clone(),
        ..BackupsStatus::default()
    };
    request(cluster, spec, view, &mut status, plan);
    by_schedule(cluster, spec, view, &before, &mut status, plan);
    verify(cluster, view, &before, &mut status, plan);
    retire(spec, view, plan);
    plan.status.backup = Some(status);
}

/// Complete, and to stay.
pub(super) fn is_good(backup: &BackupSeen) -> bool {
    backup.phase == Some(BackupPhase::Succeeded) && !backup.deleting
}

/// The same, and of all that the cluster holds: single databases are no answer to who lost the cluster.
pub(super) fn is_whole(backup: &BackupSeen) -> bool {
    is_good(backup) && !backup.partial
}

/// One backup for every new request. It is taken care of when it is seen, not when it was asked for.
fn request(
    cluster: &Cluster,
    spec: &Backup,
    view: &ClusterView,
    status: &mut BackupsStatus,
    plan: &mut Plan,
) {
    let Some(wanted) = spec.on_demand.as_ref().map(|wish| &wish.request_id) else { return };
    if status.request_id.as_ref() == Some(wanted) {
        return;
    }
    let name = cluster.names.backup(wanted);
    if view.backups.contains_key(&name) {
        status.request_id = Some(wanted.clone());
    } else {
        let mut wish = wish(&cluster.names, &cluster.inherited_labels, name, BackupOrigin::Request);
        wish.spec.method = spec.method;
        plan.backups.push(wish);
    }
}

/// The newest time that was missed, once; never while an earlier one of the schedule is not over.
fn by_schedule(
    cluster: &Cluster,
    spec: &Backup,
    view: &ClusterView,
    before: &BackupsStatus,
    status: &mut BackupsStatus,
    plan: &mut Plan,
) {
    let Some(schedule) = &cluster.schedule else { return };
    // Counted from when it was first seen; and a clock that was set back must not stop the backups.
    let past = |time: &Option<Time>| time.as_ref().map(|time| time.0).filter(|time| *time <= view.now);
    let mut last = past(&before.last_scheduled).unwrap_or(view.now);
    let due = schedule.newest(last, view.now);
    if let Some(due) = due {
        let name = name_of_time(cluster, view, due);
        if view.backups.contains_key(&name) {
            last = due;
        } else if !cluster.spec.hibernated && !view.backups.values().any(|backup| is_under_way(backup, spec))
        {
            let mut wish = wish(&cluster.names, &cluster.inherited_labels, name, BackupOrigin::Schedule);
            wish.spec.method = spec.method;
            plan.backups.push(wish);
        }
    }
    let owed = past(&before.due_since).or(due).filter(|_| !cluster.spec.hibernated);
    let has_answered = |owed: &Timestamp| {
        let whole = view.backups.values().filter(|backup| is_whole(backup) && backup.damage.is_none());
        whole.filter(|backup| !is_to_come(backup, view)).any(|backup| backup.completed >= Some(*owed))
    };
    status.due_since = owed.filter(|owed| !has_answered(owed)).map(Time);
    status.last_scheduled = Some(Time(last));
    status.next_run = schedule.next(view.now).map(Time);
}

/// The backup of a time of the schedule. One of that name that was complete in what is still to come, and made long before its
/// time by the API server's clock, is the work of an operator whose clock was ahead: it is of another time.
fn name_of_time(cluster: &Cluster, view: &ClusterView, due: Timestamp) -> String {
    let time = due.strftime("%Y%m%d%H%M").to_string();
    let is_early = |created: Timestamp| due.duration_since(created) > EARLY;
    let is_of_another =
        |backup: &BackupSeen| is_to_come(backup, view) && backup.created.is_some_and(is_early);
    let (mut name, mut number) = (cluster.names.backup(&time), 1);
    while view.backups.get(&name).is_some_and(is_of_another) {
        number += 1;
        name = cluster.names.backup(&format!("{time}-{number}"));
    }
    name
}

/// Whether it says that it was complete at a time that is still to come.
fn is_to_come(backup: &BackupSeen, view: &ClusterView) -> bool {
    backup.completed.is_some_and(|completed| completed > view.now)
}

/// The newest stored backup of this very cluster is verified at the newest time that was missed, once.
fn verify(
    cluster: &Cluster,
    view: &ClusterView,
    before: &BackupsStatus,
    status: &mut BackupsStatus,
    plan: &mut Plan,
) {
    let Some(schedule) = &cluster.verification_schedule else { return };
    let last = before.last_verification.as_ref().map(|time| time.0).filter(|time| *time <= view.now);
    let mut last = last.unwrap_or(view.now);
    let due = schedule.newest(last, view.now).filter(|_| !cluster.spec.hibernated);
    if let Some(due) = due {
        let is_asked = |backup: &BackupSeen| backup.verify_due == Some(due);
        let history = line::recorded_history(&view.object);
        let is_ours = |backup: &BackupSeen| backup.cluster.as_ref() == Some(&history);
        let stored = newest_first(view, |backup| is_whole(backup) && is_ours(backup));
        if view.backups.values().any(is_asked) {
            last = due;
        } else if let Some((name, backup)) = stored.first() {
            let (backup, uid) = ((*name).clone(), backup.uid.clone());
            plan.verifications.push(Verification { backup, uid, due });
        }
    }
    status.last_verification = Some(Time(last));
    status.next_verification = schedule.next(view.now).map(Time);
}

fn is_under_way(backup: &BackupSeen, spec: &Backup) -> bool {
    backup.origin == BackupOrigin::Schedule
        && !is_passed_by(backup, spec)
        && !backup.phase.is_some_and(BackupPhase::is_over)
        && !backup.deleting
}

/// A snapshot of a cluster whose backups are made in another way by now. Before it is booted it is in nobody's way, and it may
/// wait in vain.
fn is_passed_by(backup: &BackupSeen, spec: &Backup) -> bool {
    backup.method == BackupMethod::VolumeSnapshot && backup.method != spec.method && backup.jobs == 0
}

/// A backup that shall be made, with these labels of its cluster.
pub(super) fn wish(
    names: &ClusterNames,
    inherited: &BTreeMap<String, String>,
    name: String,
    origin: BackupOrigin,
) -> MySQLBackup {
    let mut labels = build::backup_labels(names.cluster());
    labels.extend(origin.label().map(|origin| (ORIGIN_LABEL.to_owned(), origin.to_owned())));
    labels.extend(inherited.clone());
    MySQLBackup {
        // No owner: a backup is worth most when its cluster is gone.
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(names.namespace().to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: MySQLBackupSpec {
            cluster_ref: LocalReference { name: names.cluster().to_owned() },
            deletion_policy: match origin {
                BackupOrigin::Schedule
                | BackupOrigin::Request
                | BackupOrigin::Update
                | BackupOrigin::Hand => BackupDeletionPolicy::Delete,
                // It is all that is left of the data.
                BackupOrigin::Deletion => BackupDeletionPolicy::Retain,
            },
            ..MySQLBackupSpec::default()
        },
        status: None,
    }
}

/// Whether the last backup of the present line of data came to a good end.
pub(super) fn fact(cluster: &Cluster, view: &ClusterView) -> Option<News> {
    let spec = cluster.spec.backup.as_ref()?;
    let news = |status: Truth, reason, message: String| {
        Some(News::new(ConditionType::BackupReady, status, reason, message))
    };
    if view.references.serves_snapshots == Some(false) {
        return news(
            Truth::False,
            SNAPSHOTS_UNAVAILABLE,
            format!("spec.backup.method: {SNAPSHOTS_UNSERVED}"),
        );
    }
    let counts =
        |backup: &BackupSeen| !backup.deleting && !backup.partial && backup.is_of_this_line(&view.object);
    let waits = |backup: &BackupSeen| {
        backup.phase == Some(BackupPhase::Pending) && counts(backup) && !is_passed_by(backup, spec)
    };
    let stuck = view.backups.iter().find(|(_, one)| waits(one));
    let over = |backup: &BackupSeen| backup.phase.is_some_and(BackupPhase::is_over) && counts(backup);
    match (newest_first(view, over).first(), stuck) {
        (Some((name, last)), _) if last.phase == Some(BackupPhase::Failed) => {
            news(Truth::False, "LastFailed", format!("{name} failed: {}", last.message))
        }
        (_, Some((name, waiting))) => {
            news(Truth::Unknown, "Waiting", format!("{name} waits: {}", waiting.message))
        }
        (Some((name, last)), None) => match (&last.damage, last.verified) {
            (Some(damage), _) => news(
                Truth::False,
                "LastDamaged",
                format!("{name} cannot be restored: {damage}; make another MySQLBackup"),
            ),
            (None, true) => news(Truth::True, "LastSucceeded", format!("{name} is stored and was verified")),
            (None, false) => {
                news(Truth::True, "LastSucceeded", format!("{name} is stored and was not verified yet"))
            }
        },
        (None, None) if line::recorded(&view.object) > line::FIRST => news(
            Truth::False,
            NONE_YET,
            "no backup of the restored data was made yet, and older ones hold nothing that was written since: make a \
             MySQLBackup, as by spec.backup.onDemand"
                .to_owned(),
        ),
        (None, None) => news(Truth::Unknown, NONE_YET, "no backup was made yet".to_owned()),
    }
}
