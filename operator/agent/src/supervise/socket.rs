//! mysqld's socket: what an earlier container left of it, and the first answer over it.

use super::POLL;
use crate::logging;
use crate::mysql::Door;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often it is told that there is no answer yet.
const TELL: Duration = Duration::from_secs(10);

/// Removes the lock beside a socket, before mysqld starts.
///
/// The lock outlives a container that was killed, and holds a process number of that one. In the next container this may be
/// the number of a thread of ours: mysqld would take it for another mysqld and never start. The volume is ours alone
/// (occupancy), and an earlier mysqld of ours is over.
pub(super) fn forget_lock(socket: &Path) -> io::Result<()> {
    let mut lock = socket.as_os_str().to_owned();
    lock.push(".lock");
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Waits until mysqld lets the agent in. Crash recovery may take long, so this has no bound; a mysqld that ends is seen by
/// the caller.
pub(super) async fn until_it_answers(door: &Door) {
    let mut told = Instant::now();
    loop {
        sleep(POLL).await;
        match door.open().await {
            Ok(connection) => return connection.close().await,
            Err(error) if told.elapsed() > TELL => {
                told = Instant::now();
                tracing::info!(error = logging::chain(&error), "mysqld does not answer yet");
            }
            Err(_) => {}
        }
    }
}
