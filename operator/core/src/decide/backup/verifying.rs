//! A stored backup that is to be verified: its Job is made and followed to its end. What was stored stays as it is, and only
//! a Job that found damage makes a backup worse than it was.

use super::{because, name, place, snapshotting, usable};
use crate::backup::{BackupJob, BackupPlan, BackupView, JobReport, JobState, JobView, Rival};
use crate::build;
use crate::event;
use crate::names;
use crate::validate::{Cluster, Settings};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{
    BackupPhase, MySQLBackup, MySQLBackupStatus, VERIFY_DUE, VerificationPhase, VerificationStatus,
};
use std::time::Duration;

/// Jobs that are made for one verification: the first, and two that somebody deleted.
const MOST_JOBS: i32 = 3;
/// Pause between looks at what is not watched, such as Secrets.
const WAITING: Duration = Duration::from_secs(10);
/// Pause between looks at a Job, which is watched.
const RUNNING: Duration = Duration::from_secs(15);

/// The verification that is asked for and not over.
pub(super) fn owed(object: &MySQLBackup) -> Option<VerificationStatus> {
    let status = object.status.as_ref()?;
    if status.phase != Some(BackupPhase::Succeeded) || object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let due: Time = Time(object.metadata.annotations.as_ref()?.get(VERIFY_DUE)?.parse().ok()?);
    let known = status.verification.clone().filter(|known| known.due == due);
    let phase = VerificationPhase::Pending;
    let fresh = || VerificationStatus { due, jobs: 0, phase, completed_at: None, message: String::new() };
    Some(known.unwrap_or_else(fresh)).filter(|one| !one.phase.is_over())
}

pub(super) fn plan(view: &BackupView, settings: &Settings, plan: BackupPlan) -> BackupPlan {
    let (Some(now), Some(path)) = (owed(&view.object), place(&plan.status)) else {
        return because(plan, "it is over");
    };
    let is_mine = now.jobs > 0;
    match &view.verify {
        Some(job) if !job.owned => {
            let message = format!("Job {} exists and belongs to something else; delete it", job.name);
            stand(plan, now, VerificationPhase::Pending, &message)
        }
        Some(job) if job.terminating => {
            let message = format!("Job {} comes to its end", job.name);
            stand(plan, now, VerificationPhase::Pending, &message)
        }
        // Of an earlier time of the schedule.
        Some(job) if !is_mine => {
            let message = format!("Job {} of an earlier verification is removed", job.name);
            let mut plan = stand(plan, now, VerificationPhase::Pending, &message);
            plan.stop.push((job.name.clone(), job.uid.clone()));
            plan
        }
        Some(job) => follow(view, job, now, &path, plan),
        None if now.jobs >= MOST_JOBS => {
            let reason = format!("its Job was deleted, or could not be made, {MOST_JOBS} times");
            fail(view, now, &path, &reason, plan)
        }
        None if is_orphan(view) => {
            fail(view, now, &path, "its MySQLCluster is deleted, and nobody boots it any more", plan)
        }
        None => match ready(view, settings) {
            Ok(cluster) => begin(view, &cluster, now, &path, plan),
            Err(missing) => stand(plan, now, VerificationPhase::Pending, &missing),
        },
    }
}

/// Whether the cluster is gone or going.
pub(super) fn is_orphan(view: &BackupView) -> bool {
    let cluster = view.cluster.as_ref();
    view.namespace_terminating || cluster.is_none_or(|object| object.metadata.deletion_timestamp.is_some())
}

/// The cluster, if everything is there that it takes.
fn ready(view: &BackupView, settings: &Settings) -> Result<Cluster, String> {
    let named = &view.object.spec.cluster_ref.name;
    let Some(object) = &view.cluster else {
        return Err(format!("MySQLCluster {named} does not exist in this namespace; make it"));
    };
    let cluster = usable(object, settings)?;
    let needs = super::needs(&view.object, Some(object));
    let missing: Vec<String> =
        needs.iter().filter_map(|need| need.missing(view.secrets.get(&need.name))).collect();
    if !missing.is_empty() {
        return Err(missing.join("; "));
    }
    busy(view).map_or(Ok(cluster), Err)
}

/// What is made now and comes first.
pub(super) fn busy(view: &BackupView) -> Option<String> {
    let runs = |other: &&Rival| other.phase == Some(BackupPhase::Running) && other.is_in_the_way();
    view.others.iter().find(runs).map(|other| format!("MySQLBackup {} is made first", other.name))
}

