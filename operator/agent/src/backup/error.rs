//! What can go wrong with a backup.

use super::dump::DumpError;
use super::rehearse::RehearseError;
use super::snapshot::SnapshotError;
use super::unpack::RestoreError;
use crate::load::LoadError;
use crate::mysql::SqlError;
use crate::mysql::quote::QuoteError;
use crate::settings::SettingsError;
use crate::supervise::initialize::InitializeError;
use crate::supervise::staging::StagingError;
use crate::vault::VaultError;
use crate::volume::VolumeError;
use std::io;
use std::path::PathBuf;

/// Why there is no backup.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum BackupError {
    /// The Job's variable is not there or not understood.
    #[error("understand what the Job is for")]
    ReadJob {
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// A mounted Secret cannot be read.
    #[error("read {path}")]
    ReadSecret {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Children cannot be waited for, or signals handled.
    #[error("handle signals")]
    HandleSignals {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The Job is being stopped.
    #[error("go on: the Pod is being stopped")]
    BeStopped,
    /// No member is named.
    #[error("find a member to copy: none was ready")]
    FindDonor,
    /// The staging area cannot be used.
    #[error("make a blank data directory")]
    PrepareStaging {
        /// Cause.
        #[source]
        source: InitializeError,
    },
    /// No server runs on the copy.
    #[error("run a server on the copy")]
    RunStaging {
        /// Cause.
        #[source]
        source: StagingError,
    },
    /// The password of the clone account is not there.
    #[error("read the clone account's password")]
    ReadPassword {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The donor's address or account cannot be written in SQL.
    #[error("quote the donor")]
    QuoteDonor {
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// The copy failed.
    #[error("copy {donor}")]
    CopyMember {
        /// The donor.
        donor: String,
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// The server on the copy does not answer.
    #[error("ask the copy")]
    AskCopy {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// A table has a name that cannot be written in SQL.
    #[error("quote the table {table}")]
    QuoteTable {
        /// Schema and table.
        table: String,
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// A table could not be checked.
    #[error("check the table {table}")]
    CheckTable {
        /// Schema and table.
        table: String,
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// A table is damaged.
    #[error("find {table} in order: {verdict}; look at it on the donor with CHECK TABLE")]
    DamagedTable {
        /// Schema and table.
        table: String,
        /// The server's words.
        verdict: String,
    },
    /// A table of the copy is not that of its donor.
    #[error(
        "find {table} on the copy as it is on {donor}: they differ, and the binlog of {donor} names no write to it since; \
         compare {table} on all members, rebuild those that are wrong from one that is right"
    )]
    CompareTable {
        /// Schema and table.
        table: String,
        /// The member that was copied.
        donor: String,
    },
    /// What it takes to reach a volume cannot be read.
    #[error("read the agent's own settings")]
    ReadSettings {
        /// Cause.
        #[source]
        source: SettingsError,
    },
    /// The mounted volume cannot be used.
    #[error("open the volume")]
    OpenVolume {
        /// Cause.
        #[source]
        source: VolumeError,
    },
    /// Storing failed.
    #[error("store the copy")]
    StoreCopy {
        /// Cause.
        #[source]
        source: VaultError,
    },
    /// A member was not dumped.
    #[error("dump a member")]
    DumpMember {
        /// Cause.
        #[source]
        source: DumpError,
    },
    /// The stored backup cannot be read.
    #[error("read the stored backup")]
    ReadDump {
        /// Cause.
        #[source]
        source: VaultError,
    },
    /// The dump does not load.
    #[error("have a blank server take the dump")]
    LoadDump {
        /// Cause.
        #[source]
        source: LoadError,
    },
    /// A stored backup cannot be read as it was stored.
    #[error("read the stored backup")]
    ReadBackup {
        /// Cause.
        #[source]
        source: RestoreError,
    },
    /// A table of a stored backup is damaged.
    #[error("find {table} of the stored backup in order: {verdict}; use another backup")]
    FindDamage {
        /// Schema and table.
        table: String,
        /// The server's words.
        verdict: String,
    },
    /// The update does not work on a copy.
    #[error("rehearse the update")]
    RehearseUpdate {
        /// Cause.
        #[source]
        source: Box<RehearseError>,
    },
    /// A snapshot is no whole data.
    #[error("examine the snapshot")]
    ExamineSnapshot {
        /// Cause.
        #[source]
        source: Box<SnapshotError>,
    },
    /// Removing failed.
    #[error("remove the backup")]
    RemoveBackup {
        /// Cause.
        #[source]
        source: VaultError,
    },
}

impl BackupError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::ReadJob { .. }
            | Self::DamagedTable { .. }
            | Self::CompareTable { .. }
            | Self::FindDamage { .. } => true,
            Self::ReadBackup { source } => source.is_for_good(),
            Self::DumpMember { source } => source.is_for_good(),
            Self::StoreCopy { source } | Self::RemoveBackup { source } | Self::ReadDump { source } => {
                source.is_for_good()
            }
            Self::RehearseUpdate { source } => source.is_for_good(),
            Self::ExamineSnapshot { source } => source.is_for_good(),
            _ => false,
        }
    }

    /// Whether a stored backup was read and is not what was stored. What keeps it from being read says nothing about it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::ReadBackup { source } => source.is_damage(),
            Self::ReadDump { source } => source.is_damage(),
            Self::FindDamage { .. } => true,
            _ => false,
        }
    }
}
