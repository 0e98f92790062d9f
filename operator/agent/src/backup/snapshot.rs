//! A volume that was made from a snapshot: a member's, as a power cut would have left it.
//!
//! Data, redo log and binlog are on one volume, so the snapshot has all three at the same moment. It is recovered with the
//! binlog: whether a prepared transaction is committed is written nowhere else (MySQL Reference Manual, "The Binary Log").

use super::BackupError;
use super::check::{self, Found};
use crate::files::FileError;
use crate::identity::{self, IdentityError};
use crate::intent;
use crate::mysql::quote::QuoteError;
use crate::mysql::{Connection, SqlError, statements};
use crate::settings::{Settings, SettingsError};
use crate::supervise::initialize::{self, InitializeError};
use crate::supervise::reap::Reaper;
use crate::supervise::script::Script;
use crate::supervise::staging::{Purpose, Staging, StagingError};
use crate::tail::truncate;
use std::time::Duration;

const BRIEF: Duration = Duration::from_mins(1);
/// For the removal of binlog files, of which there may be many large ones.
const PURGE: Duration = Duration::from_mins(10);

/// What can go wrong with a volume that was made from a snapshot.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum SnapshotError {
    /// The agent's own files on it cannot be read or written.
    #[error("read what its member noted on the volume")]
    ReadNotes {
        /// Cause.
        #[source]
        source: FileError,
    },
    /// The member's own number is not to be had.
    #[error("read the number of this member")]
    ReadOrdinal {
        /// Cause.
        #[source]
        source: SettingsError,
    },
    /// Nobody knows whose it is.
    #[error("find out whose volume was copied")]
    ReadIdentity {
        /// Cause.
        #[source]
        source: IdentityError,
    },
    /// It is not what the snapshot should hold.
    #[error("find the data of cluster {wanted} on the volume: it belongs to {found}; name another snapshot")]
    MatchCluster {
        /// UID that was expected.
        wanted: String,
        /// UID on the volume, or what is there.
        found: String,
    },
    /// The snapshot was taken in the middle of a clone or a restore.
    #[error(
        "find whole data on the volume: the snapshot was taken while it was being replaced; take another one"
    )]
    FindWhole,
    /// The statements that let the agent in cannot be written down.
    #[error("prepare the way into the data")]
    PrepareAccount {
        /// Cause.
        #[source]
        source: InitializeError,
    },
    /// No server runs on it.
    #[error("recover the snapshot's data")]
    RecoverData {
        /// Cause.
        #[source]
        source: StagingError,
    },
    /// The server on it does not answer.
    #[error("ask the snapshot's data")]
    AskData {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// The server does not say what it writes to.
    #[error("find the binlog of the snapshot's data: the server on it names none")]
    FindBinlog,
    /// The name of the binlog cannot be written in SQL.
    #[error("name the binlog of the snapshot's data")]
    NameBinlog {
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// It cannot be made this member's.
    #[error("make the volume this member's own")]
    WriteIdentity {
        /// Cause.
        #[source]
        source: IdentityError,
    },
}

impl SnapshotError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::MatchCluster { .. } | Self::FindWhole => true,
            // A server that was killed may have had too little memory.
            Self::RecoverData { source: StagingError::BootCopy { how, .. } } => how.starts_with("exited"),
            Self::RecoverData { .. }
            | Self::ReadNotes { .. }
            | Self::ReadOrdinal { .. }
            | Self::ReadIdentity { .. }
            | Self::PrepareAccount { .. }
            | Self::AskData { .. }
            | Self::FindBinlog
            | Self::NameBinlog { .. }
            | Self::WriteIdentity { .. } => false,
        }
    }
}

/// Boots it, and checks every table. The volume is thrown away afterwards.
pub(super) async fn examine(
    settings: &Settings,
    reaper: &Reaper,
    cluster: &str,
) -> Result<Found, BackupError> {
    let examining = |source| BackupError::ExamineSnapshot { source: Box::new(source) };
    let server = recover(settings, reaper, cluster, "").await.map_err(examining)?;
    let connection = server.door().open().await.map_err(|source| BackupError::AskCopy { source })?;
    Ok(super::examine(settings, (server, connection), None).await?.0)
}

/// Recovers it, and leaves it as a member's data that replicates from nobody, with the accounts that the statements `accounts`
/// make. Returns every transaction in it.
pub async fn settle(
    settings: &Settings,
    reaper: &Reaper,
    cluster: &str,
    accounts: &str,
) -> Result<String, SnapshotError> {
    let server = recover(settings, reaper, cluster, accounts).await?;
    let asking = |source| SnapshotError::AskData { source };
    let mut connection = server.door().open().await.map_err(asking)?;
    // What its member had received and not applied is in the relay log: its source is another cluster's.
    connection.run(statements::forget_source(), BRIEF).await.map_err(asking)?;
    forget_history(&mut connection).await?;
    let (_, gtid_set) = check::identity(&mut connection).await.map_err(asking)?;
    connection.close().await;
    server.stop().await.map_err(|source| SnapshotError::RecoverData { source })?;
    Ok(gtid_set)
}

/// Leaves no transaction in the binlog. Whoever can replay the former cluster's would follow instead of copying the data, and
/// keep its passwords: the new ones are in no binlog. The archive of the new cluster begins without them, too.
async fn forget_history(connection: &mut Connection) -> Result<(), SnapshotError> {
    let asking = |source| SnapshotError::AskData { source };
    connection.run(statements::begin_binlog(), BRIEF).await.map_err(asking)?;
    let rows = connection.rows(statements::binlog_place(), BRIEF).await.map_err(asking)?;
    let newest = rows.first().map(|row| row.text("File")).transpose().map_err(asking)?.flatten();
    let newest = newest.ok_or(SnapshotError::FindBinlog)?;
    let dropping = statements::drop_binlogs_before(&newest);
    let dropping = dropping.map_err(|source| SnapshotError::NameBinlog { source })?;
    connection.run(dropping, PURGE).await.map_err(asking)
}

/// A server on the recovered data, which lets in the agent and nobody else. Before that it runs the statements `accounts`.
async fn recover(
    settings: &Settings,
    reaper: &Reaper,
    cluster: &str,
    accounts: &str,
) -> Result<Staging, SnapshotError> {
    let reading = |source| SnapshotError::ReadNotes { source };
    let found = identity::found(settings).map_err(|source| SnapshotError::ReadIdentity { source })?;
    let found = found.map_or_else(|| "nobody".to_owned(), |found| found.cluster);
    if found != cluster {
        return Err(SnapshotError::MatchCluster { wanted: cluster.to_owned(), found });
    }
    if intent::is_pending(settings).map_err(reading)? || !settings.data_path.exists() {
        return Err(SnapshotError::FindWhole);
    }
    truncate::finish(settings).map_err(reading)?;
    let preparing = |source| SnapshotError::PrepareAccount { source };
    let text = initialize::way_into_copy(settings, accounts).map_err(preparing)?;
    let script = Script::write(settings, "recover.sql", &text).map_err(preparing)?;
    let data = (Purpose::Recover, settings.data_path.as_path());
    let server = Staging::boot(settings, reaper, data, Some(script.path())).await;
    server.map_err(|source| SnapshotError::RecoverData { source })
}
