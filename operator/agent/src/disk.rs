//! Whether the volume takes what is written (ha.md §5): a server whose disk hangs goes on answering questions.
//!
//! A thread of its own writes and syncs a small file, again and again. On a disk that hangs it hangs too, and nothing else
//! waits for it.

use crate::member::Member;
use nix::sys::statvfs::statvfs;
use porpoise_core::protocol::DiskState;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two writes.
const PERIOD: Duration = Duration::from_secs(1);
/// Between two looks at how they get on.
const LOOK: Duration = Duration::from_millis(250);
/// A write that needs longer hangs: as long as the fence waits for an acknowledged one.
const STALLED: Duration = Duration::from_secs(3);
/// With less room than this nothing can be done: mysqld needs some for a start.
const ROOM: u64 = 1 << 20;
/// Name of the file, in the agent's part of the volume.
const FILE: &str = "probe";

/// When the write that is under way began.
type Writing = Arc<Mutex<Option<Instant>>>;
/// Whether the volume is this member's: on another's nothing is written, not even a probe.
type Ours = Arc<AtomicBool>;

/// Looks for ever.
pub async fn keep_probing(member: &Member) {
    let writing = Writing::default();
    let folder = member.settings.state_path.clone();
    let ours = Ours::default();
    let (probe, probed, may) = (writing.clone(), folder.clone(), ours.clone());
    let started =
        thread::Builder::new().name("disk".into()).spawn(move || write_for_ever(&probed, &probe, &may));
    if let Err(error) = started {
        tracing::error!(%error, "no thread for the disk: one that hangs is not noticed");
    }
    let mut told = DiskState::default();
    loop {
        sleep(LOOK).await;
        ours.store(member.has_volume(), Ordering::Relaxed);
        let disk = judge(&folder, &writing);
        if disk != told {
            tracing::warn!(?disk, "the volume");
            member.tell_disk(disk);
            told = disk;
        }
    }
}

fn judge(folder: &Path, writing: &Writing) -> DiskState {
    let since = *writing.lock().unwrap_or_else(PoisonError::into_inner);
    if since.is_some_and(|since| since.elapsed() >= STALLED) {
        return DiskState::Stalled;
    }
    // Answered from memory, also by a disk that hangs.
    let room = statvfs(folder).map(|space| space.blocks_available() * space.fragment_size());
    if room.is_ok_and(|room| room < ROOM) { DiskState::Full } else { DiskState::Writable }
}

fn write_for_ever(folder: &Path, writing: &Writing, ours: &AtomicBool) {
    let path: PathBuf = folder.join(FILE);
    let set = |value| *writing.lock().unwrap_or_else(PoisonError::into_inner) = value;
    loop {
        if ours.load(Ordering::Relaxed) {
            set(Some(Instant::now()));
            if let Err(error) = write(&path) {
                tracing::debug!(%error, "the probe of the volume failed");
            }
            set(None);
        }
        thread::sleep(PERIOD);
    }
}

fn write(path: &Path) -> io::Result<()> {
    // In place: nothing but these bytes is to be synced, least of all what mysqld has just begun to write.
    let mut file = File::options().write(true).create(true).truncate(false).open(path)?;
    file.write_all(b"written by the agent to see whether the volume takes it\n")?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_that_does_not_end_is_a_stall() {
        let folder = tempfile::tempdir().unwrap();
        let writing = Writing::default();
        assert_eq!(judge(folder.path(), &writing), DiskState::Writable);
        *writing.lock().unwrap() = Some(Instant::now());
        assert_eq!(judge(folder.path(), &writing), DiskState::Writable);
        tokio::time::advance(STALLED).await;
        assert_eq!(judge(folder.path(), &writing), DiskState::Stalled);
    }
}
