//! A backup that is a snapshot of a member's volume: have it taken, wait for it within bounds, have it examined. The Job that
//! examines it is made and followed like the one that stores any other backup.

use super::storing::{Ready, fail, is_verified_first, ready, running, succeed, wait};
use super::verifying::{busy, is_orphan};
use super::{because, name, usable};
use crate::backup::{
    BackupJob, BackupPlan, BackupView, SNAPSHOTS_UNSERVED, SnapshotLook, SnapshotView, Summary,
};
use crate::build;
use crate::event;
use crate::line;
use crate::names;
use crate::validate::{Cluster, Settings};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{BackupPhase, MySQLBackupStatus, SnapshotStatus};
use std::time::Duration;

/// A snapshot that no controller takes up for so long will not be taken. One whose node died is started elsewhere after about
/// six minutes.
const TAKEN_UP: Duration = Duration::from_mins(10);
/// Longest time until volumes can be made from it: some drivers copy everything to another place first.
const COMPLETE: Duration = Duration::from_hours(24);
/// How the message ends of one that is given up: it is `Failed` only when its snapshot goes.
const GIVEN_UP: &str = "; it is deleted, so that it is not taken later with nobody to know of it";
/// Pause between looks, since snapshots are not watched.
const SOON: Duration = Duration::from_secs(3);

/// While it has no Job.
pub(super) fn plan(view: &BackupView, settings: &Settings, plan: BackupPlan) -> BackupPlan {
    let mut plan = match plan.status.snapshot.clone() {
        None => match can_begin(view, settings) {
            Ok(ready) => begin(view, &ready, plan),
            Err(missing) => wait(view, plan, &missing),
        },
        Some(taken) => follow(view, settings, &taken, plan),
    };
    if plan.status.phase == Some(BackupPhase::Running) {
        plan.look_again = SOON;
    }
    plan
}

fn can_begin<'a>(view: &'a BackupView, settings: &Settings) -> Result<Ready<'a>, String> {
    match &view.snapshot {
        SnapshotLook::Unserved => Err(SNAPSHOTS_UNSERVED.to_owned()),
        SnapshotLook::Found(_) => Err(format!(
            "VolumeSnapshot {} exists and belongs to something else; delete it, or make a MySQLBackup of another name",
            name(&view.object)
        )),
        SnapshotLook::Unread(why) => Err(unread(name(&view.object), why)),
        SnapshotLook::Absent | SnapshotLook::Unasked => ready(view, settings),
    }
}

/// The name is in the status before there is a snapshot: so none is ever forgotten.
fn begin(view: &BackupView, ready: &Ready<'_>, mut plan: BackupPlan) -> BackupPlan {
    let Some(donor) = ready.donors.first() else { return plan };
    let taken = SnapshotStatus {
        name: name(&view.object).to_owned(),
        claim: line::claim(line::recorded(ready.object), &donor.instance),
    };
    plan.events
        .push(event::SNAPSHOT_STARTED.event(&[("snapshot", &taken.name), ("instance", &donor.instance)]));
    let message = format!("VolumeSnapshot {} of {} is being taken", taken.name, taken.claim);
    let status = &mut plan.status;
    status.started_at.get_or_insert(Time(view.now));
    status.cluster = Some(line::recorded_history(ready.object));
    status.donor = Some(donor.instance.clone());
    status.version =
        view.cluster.as_ref().and_then(|cluster| cluster.status.as_ref()?.version.as_ref()?.current.clone());
    status.snapshot = Some(taken.clone());
    plan.snapshot = Some(Box::new(build::volume_snapshot(&view.object, &taken, class(view))));
    running(view, plan, &message)
}

fn class(view: &BackupView) -> Option<String> {
    let usual = || view.cluster.as_ref()?.spec.backup.as_ref()?.volume_snapshot_class_name.clone();
    view.object.spec.volume_snapshot_class_name.clone().or_else(usual)
}

fn follow(
    view: &BackupView,
    settings: &Settings,
    taken: &SnapshotStatus,
    mut plan: BackupPlan,
) -> BackupPlan {
    let title = format!("VolumeSnapshot {}", taken.name);
    let given_up = plan.status.message.strip_suffix(GIVEN_UP).map(str::to_owned);
    // Its size is known only then. What was deleted since is not made again of newer data.
    let was_whole = plan.status.stored_bytes.is_some();
    match &view.snapshot {
        SnapshotLook::Found(found) if found.of != view.object.metadata.uid => {
            fail(view, plan, &format!("{title} was made for something else"))
        }
        SnapshotLook::Found(found) if found.terminating => {
            let deleted = || format!("{title} was deleted before the backup was complete");
            fail(view, plan, &given_up.unwrap_or_else(deleted))
        }
        SnapshotLook::Found(found) if found.ready => examine(view, settings, found, plan),
        SnapshotLook::Found(found) => taking(view, taken, found, plan),
        SnapshotLook::Absent if given_up.is_none() && view.begun_for < TAKEN_UP && !was_whole => {
            // Whoever recorded it was stopped before it was made.
            plan.snapshot = Some(Box::new(build::volume_snapshot(&view.object, taken, class(view))));
            running(view, plan, &format!("{title} of {} is being taken", taken.claim))
        }
        SnapshotLook::Absent => {
            let gone = || format!("{title} could not be made, or is gone");
            fail(view, plan, &given_up.unwrap_or_else(gone))
        }
        SnapshotLook::Unread(why) if view.begun_for >= COMPLETE => {
            let advice = "delete this MySQLBackup when it can be, or the snapshot may come true with nobody to know of it";
            fail(view, plan, &format!("{}; {advice}", unread(&taken.name, why)))
        }
        // What was decided is carried out before anything else is said.
        SnapshotLook::Unread(why) if given_up.is_none() => running(view, plan, &unread(&taken.name, why)),
        SnapshotLook::Unread(_) => because(plan, "a snapshot that is given up cannot be read now"),
        SnapshotLook::Unserved => fail(view, plan, SNAPSHOTS_UNSERVED),
        SnapshotLook::Unasked => running(view, plan, &format!("looking for {title}")),
    }
}

