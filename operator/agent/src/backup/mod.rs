//! Backups: what a Job's Pod does, and how a stored backup becomes a member's data.
//!
//! `job` reads the wish and leaves the report. Of a member, which `donor` leads to, `copy` takes the files; `check` finds them in
//! order, `compare` the same as at the donor, whose binlog `written` reads, and the vault stores them. `dump` writes a member
//! down as statements, and `dumped` stores and tries that. `stored` verifies what was stored before; `rehearse` tries an update
//! on it; `snapshot` recovers a volume that was made from a snapshot; `unpack` is the way back, and `replay` goes on from there
//! to a point in time.

pub(crate) mod check;
mod compare;
mod copy;
mod donor;
mod dump;
mod dumped;
mod error;
mod grants;
pub mod job;
mod rehearse;
mod replay;
pub mod snapshot;
mod stored;
pub mod unpack;
mod written;

pub use dump::DumpError;
pub use error::BackupError;
pub use rehearse::RehearseError;

use crate::mysql::{Connection, Statement, statements};
use crate::settings::Settings;
use crate::supervise::reap::Reaper;
use crate::supervise::staging::{Purpose, Staging};
use crate::vault::{Still, Vault, VaultError};
use crate::volume::{Local, Role, equipped, on_loopback};
use check::Found;
use copy::Source;
use porpoise_core::backup::{
    About, BackupJob, Compared, Donor, JobReport, LONGEST_GTID_TEXT, Summary, TargetSecrets,
};
use porpoise_core::names;
use porpoise_crds::BackupLocation;
use std::path::Path;
use tokio::time::Instant;

/// What is stored.
struct Wish<'a> {
    location: &'a BackupLocation,
    about: &'a About,
    donors: &'a [Donor],
    key_name: Option<&'a String>,
    verify: bool,
    compare: bool,
}

/// Does what the Job is for.
async fn carry_out(
    settings: &Settings,
    reaper: &Reaper,
    job: &BackupJob,
    secrets: &TargetSecrets,
) -> Result<JobReport, BackupError> {
    let storing = |source| BackupError::StoreCopy { source };
    match job {
        BackupJob::Store {
            location,
            about,
            donors,
            key_name,
            max_bytes_per_second,
            verify,
            compare,
            dump,
        } => {
            let secrets = equipped(settings, &location.target, secrets, Role::Own)
                .map_err(|source| BackupError::ReadSettings { source })?;
            let vault = Vault::open(&location.target, &secrets).map_err(storing)?;
            let vault = vault.at_most(*max_bytes_per_second);
            let wish = Wish {
                location,
                about,
                donors,
                key_name: key_name.as_ref(),
                verify: *verify,
                compare: *compare,
            };
            let summary = match dump {
                Some(scope) => Box::pin(dumped::store(settings, reaper, &vault, &wish, scope)).await?,
                None => Box::pin(store(settings, reaper, &vault, &wish)).await?,
            };
            Ok(JobReport::Stored { summary })
        }
        BackupJob::Verify { location } => {
            let tables = stored::check(settings, reaper, location, secrets).await?;
            Ok(JobReport::Verified { tables })
        }
        BackupJob::Remove { location } => {
            let removing = |source| BackupError::RemoveBackup { source };
            let local = mounted(location).await?;
            let secrets = local.as_ref().map_or(secrets, Local::secrets);
            let vault = Vault::open(&location.target, secrets).map_err(removing)?;
            vault.remove(&location.path).await.map_err(removing)?;
            Ok(JobReport::Removed)
        }
        BackupJob::Rehearse { location, my_cnf } => {
            let found = rehearse::update(settings, reaper, location, my_cnf, secrets).await;
            let found = found.map_err(|source| BackupError::RehearseUpdate { source: Box::new(source) })?;
            Ok(JobReport::Rehearsed { version: found.version, tables: found.tables })
        }
        BackupJob::Examine { snapshot: _, bytes, cluster, donor } => {
            let Found { version, gtid_set, tables } = snapshot::examine(settings, reaper, cluster).await?;
            let (donor, gtid_set) = (donor.clone(), Some(gtid_set));
            let (data_bytes, stored_bytes) = (*bytes, *bytes);
            let summary = Summary {
                version,
                donor,
                gtid_set,
                tables,
                data_bytes,
                stored_bytes,
                verified: true,
                compared: None,
            };
            Ok(JobReport::Stored { summary: brief(summary) })
        }
    }
}

/// The volume that this Pod has mounted itself. The cluster, whose Pod would serve it, may be gone for long.
async fn mounted(location: &BackupLocation) -> Result<Option<Local>, BackupError> {
    let Some(volume) = &location.target.volume else { return Ok(None) };
    let claim = volume.claim_name.as_deref().unwrap_or_default();
    let local = on_loopback(claim, Path::new(names::BACKUPS_PATH)).await;
    local.map(Some).map_err(|source| BackupError::OpenVolume { source })
}

