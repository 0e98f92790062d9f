//! A backup that is to be made: wait for what it takes, make the Job, follow it to its end.

use super::{because, donors, last_donor, name, place, snapshotting, standing, usable};
use crate::backup::{
    BackupJob, BackupPlan, BackupView, Donor, DumpScope, JobReport, JobState, JobView, Summary, about,
    folder, is_snapshot,
};
use crate::build;
use crate::event;
use crate::line;
use crate::names::{self, ClusterNames, ORIGIN_LABEL};
use crate::quantity::Amount;
use crate::validate::{Cluster, Settings};
use crate::view::BackupOrigin;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{
    Backup, BackupLocation, BackupMethod, BackupPhase, BackupSource, ComparisonStatus, MySQLBackup,
    MySQLCluster, Phase, RESERVED_DATABASES, RestorePhase, VerificationMode,
};
use std::num::NonZeroU64;
use std::time::Duration;

/// Jobs that are made for one backup: the first, and two that somebody deleted.
const MOST_JOBS: i32 = 3;
/// Pause between looks at what is not watched, such as Secrets.
const WAITING: Duration = Duration::from_secs(10);
/// Pause between looks at a Job, which is watched.
const RUNNING: Duration = Duration::from_secs(15);

pub(super) fn plan(view: &BackupView, settings: &Settings, plan: BackupPlan) -> BackupPlan {
    match &view.store {
        Some(job) if !job.owned => {
            let message = format!(
                "Job {} exists and belongs to something else; delete it, or make a MySQLBackup of another name",
                job.name
            );
            wait(view, plan, &message)
        }
        Some(job) if job.terminating => {
            let message = format!("Job {} was deleted and comes to its end", job.name);
            running(view, plan, &message)
        }
        Some(job) => follow(view, job, plan),
        None if plan.status.jobs.unwrap_or(0) >= MOST_JOBS => {
            let reason = format!("its Job was deleted, or could not be made, {MOST_JOBS} times");
            fail(view, plan, &reason)
        }
        None if is_snapshot(&view.object) => snapshotting::plan(view, settings, plan),
        None => match ready(view, settings) {
            Ok(ready) => begin(view, &ready, plan),
            Err(missing) => wait(view, plan, &missing),
        },
    }
}

/// All that it takes to begin.
pub(super) struct Ready<'a> {
    pub(super) cluster: Cluster,
    pub(super) object: &'a MySQLCluster,
    spec: &'a Backup,
    pub(super) donors: Vec<Donor>,
    dump: Option<DumpScope>,
}

pub(super) fn ready<'a>(view: &'a BackupView, settings: &Settings) -> Result<Ready<'a>, String> {
    let named = &view.object.spec.cluster_ref.name;
    let Some(object) = &view.cluster else {
        return Err(format!(
            "spec.clusterRef: MySQLCluster {named} does not exist in this namespace; make it"
        ));
    };
    let Some(spec) = &object.spec.backup else {
        return Err(format!("MySQLCluster {named} has no spec.backup; name a target there"));
    };
    let dump = scope(&view.object)?;
    let cluster = fit(object, is_final(view), settings)?;
    let needs = super::needs(&view.object, Some(object));
    let missing: Vec<String> =
        needs.iter().filter_map(|need| need.missing(view.secrets.get(&need.name))).collect();
    if !missing.is_empty() {
        return Err(format!("MySQLCluster {named}: {}", missing.join("; ")));
    }
    if let Some(before) = ahead(view) {
        return Err(format!("MySQLBackup {before} comes first: one backup of a cluster is made at a time"));
    }
    let donors = if is_final(view) { last_donor(object) } else { donors(object, spec.from) };
    if donors.is_empty() {
        return Err(no_donor(object, spec.from));
    }
    Ok(Ready { cluster, object, spec, donors, dump })
}