fn unread(snapshot: &str, why: &str) -> String {
    format!("VolumeSnapshot {snapshot} cannot be read now: {why}")
}

/// One that is not complete. What will not be taken is taken away first: of a backup that is over nobody would try again.
fn taking(
    view: &BackupView,
    taken: &SnapshotStatus,
    found: &SnapshotView,
    mut plan: BackupPlan,
) -> BackupPlan {
    let title = format!("VolumeSnapshot {} of {}", taken.name, taken.claim);
    let words = found.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let reason = if !found.taken_up && view.begun_for >= TAKEN_UP {
        let advice = "see that the snapshot controller runs, that the volume's storage driver takes snapshots, and that there is \
                      a VolumeSnapshotClass for it";
        format!("{title} was not taken up within {} min{words}; {advice}", TAKEN_UP.as_secs() / 60)
    } else if view.begun_for >= COMPLETE {
        format!("{title} is not ready after {} h{words}", COMPLETE.as_secs() / 3600)
    } else {
        return running(view, plan, &format!("{title} is being taken{words}"));
    };
    plan.dropped_snapshot = Some((taken.name.clone(), found.uid.clone()));
    running(view, plan, &(reason + GIVEN_UP))
}

/// A whole one: a server boots from it, unless nobody wants that.
fn examine(view: &BackupView, settings: &Settings, found: &SnapshotView, mut plan: BackupPlan) -> BackupPlan {
    plan.status.stored_bytes = found.bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    // It is whole, and neither its cluster's last backup nor its deletion waits for it.
    let Some(object) = view.cluster.as_ref().filter(|_| !is_orphan(view)) else {
        let mut plan = succeed(view, &unseen(&plan.status), plan);
        "complete, but not verified: its MySQLCluster is deleted, and nobody boots it any more"
            .clone_into(&mut plan.status.message);
        return plan;
    };
    if !object.spec.backup.as_ref().is_none_or(|spec| is_verified_first(&view.object, spec)) {
        return succeed(view, &unseen(&plan.status), plan);
    }
    // No member is needed to boot it: a restore in place or a change of the primary is no reason to wait, and the restore may
    // wait for this very backup.
    let cluster = usable(object, settings);
    match (busy(view).map_or(cluster, Err), examination(&plan.status)) {
        (Ok(cluster), Some(work)) => boot(view, cluster, &work, plan),
        (Ok(_), None) => fail(view, plan, "its status does not say which snapshot it is"),
        (Err(missing), _) => {
            running(view, plan, &format!("the snapshot is taken; its check waits: {missing}"))
        }
    }
}

/// The measure of one that nobody has booted.
fn unseen(status: &MySQLBackupStatus) -> Summary {
    let bytes = status.stored_bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
    Summary {
        version: status.version.clone().unwrap_or_default(),
        donor: status.donor.clone().unwrap_or_default(),
        data_bytes: bytes,
        stored_bytes: bytes,
        verified: false,
        ..Summary::default()
    }
}

fn boot(view: &BackupView, cluster: Cluster, work: &BackupJob, mut plan: BackupPlan) -> BackupPlan {
    // What the member runs: while an update is held back, the wanted image is another one.
    let donor = plan.status.donor.as_ref().and_then(|donor| view.images.get(donor));
    let image = donor.or(view.images.values().next()).unwrap_or(&cluster.image).clone();
    let cluster = Cluster { image, ..cluster };
    plan.account = Some(build::backup_account(&view.object, Some(&cluster)));
    plan.job = Some(build::store_job(&view.object, &cluster, work, None));
    plan.status.jobs = Some(plan.status.jobs.unwrap_or(0) + 1);
    running(view, plan, &format!("Job {} begins", names::store_job(name(&view.object))))
}

/// What is done to find a snapshot in order.
pub(super) fn examination(status: &MySQLBackupStatus) -> Option<BackupJob> {
    let bytes = status.stored_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    Some(BackupJob::Examine {
        snapshot: status.snapshot.as_ref()?.name.clone(),
        bytes: bytes.unwrap_or_default(),
        cluster: line::cluster_uid(status.cluster.as_deref().unwrap_or_default()).to_owned(),
        donor: status.donor.clone().unwrap_or_default(),
    })
}
