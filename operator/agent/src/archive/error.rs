//! What can go wrong with the archive of the binlog.

use crate::mysql::SqlError;
use crate::settings::SettingsError;
use crate::tail::binlog::BinlogError;
use crate::vault::VaultError;
use porpoise_core::gtid::GtidError;
use porpoise_core::protocol::Term;
use std::io;
use std::path::PathBuf;

/// What can go wrong with the archive, on the way there and back.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ArchiveError {
    /// The server does not say what it has executed.
    #[error("ask the server what is committed")]
    AskServer {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// A set of transactions is none.
    #[error("read a set of transactions")]
    ReadSet {
        /// Cause.
        #[source]
        source: GtidError,
    },
    /// A file of the binlog, or of what was archived of one, cannot be read or written.
    #[error("use the file {path}")]
    UseFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The binlog is not what it should be.
    #[error("read the binlog {file}")]
    ReadBinlog {
        /// Its name.
        file: String,
        /// Cause.
        #[source]
        source: BinlogError,
    },
    /// The binlog that was read last is gone.
    #[error("find the binlog {file}: it was removed before all of it was archived")]
    FollowBinlog {
        /// Its name.
        file: String,
    },
    /// A primary of a later term archives already.
    #[error("archive in term {term}: a primary of term {later} archives already")]
    KeepTerm {
        /// The own term.
        term: Term,
        /// The later one.
        later: Term,
    },
    /// What it takes to reach a volume cannot be read.
    #[error("read the agent's own settings")]
    ReadSettings {
        /// Cause.
        #[source]
        source: SettingsError,
    },
    /// The store cannot be used.
    #[error("use the archive's store")]
    UseStore {
        /// Cause.
        #[source]
        source: VaultError,
    },
    /// Compression failed.
    #[error("compress a segment")]
    Compress {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A step on another thread did not end in order.
    #[error("await the step: {step}")]
    AwaitStep {
        /// Which.
        step: &'static str,
    },
    /// A segment is gone.
    #[error("find the segment {segment} of the archive: it is missing in the store")]
    MissingSegment {
        /// Its name.
        segment: String,
    },
    /// A segment is not what was stored.
    #[error("understand the segment {segment} of the archive: {reason}")]
    UnderstandSegment {
        /// Its name.
        segment: String,
        /// What is wrong.
        reason: String,
    },
    /// A later version wrote it.
    #[error(
        "read the segment {segment} of the archive: its format is {found}, and {known} is the newest known here, so upgrade the operator"
    )]
    NewerFormat {
        /// Its name.
        segment: String,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
}

impl ArchiveError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::UseStore { source } => source.is_for_good(),
            Self::MissingSegment { .. } | Self::UnderstandSegment { .. } | Self::NewerFormat { .. } => true,
            Self::AskServer { .. }
            | Self::ReadSet { .. }
            | Self::ReadSettings { .. }
            | Self::UseFile { .. }
            | Self::ReadBinlog { .. }
            | Self::KeepTerm { .. }
            | Self::FollowBinlog { .. }
            | Self::Compress { .. }
            | Self::AwaitStep { .. } => false,
        }
    }
}
