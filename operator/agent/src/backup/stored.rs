//! Verifying a stored backup: it is fetched as for a restore, booted, compared with its manifest, and every table is checked.

use super::{BackupError, dumped, unpack, verify};
use crate::settings::Settings;
use crate::supervise::reap::Reaper;
use crate::supervise::staging::Purpose;
use crate::vault::Vault;
use crate::volume::{Role, equipped};
use porpoise_core::backup::{Content, TargetSecrets};
use porpoise_crds::BackupLocation;

/// Gives the number of tables that are in order.
pub(super) async fn check(
    settings: &Settings,
    reaper: &Reaper,
    location: &BackupLocation,
    secrets: &TargetSecrets,
) -> Result<u64, BackupError> {
    let reading = |source| BackupError::ReadBackup { source };
    let secrets = equipped(settings, &location.target, secrets, Role::Own)
        .map_err(|source| BackupError::ReadSettings { source })?;
    let opening = |source| BackupError::ReadDump { source };
    let vault = Vault::open(&location.target, &secrets).map_err(opening)?;
    let manifest = vault.manifest(&location.path).await.map_err(opening)?;
    if manifest.content == Content::Dump {
        return dumped::verify(settings, reaper, &vault, &manifest, &location.path).await;
    }
    let fetched = unpack::fetch(settings, (&vault, manifest), &location.path, None).await.map_err(reading)?;
    tracing::info!(path = location.path, "the backup is fetched");
    let say = |words: &str| tracing::info!("{words}");
    let directory = unpack::verify(settings, reaper, fetched, "", &say).await;
    // It is in order as a whole, and has the agent's password of today.
    let directory = directory.map_err(reading)?;
    let (found, _) =
        verify(settings, reaper, (Purpose::Finish, &directory), None).await.map_err(as_stored)?;
    tracing::info!(tables = found.tables, "the backup is in order");
    Ok(found.tables)
}

/// The same finding, of data that no member has: nothing about the donor follows from it.
fn as_stored(error: BackupError) -> BackupError {
    match error {
        BackupError::DamagedTable { table, verdict } => BackupError::FindDamage { table, verdict },
        other => other,
    }
}
