//! An update is tried on a copy before it touches a member (D15): a Job with the wanted image and settings boots the backup that
//! the gate waited for. What it found stands in `status.rehearsal`, until the members get the image or nobody wants it any more.

use super::update_gate::Hold;
use crate::backup::{BackupJob, JobReport, JobState, JobView};
use crate::build;
use crate::event;
use crate::plan::{Plan, RehearsalWish};
use crate::validate::Cluster;
use crate::view::{BackupSeen, ClusterView};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use porpoise_crds::{
    BackupBefore, LocalReference, MySQLBackup, MySQLBackupSpec, Rehearsal, RehearsalOutcome, RehearsalStatus,
};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::time::Duration;

/// Jobs that are made for one update and one backup, beside the Pods that each of them tries.
const MOST_ATTEMPTS: i32 = 5;
/// Pause after the first one that was interrupted; it doubles twice with each.
const PAUSE: Duration = Duration::from_mins(1);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What holds up a Job's Pod for so long is worth a word.
const LATE: Duration = Duration::from_secs(30);

/// An update that is to be tried.
pub(super) struct Trial<'a> {
    cluster: &'a Cluster,
    view: &'a ClusterView,
    from: &'a str,
    to: &'a str,
    digest: String,
}

impl<'a> Trial<'a> {
    /// Nothing if this update is not tried on a copy.
    pub(super) fn of(
        cluster: &'a Cluster,
        view: &'a ClusterView,
        from: &'a str,
        to: &'a str,
    ) -> Option<Self> {
        let update = &cluster.spec.update;
        let takes_backup = cluster.spec.backup.is_some() && update.backup_before != BackupBefore::Skip;
        let wanted = matches!(update.rehearsal, Rehearsal::IfConfigured | Rehearsal::Required);
        let digest = hex(&format!("{to}\n{}", cluster.my_cnf));
        (takes_backup && wanted).then_some(Self { cluster, view, from, to, digest })
    }

    /// Forgets what was tried of another update, and stops it.
    pub(super) fn forget_others(&self, plan: &mut Plan) {
        if self.record().is_none() {
            forget(self.view, plan);
        }
    }

    /// Whether there is a backup for it that needs no other, however old it became meanwhile.
    pub(super) fn has_backup(&self) -> bool {
        self.record().is_some_and(|record| {
            record.outcome == RehearsalOutcome::Succeeded || self.backup(record).is_some()
        })
    }

    /// Why the members do not get the image yet; nothing when it was tried with success.
    pub(super) fn hold(&self, plan: &mut Plan) -> Option<Hold> {
        let Some(record) = self.record() else { return Some(self.start(plan)) };
        match record.outcome {
            RehearsalOutcome::Succeeded => None,
            RehearsalOutcome::Running => self.follow(record, plan),
            RehearsalOutcome::Interrupted | RehearsalOutcome::Failed => Some(self.again(record, plan)),
        }
    }

