//! A backup's data, fetched, booted and compared with its manifest, with the passwords of the cluster that it comes to.

use super::check;
use crate::files;
use crate::mysql::SqlError;
use crate::settings::Settings;
use crate::supervise::initialize::{self, InitializeError};
use crate::supervise::reap::Reaper;
use crate::supervise::staging::{Staging, StagingError};
use crate::vault::{Vault, VaultError};
use porpoise_core::backup::RestoreSource;
use porpoise_core::gtid::GtidSet;
use std::path::{Path, PathBuf};

/// What can go wrong on the way from a stored backup to data that a member can begin with.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum RestoreError {
    /// There is data already.
    #[error(
        "refuse to restore over a volume with data: restore into a new cluster, or remove the volume claim"
    )]
    RefuseVolume,
    /// The stored backup cannot be read.
    #[error("fetch the backup")]
    FetchBackup {
        /// Cause.
        #[source]
        source: VaultError,
    },
    /// What an earlier try left cannot be removed, or the script cannot be written.
    #[error("prepare the new data directory")]
    PrepareDirectory {
        /// Cause.
        #[source]
        source: InitializeError,
    },
    /// No server runs on it.
    #[error("boot the backup's data")]
    BootData {
        /// Cause.
        #[source]
        source: StagingError,
    },
    /// The server on it does not answer.
    #[error("ask the backup's data")]
    AskData {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// It holds other transactions than its manifest says.
    #[error("find in the backup's data what its manifest says: it has {found:?} instead of {told:?}")]
    CompareTransactions {
        /// `@@gtid_executed` of the data.
        found: String,
        /// That of the manifest.
        told: String,
    },
    /// The finished directory cannot be put into place.
    #[error("put the backup's data into place")]
    SwapData {
        /// Cause.
        #[source]
        source: InitializeError,
    },
}

impl RestoreError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::FetchBackup { source } => source.is_for_good(),
            Self::RefuseVolume | Self::CompareTransactions { .. } | Self::BootData { .. } => true,
            Self::PrepareDirectory { .. } | Self::AskData { .. } | Self::SwapData { .. } => false,
        }
    }
}

/// A backup's data beside the place of the member's own.
pub struct Fetched {
    /// Its directory.
    pub directory: PathBuf,
    /// Every transaction in it, as the manifest says.
    told: String,
}

/// Fetches the data. What an earlier try left is removed.
pub async fn fetch(settings: &Settings, source: &RestoreSource) -> Result<Fetched, RestoreError> {
    let directory = settings.data_path.with_extension("restoring");
    initialize::remove(&directory).map_err(|source| RestoreError::PrepareDirectory { source })?;
    let fetching = |source| RestoreError::FetchBackup { source };
    let vault = Vault::open(&source.location.target, &source.secrets).map_err(fetching)?;
    let manifest = vault.fetch(&source.location.path, &directory).await.map_err(fetching)?;
    Ok(Fetched { directory, told: manifest.summary.gtid_set.unwrap_or_default() })
}

/// Boots it once and compares. The member's memory is made for one mysqld: no other one may run beside it.
pub async fn verify(settings: &Settings, reaper: &Reaper, fetched: &Fetched) -> Result<(), RestoreError> {
    let found = boot(settings, reaper, &fetched.directory).await?;
    compare(&found, &fetched.told)
}

/// Starts it once, with the agent's password set anew; the other accounts follow when the member is primary.
async fn boot(settings: &Settings, reaper: &Reaper, fresh: &Path) -> Result<String, RestoreError> {
    let preparing = |source| RestoreError::PrepareDirectory { source };
    let script = settings.run_path.join("restore.sql");
    let text = initialize::own_account(settings).map_err(preparing)?;
    files::write_private(&script, &text)
        .map_err(|source| preparing(InitializeError::WriteScript { source }))?;
    let booted = ask(settings, reaper, fresh, &script).await;
    let removed = std::fs::remove_file(&script);
    let found = booted?;
    removed.map_err(|source| preparing(InitializeError::WriteScript { source }))?;
    Ok(found)
}

async fn ask(
    settings: &Settings,
    reaper: &Reaper,
    fresh: &Path,
    script: &Path,
) -> Result<String, RestoreError> {
    let booting = |source| RestoreError::BootData { source };
    let asking = |source| RestoreError::AskData { source };
    let server = Staging::boot(settings, reaper, fresh, Some(script)).await.map_err(booting)?;
    let mut connection = server.door().open().await.map_err(asking)?;
    let (_, found) = check::identity(&mut connection).await.map_err(asking)?;
    connection.close().await;
    server.stop().await.map_err(booting)?;
    Ok(found)
}

fn compare(found: &str, told: &str) -> Result<(), RestoreError> {
    let same = match (GtidSet::parse(found), GtidSet::parse(told)) {
        (Ok(found), Ok(told)) => found == told,
        _ => found == told,
    };
    if same {
        return Ok(());
    }
    Err(RestoreError::CompareTransactions { found: found.to_owned(), told: told.to_owned() })
}
