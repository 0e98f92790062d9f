//! What the agent knows about its member, in one place.

mod archive;
mod news;
mod orders;
mod report;
mod volume;

pub use archive::{Archived, Told};

use crate::intent;
use crate::mysql::SqlError;
use crate::observe::Facts;
use crate::pulse::Pulse;
use crate::settings::Settings;
use crate::supervise::Supervisor;
use archive::ArchiveFigures;
use porpoise_core::member::{self, Goal, Promise, Volume};
use porpoise_core::protocol::{
    AgentConfig, Component, DiskState, LongTransactions, MemberState, Tail, Term, Variable,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// Facts older than this are told no more.
const STALE: Duration = Duration::from_secs(2);

/// What the member does, in one run of mysqld.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Stance {
    /// Nothing.
    #[default]
    Idle,
    /// Receives and writes nothing.
    Sealed {
        /// The term.
        term: Term,
    },
    /// Writes.
    Primary {
        /// The term.
        term: Term,
        /// Acknowledgements that were shown to arrive.
        proven_k: Option<i32>,
        /// Whether clients are let in.
        admitting: bool,
    },
    /// Follows.
    Replica {
        /// The term.
        term: Term,
        /// Instance it receives from.
        source: String,
    },
}

impl Stance {
    /// Whether facts from before a change to `other` say nothing any more.
    fn differs_in_kind(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Idle, Self::Idle) => false,
            (Self::Sealed { term: a }, Self::Sealed { term: b })
            | (Self::Primary { term: a, .. }, Self::Primary { term: b, .. })
            | (Self::Replica { term: a, .. }, Self::Replica { term: b, .. }) => a != b,
            _ => true,
        }
    }
}

struct Sight {
    run: u64,
    stance: u64,
    at: Instant,
    facts: Facts,
}

struct Board {
    volume: Volume,
    promise: Promise,
    stance: Stance,
    stance_run: u64,
    stance_number: u64,
    seen: Option<Sight>,
    pulse: Option<Pulse>,
    silent: String,
    message: String,
    is_cloning: bool,
    /// The last wish for other data that was carried out.
    replaced_by: String,
    is_draining: bool,
    is_settled_goal: bool,
    goals: u64,
    /// The run of mysqld whose data is not what may be kept.
    diverged: Option<u64>,
    tails: Vec<Tail>,
    disk: DiskState,
    long_transactions: Option<LongTransactions>,
    reads: Reads,
    /// Of a run of mysqld.
    components: (u64, Vec<Component>),
    /// Of a run of mysqld.
    variables: (u64, Vec<Variable>),
    archived: Archived,
    /// Accounts whose former password is accepted, if this is the primary.
    former_passwords: Option<Vec<String>>,
}

/// Whether a replica may be read from, when it was last looked at.
struct Reads {
    bound_seconds: u64,
    is_lagging: bool,
}

/// The member.
pub struct Member {
    /// Paths and ports.
    pub settings: Settings,
    /// Content of `agent.json`.
    pub config: AgentConfig,
    supervisor: Arc<Supervisor>,
    process: String,
    board: Mutex<Board>,
    goal: watch::Sender<Option<Goal>>,
    told: Mutex<MemberState>,
    change: watch::Sender<u64>,
    looks_begun: AtomicU64,
    looks_done: watch::Sender<u64>,
    look: Notify,
    ordering: tokio::sync::Mutex<()>,
    accepted: AtomicU64,
    refused: AtomicU64,
    commit_delay: AtomicU64,
    archive: watch::Sender<Option<Told>>,
    archive_figures: ArchiveFigures,
}

