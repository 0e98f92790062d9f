//! The backups of a cluster: those that a schedule or a request asks for are made, those beyond retention are deleted, and
//! the status tells how they stand.

use crate::build;
use crate::condition::{ConditionType, News, Truth};
use crate::event;
use crate::names::{ClusterNames, ORIGIN_LABEL};
use crate::plan::{Plan, Verification};
use crate::validate::{Cluster, hours_or_days};
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use porpoise_crds::{
    Backup, BackupDeletionPolicy, BackupPhase, BackupsStatus, LocalReference, MySQLBackup, MySQLBackupSpec,
};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Failed backups of the schedule that are kept, for whoever asks why.
const FAILED_KEPT: usize = 3;

/// A backup by its name.
type Named<'a> = (&'a String, &'a BackupSeen);

/// Decides about the backups of a valid cluster.
pub(super) fn plan(cluster: &Cluster, view: &ClusterView, plan: &mut Plan) {
    let before = plan.status.backup.take().unwrap_or_default();
    let Some(spec) = &cluster.spec.backup else { return };
    let completed =
        |backup: &BackupSeen| backup.completed.filter(|_| is_good(backup) && backup.damage.is_none());
    let newest = |wanted: fn(&BackupSeen) -> bool| {
        view.backups.values().filter(|backup| wanted(backup)).filter_map(completed).max().map(Time)
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
    by_schedule(cluster, view, &before, &mut status, plan);
    verify(cluster, view, &before, &mut status, plan);
    retire(spec, view, plan);
    plan.status.backup = Some(status);
}

/// Complete, and to stay.
pub(super) fn is_good(backup: &BackupSeen) -> bool {
    backup.phase == Some(BackupPhase::Succeeded) && !backup.deleting
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
        plan.backups.push(wish(&cluster.names, &cluster.inherited_labels, name, BackupOrigin::Request));
    }
}

/// The newest time that was missed, once; never while an earlier one of the schedule is not over.
fn by_schedule(
    cluster: &Cluster,
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
        let name = cluster.names.backup(&due.strftime("%Y%m%d%H%M").to_string());
        if view.backups.contains_key(&name) {
            last = due;
        } else if !cluster.spec.hibernated && !view.backups.values().any(is_under_way) {
            plan.backups.push(wish(&cluster.names, &cluster.inherited_labels, name, BackupOrigin::Schedule));
        }
    }
    let owed = past(&before.due_since).or(due).filter(|_| !cluster.spec.hibernated);
    let answered = status.last_success.as_ref().map(|time| time.0);
    status.due_since = owed.filter(|owed| answered.is_none_or(|answered| answered < *owed)).map(Time);
    status.last_scheduled = Some(Time(last));
    status.next_run = schedule.next(view.now).map(Time);
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
        let is_ours = |backup: &BackupSeen| backup.cluster.as_deref() == Some(cluster.uid.as_str());
        let stored = newest_first(view, |backup| is_good(backup) && is_ours(backup));
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

fn is_under_way(backup: &BackupSeen) -> bool {
    backup.origin == BackupOrigin::Schedule
        && !backup.phase.is_some_and(BackupPhase::is_over)
        && !backup.deleting
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
        },
        status: None,
    }
}

/// Backups of the schedule beyond what is kept. The newest verified one stays, whoever made it.
fn retire(spec: &Backup, view: &ClusterView, plan: &mut Plan) {
    let keep = usize::try_from(spec.retention.keep_last).unwrap_or(1).max(1);
    let newest_verified = newest_first(view, |backup| is_good(backup) && backup.verified)
        .first()
        .map(|(name, _)| (*name).clone());
    let good = newest_first(view, |backup| backup.origin == BackupOrigin::Schedule && is_good(backup));
    let failed = newest_first(view, |backup| {
        backup.origin == BackupOrigin::Schedule
            && backup.phase == Some(BackupPhase::Failed)
            && !backup.deleting
    });
    let recent = within_window(spec, view, &good);
    let staying = wanted(&good, keep).max(recent);
    let good = good.into_iter().skip(staying);
    let good = good.filter(|(name, _)| Some(*name) != newest_verified.as_ref());
    let kept = match &spec.retention.window {
        Some(window) => format!("{keep}, window is {window}"),
        None => keep.to_string(),
    };
    let good =
        good.map(|one| (one, format!("spec.backup.retention.keepLast is {kept}, and newer ones are stored")));
    let failed = failed.into_iter().skip(FAILED_KEPT);
    let failed = failed.map(|one| (one, format!("it failed, and so did {FAILED_KEPT} newer ones")));
    for ((name, backup), reason) in good.chain(failed) {
        plan.retired_backups.push((name.clone(), backup.uid.clone()));
        plan.events.push(event::BACKUP_RETIRED.event(&[("backup", name), ("reason", &reason)]));
    }
}

/// How many of them, newest first, it takes for so many that are not known to be damaged.
fn wanted(good: &[Named<'_>], keep: usize) -> usize {
    let whole = good.iter().enumerate().filter(|(_, (_, backup))| backup.damage.is_none());
    whole.map(|(index, _)| index + 1).nth(keep.saturating_sub(1)).unwrap_or(good.len())
}

/// How many of them, newest first, the window keeps: those that were complete in it, and on to the newest verified one
/// before it, since a moment is restored from a backup that is older than the moment.
fn within_window(spec: &Backup, view: &ClusterView, good: &[Named<'_>]) -> usize {
    let Some(window) = &spec.retention.window else { return 0 };
    let begins = hours_or_days(window)
        .and_then(|window| SignedDuration::try_from(window).ok())
        .and_then(|window| view.now.checked_sub(window).ok());
    // A window that cannot be reckoned, and a backup of unknown age, keep what there is.
    let Some(begins) = begins else { return good.len() };
    let is_before = |backup: &BackupSeen| backup.completed.is_some_and(|completed| completed < begins);
    let anchor = good.iter().position(|(_, backup)| is_before(backup) && backup.verified);
    let in_window = || good.iter().rposition(|(_, backup)| !is_before(backup)).map_or(0, |last| last + 1);
    anchor.map_or_else(in_window, |anchor| anchor + 1)
}

fn newest_first(view: &ClusterView, wanted: impl Fn(&BackupSeen) -> bool) -> Vec<Named<'_>> {
    let mut found: Vec<Named<'_>> = view.backups.iter().filter(|(_, backup)| wanted(backup)).collect();
    found.sort_by_key(|(name, backup)| Reverse((backup.completed, backup.created, (*name).clone())));
    found
}

/// Whether the last backup came to a good end.
pub(super) fn fact(cluster: &Cluster, view: &ClusterView) -> Option<News> {
    cluster.spec.backup.as_ref()?;
    let news = |status: Truth, reason, message: String| {
        Some(News::new(ConditionType::BackupReady, status, reason, message))
    };
    let stuck = view.backups.iter().find(|(_, one)| one.phase == Some(BackupPhase::Pending) && !one.deleting);
    let over = |backup: &BackupSeen| backup.phase.is_some_and(BackupPhase::is_over) && !backup.deleting;
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
        (None, None) => news(Truth::Unknown, "NoneYet", "no backup was made yet".to_owned()),
    }
}
