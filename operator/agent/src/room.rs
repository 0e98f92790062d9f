//! How full the data volume is.

use nix::sys::statvfs::statvfs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// A disk that hangs does not hold up the other metrics.
const LIMIT: Duration = Duration::from_secs(1);

/// Bytes of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// All of them.
    pub bytes: u64,
    /// What mysqld can still use.
    pub free_bytes: u64,
}

/// Asks the file system below a path, one question at a time: where it hangs, questions do not pile up.
#[derive(Clone)]
pub struct Surveyor {
    path: PathBuf,
    turn: Arc<Mutex<()>>,
}

impl Surveyor {
    /// For the file system of this path.
    pub fn new(path: PathBuf) -> Self {
        Self { path, turn: Arc::default() }
    }

    /// `None` when it does not answer in time.
    pub async fn look(&self) -> Option<Room> {
        let turn = self.turn.clone().try_lock_owned().ok()?;
        let path = self.path.clone();
        let look = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            statvfs(&path).ok()
        });
        let found = timeout(LIMIT, look).await.ok()?.ok()??;
        let bytes = |blocks: u64| found.fragment_size().saturating_mul(blocks);
        Some(Room { bytes: bytes(found.blocks()), free_bytes: bytes(found.blocks_available()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_system_has_room_and_a_missing_one_has_none() {
        let room = Surveyor::new("/".into()).look().await.unwrap();
        assert!(room.bytes > 0 && room.free_bytes <= room.bytes, "{room:?}");
        assert_eq!(Surveyor::new("/no/such/place".into()).look().await, None);
    }

    #[tokio::test]
    async fn nobody_asks_while_an_answer_is_missing() {
        let surveyor = Surveyor::new("/".into());
        let _turn = surveyor.turn.clone().try_lock_owned().unwrap();
        assert_eq!(surveyor.look().await, None);
    }
}
