//! The end of a backup: stop its Job, remove what was stored if the policy says so, let go. It always ends.

use super::{because, is_guarded, name, place, standing, validated};
use crate::backup::{BackupJob, BackupPlan, BackupView, JobReport, JobState, JobView, SnapshotLook};
use crate::build::{self, JobHome};
use crate::event;
use crate::names;
use crate::validate::Settings;
use porpoise_crds::{BackupDeletionPolicy, BackupLocation, BackupPhase, Place, SKIP_CLEANUP, VERSIONS};
use std::time::Duration;

/// After this long the object is let go, whatever is left.
const DEADLINE: Duration = Duration::from_mins(10);
/// Pause between looks.
const SOON: Duration = Duration::from_secs(5);

pub(super) fn plan(view: &BackupView, settings: &Settings, mut plan: BackupPlan) -> BackupPlan {
    plan.look_again = SOON;
    if !is_guarded(&view.object) {
        return because(plan, "already let go");
    }
    if view.namespace_terminating {
        return release(plan, "the namespace is being deleted, and everything in it");
    }
    let annotations = view.object.metadata.annotations.as_ref();
    if annotations.and_then(|all| all.get(SKIP_CLEANUP)).is_some_and(|value| value == "true") {
        return left(view, plan, "cleanup is skipped by annotation");
    }
    if view.object.spec.deletion_policy == BackupDeletionPolicy::Retain {
        // Nothing is removed, so nothing has to be waited for: what still runs is only told to stop.
        plan.stop.extend(running(view).map(|job| (job.name.clone(), job.uid.clone())));
        let kept = place(&plan.status);
        return release(plan, &format!("{} is kept by deletionPolicy", kept.as_deref().unwrap_or("nothing")));
    }
    if view.deleted_for >= DEADLINE {
        let reason = why_not(view).unwrap_or_else(|| "nothing came of it".to_owned());
        return left(view, plan, &format!("given up after {} minutes: {reason}", DEADLINE.as_secs() / 60));
    }
    match running(view) {
        Some(job) => stop(view, job, plan),
        None => remove(view, settings, plan),
    }
}

/// The Job whose Pods still write: they would bring back what is removed. One that is over has none.
fn running(view: &BackupView) -> Option<&JobView> {
    view.store.as_ref().filter(|job| job.owned && (job.terminating || job.state == JobState::Active))
}

fn stop(view: &BackupView, job: &JobView, mut plan: BackupPlan) -> BackupPlan {
    if !job.terminating {
        plan.stop.push((job.name.clone(), job.uid.clone()));
    }
    deleting(view, plan, &format!("Job {} is being stopped", job.name))
}

fn remove(view: &BackupView, settings: &Settings, plan: BackupPlan) -> BackupPlan {
    if plan.status.snapshot.is_some() {
        return drop_snapshot(view, plan);
    }
    let Some(location) = plan.status.location.clone() else {
        return release(plan, "nothing was stored");
    };
    match &view.removal {
        Some(job) if !job.owned => {
            deleting(view, plan, &format!("Job {} exists and belongs to something else; delete it", job.name))
        }
        Some(job) if job.terminating => deleting(view, plan, &format!("Job {} comes to its end", job.name)),
        Some(job) => follow(view, job, &location, plan),
        None => begin(view, settings, location, plan),
    }
}

/// What the storage keeps of it after that is up to the `deletionPolicy` of its `VolumeSnapshotClass`.
fn drop_snapshot(view: &BackupView, mut plan: BackupPlan) -> BackupPlan {
    let title = place(&plan.status).unwrap_or_default();
    match (&view.snapshot, plan.status.snapshot.clone()) {
        (SnapshotLook::Found(found), Some(taken)) if found.of == view.object.metadata.uid => {
            if !found.terminating {
                plan.dropped_snapshot = Some((taken.name, found.uid.clone()));
            }
            deleting(view, plan, &format!("{title} is being deleted"))
        }
        (SnapshotLook::Unasked, Some(_)) => deleting(view, plan, &format!("looking for {title}")),
        (SnapshotLook::Unread(why), _) => deleting(view, plan, &format!("{title} cannot be read now: {why}")),
        (SnapshotLook::Found(_) | SnapshotLook::Absent | SnapshotLook::Unserved, _)
        | (SnapshotLook::Unasked, None) => {
            plan.events.push(event::BACKUP_REMOVED.event(&[("path", &title)]));
            release(plan, "its snapshot is gone")
        }
    }
}

