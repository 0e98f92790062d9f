//! Backups: what a Job's Pod does, and how a stored backup becomes a member's data.
//!
//! `job` reads the wish and leaves the report; `copy` takes the data, `check` finds it in order, the vault stores it;
//! `unpack` is the way back, and `replay` goes on from there to a point in time.

mod check;
mod copy;
mod error;
pub mod job;
mod replay;
pub mod unpack;

pub use error::BackupError;

use crate::settings::Settings;
use crate::supervise::reap::Reaper;
use crate::supervise::staging::Staging;
use crate::vault::{Cargo, Vault, VaultError};
use check::Found;
use porpoise_core::backup::{About, BackupJob, Donor, LONGEST_GTID_TEXT, Manifest, Summary, TargetSecrets};
use porpoise_crds::BackupLocation;

/// What is stored.
struct Wish<'a> {
    location: &'a BackupLocation,
    about: &'a About,
    donors: &'a [Donor],
    key_name: Option<&'a String>,
}

/// Does what the Job is for. Gives the measure of a new backup, nothing for one that was removed.
async fn carry_out(
    settings: &Settings,
    reaper: &Reaper,
    job: &BackupJob,
    secrets: &TargetSecrets,
) -> Result<Option<Summary>, BackupError> {
    let storing = |source| BackupError::StoreCopy { source };
    match job {
        BackupJob::Store { location, about, donors, key_name, max_bytes_per_second } => {
            let vault = Vault::open(&location.target, secrets).map_err(storing)?;
            let vault = vault.at_most(*max_bytes_per_second);
            let wish = Wish { location, about, donors, key_name: key_name.as_ref() };
            store(settings, reaper, &vault, &wish).await.map(Some)
        }
        BackupJob::Remove { location } => {
            let removing = |source| BackupError::RemoveBackup { source };
            let vault = Vault::open(&location.target, secrets).map_err(removing)?;
            vault.remove(&location.path).await.map_err(removing)?;
            Ok(None)
        }
    }
}

/// Copies, boots the copy, checks it, stores it. The boot is the verification.
async fn store(
    settings: &Settings,
    reaper: &Reaper,
    vault: &Vault,
    wish: &Wish<'_>,
) -> Result<Summary, BackupError> {
    if let Some(summary) = earlier(vault, wish).await? {
        return Ok(summary);
    }
    let donor = copy::from_best(settings, reaper, wish.donors).await?;
    let found = verify(settings, reaper).await?;
    tracing::info!(tables = found.tables, "the copy is in order");
    let summary = Summary {
        version: found.version,
        donor,
        gtid_set: Some(found.gtid_set),
        tables: found.tables,
        ..Summary::default()
    };
    let cargo = Cargo { about: wish.about.clone(), summary, key_name: wish.key_name.cloned() };
    let stored = vault.store(&wish.location.path, &settings.data_path, &cargo).await;
    stored.map(brief).map_err(|source| BackupError::StoreCopy { source })
}

/// The measure of this very backup, if an earlier try stored it and its report was lost. Asked before anything is copied, it
/// also tells of a target that cannot be used.
async fn earlier(vault: &Vault, wish: &Wish<'_>) -> Result<Option<Summary>, BackupError> {
    match vault.manifest(&wish.location.path).await {
        Ok(manifest) if manifest.about == *wish.about => Ok(Some(brief(manifest))),
        // Storing says what is in the way.
        Ok(_) | Err(VaultError::NoBackup { .. }) => Ok(None),
        Err(source) => Err(BackupError::StoreCopy { source }),
    }
}

/// The measure of a backup, short enough for a report.
fn brief(manifest: Manifest) -> Summary {
    let gtid_set = manifest.summary.gtid_set.filter(|text| text.len() <= LONGEST_GTID_TEXT);
    Summary { gtid_set, ..manifest.summary }
}

async fn verify(settings: &Settings, reaper: &Reaper) -> Result<Found, BackupError> {
    let running = |source| BackupError::RunStaging { source };
    let server = Staging::boot(settings, reaper, &settings.data_path, None).await.map_err(running)?;
    let connection = server.door().open().await;
    let mut connection = connection.map_err(|source| BackupError::AskCopy { source })?;
    let found = check::all(&mut connection).await?;
    connection.close().await;
    server.stop().await.map_err(running)?;
    Ok(found)
}
