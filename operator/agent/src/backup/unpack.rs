//! A backup's data, fetched, booted and compared with its manifest, with the passwords of the cluster that it comes to.

use super::check;
use super::replay::{self, ReplayError, Scene};
use crate::archive::course::{Base, Course, CourseError};
use crate::archive::store::Store;
use crate::mysql::SqlError;
use crate::settings::{Settings, SettingsError};
use crate::supervise::initialize::{self, InitializeError};
use crate::supervise::reap::Reaper;
use crate::supervise::script::Script;
use crate::supervise::staging::{Purpose, Staging, StagingError};
use crate::vault::{Vault, VaultError};
use crate::volume::{Role, equipped};
use porpoise_core::backup::{ARCHIVE_FOLDER, Manifest, RestorePoint, RestoreSource};
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
    /// What it takes to reach a volume cannot be read.
    #[error("read the agent's own settings")]
    ReadSettings {
        /// Cause.
        #[source]
        source: SettingsError,
    },
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
    /// The point in time cannot be reached.
    #[error("go on from the backup to the point in time")]
    ReachPoint {
        /// Cause.
        #[source]
        source: ReplayError,
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
    /// Whether the backup was read and is not what was stored.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::FetchBackup { source } => source.is_damage(),
            Self::CompareTransactions { .. } => true,
            // Memory or the release of mysqld may be the reason as well.
            Self::BootData { .. }
            | Self::RefuseVolume
            | Self::ReadSettings { .. }
            | Self::PrepareDirectory { .. }
            | Self::AskData { .. }
            | Self::ReachPoint { .. }
            | Self::SwapData { .. } => false,
        }
    }

    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::FetchBackup { source } => source.is_for_good(),
            Self::ReachPoint { source } => source.is_for_good(),
            Self::RefuseVolume | Self::CompareTransactions { .. } | Self::BootData { .. } => true,
            Self::ReadSettings { .. }
            | Self::PrepareDirectory { .. }
            | Self::AskData { .. }
            | Self::SwapData { .. } => false,
        }
    }
}

/// A backup's data beside the place of the member's own.
pub struct Fetched {
    /// Its directory.
    pub directory: PathBuf,
    /// Every transaction in it, as the manifest says.
    told: String,
    /// The way to the point in time, if one is wanted.
    course: Option<Course>,
}

/// Opens what a new cluster begins with.
pub async fn open(settings: &Settings, source: &RestoreSource) -> Result<(Vault, Manifest), RestoreError> {
    let fetching = |source| RestoreError::FetchBackup { source };
    let secrets = equipped(settings, &source.location.target, &source.secrets, Role::Source)
        .map_err(|source| RestoreError::ReadSettings { source })?;
    let vault = Vault::open(&source.location.target, &secrets).map_err(fetching)?;
    let manifest = vault.manifest(&source.location.path).await.map_err(fetching)?;
    Ok((vault, manifest))
}

/// Fetches the data. What an earlier try left is removed. A point in time that cannot be reached is found out before.
pub async fn fetch(
    settings: &Settings,
    (vault, manifest): (&Vault, Manifest),
    path: &str,
    point: Option<&RestorePoint>,
) -> Result<Fetched, RestoreError> {
    let directory = settings.data_path.with_extension("restoring");
    initialize::remove(&directory).map_err(|source| RestoreError::PrepareDirectory { source })?;
    let course = match point {
        Some(point) => {
            let scratch = directory.with_extension("look");
            let found = course(vault, path, &manifest, point, &scratch).await;
            let reaching = |source| RestoreError::ReachPoint { source: ReplayError::FollowCourse { source } };
            Some(found.map_err(reaching)?)
        }
        None => None,
    };
    let fetched = vault.fetch_of(&manifest, path, &directory).await;
    fetched.map_err(|source| RestoreError::FetchBackup { source })?;
    Ok(Fetched { directory, told: manifest.summary.gtid_set.unwrap_or_default(), course })
}

/// The way from the backup to the point, by the archive beside it.
async fn course(
    vault: &Vault,
    path: &str,
    manifest: &Manifest,
    point: &RestorePoint,
    scratch: &Path,
) -> Result<Course, CourseError> {
    let folder = match path.rsplit_once('/') {
        Some((parent, _)) => format!("{parent}/{ARCHIVE_FOLDER}"),
        None => ARCHIVE_FOLDER.to_owned(),
    };
    let store = Store::open(vault, &folder).map_err(|source| CourseError::ReadArchive { source })?;
    let gtid_set = manifest.summary.gtid_set.as_deref().unwrap_or_default();
    let base = Base { gtid_set, completed_at: &manifest.completed_at };
    Course::find(store, &base, point, scratch).await
}

/// Takes it to the point in time, boots it once and compares. The member's memory is made for one mysqld: no other one may
/// run beside it. That boot runs the statements `accounts` before anybody gets in: after what was replayed, which may have
/// changed accounts too. `say` is told how far it is.
pub async fn verify(
    settings: &Settings,
    reaper: &Reaper,
    mut fetched: Fetched,
    accounts: &str,
    say: &(dyn Fn(&str) + Sync),
) -> Result<PathBuf, RestoreError> {
    let preparing = |source| RestoreError::PrepareDirectory { source };
    let own = initialize::own_account(settings).map_err(preparing)?;
    let data = fetched.directory.as_path();
    if let Some(course) = fetched.course.as_mut() {
        let script = Script::write(settings, "replay.sql", &own).map_err(preparing)?;
        let scene = Scene { settings, reaper, data, script: script.path(), say };
        replay::replay(&scene, course).await.map_err(|source| RestoreError::ReachPoint { source })?;
        script.remove().map_err(preparing)?;
    }
    // The agent's own account last: its password may have changed since the other statements were made.
    let script = Script::write(settings, "restore.sql", &(accounts.to_owned() + &own)).map_err(preparing)?;
    let found = finish(settings, reaper, data, script.path()).await?;
    script.remove().map_err(preparing)?;
    let told = fetched.course.map_or(fetched.told, |course| course.have.to_string());
    compare(&found, &told)?;
    Ok(fetched.directory)
}

/// Boots the data with the script's accounts, and asks which transactions are in it.
async fn finish(
    settings: &Settings,
    reaper: &Reaper,
    data: &Path,
    script: &Path,
) -> Result<String, RestoreError> {
    let booting = |source| RestoreError::BootData { source };
    let asking = |source| RestoreError::AskData { source };
    let server =
        Staging::boot(settings, reaper, (Purpose::Finish, data), Some(script)).await.map_err(booting)?;
    let mut connection = server.door().open().await.map_err(asking)?;
    let (_, found) = check::identity(&mut connection).await.map_err(asking)?;
    connection.close().await;
    // What the script changed is in the log on disk, from where the member's own start takes it.
    server.kill().await.map_err(booting)?;
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