fn begin(
    view: &BackupView,
    cluster: &Cluster,
    mut now: VerificationStatus,
    path: &str,
    mut plan: BackupPlan,
) -> BackupPlan {
    // What a member runs: while an update is held back, the wanted image is another one.
    let image = view.images.values().next().unwrap_or(&cluster.image).clone();
    let encryption = plan.status.encryption.clone();
    let job = names::verify_job(name(&view.object));
    let Some(work) = work(&plan.status) else { return because(plan, "its status does not say where it is") };
    plan.events.push(event::VERIFICATION_STARTED.event(&[("job", &job), ("path", path)]));
    plan.account = Some(build::backup_account(&view.object, Some(cluster)));
    plan.job = Some(build::verify_job(&view.object, cluster, &image, &work, encryption.as_ref()));
    now.jobs += 1;
    stand(plan, now, VerificationPhase::Running, &format!("Job {job} begins"))
}

fn work(status: &MySQLBackupStatus) -> Option<BackupJob> {
    let stored = status.location.clone().map(|location| BackupJob::Verify { location });
    stored.or_else(|| snapshotting::examination(status))
}

/// A Job that exists.
fn follow(
    view: &BackupView,
    job: &JobView,
    now: VerificationStatus,
    path: &str,
    mut plan: BackupPlan,
) -> BackupPlan {
    match (&job.state, job.report()) {
        (_, Some(JobReport::Damaged { reason })) => {
            if job.state == JobState::Active {
                plan.stop.push((job.name.clone(), job.uid.clone()));
            }
            damaged(view, now, path, &reason, plan)
        }
        (JobState::Complete, Some(JobReport::Verified { tables })) => verified(view, now, path, tables, plan),
        // Of a snapshot, which nobody had booted before.
        (JobState::Complete, Some(JobReport::Stored { summary })) => {
            plan.status.gtid_set.clone_from(&summary.gtid_set);
            // That of the member that it was taken of: what it is checked with now may be newer.
            plan.status.version.get_or_insert_with(|| summary.version.clone());
            verified(view, now, path, summary.tables, plan)
        }
        (JobState::Active, Some(JobReport::Failed { reason, for_good: true })) => {
            plan.stop.push((job.name.clone(), job.uid.clone()));
            fail(view, now, path, &reason, plan)
        }
        (JobState::Active, _) => {
            let message = match (job.failure(), &job.trouble) {
                (_, Some(trouble)) => format!("Job {} cannot go on: {trouble}", job.name),
                (Some(reason), None) => format!("Job {} tries again: {reason}", job.name),
                (None, None) => format!("Job {} fetches the backup, boots it and checks it", job.name),
            };
            stand(plan, now, VerificationPhase::Running, &message)
        }
        (JobState::Complete | JobState::Failed { .. }, _) => {
            let reason = job.failure().unwrap_or_else(|| "its Job ended without a report".to_owned());
            fail(view, now, path, &reason, plan)
        }
    }
}

fn verified(
    view: &BackupView,
    now: VerificationStatus,
    path: &str,
    tables: u64,
    mut plan: BackupPlan,
) -> BackupPlan {
    let count = tables.to_string();
    plan.events.push(event::BACKUP_VERIFIED.event(&[("path", path), ("tables", &count)]));
    plan.status.verified = Some(true);
    plan.status.verified_at = Some(Time(view.now));
    plan.status.message =
        format!("complete: a server booted from what is stored and found {tables} table(s) in order");
    let message = format!("{tables} table(s) are in order");
    over(view, plan, now, VerificationPhase::Verified, &message)
}

fn damaged(
    view: &BackupView,
    now: VerificationStatus,
    path: &str,
    reason: &str,
    mut plan: BackupPlan,
) -> BackupPlan {
    plan.events.push(event::BACKUP_DAMAGED.event(&[("path", path), ("reason", reason)]));
    plan.status.verified = Some(false);
    plan.status.message = format!("complete, but damaged: {reason}");
    over(view, plan, now, VerificationPhase::Damaged, reason)
}

/// It could not be carried out: what was known of the backup is as it was.
fn fail(
    view: &BackupView,
    now: VerificationStatus,
    path: &str,
    reason: &str,
    mut plan: BackupPlan,
) -> BackupPlan {
    plan.events.push(event::VERIFICATION_FAILED.event(&[("path", path), ("reason", reason)]));
    over(view, plan, now, VerificationPhase::Failed, reason)
}

fn over(
    view: &BackupView,
    mut plan: BackupPlan,
    now: VerificationStatus,
    phase: VerificationPhase,
    message: &str,
) -> BackupPlan {
    let completed_at = Some(Time(view.now));
    let message = message.to_owned();
    plan.status.verification = Some(VerificationStatus { phase, message, completed_at, ..now });
    because(plan, "its verification is over")
}

fn stand(
    mut plan: BackupPlan,
    now: VerificationStatus,
    phase: VerificationPhase,
    message: &str,
) -> BackupPlan {
    plan.look_again = if phase == VerificationPhase::Running { RUNNING } else { WAITING };
    plan.status.verification = Some(VerificationStatus { phase, message: message.to_owned(), ..now });
    because(plan, message)
}