    /// How this very update stands.
    fn record(&self) -> Option<&'a RehearsalStatus> {
        let record = self.view.object.status.as_ref()?.rehearsal.as_ref()?;
        (record.digest == self.digest).then_some(record)
    }

    /// The backup that it was tried on, if it is there for longer.
    fn backup(&self, record: &RehearsalStatus) -> Option<(&'a String, &'a BackupSeen)> {
        let found = self.view.backups.get_key_value(&record.backup);
        found.filter(|(_, backup)| backup.uid == record.backup_uid && backup.verified && !backup.deleting)
    }

    /// The newest backup that will do.
    fn fresh(&self) -> Option<(&'a String, &'a BackupSeen)> {
        let (object, max_age) = (&self.view.object, self.cluster.backup_max_age);
        let will_do = |backup: &BackupSeen| backup.is_fresh(object, max_age, self.view.now);
        let all = self.view.backups.iter().filter(|(_, backup)| will_do(backup) && backup.location.is_some());
        all.max_by_key(|(_, backup)| backup.completed)
    }

    fn start(&self, plan: &mut Plan) -> Hold {
        match self.fresh() {
            Some((name, backup)) => self.begin(name, backup, 1, plan),
            None => self.held_up("no young backup says where it is stored; make another MySQLBackup"),
        }
    }

    fn begin(&self, name: &str, backup: &BackupSeen, attempt: i32, plan: &mut Plan) -> Hold {
        let job =
            self.cluster.names.rehearsal_job(&hex(&format!("{}\n{}", self.digest, backup.uid)), attempt);
        let record = RehearsalStatus {
            image: self.to.to_owned(),
            digest: self.digest.clone(),
            backup: name.to_owned(),
            backup_uid: backup.uid.clone(),
            job,
            attempt,
            outcome: RehearsalOutcome::Running,
            started_at: Time(self.view.now),
            ended_at: None,
            message: String::new(),
        };
        plan.events.push(event::UPDATE_REHEARSAL_STARTED.event(&[
            ("job", &record.job),
            ("image", self.to),
            ("backup", name),
        ]));
        self.make(&record, backup, plan);
        let hold = self.running(&record, "");
        plan.status.rehearsal = Some(record);
        hold
    }

    /// A Job of that name that exists already is the same: image, settings and backup are in its name.
    fn make(&self, record: &RehearsalStatus, backup: &BackupSeen, plan: &mut Plan) {
        let Some(location) = backup.location.clone() else { return };
        let names = &self.cluster.names;
        let object = MySQLBackup {
            metadata: ObjectMeta {
                name: Some(record.backup.clone()),
                namespace: Some(names.namespace().to_owned()),
                uid: Some(backup.uid.clone()),
                ..ObjectMeta::default()
            },
            spec: MySQLBackupSpec {
                cluster_ref: LocalReference { name: names.cluster().to_owned() },
                ..MySQLBackupSpec::default()
            },
            status: None,
        };
        let cluster = Cluster { image: self.to.to_owned(), ..self.cluster.clone() };
        let work = BackupJob::Rehearse { location, my_cnf: self.cluster.my_cnf.clone() };
        let encryption = backup.encryption.as_ref();
        plan.rehearsal = Some(Box::new(RehearsalWish {
            backup: record.backup.clone(),
            account: build::backup_account(&object, Some(&cluster)),
            job: build::rehearsal_job(record.job.clone(), &object, &cluster, &work, encryption),
        }));
    }

    fn follow(&self, record: &RehearsalStatus, plan: &mut Plan) -> Option<Hold> {
        let Some(job) = &self.view.references.rehearsal else {
            // It could not be made, or somebody deleted it.
            let Some((_, backup)) = self.backup(record) else { return Some(self.start(plan)) };
            self.make(record, backup, plan);
            return Some(self.running(record, ""));
        };
        if !job.owned {
            let why = format!("Job {} exists and belongs to something else; delete it", record.job);
            return Some(self.held_up(&why));
        }
        if job.terminating {
            return Some(self.running(record, "; the Job was deleted and is made again"));
        }
        match (&job.state, job.report()) {
            (JobState::Complete, Some(JobReport::Rehearsed { version, tables })) => {
                self.succeed(record, job, (&version, tables), plan);
                None
            }
            (_, Some(JobReport::Failed { reason, for_good: true })) => {
                stop(job, plan);
                Some(self.fail(record, RehearsalOutcome::Failed, &reason, plan))
            }
            (JobState::Complete | JobState::Failed { .. }, _) => {
                let reason = job.failure().unwrap_or_else(|| "its Job ended without a report".to_owned());
                Some(self.fail(record, RehearsalOutcome::Interrupted, &reason, plan))
            }
            (JobState::Active, _) => Some(self.active(record, job)),
        }
    }

    fn active(&self, record: &RehearsalStatus, job: &JobView) -> Hold {
        // Its volume is made first, and Kubernetes calls that a trouble too.
        let is_late = self.view.ages.of(record.started_at.0) >= LATE;
        match (job.trouble.as_ref().filter(|_| is_late), job.failure()) {
            (Some(trouble), _) => self.held_up(&format!("Job {} cannot go on: {trouble}", record.job)),
            (None, Some(reason)) => self.running(record, &format!("; it tries again: {reason}")),
            (None, None) => self.running(record, ""),
        }
    }

    fn succeed(&self, record: &RehearsalStatus, job: &JobView, found: (&str, u64), plan: &mut Plan) {
        let (version, tables) = found;
        plan.events.push(event::UPDATE_REHEARSED.event(&[
            ("version", version),
            ("image", self.to),
            ("backup", &record.backup),
            ("tables", &tables.to_string()),
        ]));
        // The room that the copy takes is given back.
        stop(job, plan);
        plan.status.rehearsal = Some(RehearsalStatus {
            outcome: RehearsalOutcome::Succeeded,
            ended_at: Some(Time(self.view.now)),
            ..record.clone()
        });
    }

    fn fail(
        &self,
        record: &RehearsalStatus,
        outcome: RehearsalOutcome,
        reason: &str,
        plan: &mut Plan,
    ) -> Hold {
        let record = RehearsalStatus {
            outcome,
            ended_at: Some(Time(self.view.now)),
            message: reason.to_owned(),
            ..record.clone()
        };
        let hold = self.failed(&record);
        plan.status.rehearsal = Some(record);
        hold
    }

    /// One that did not work is tried again with a newer backup; with the same one only after a pause, if that may help.
    fn again(&self, record: &RehearsalStatus, plan: &mut Plan) -> Hold {
        let ended = record.ended_at.as_ref().map(|time| time.0);
        let newer =
            self.fresh().filter(|(_, backup)| backup.uid != record.backup_uid && backup.completed > ended);
        if let Some((name, backup)) = newer {
            return self.begin(name, backup, 1, plan);
        }
        let is_due = ended.is_some_and(|ended| self.view.ages.of(ended) >= pause_after(record.attempt));
        match self.backup(record) {
            Some((name, backup)) if is_due && may_retry(record) => {
                self.begin(name, backup, record.attempt + 1, plan)
            }
            _ => self.failed(record),
        }
    }

    fn failed(&self, record: &RehearsalStatus) -> Hold {
        let Self { from, to, .. } = self;
        let RehearsalStatus { backup, message, attempt, .. } = record;
        let message = message.trim_end_matches('.');
        if may_retry(record) {
            let pause = pause_after(*attempt).as_secs() / 60;
            let message = format!(
                "members keep image {from} until {to} was tried on a copy of the data, from {backup}; try {attempt} of \
                 {MOST_ATTEMPTS} was interrupted, and the next one begins after {pause} min: {message}"
            );
            return Hold::of_rehearsal("RehearsalInterrupted", true, message);
        }
        let message = format!(
            "members keep image {from}, since {to} does not work on a copy of the data, from {backup}; {message}. Nothing was \
             touched. Correct what it names, or set image or version back; when the data was mended, delete {backup} to try \
             again with another backup. spec.update.rehearsal: Skip updates all the same"
        );
        Hold::of_rehearsal("RehearsalFailed", false, message)
    }

    fn running(&self, record: &RehearsalStatus, more: &str) -> Hold {
        let message = format!(
            "members get image {} when Job {} has tried it on a copy of the data, from {}{more}",
            self.to, record.job, record.backup
        );
        Hold::of_rehearsal("RehearsalRunning", true, message)
    }

    fn held_up(&self, why: &str) -> Hold {
        let message = format!(
            "members keep image {} until {} was tried on a copy of the data; {why}. Mend that, correct the image or set it \
             back, or set spec.update.rehearsal: Skip",
            self.from, self.to
        );
        Hold::of_rehearsal("RehearsalHeldUp", false, message)
    }
}

/// Forgets what is tried, and stops it.
pub(super) fn forget(view: &ClusterView, plan: &mut Plan) {
    if plan.status.rehearsal.take().is_some()
        && let Some(job) = &view.references.rehearsal
    {
        stop(job, plan);
    }
}

fn stop(job: &JobView, plan: &mut Plan) {
    if job.owned && !job.terminating {
        plan.stopped_rehearsals.push((job.name.clone(), job.uid.clone()));
    }
}

fn may_retry(record: &RehearsalStatus) -> bool {
    record.outcome == RehearsalOutcome::Interrupted && record.attempt < MOST_ATTEMPTS
}

fn pause_after(attempt: i32) -> Duration {
    let times = 4_u32.saturating_pow(u32::try_from(attempt - 1).unwrap_or(0));
    PAUSE.saturating_mul(times).min(LONGEST_PAUSE)
}

/// 64 bits in hexadecimal digits.
fn hex(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(8).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
