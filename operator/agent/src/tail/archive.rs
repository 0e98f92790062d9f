//! Tails that were cut off, kept on the volume for whoever wants to look: whole binlog files that `mysqlbinlog` reads.

use super::binlog;
use super::survey::Found;
use crate::files::{self, FileError};
use porpoise_core::protocol::{Tail, Term};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Most tails that are kept.
const MOST: usize = 10;
/// Most bytes that all of them have.
const BYTES: u64 = 1 << 30;

/// What can go wrong with the archive.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ArchiveError {
    /// The tail is larger than the whole archive may be.
    #[error("keep a tail of {bytes} bytes; at most {BYTES} are kept")]
    FitTail {
        /// Its size.
        bytes: u64,
    },
    /// Copying failed.
    #[error("copy the tail to {path}")]
    CopyTail {
        /// The archive's file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The list of tails cannot be read or written.
    #[error("list the tails")]
    ListTails {
        /// Cause.
        #[source]
        source: FileError,
    },
    /// An old tail cannot be removed.
    #[error("remove {path}")]
    RemoveTail {
        /// The archive's file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

fn directory(state_path: &Path) -> PathBuf {
    state_path.join("tails")
}

fn list_path(state_path: &Path) -> PathBuf {
    directory(state_path).join("list.json")
}

/// The tails that are kept, oldest first.
pub fn list(state_path: &Path) -> Result<Vec<Tail>, FileError> {
    Ok(files::read_json(&list_path(state_path))?.unwrap_or_default())
}

/// Keeps the tail. Its name is made of its term and of its own time, so keeping it twice makes one file.
pub fn store(state_path: &Path, term: Term, found: &Found) -> Result<Tail, ArchiveError> {
    let file = format!("{term}-{}.binlog", found.began);
    let path = directory(state_path).join(&file);
    let copying = |source| ArchiveError::CopyTail { path: path.clone(), source };
    let length = fs::metadata(&found.path).map_err(copying)?.len();
    let bytes = found.head + length.saturating_sub(found.offset);
    if bytes > BYTES {
        return Err(ArchiveError::FitTail { bytes });
    }
    if let Err(source) = copy(found, &path) {
        let _ = fs::remove_file(path.with_extension("new"));
        return Err(copying(source));
    }
    let tail = Tail { file, term, transactions: found.transactions, bytes };
    let mut tails = list(state_path).map_err(|source| ArchiveError::ListTails { source })?;
    tails.retain(|old| old.file != tail.file);
    tails.push(tail.clone());
    prune(state_path, tails)?;
    Ok(tail)
}

fn copy(found: &Found, path: &Path) -> io::Result<()> {
    let temporary = path.with_extension("new");
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
        files::sync_parent(directory)?;
    }
    let mut from = File::open(&found.path)?;
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    binlog::copy_head(&mut from, &mut to, found.head)?;
    from.seek(SeekFrom::Start(found.offset))?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    drop(to);
    fs::rename(&temporary, path)?;
    files::sync_parent(path)
}

/// Removes the oldest until the bounds are kept, and what is in no list because a crash came between.
fn prune(state_path: &Path, mut tails: Vec<Tail>) -> Result<(), ArchiveError> {
    while tails.len() > MOST || tails.iter().map(|tail| tail.bytes).sum::<u64>() > BYTES {
        tails.remove(0);
    }
    files::write_json(&list_path(state_path), &tails).map_err(|source| ArchiveError::ListTails { source })?;
    let removing = |path: &Path, source| ArchiveError::RemoveTail { path: path.to_owned(), source };
    let directory = directory(state_path);
    for entry in fs::read_dir(&directory).map_err(|source| removing(&directory, source))? {
        let entry = entry.map_err(|source| removing(&directory, source))?;
        let name = entry.file_name();
        if name != "list.json" && !tails.iter().any(|tail| name == tail.file.as_str()) {
            fs::remove_file(entry.path()).map_err(|source| removing(&entry.path(), source))?;
        }
    }
    Ok(())
}