fn begin(
    view: &BackupView,
    settings: &Settings,
    location: BackupLocation,
    mut plan: BackupPlan,
) -> BackupPlan {
    let needs = super::needs(&view.object, None);
    let missing: Vec<String> =
        needs.iter().filter_map(|need| need.missing(view.secrets.get(&need.name))).collect();
    if !missing.is_empty() {
        return deleting(view, plan, &missing.join("; "));
    }
    let cluster = view.cluster.as_ref().and_then(|object| validated(object, settings).ok());
    let image = cluster.as_ref().map_or_else(|| usual_image(view, settings), |cluster| cluster.image.clone());
    let home =
        JobHome { cluster: cluster.as_ref(), operator_image: &settings.operator_image, mysql_image: &image };
    let message = format!("Job {} removes {}", names::remove_job(name(&view.object)), location.path);
    plan.job = Some(build::remove_job(&view.object, &home, &BackupJob::Remove { location }));
    // What the account was told by the cluster stays, if that is gone.
    plan.account = Some(build::backup_account(&view.object, cluster.as_ref()));
    deleting(view, plan, &message)
}

/// The operator's image for the release that wrote the backup: the cluster, which could name another, is gone.
fn usual_image(view: &BackupView, settings: &Settings) -> String {
    let written = view.object.status.as_ref().and_then(|status| status.version.clone()).unwrap_or_default();
    let series = VERSIONS.iter().find(|series| written.starts_with(**series));
    let newest = VERSIONS.last();
    settings.mysql_image.replace("{version}", series.or(newest).copied().unwrap_or_default())
}

fn follow(view: &BackupView, job: &JobView, location: &BackupLocation, mut plan: BackupPlan) -> BackupPlan {
    match (&job.state, job.report()) {
        (JobState::Complete, Some(JobReport::Removed)) => {
            plan.events.push(event::BACKUP_REMOVED.event(&[("path", &location.path)]));
            release(plan, "what was stored is removed")
        }
        // Made again until the deadline: a store that is down comes back, and credentials are put right.
        (JobState::Complete | JobState::Failed { .. }, _) => {
            plan.stop.push((job.name.clone(), job.uid.clone()));
            let reason = job.failure().unwrap_or_else(|| "it ended without a report".to_owned());
            deleting(view, plan, &format!("Job {} is made again: {reason}", job.name))
        }
        (JobState::Active, _) => {
            let message = match job.failure().or_else(|| job.trouble.clone()) {
                Some(reason) => format!("Job {} tries again: {reason}", job.name),
                None => format!("Job {} removes {}", job.name, location.path),
            };
            deleting(view, plan, &message)
        }
    }
}

/// What was seen last of what holds the removal up.
fn why_not(view: &BackupView) -> Option<String> {
    let mut jobs = view.removal.iter().chain(&view.store);
    let told = jobs.find_map(|job| job.failure().or_else(|| job.trouble.clone()));
    told.or_else(|| view.object.status.as_ref().map(|status| status.message.clone()))
        .filter(|text| !text.is_empty())
}

/// Lets go of something that may still be there, and says of what.
fn left(view: &BackupView, mut plan: BackupPlan, reason: &str) -> BackupPlan {
    let kept = view.object.spec.deletion_policy == BackupDeletionPolicy::Retain;
    if let Some(path) = place(&plan.status).filter(|_| !kept) {
        let location = plan.status.location.as_ref();
        let target = location.and_then(|location| location.target.place()).map(described);
        let target = target.unwrap_or_else(|| "the namespace".to_owned());
        plan.events.push(event::BACKUP_LEFT.event(&[
            ("path", &path),
            ("target", &target),
            ("reason", reason),
        ]));
    }
    release(plan, reason)
}

fn described(place: Place<'_>) -> String {
    let sort = if place.field == "volume" { "volume claim" } else { "bucket" };
    format!("{sort} {}", place.bucket)
}

fn release(plan: BackupPlan, reason: &str) -> BackupPlan {
    because(BackupPlan { release: true, ..plan }, reason)
}

fn deleting(view: &BackupView, mut plan: BackupPlan, message: &str) -> BackupPlan {
    plan.status = standing(view, plan.status, BackupPhase::Deleting, message);
    because(plan, message)
}
