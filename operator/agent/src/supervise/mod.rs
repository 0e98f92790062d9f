//! mysqld's parent: makes the data directory, starts mysqld, sees it end, starts it again.

pub mod arguments;
pub mod hold;
pub mod initialize;
mod lockout;
pub mod output;
mod pause;
pub mod program;
pub mod reap;
pub mod script;
mod secret_file;
mod settings;
mod socket;
pub mod staging;

use crate::files::FileError;
use crate::intent;
use crate::logging;
use crate::mysql::Door;
use crate::settings::Settings;
use crate::tail::{note, truncate};
use hold::{Hold, Work};
use lockout::Lockout;
use nix::sys::signal::Signal;
use porpoise_core::protocol::{AgentConfig, Term};
use reap::{Child, Reaper};
use script::Script;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How often a starting mysqld is asked whether it answers.
const POLL: Duration = Duration::from_millis(20);
/// A run of this length was a good one: pauses start over.
const GOOD_RUN: Duration = Duration::from_mins(1);
/// Crashes in a row after which the member is called failed.
const PATIENCE: u32 = 3;

/// What mysqld does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// Not started yet, or to be started again.
    Down,
    /// The data directory is being made.
    Initializing,
    /// Started; it does not answer yet.
    Starting,
    /// It answers.
    Up {
        /// Number of this run of mysqld, to tell it from earlier ones.
        run: u64,
    },
    /// Down by wish.
    Stopped,
    /// Down for a moment: it was a primary and may hold what nobody acknowledged.
    Held {
        /// The term of that.
        reigned: Term,
    },
    /// It does not come up; tried again after a pause.
    Failed {
        /// What was seen.
        reason: String,
    },
}

impl Server {
    /// Number of the run if it answers.
    pub fn run(&self) -> Option<u64> {
        match self {
            Self::Up { run } => Some(*run),
            Self::Down
            | Self::Initializing
            | Self::Starting
            | Self::Stopped
            | Self::Held { .. }
            | Self::Failed { .. } => None,
        }
    }
}

/// How one run ended.
struct RunEnd {
    how: String,
    answered: bool,
    lasted: Duration,
}

/// The parent.
pub struct Supervisor {
    settings: Settings,
    config: AgentConfig,
    server_id: u32,
    reaper: Reaper,
    door: Door,
    status: watch::Sender<Server>,
    wanted: watch::Sender<bool>,
    pid: AtomicI32,
    runs: AtomicU64,
    crashes: AtomicU64,
    is_expected: AtomicBool,
    hold: Hold,
    lockout: Lockout,
    born: Instant,
}

impl Supervisor {
    /// A parent that does nothing until mysqld is wanted.
    pub fn new(settings: Settings, config: AgentConfig, server_id: u32, reaper: Reaper, door: Door) -> Self {
        Self {
            settings,
            config,
            server_id,
            reaper,
            door,
            status: watch::Sender::new(Server::Down),
            wanted: watch::Sender::new(false),
            pid: AtomicI32::new(0),
            runs: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            is_expected: AtomicBool::new(false),
            hold: Hold::default(),
            lockout: Lockout::default(),
            born: Instant::now(),
        }
    }

    /// What mysqld does, and news about it.
    pub fn status(&self) -> watch::Receiver<Server> {
        self.status.subscribe()
    }

    /// What mysqld does now.
    pub fn now(&self) -> Server {
        self.status.borrow().clone()
    }

    /// Who starts processes and waits for them.
    pub fn reaper(&self) -> &Reaper {
        &self.reaper
    }

