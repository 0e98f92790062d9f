//! One agent works on a volume at a time. After a Pod was deleted by force its successor may start beside it on the same
//! node: two agents would keep one promise, each without knowing of the other's.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;

/// Between two attempts.
const AGAIN: Duration = Duration::from_millis(500);

/// What became of the wish to work on a volume.
#[derive(Debug)]
pub enum Occupancy {
    /// Nobody else does, for as long as this lives. Without a file: the file system has no locks.
    Alone(Option<File>),
    /// Somebody else does.
    Shared,
}

/// Takes the volume that holds the agent's files, if nobody else has it. The lock is on the directory: nothing is written to a
/// volume that may not be ours.
pub fn take(state_path: &Path) -> Occupancy {
    let directory = state_path.parent().unwrap_or(state_path);
    let file = match File::open(directory) {
        Ok(file) => file,
        Err(error) => return without_lock(&error),
    };
    match file.try_lock() {
        Ok(()) => Occupancy::Alone(Some(file)),
        Err(TryLockError::WouldBlock) => Occupancy::Shared,
        Err(TryLockError::Error(error)) => without_lock(&error),
    }
}

fn without_lock(error: &std::io::Error) -> Occupancy {
    tracing::warn!(%error, "the volume cannot be locked; mysqld's own lock must do");
    Occupancy::Alone(None)
}

/// Waits until nobody else works on the volume.
pub async fn wait(state_path: &Path) -> Option<File> {
    loop {
        match take(state_path) {
            Occupancy::Alone(file) => return file,
            Occupancy::Shared => sleep(AGAIN).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_volume_is_taken_once_and_again_when_it_is_free() {
        let volume = tempfile::tempdir().unwrap();
        let state_path = volume.path().join("porpoise");
        let first = take(&state_path);
        assert!(matches!(first, Occupancy::Alone(Some(_))));
        assert!(matches!(take(&state_path), Occupancy::Shared));
        drop(first);
        assert!(wait(&state_path).await.is_some());
        assert!(!state_path.exists(), "nothing is written");
    }
}
