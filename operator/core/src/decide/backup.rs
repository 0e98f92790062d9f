//! One `MySQLBackup`, from wish to record and to the end of it: pure and total.

mod donors;
mod removing;
mod snapshotting;
mod storing;
#[cfg(test)]
mod tests;
mod verifying;

pub use donors::donors;
use donors::last_donor;

use crate::backup::{BackupPlan, BackupView, SecretNeed, is_snapshot, need_of_encryption, needs_of_target};
use crate::validate::{self, Cluster, Problem, Settings, Stored};
use crate::view::References;
use porpoise_crds::{BACKUP_FINALIZER, MySQLBackup, MySQLBackupStatus, MySQLCluster};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a backup is left alone with which nothing more happens.
const QUIET: Duration = Duration::from_hours(1);

/// Decides everything that is done about one backup in one pass.
pub fn plan(view: &BackupView, settings: &Settings) -> BackupPlan {
    let status = view.object.status.clone().unwrap_or_default();
    let base = BackupPlan { status, look_again: QUIET, ..BackupPlan::default() };
    if view.object.metadata.deletion_timestamp.is_some() {
        return removing::plan(view, settings, base);
    }
    if base.status.phase.is_some_and(porpoise_crds::BackupPhase::is_over) {
        return verifying::plan(view, settings, base);
    }
    if view.namespace_terminating {
        return because(base, "the namespace is being deleted; nothing is created in it");
    }
    if !is_guarded(&view.object) {
        return because(BackupPlan { guard: true, ..base }, "guarding the deletion of a new backup");
    }
    storing::plan(view, settings, base)
}

/// The Secrets that the next step of a backup may need.
pub fn needs(object: &MySQLBackup, cluster: Option<&MySQLCluster>) -> Vec<SecretNeed> {
    let status = object.status.clone().unwrap_or_default();
    if object.metadata.deletion_timestamp.is_some() {
        let location = status.location.as_ref();
        return location
            .map(|location| needs_of_target(&location.target, "status.location.target"))
            .unwrap_or_default();
    }
    if verifying::owed(object).is_some() {
        return needs_of_stored(&status);
    }
    let spec = cluster.and_then(|cluster| cluster.spec.backup.as_ref());
    let over = status.phase.is_some_and(porpoise_crds::BackupPhase::is_over);
    // What a snapshot needs is the storage's business.
    let stores = !over && !is_snapshot(object);
    let Some(spec) = spec.filter(|_| stores) else { return Vec::new() };
    let mut needs = needs_of_target(&spec.target, "spec.backup.target");
    needs.extend(spec.encryption.as_ref().map(|one| need_of_encryption(one, "spec.backup.encryption")));
    needs
}

/// What it takes to read what is stored.
fn needs_of_stored(status: &MySQLBackupStatus) -> Vec<SecretNeed> {
    let target = status.location.as_ref().map(|location| &location.target);
    let mut needs =
        target.map(|target| needs_of_target(target, "status.location.target")).unwrap_or_default();
    needs.extend(status.encryption.as_ref().map(|one| need_of_encryption(one, "status.encryption")));
    needs
}

/// Whether more may happen to a backup that is stored.
pub fn is_to_be_verified(object: &MySQLBackup) -> bool {
    verifying::owed(object).is_some()
}

fn is_guarded(object: &MySQLBackup) -> bool {
    object.metadata.finalizers.iter().flatten().any(|key| key == BACKUP_FINALIZER)
}

fn because(plan: BackupPlan, reason: &str) -> BackupPlan {
    BackupPlan { reason: reason.to_owned(), ..plan }
}

/// Where a backup is, in words: its folder in the target, or the name of the snapshot.
fn place(status: &MySQLBackupStatus) -> Option<String> {
    let stored = status.location.as_ref().map(|location| location.path.clone());
    stored.or_else(|| Some(format!("VolumeSnapshot {}", status.snapshot.as_ref()?.name)))
}

fn name(object: &MySQLBackup) -> &str {
    object.metadata.name.as_deref().unwrap_or_default()
}

/// The cluster as Jobs are built for it. What its spec refers to is not looked at again: that is the business of the
/// cluster itself, and its phase says how it went.
fn validated(object: &MySQLCluster, settings: &Settings) -> Result<Cluster, Vec<Problem>> {
    let references = References {
        config_map: object.spec.mysql.config_map_ref.as_ref().map(|_| BTreeMap::new()),
        tls_secret_keys: Some(["ca.crt", "tls.crt", "tls.key"].map(str::to_owned).to_vec()),
        ..References::default()
    };
    validate::cluster(object, &references, &Stored::default(), settings)
}

/// The same, unless the cluster itself says already that it cannot be one.
fn usable(object: &MySQLCluster, settings: &Settings) -> Result<Cluster, String> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    if object.status.as_ref().and_then(|status| status.phase) == Some(porpoise_crds::Phase::Invalid) {
        return Err(format!(
            "MySQLCluster {name} is Invalid; its condition ConfigurationValid says what to change"
        ));
    }
    validated(object, settings).map_err(|problems| {
        let first = problems.first().map(|problem| format!("{}: {}", problem.field, problem.message));
        format!("MySQLCluster {name} is not valid: {}", first.unwrap_or_default())
    })
}

/// The status with this phase and sentence.
fn standing(
    view: &BackupView,
    status: MySQLBackupStatus,
    phase: porpoise_crds::BackupPhase,
    message: &str,
) -> MySQLBackupStatus {
    MySQLBackupStatus {
        phase: Some(phase),
        message: message.to_owned(),
        observed_generation: view.object.metadata.generation,
        ..status
    }
}
