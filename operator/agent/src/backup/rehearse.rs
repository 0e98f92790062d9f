//! An update, tried on a stored backup with the image and the settings that members are to get. The server itself says whether it
//! takes the settings, upgrades the data and finds every table in order; nobody's data is touched.

use super::BackupError;
use super::check::{self, Found};
use crate::settings::{Settings, SettingsError};
use crate::supervise::arguments;
use crate::supervise::initialize::{self, InitializeError};
use crate::supervise::output;
use crate::supervise::reap::{self, Reaper};
use crate::supervise::script::Script;
use crate::supervise::staging::{Purpose, Staging, StagingError};
use crate::vault::{Vault, VaultError};
use crate::volume::{Role, equipped};
use porpoise_core::backup::TargetSecrets;
use porpoise_crds::BackupLocation;
use std::io;
use std::process::Command;
use std::time::Duration;

/// For reading settings; it takes a fraction of a second.
const READ_SETTINGS: Duration = Duration::from_mins(2);
/// Any will do: nobody replicates with it.
const SERVER_ID: u32 = 1;

/// Why an update does not work on a copy.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum RehearseError {
    /// The wanted settings cannot be written down.
    #[error("write the wanted settings")]
    WriteSettings {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// What members run with cannot be read.
    #[error("read what members run with")]
    ReadConfig {
        /// Cause.
        #[source]
        source: SettingsError,
    },
    /// The wanted image has no mysqld that runs.
    #[error("start mysqld of the wanted image")]
    StartServer {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The wanted mysqld does not take the wanted settings.
    #[error("have mysqld of the wanted image take the settings: it {how}{last}")]
    TakeSettings {
        /// How it ended.
        how: String,
        /// Its errors.
        last: String,
    },
    /// The backup cannot be read.
    #[error("fetch the backup")]
    FetchBackup {
        /// Cause.
        #[source]
        source: VaultError,
    },
    /// The statements that let the agent in cannot be written down.
    #[error("prepare the way into the copy")]
    PrepareAccount {
        /// Cause.
        #[source]
        source: InitializeError,
    },
    /// The wanted mysqld does not upgrade and open the data, or does not stop in order.
    #[error("upgrade the copy with mysqld of the wanted image")]
    UpgradeCopy {
        /// Cause.
        #[source]
        source: StagingError,
    },
    /// The upgraded data is not in order.
    #[error("check the upgraded copy")]
    CheckCopy {
        /// Cause.
        #[source]
        source: BackupError,
    },
}

impl RehearseError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::FetchBackup { source } => source.is_for_good(),
            Self::CheckCopy { source } => source.is_for_good(),
            Self::StartServer { .. } => true,
            // A server that was killed may have had too little memory beside others.
            Self::TakeSettings { how, .. }
            | Self::UpgradeCopy {
                source: StagingError::BootCopy { how, .. } | StagingError::StopServer { how, .. },
            } => how.starts_with("exited"),
            Self::UpgradeCopy { source: StagingError::StartServer { .. } | StagingError::AwaitServer }
            | Self::WriteSettings { .. }
            | Self::ReadConfig { .. }
            | Self::PrepareAccount { .. } => false,
        }
    }
}

/// Tries the update. The settings come first: whether they are taken shows at once, and fetching may take hours.
pub(super) async fn update(
    settings: &Settings,
    reaper: &Reaper,
    location: &BackupLocation,
    my_cnf: &str,
    secrets: &TargetSecrets,
) -> Result<Found, RehearseError> {
    settings.put_my_cnf(my_cnf).map_err(|source| RehearseError::WriteSettings { source })?;
    take_settings(settings, reaper).await?;
    tracing::info!("mysqld of the wanted image takes the settings");
    let fetching = |source| RehearseError::FetchBackup { source };
    let secrets = equipped(settings, &location.target, secrets, Role::Own)
        .map_err(|source| RehearseError::ReadConfig { source })?;
    let vault = Vault::open(&location.target, &secrets).map_err(fetching)?;
    vault.fetch(&location.path, &settings.data_path).await.map_err(fetching)?;
    let found = upgrade(settings, reaper).await?;
    tracing::info!(version = found.version, tables = found.tables, "the update works on the copy");
    Ok(found)
}

/// Has mysqld read them with the command line of a member, without starting (MySQL manual, "Server Configuration Validation").
async fn take_settings(settings: &Settings, reaper: &Reaper) -> Result<(), RehearseError> {
    let config = settings.config().map_err(|source| RehearseError::ReadConfig { source })?;
    let mut command = Command::new(&settings.mysqld);
    command.args(arguments::serve(settings, &config, SERVER_ID)).arg("--validate-config");
    let child = reaper.spawn(&mut command).map_err(|source| RehearseError::StartServer { source })?;
    let relay = output::relay(child.stdout, child.stderr);
    let how = reaper.end_within(READ_SETTINGS, child.pid, child.exit).await;
    if reap::is_well(&how) {
        return Ok(());
    }
    let last = relay.errors().await;
    Err(RehearseError::TakeSettings { how, last })
}

/// Boots the copy, which upgrades its dictionary, and checks every table. Only a server that stops in order has it all on disk.
async fn upgrade(settings: &Settings, reaper: &Reaper) -> Result<Found, RehearseError> {
    let preparing = |source| RehearseError::PrepareAccount { source };
    let text = initialize::own_account(settings).map_err(preparing)?;
    let script = Script::write(settings, "rehearse.sql", &text).map_err(preparing)?;
    let upgrading = |source| RehearseError::UpgradeCopy { source };
    let server =
        Staging::boot(settings, reaper, (Purpose::Fill, &settings.data_path), Some(script.path())).await;
    let server = server.map_err(upgrading)?;
    let asking = |source| RehearseError::CheckCopy { source: BackupError::AskCopy { source } };
    let mut connection = server.door().open().await.map_err(asking)?;
    let found = check::all(&mut connection).await;
    let found = found.map_err(|source| RehearseError::CheckCopy { source })?;
    connection.close().await;
    server.stop().await.map_err(upgrading)?;
    Ok(found)
}
