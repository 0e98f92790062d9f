//! A mysqld for data that serves nobody yet: on the loopback interface, without a binlog, and nobody but the agent gets in.
//!
//! A copy that is to become a backup is booted with it, and so is a backup that is to become a member's data: what does not
//! boot is neither.

pub use super::arguments::Purpose;
use super::output::{self, Relay};
use super::reap::{self, Child, Exit, Reaper};
use super::{arguments, lockout, socket};
use crate::mysql::Door;
use crate::settings::Settings;
use nix::sys::signal::Signal;
use porpoise_core::names;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// For crash recovery of a copy: what is left of the log is at most a few gigabytes.
const BOOT: Duration = Duration::from_hours(1);
/// For writing out what is in memory.
const STOP: Duration = Duration::from_mins(15);

/// What can go wrong with such a server.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum StagingError {
    /// It cannot be started.
    #[error("start mysqld on the copy")]
    StartServer {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It ended before it answered.
    #[error("boot the copy: mysqld {how}{last}")]
    BootCopy {
        /// How it ended.
        how: String,
        /// Its last errors, if it told any.
        last: String,
    },
    /// It does not answer.
    #[error("await mysqld on the copy for {BOOT:?}")]
    AwaitServer,
    /// It did not stop in order.
    #[error("stop mysqld on the copy: {how}{last}")]
    StopServer {
        /// How it ended.
        how: String,
        /// Its last errors, if it told any.
        last: String,
    },
}

/// A running one. Dropped, it is killed.
pub struct Staging {
    reaper: Reaper,
    pid: i32,
    exit: Exit,
    relay: Option<Relay>,
    door: Door,
    socket: PathBuf,
}

impl Staging {
    /// Starts mysqld on a directory and waits until it answers. The statements of the file `script` are run before
    /// anybody gets in.
    pub async fn boot(
        settings: &Settings,
        reaper: &Reaper,
        (purpose, data): (Purpose, &Path),
        script: Option<&Path>,
    ) -> Result<Self, StagingError> {
        let socket = settings.run_path.join("staging.sock");
        let mut command = Command::new(&settings.mysqld);
        command.args(arguments::staging(settings, (purpose, data), &socket, script));
        let starting = |source| StagingError::StartServer { source };
        socket::forget_lock(&socket).map_err(starting)?;
        let child = reaper.spawn(&mut command).map_err(starting)?;
        let Child { pid, exit, stdin: _, stdout, stderr } = child;
        let relay = Some(output::relay(stdout, stderr));
        let password = settings.accounts_path.join("agent");
        let door = Door::new(&socket, &password, &names::account_user("agent"));
        let mut server = Self { reaper: reaper.clone(), pid, exit, relay, door, socket };
        let started = Instant::now();
        match timeout(BOOT, server.until_it_answers()).await {
            Ok(None) => {
                tracing::info!(
                    ?purpose,
                    took_ms = started.elapsed().as_millis(),
                    "a server on the data answers"
                );
                Ok(server)
            }
            Ok(Some(how)) => {
                let last = server.last_errors().await;
                Err(StagingError::BootCopy { how, last })
            }
            Err(_) => Err(StagingError::AwaitServer),
        }
    }

    /// How to get in.
    pub fn door(&self) -> &Door {
        &self.door
    }

    /// Where its socket is.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Ends it at once. Only for one that wrote nothing, or nothing that the next start needs more than its log for: an end in
    /// order takes more than a second, whatever the data.
    pub async fn kill(mut self) -> Result<(), StagingError> {
        self.reaper.signal(self.pid, Signal::SIGKILL);
        match timeout(STOP, &mut self.exit).await {
            Ok(_) => Ok(()),
            Err(_) => Err(StagingError::StopServer { how: late(), last: String::new() }),
        }
    }

    /// Waits for a server that ends by itself.
    pub async fn ended(mut self, limit: Duration) {
        let _ = timeout(limit, &mut self.exit).await;
    }

    /// Stops it in order, with everything on disk.
    pub async fn stop(mut self) -> Result<(), StagingError> {
        let began = Instant::now();
        self.reaper.signal(self.pid, Signal::SIGTERM);
        let how = timeout(STOP, &mut self.exit).await.unwrap_or_else(|_| late());
        if reap::is_well(&how) {
            tracing::info!(took_ms = began.elapsed().as_millis(), "the server on the data stopped");
            return Ok(());
        }
        let last = self.last_errors().await;
        Err(StagingError::StopServer { how, last })
    }

    /// How it ended, if it did before it answered. A copy from a time of other passwords never answers.
    async fn until_it_answers(&mut self) -> Option<String> {
        tokio::select! {
            how = &mut self.exit => Some(how),
            () = socket::until_it_answers(&self.door) => None,
            () = lockout::seen(&self.door) => {
                self.reaper.signal(self.pid, Signal::SIGKILL);
                Some("denies the agent: the password in the Secret is newer than the copy; try again in two minutes".into())
            }
        }
    }

    async fn last_errors(&mut self) -> String {
        match self.relay.take() {
            Some(relay) => relay.errors().await,
            None => String::new(),
        }
    }
}

fn late() -> String {
    format!("did not end within {STOP:?}")
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing happens if it has ended.
        self.reaper.signal(self.pid, Signal::SIGKILL);
    }
}
