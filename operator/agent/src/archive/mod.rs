//! The archive: the binlog of the primary, stored while it is written, and read again at a restore.
//!
//! `keep` works as long as the agent lives: `takeover` finds where the archive ends, `log` reads what is committed, `writer`
//! stores it as `segment`s, `prune` removes what no backup needs. `course` is the way back: which segments lead from a backup
//! to a point in time.

pub(crate) mod course;
mod error;
pub mod keep;
mod log;
mod prune;
mod segment;
pub(crate) mod store;
mod takeover;
mod writer;

pub use error::ArchiveError;