/// Copies, boots the copy, then checks and stores it at the same time. The boot is the verification.
///
/// The first server on the copy finishes what the donor had not and stops in order. The second one only reads, so the files
/// that are stored meanwhile are those that are checked; that nothing wrote to them is looked at again before the manifest.
async fn store(
    settings: &Settings,
    reaper: &Reaper,
    vault: &Vault,
    wish: &Wish<'_>,
) -> Result<Summary, BackupError> {
    if let Some(summary) = earlier(vault, wish).await? {
        return Ok(summary);
    }
    let storing = |source| BackupError::StoreCopy { source };
    let source = copy::from_best(settings, reaper, wish.donors, wish.verify && wish.compare).await?;
    recover(settings, reaper).await?;
    let still = Still::of(&settings.data_path).map_err(storing)?;
    let key_name = wish.key_name.map(String::as_str);
    let uploading = vault.upload(&wish.location.path, &settings.data_path, wish.about, key_name);
    let uploading = async { uploading.await.map_err(storing) };
    let (uploaded, (found, compared)) = tokio::try_join!(uploading, check(settings, reaper, wish, &source))?;
    still.confirm().map_err(storing)?;
    let summary = Summary {
        version: found.version,
        donor: source.donor.instance.clone(),
        gtid_set: Some(found.gtid_set),
        tables: found.tables,
        verified: wish.verify,
        compared,
        ..Summary::default()
    };
    uploaded.complete(&summary).await.map(|manifest| brief(manifest.summary)).map_err(storing)
}

/// What the wish wants to be known of the copy.
async fn check(
    settings: &Settings,
    reaper: &Reaper,
    wish: &Wish<'_>,
    source: &Source<'_>,
) -> Result<(Found, Option<Compared>), BackupError> {
    if wish.verify {
        verify(settings, reaper, (Purpose::Read, &settings.data_path), Some(source)).await
    } else {
        Ok((look(settings, reaper).await?, None))
    }
}

/// Boots the copy for the first time and stops it in order: from then on its files are whole without a log.
async fn recover(settings: &Settings, reaper: &Reaper) -> Result<(), BackupError> {
    let running = |source| BackupError::RunStaging { source };
    let data = (Purpose::Finish, settings.data_path.as_path());
    let server = Staging::boot(settings, reaper, data, None).await.map_err(running)?;
    server.stop().await.map_err(running)
}

/// The measure of this very backup, if an earlier try stored it and its report was lost. Asked before anything is copied, it
/// also tells of a target that cannot be used.
async fn earlier(vault: &Vault, wish: &Wish<'_>) -> Result<Option<Summary>, BackupError> {
    match vault.manifest(&wish.location.path).await {
        Ok(manifest) if manifest.about == *wish.about => Ok(Some(brief(manifest.summary))),
        // Storing says what is in the way.
        Ok(_) | Err(VaultError::NoBackup { .. }) => Ok(None),
        Err(source) => Err(BackupError::StoreCopy { source }),
    }
}

/// The measure of a backup, short enough for a report.
fn brief(summary: Summary) -> Summary {
    let gtid_set = summary.gtid_set.filter(|text| text.len() <= LONGEST_GTID_TEXT);
    Summary { gtid_set, ..summary }
}

/// Boots the data, checks every table, and compares it with the member that it was copied from just now.
async fn verify(
    settings: &Settings,
    reaper: &Reaper,
    data: (Purpose, &Path),
    source: Option<&Source<'_>>,
) -> Result<(Found, Option<Compared>), BackupError> {
    let server = Staging::boot(settings, reaper, data, None).await;
    let server = server.map_err(|source| BackupError::RunStaging { source })?;
    let connection = server.door().open().await.map_err(|source| BackupError::AskCopy { source })?;
    let source = source.map(|source| (source, statements::columns_of_tables()));
    examine(settings, (server, connection), source).await
}

/// Checks every table that a server has, and compares these columns with the member that its data is from. Ends the server, which
/// wrote nothing that counts.
async fn examine(
    settings: &Settings,
    (server, mut connection): (Staging, Connection),
    source: Option<(&Source<'_>, Statement)>,
) -> Result<(Found, Option<Compared>), BackupError> {
    let began = Instant::now();
    // First, since the member goes on: the longer it takes, the more tables are written to.
    let readings = match source {
        Some((source, columns)) => compare::read(settings, (&mut connection, columns), source).await,
        None => None,
    };
    let found = check::all(&mut connection).await?;
    tracing::info!(tables = found.tables, took_ms = began.elapsed().as_millis(), "the copy is in order");
    let compared = match readings {
        Some(readings) => Some(readings.settle(&mut connection).await?),
        None => None,
    };
    connection.close().await;
    server.kill().await.map_err(|source| BackupError::RunStaging { source })?;
    Ok((found, compared))
}

/// Boots the copy for what it holds, and reads no table: a backup must know its transactions, or the archive could not go on
/// from it.
async fn look(settings: &Settings, reaper: &Reaper) -> Result<Found, BackupError> {
    let running = |source| BackupError::RunStaging { source };
    let asking = |source| BackupError::AskCopy { source };
    let data = (Purpose::Read, settings.data_path.as_path());
    let server = Staging::boot(settings, reaper, data, None).await.map_err(running)?;
    let mut connection = server.door().open().await.map_err(asking)?;
    let (version, gtid_set) = check::identity(&mut connection).await.map_err(asking)?;
    connection.close().await;
    server.kill().await.map_err(running)?;
    Ok(Found { version, gtid_set, tables: 0 })
}
