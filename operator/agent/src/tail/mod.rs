//! The tail of a deposed primary: transactions at the end of its binlog that nobody acknowledged (ha.md §4e, ADR 0012).
//!
//! Semi-sync with `AFTER_SYNC` lets a commit wait when it is in the binlog and only prepared in `InnoDB`. mysqld's start
//! commits what is in the binlog and rolls back what is not, so a binlog that is cut before mysqld starts takes the tail
//! out of the data too. `note` knows whether there may be a tail, `survey` finds it, `archive` keeps it, `truncate` cuts.

pub mod archive;
pub mod binlog;
pub mod gtids;
pub mod note;
pub mod survey;
#[cfg(test)]
mod tests;
pub mod truncate;

use crate::files::FileError;
use crate::settings::Settings;
use archive::ArchiveError;
use binlog::BinlogError;
use porpoise_core::gtid::{GtidError, GtidSet};
use porpoise_core::protocol::{Tail, Term};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Looking for the tail takes no longer; a binlog file has at most a gigabyte.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Why a tail was not cut off. mysqld then starts with all it has, and the member is cloned.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum CutError {
    /// The set in the order is none.
    #[error("read the set to keep")]
    ReadKeep {
        /// Cause.
        #[source]
        source: GtidError,
    },
    /// There is no binlog to look at.
    #[error("find the newest binlog by {path}")]
    FindBinlog {
        /// The index file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The binlog cannot be read.
    #[error("read the binlog {file}")]
    ReadBinlog {
        /// Its name.
        file: String,
        /// Cause.
        #[source]
        source: BinlogError,
    },
    /// Earlier files hold what may not be kept. mysqld begins a file only when all in the one before is committed.
    #[error("cut off transactions that are committed: {earlier} are in earlier files")]
    UndoEarlier {
        /// How many.
        earlier: u64,
    },
    /// The file was closed in order: all in it is committed.
    #[error("cut off transactions of a file that was closed in order")]
    UndoClosed,
    /// What follows the first foreign transaction is not foreign.
    #[error("cut off {gtid}, which the primary has")]
    CutKept {
        /// The transaction.
        gtid: String,
    },
    /// A change that no recovery takes back, such as one of a `MyISAM` table.
    #[error("take back a change that is not transactional, at {offset}")]
    UndoChange {
        /// Where its end is in the binlog.
        offset: u64,
    },
    /// It takes too long.
    #[error("find the tail within {LIMIT:?}")]
    AwaitSurvey,
    /// The tail cannot be kept aside.
    #[error("archive the tail")]
    ArchiveTail {
        /// Cause.
        #[source]
        source: ArchiveError,
    },
    /// The intent cannot be stored.
    #[error("note what is to be cut off")]
    WriteIntent {
        /// Cause.
        #[source]
        source: FileError,
    },
    /// Cutting failed. It is finished before the next start of mysqld.
    #[error("cut off the tail")]
    TruncateBinlog {
        /// Cause.
        #[source]
        source: FileError,
    },
}

impl CutError {
    /// Stable word for metrics and events.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// Cuts off whatever is at the end of the binlog and not in `keep`; nothing if there is no such thing. `reigned`: the
/// term in which it was written. mysqld must not run.
///
/// # Errors
/// Why not; then nothing was changed, or the change is finished before the next start (`TruncateBinlog`).
pub fn cut(settings: &Settings, reigned: Term, keep: &str) -> Result<Option<Tail>, CutError> {
    let keep = GtidSet::parse(keep).map_err(|source| CutError::ReadKeep { source })?;
    let Some(found) = survey::newest(&settings.data_path, &keep, Instant::now() + LIMIT)? else {
        return Ok(None);
    };
    let tail = archive::store(&settings.state_path, reigned, &found)
        .map_err(|source| CutError::ArchiveTail { source })?;
    truncate::begin(settings, &found).map_err(|source| CutError::WriteIntent { source })?;
    truncate::finish(settings).map_err(|source| CutError::TruncateBinlog { source })?;
    Ok(Some(tail))
}