/// What a `Logical` backup holds. The schema refuses the rest, too.
fn scope(object: &MySQLBackup) -> Result<Option<DumpScope>, String> {
    let databases = &object.spec.databases;
    let reserved = |name: &&String| RESERVED_DATABASES.contains(&name.to_lowercase().as_str());
    if let Some(name) = databases.iter().find(reserved) {
        return Err(format!(
            "spec.databases: {name} belongs to the server or to Porpoise; make a MySQLBackup that names databases of users"
        ));
    }
    match object.spec.method {
        BackupMethod::Logical => Ok(Some(DumpScope { databases: databases.clone() })),
        BackupMethod::Physical | BackupMethod::VolumeSnapshot if databases.is_empty() => Ok(None),
        BackupMethod::Physical | BackupMethod::VolumeSnapshot => Err(
            "spec.databases: only a Logical backup can hold single databases; make a MySQLBackup with method: Logical".to_owned(),
        ),
    }
}

/// A cluster that a Job can be built for and that is not just changing its primary.
fn fit(object: &MySQLCluster, is_final: bool, settings: &Settings) -> Result<Cluster, String> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    if object.metadata.deletion_timestamp.is_some() && !is_final {
        return Err(format!("MySQLCluster {name} is being deleted"));
    }
    let cluster = usable(object, settings)?;
    // The last backup is of the line that is kept, and that is the new one as soon as it is being opened.
    let is_opening = line::under_way(object).is_some_and(|restore| restore.phase == RestorePhase::Opening);
    if line::is_changing(object) && !(is_final && is_opening) {
        return Err(format!("MySQLCluster {name} is being restored in place; the backup begins after that"));
    }
    if object.status.as_ref().is_some_and(|status| status.operation.is_some()) {
        return Err(format!("MySQLCluster {name} is changing its primary; the backup begins after that"));
    }
    Ok(cluster)
}

/// Whether its cluster is being deleted and waits for this very backup.
pub(super) fn is_final(view: &BackupView) -> bool {
    let Some(meta) = view.cluster.as_ref().map(|cluster| &cluster.metadata) else { return false };
    let names = ClusterNames::new(
        meta.name.as_deref().unwrap_or_default(),
        meta.namespace.as_deref().unwrap_or_default(),
    );
    meta.deletion_timestamp.is_some()
        && names.final_backup(meta.uid.as_deref().unwrap_or_default()) == name(&view.object)
}

fn no_donor(object: &MySQLCluster, from: BackupSource) -> String {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let phase = object.status.as_ref().and_then(|status| status.phase).map_or("not set up", Phase::word);
    match from {
        BackupSource::PreferReplica => {
            format!("no member of MySQLCluster {name} is ready to be copied ({phase})")
        }
        BackupSource::Replica => format!(
            "no replica of MySQLCluster {name} is ready to be copied ({phase}); spec.backup.from: PreferReplica would copy \
             the primary"
        ),
        BackupSource::Primary => {
            format!("the primary of MySQLCluster {name} is not ready to be copied ({phase})")
        }
    }
}

/// The backup that must be over before this one begins: one that runs, or an older one that waits. Those that wait while
/// their cluster is being deleted wait in vain, and snapshots wait for what may never come.
fn ahead(view: &BackupView) -> Option<&str> {
    let meta = &view.object.metadata;
    let mine = (meta.creation_timestamp.as_ref().map(|time| time.0), name(&view.object));
    let last = is_final(view);
    let mut others = view.others.iter().filter(|other| other.is_in_the_way());
    let before = others.find(|other| match other.phase {
        Some(BackupPhase::Running) => true,
        None | Some(BackupPhase::Pending) => {
            !last && !other.deleting && (other.created, other.name.as_str()) < mine
        }
        Some(BackupPhase::Succeeded | BackupPhase::Failed | BackupPhase::Deleting) => false,
    });
    before.map(|other| other.name.as_str())
}

