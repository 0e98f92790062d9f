//! Making files durable on a thread of its own, while others are still being written: the disk is then busy all the time.

use super::VaultError;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Files that wait for the disk; whoever writes waits for it then too.
const WAITING: usize = 16;

/// Syncs what it is given, in that order.
pub(super) struct Syncer {
    files: SyncSender<(PathBuf, File)>,
    thread: JoinHandle<Result<(), VaultError>>,
}

impl Syncer {
    pub(super) fn start() -> io::Result<Self> {
        let (files, waiting) = sync_channel(WAITING);
        let thread = thread::Builder::new().name("sync".into()).spawn(move || sync_each(&waiting))?;
        Ok(Self { files, thread })
    }

    /// Has what was written to a file so far made durable. False when that has failed before: [`Self::finish`] says why.
    pub(super) fn hand(&self, path: &Path, file: File) -> bool {
        self.files.send((path.to_owned(), file)).is_ok()
    }

    /// Waits until all that was handed is durable.
    pub(super) fn finish(self) -> Result<(), VaultError> {
        let Self { files, thread } = self;
        drop(files);
        thread.join().unwrap_or(Err(VaultError::AwaitStep { step: "sync the data" }))
    }
}

fn sync_each(waiting: &Receiver<(PathBuf, File)>) -> Result<(), VaultError> {
    for (path, file) in waiting {
        file.sync_all().map_err(|source| VaultError::WriteFile { path, source })?;
    }
    Ok(())
}

/// Makes the entries of directories durable, the inner ones first.
pub(super) fn sync_directories(directory: &Path) -> Result<(), VaultError> {
    let failed = |source| VaultError::WriteFile { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}