    /// How often mysqld was started.
    pub fn starts(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// How often mysqld ended without being asked to.
    pub fn crashes(&self) -> u64 {
        self.crashes.load(Ordering::Relaxed)
    }

    /// Whether mysqld shall run. Taking it back does not stop it: see [`Self::terminate`] and [`Self::kill`].
    pub fn want(&self, is_wanted: bool) {
        self.wanted.send_replace(is_wanted);
    }

    /// Ends mysqld at once. Its next start is not held back.
    pub fn kill(&self) {
        self.end(Signal::SIGKILL);
    }

    /// Asks mysqld to end. Only for a server that cannot commit any more (ha.md H1).
    pub fn terminate(&self) {
        self.end(Signal::SIGTERM);
    }

    /// Lets a mysqld start that is held back.
    pub fn release(&self) {
        self.hold.release();
    }

    /// Keeps a mysqld down that is held back, for as long as the work lives; nothing if it is not.
    pub fn begin_work(&self) -> Option<Work> {
        self.hold.begin()
    }

    /// The next end of mysqld is no crash, such as after a clone.
    pub fn expect_end(&self) {
        self.is_expected.store(true, Ordering::SeqCst);
    }

    fn end(&self, signal: Signal) {
        self.expect_end();
        let pid = self.pid.load(Ordering::SeqCst);
        if pid != 0 {
            self.reaper.signal(pid, signal);
        }
    }

    /// Number of the newest run.
    pub fn newest_run(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    /// Waits until this run of mysqld is over; the next one may be on already.
    pub async fn ended(&self, run: u64) {
        let mut status = self.status();
        let is_over = |server: &Server| {
            !matches!(server, Server::Up { .. } | Server::Starting) || self.newest_run() > run
        };
        let _ = status.wait_for(is_over).await;
    }

    /// Keeps mysqld running while it is wanted. Never ends.
    pub async fn keep(&self) {
        let mut failures = 0_u32;
        loop {
            self.until_wanted().await;
            let outcome = match self.prepare().await {
                Ok(()) if !self.hold_back().await => continue,
                Ok(()) => self.one_run().await,
                Err(reason) => Err(reason),
            };
            let is_expected = self.is_expected.swap(false, Ordering::SeqCst);
            let (reason, is_good) = match &outcome {
                Ok(end) => (end.how.clone(), end.answered && end.lasted >= GOOD_RUN),
                Err(reason) => (reason.clone(), false),
            };
            failures = match (is_expected, is_good) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => failures.saturating_add(1),
            };
            if is_expected {
                tracing::info!(how = reason, "mysqld ended");
            } else {
                self.crashes.fetch_add(1, Ordering::Relaxed);
                tracing::error!(how = reason, failures, "mysqld ended unexpectedly");
            }
            let answered = outcome.is_ok_and(|end| end.answered);
            if !is_expected && !answered {
                self.set_variables_aside();
            }
            self.pause(failures, reason, answered).await;
        }
    }

    async fn until_wanted(&self) {
        let mut wanted = self.wanted.subscribe();
        if !*wanted.borrow_and_update() {
            self.status.send_replace(Server::Stopped);
            let _ = wanted.wait_for(|is_wanted| *is_wanted).await;
        }
    }

    /// Waits, if this was a primary, for an order that says what may be kept (ha.md §4e). False when mysqld is not wanted
    /// any more.
    async fn hold_back(&self) -> bool {
        match note::read(&self.settings) {
            Ok(None) => return true,
            Ok(Some(reigned)) => {
                tracing::info!(reigned, "mysqld was a primary: its start waits for an order");
                self.hold.arm();
                self.status.send_replace(Server::Held { reigned });
                let began = Instant::now();
                self.hold.until_released(hold::LIMIT, self.wanted.subscribe()).await;
                tracing::info!(after_ms = millis(began), "mysqld is held back no longer");
            }
            // It says nothing that the start depends on.
            Err(error) => {
                tracing::warn!(error = logging::chain(&error), "the note of the last reign is lost");
            }
        }
        *self.wanted.borrow()
    }

    /// The first restart comes at once; after that the pauses double.
    async fn pause(&self, failures: u32, reason: String, answered: bool) {
        let is_wanted = *self.wanted.borrow();
        let next = match (is_wanted, failures) {
            (false, _) => Server::Stopped,
            (true, failures) if failures >= PATIENCE || (failures > 0 && !answered) => {
                Server::Failed { reason: format!("mysqld {reason}") }
            }
            (true, _) => Server::Down,
        };
        self.status.send_replace(next);
        let mut wanted = self.wanted.subscribe();
        wanted.mark_unchanged();
        tokio::select! {
            () = sleep(pause::after(failures, answered)) => {}
            _ = wanted.changed() => {}
        }
    }

    async fn one_run(&self) -> Result<RunEnd, String> {
        self.finish_cut()?;
        socket::forget_lock(&self.settings.mysql_socket())
            .map_err(|error| format!("has a stale lock beside its socket that cannot be removed: {error}"))?;
        let mut command = Command::new(&self.settings.mysqld);
        command.args(arguments::serve(&self.settings, &self.config, self.server_id));
        let way_in = self.way_in()?;
        command.args(way_in.iter().map(|script| arguments::script(script.path())));
        self.is_expected.store(false, Ordering::SeqCst);
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        self.status.send_replace(Server::Starting);
        let started = Instant::now();
        let child = self.reaper.spawn(&mut command).map_err(|error| format!("cannot be started: {error}"))?;
        self.pid.store(child.pid, Ordering::SeqCst);
        tracing::info!(pid = child.pid, run, "mysqld started");
        let (how, answered) = self.watch(child, run, started, way_in).await;
        self.pid.store(0, Ordering::SeqCst);
        Ok(RunEnd { how, answered, lasted: started.elapsed() })
    }

    /// Wipes what a broken clone left, and makes a data directory if there is none.
    async fn prepare(&self) -> Result<(), String> {
        let words =
            |error: &dyn std::error::Error| format!("has no data directory: {}", logging::chain(error));
        if intent::is_pending(&self.settings).map_err(|error| words(&error))? {
            tracing::warn!("a clone did not finish: the data is removed");
            initialize::wipe(&self.settings).map_err(|error| words(&error))?;
            self.forget_past().map_err(|error| words(&error))?;
            intent::clear(&self.settings).map_err(|error| words(&error))?;
        }
        if intent::is_renaming(&self.settings).map_err(|error| words(&error))? {
            self.forget_past().map_err(|error| words(&error))?;
        }
        if intent::rename_server(&self.settings).map_err(|error| words(&error))? {
            tracing::info!("the data was cloned: the server takes a new UUID");
        }
        self.finish_cut()?;
        self.keep_settings().await?;
        if !self.settings.data_path.exists() {
            self.status.send_replace(Server::Initializing);
            let started = Instant::now();
            initialize::initialize(&self.settings, &self.reaper).await.map_err(|error| words(&error))?;
            tracing::info!(took_ms = millis(started), "data directory made");
        }
        Ok(())
    }

    /// What was noted about data that is replaced.
    fn forget_past(&self) -> Result<(), FileError> {
        truncate::abandon(&self.settings)?;
        note::clear(&self.settings)
    }

    /// Finishes what a crash interrupted: a half-cut binlog is not for mysqld.
    fn finish_cut(&self) -> Result<(), String> {
        let cut = truncate::finish(&self.settings);
        if cut.map_err(|error| format!("has a binlog that must be cut: {}", logging::chain(&error)))? {
            tracing::info!("a cut that was interrupted is finished");
        }
        Ok(())
    }

    async fn watch(
        &self,
        child: Child,
        run: u64,
        started: Instant,
        way_in: Option<Script>,
    ) -> (String, bool) {
        let last_error = output::relay(child.stdout, child.stderr);
        let mut exit = child.exit;
        let mut answered = false;
        let ended = tokio::select! {
            how = &mut exit => Some(how),
            () = socket::until_it_answers(&self.door) => None,
            () = lockout::seen(&self.door) => {
                self.break_in();
                Some((&mut exit).await)
            }
        };
        let how = if let Some(how) = ended {
            how
        } else {
            answered = true;
            drop(way_in);
            self.lockout.is_over();
            tracing::info!(took_ms = millis(started), run, "mysqld answers");
            self.status.send_replace(Server::Up { run });
            exit.await
        };
        // At once: whoever waits for the end must not wait for the last lines of the log.
        self.status.send_replace(Server::Down);
        (format!("{how}{}", last_error.suffix().await), answered)
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