fn begin(view: &BackupView, ready: &Ready<'_>, mut plan: BackupPlan) -> BackupPlan {
    let about = about(ready.object, name(&view.object));
    if plan.status.cluster.as_ref().is_some_and(|begun| *begun != about.cluster) {
        let named = &view.object.spec.cluster_ref.name;
        let reason = format!(
            "its Job is gone, and MySQLCluster {named} has other data by now than when it began: it was restored in place, or made anew"
        );
        return fail(view, plan, &reason);
    }
    // What an earlier Job has begun is finished where it began, or it could never be found again.
    let location = plan.status.location.clone().unwrap_or_else(|| BackupLocation {
        target: ready.spec.target.settled(ready.cluster.names.cluster()),
        path: folder(&ready.spec.target, &about),
    });
    let encryption = match plan.status.location {
        Some(_) => plan.status.encryption.clone(),
        None => ready.spec.encryption.clone(),
    };
    let history = about.cluster.clone();
    let work = BackupJob::Store {
        location: location.clone(),
        about,
        donors: ready.donors.clone(),
        key_name: encryption.as_ref().map(|encryption| encryption.key_name.clone()),
        max_bytes_per_second: bandwidth(ready.spec),
        verify: is_verified_first(&view.object, ready.spec),
        compare: ready.spec.verify.checksums,
        dump: ready.dump.clone(),
    };
    let job = names::store_job(name(&view.object));
    let instances: Vec<&str> = ready.donors.iter().map(|donor| donor.instance.as_str()).collect();
    plan.events.push(event::BACKUP_STARTED.event(&[
        ("job", &job),
        ("donors", &instances.join(", ")),
        ("path", &location.path),
    ]));
    plan.account = Some(build::backup_account(&view.object, Some(&ready.cluster)));
    plan.job = Some(build::store_job(&view.object, &as_it_runs(view, ready), &work, encryption.as_ref()));
    let status = &mut plan.status;
    status.jobs = Some(status.jobs.unwrap_or(0) + 1);
    status.started_at.get_or_insert(Time(view.now));
    status.cluster = Some(history);
    (status.location, status.encryption) = (Some(location), encryption);
    running(view, plan, &format!("Job {job} begins"))
}

/// Whether the copy is checked before it is stored. The mode speaks of those that a clock or a wish makes; on the others
/// something waits that needs a verified one.
pub(super) fn is_verified_first(object: &MySQLBackup, spec: &Backup) -> bool {
    let label = object.metadata.labels.as_ref().and_then(|labels| labels.get(ORIGIN_LABEL));
    match BackupOrigin::of_label(label.map(String::as_str)) {
        BackupOrigin::Schedule | BackupOrigin::Request => spec.verify.mode == VerificationMode::AfterEach,
        BackupOrigin::Update | BackupOrigin::Deletion | BackupOrigin::Hand => true,
    }
}

/// The cluster with the image of the member that is copied. While an update is held back, the wanted image is another one,
/// and the copy is to be booted by what the data is of.
fn as_it_runs(view: &BackupView, ready: &Ready<'_>) -> Cluster {
    let image = ready.donors.iter().find_map(|donor| view.images.get(&donor.instance));
    let image = image.unwrap_or(&ready.cluster.image).clone();
    Cluster { image, ..ready.cluster.clone() }
}

/// The schema refuses what is no quantity.
fn bandwidth(spec: &Backup) -> Option<NonZeroU64> {
    let quantity = spec.max_bytes_per_second.as_ref()?;
    NonZeroU64::new(Amount::parse(&quantity.0).ok()?.units())
}

/// A Job that exists.
fn follow(view: &BackupView, job: &JobView, mut plan: BackupPlan) -> BackupPlan {
    match (&job.state, job.report()) {
        (JobState::Complete, Some(JobReport::Stored { summary })) => succeed(view, &summary, plan),
        (
            JobState::Complete,
            Some(
                JobReport::Verified { .. }
                | JobReport::Damaged { .. }
                | JobReport::Removed
                | JobReport::Rehearsed { .. }
                | JobReport::Failed { .. },
            )
            | None,
        ) => fail(view, plan, "its Job ended without a report of what it stored"),
        (JobState::Failed { .. }, _) => {
            let reason = job.failure().unwrap_or_else(|| "its Job failed".to_owned());
            fail(view, plan, &reason)
        }
        (JobState::Active, Some(JobReport::Failed { reason, for_good: true })) => {
            plan.stop.push((job.name.clone(), job.uid.clone()));
            fail(view, plan, &reason)
        }
        (JobState::Active, _) => {
            let message = match (job.failure(), &job.trouble) {
                (_, Some(trouble)) => format!("Job {} cannot go on: {trouble}", job.name),
                (Some(reason), None) => format!("Job {} tries again: {reason}", job.name),
                (None, None) => format!("Job {} {}", job.name, doing(view.object.spec.method)),
            };
            running(view, plan, &message)
        }
    }
}