impl Member {
    /// A member that does nothing yet.
    pub fn new(
        settings: Settings,
        config: AgentConfig,
        supervisor: Arc<Supervisor>,
        volume: Volume,
        promise: Promise,
    ) -> Self {
        let board = Board {
            volume,
            promise,
            stance: Stance::Idle,
            stance_run: 0,
            stance_number: 0,
            seen: None,
            pulse: None,
            silent: String::new(),
            message: String::new(),
            is_cloning: false,
            replaced_by: intent::done(&settings).ok().flatten().unwrap_or_default(),
            is_draining: false,
            is_settled_goal: true,
            goals: 0,
            diverged: None,
            tails: Vec::new(),
            disk: DiskState::default(),
            long_transactions: None,
            reads: Reads { bound_seconds: config.ready_lag_seconds, is_lagging: false },
            components: (0, Vec::new()),
            variables: (0, Vec::new()),
            archived: Archived::default(),
            former_passwords: None,
        };
        Self {
            settings,
            config,
            supervisor,
            process: uuid::Uuid::new_v4().to_string(),
            board: Mutex::new(board),
            goal: watch::Sender::new(None),
            told: Mutex::default(),
            change: watch::Sender::new(0),
            looks_begun: AtomicU64::new(0),
            looks_done: watch::Sender::new(0),
            look: Notify::new(),
            ordering: tokio::sync::Mutex::new(()),
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            commit_delay: AtomicU64::new(0),
            archive: watch::Sender::new(None),
            archive_figures: ArchiveFigures::default(),
        }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The goal, and news about it.
    pub fn goals(&self) -> watch::Receiver<Option<Goal>> {
        self.goal.subscribe()
    }

    /// Gives up the goal, if it is still this one. That counts like a new goal: an order that was decided before is of
    /// another time.
    pub fn give_up(&self, goal: &Goal) {
        let mut board = self.board();
        self.goal.send_if_modified(|current| {
            let is_same = current.as_ref() == Some(goal);
            if is_same {
                *current = None;
                board.goals += 1;
            }
            is_same
        });
    }

    /// Takes what the member does now, if mysqld's run is still the one in which it was done.
    pub fn stand(&self, run: u64, stance: Stance) {
        let mut board = self.board();
        if self.supervisor.now().run() != Some(run) {
            return;
        }
        if board.stance != stance || board.stance_run != run {
            tracing::info!(?stance, run, "the member's role changes");
        }
        if board.stance_run != run || board.stance.differs_in_kind(&stance) {
            board.stance_number += 1;
            self.look.notify_one();
        }
        board.stance = stance;
        board.stance_run = run;
    }

    /// What the member does.
    pub fn stance(&self) -> Stance {
        let run = self.supervisor.now().run();
        let board = self.board();
        if run == Some(board.stance_run) { board.stance.clone() } else { Stance::Idle }
    }

    /// What the member does in the run of mysqld that answers now.
    pub fn stance_of_run(&self) -> Option<(u64, Stance)> {
        let run = self.supervisor.now().run()?;
        let board = self.board();
        (run == board.stance_run).then(|| (run, board.stance.clone()))
    }

    /// Number of the stance, to be read before facts are.
    pub fn stance_number(&self) -> u64 {
        self.board().stance_number
    }

    /// Takes facts that were asked for after the stance `stance` was taken.
    pub fn see(&self, run: u64, stance: u64, facts: Facts) {
        let lag = facts.replication.as_ref().and_then(|replication| replication.lag_seconds);
        let mut board = self.board();
        board.silent.clear();
        let Reads { bound_seconds, is_lagging } = board.reads;
        board.reads.is_lagging = member::is_lagging(is_lagging, lag, bound_seconds);
        board.seen = Some(Sight { run, stance, at: Instant::now(), facts });
    }

    /// Takes note that mysqld did not answer.
    pub fn miss(&self, since: Instant, error: &SqlError) {
        let mut board = self.board();
        let age = board.seen.as_ref().map_or(since, |seen| seen.at).elapsed();
        board.silent = format!("mysqld has not answered for {:.1} s: {error}", age.as_secs_f64());
    }

    /// A look at mysqld begins; returns its number.
    pub fn begin_look(&self) -> u64 {
        self.looks_begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// A look at mysqld is over, whatever it saw.
    pub fn end_look(&self, number: u64) {
        self.tell();
        self.looks_done.send_replace(number);
    }

    /// Waits for somebody who wants fresh facts.
    pub async fn asked_to_look(&self) {
        self.look.notified().await;
    }

    /// Waits, within `limit`, for a look that began after now.
    pub async fn look_again(&self, limit: Duration) {
        let mut done = self.looks_done.subscribe();
        let begun = self.looks_begun.load(Ordering::SeqCst);
        self.look.notify_one();
        let _ = timeout(limit, done.wait_for(|number| *number > begun)).await;
    }

    /// Whether something is going on that deserves a closer look.
    pub fn is_busy(&self) -> bool {
        let board = self.board();
        let is_behind = board.seen.as_ref().is_some_and(|seen| !seen.facts.applied_all);
        !board.is_settled_goal || is_behind || !board.silent.is_empty()
    }

    /// Says what the agent is busy with; empty when the goal is reached.
    pub fn say(&self, message: &str, is_settled: bool) {
        let mut board = self.board();
        if board.message != message {
            if !message.is_empty() {
                tracing::info!(message, "progress");
            }
            message.clone_into(&mut board.message);
        }
        board.is_settled_goal = is_settled;
    }

    /// Data is being replaced by a clone, or no longer.
    pub fn clone_runs(&self, is_cloning: bool) {
        self.board().is_cloning = is_cloning;
    }

    /// The data was replaced, as this wish asked for.
    pub fn replaced(&self, request: &str) {
        request.clone_into(&mut self.board().replaced_by);
    }

    /// This run's data holds what the primary lacks: the state asks for a clone. Returns whether that was known.
    pub fn diverge(&self, run: u64) -> bool {
        self.board().diverged.replace(run) == Some(run)
    }

    /// What is kept of what was cut off.
    pub fn tell_tails(&self, tails: Vec<Tail>) {
        self.board().tails = tails;
    }

    /// What became of the listed components in this run of mysqld.
    pub fn tell_components(&self, run: u64, components: Vec<Component>) {
        self.board().components = (run, components);
    }

    /// These accounts have a former password that is still accepted. Without any: nobody has looked yet.
    pub fn keep_former(&self, users: Option<Vec<String>>) {
        self.board().former_passwords = users;
    }

    /// What became of the listed settings in this run of mysqld.
    pub fn tell_variables(&self, run: u64, variables: Vec<Variable>) {
        self.board().variables = (run, variables);
    }

    /// The Pod is about to end: not ready any more.
    pub fn drain(&self) {
        self.board().is_draining = true;
    }

    /// Whether the Pod is about to end.
    pub fn is_draining(&self) -> bool {
        self.board().is_draining
    }

    /// Facts that are fresh and of the present stance.
    pub fn facts(&self) -> Option<Facts> {
        let run = self.supervisor.now().run();
        let board = self.board();
        let seen = board.seen.as_ref()?;
        let is_current = run == Some(seen.run)
            && seen.at.elapsed() <= STALE
            && (board.stance_run != seen.run || seen.stance == board.stance_number);
        is_current.then(|| seen.facts.clone())
    }

    /// `agent.json` as it is now: the volume of the `ConfigMap` follows the object, and some settings are taken up without a
    /// restart. What the agent began with, where it cannot be read.
    pub fn newest_config(&self) -> AgentConfig {
        self.settings.config().unwrap_or_else(|_| self.config.clone())
    }

    /// Term and claim that were promised.
    pub fn promise(&self) -> Promise {
        self.board().promise.clone()
    }

    /// How often mysqld was started.
    pub fn starts(&self) -> u64 {
        self.supervisor.starts()
    }

    /// Commits are held back for so long.
    pub fn delay_commits(&self, delay: Duration) {
        self.commit_delay.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Reads are served up to this lag.
    pub fn bound_lag(&self, seconds: u64) {
        self.board().reads.bound_seconds = seconds;
    }

    /// Microseconds that commits are held back.
    pub fn commit_delay(&self) -> u64 {
        self.commit_delay.load(Ordering::Relaxed)
    }
}