fn doing(method: BackupMethod) -> &'static str {
    match method {
        BackupMethod::Physical => "copies a member, checks the copy and stores it",
        BackupMethod::Logical => "dumps a member, stores the dump and loads it to check it",
        BackupMethod::VolumeSnapshot => "boots the snapshot and checks it",
    }
}

pub(super) fn succeed(view: &BackupView, summary: &Summary, mut plan: BackupPlan) -> BackupPlan {
    let bytes = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let path = place(&plan.status).unwrap_or_default();
    let how = match view.object.spec.method {
        BackupMethod::Physical => "booted from the copy",
        BackupMethod::Logical => "loaded the dump",
        BackupMethod::VolumeSnapshot => "booted from the snapshot",
    };
    let kind = if summary.verified { &event::BACKUP_SUCCEEDED } else { &event::BACKUP_STORED };
    plan.events.push(kind.event(&[
        ("bytes", &summary.stored_bytes.to_string()),
        ("path", &path),
        ("donor", &summary.donor),
        ("how", how),
        ("tables", &summary.tables.to_string()),
    ]));
    let status = &mut plan.status;
    status.completed_at = Some(Time(view.now));
    status.version = Some(summary.version.clone());
    status.donor = Some(summary.donor.clone());
    status.gtid_set.clone_from(&summary.gtid_set);
    status.data_bytes = Some(bytes(summary.data_bytes));
    status.stored_bytes = Some(bytes(summary.stored_bytes));
    status.verified = Some(summary.verified);
    status.verified_at = summary.verified.then_some(Time(view.now));
    status.compared = summary.compared.as_ref().map(|compared| ComparisonStatus {
        tables: bytes(compared.tables),
        rows: bytes(compared.rows),
        changed: bytes(compared.changed),
        skipped: bytes(compared.skipped),
        digest: compared.digest.clone(),
    });
    let message = if summary.verified {
        let same = summary
            .compared
            .as_ref()
            .map(|compared| format!(", {} of them the same as on {}", compared.tables, compared.donor));
        let same = same.unwrap_or_default();
        format!("complete: a server {how} and found {} table(s) in order{same}", summary.tables)
    } else {
        "complete, but not verified: its tables were not read (spec.backup.verify of its cluster)".to_owned()
    };
    plan.status = standing(view, plan.status, BackupPhase::Succeeded, &message);
    because(plan, "its Job reports that it is stored")
}

pub(super) fn fail(view: &BackupView, mut plan: BackupPlan, reason: &str) -> BackupPlan {
    plan.events.push(event::BACKUP_FAILED.event(&[("reason", reason)]));
    plan.status.completed_at = Some(Time(view.now));
    let message = format!("{reason}; a new MySQLBackup tries again");
    plan.status = standing(view, plan.status, BackupPhase::Failed, &message);
    because(plan, reason)
}

pub(super) fn wait(view: &BackupView, mut plan: BackupPlan, missing: &str) -> BackupPlan {
    if plan.status.message != missing {
        plan.events.push(event::BACKUP_WAITING.event(&[("message", missing)]));
    }
    plan.status = standing(view, plan.status, BackupPhase::Pending, missing);
    plan.look_again = WAITING;
    because(plan, missing)
}

pub(super) fn running(view: &BackupView, mut plan: BackupPlan, message: &str) -> BackupPlan {
    plan.status = standing(view, plan.status, BackupPhase::Running, message);
    plan.look_again = RUNNING;
    because(plan, message)
}
