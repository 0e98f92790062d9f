//! Working towards the goal that the last order set, step by idempotent step.
//!
//! A new order or a new run of mysqld drops the work in the middle and begins again from what is then seen.

pub mod accounts;
mod begin;
pub mod clone;
mod components;
pub(crate) mod events;
mod fence;
pub mod follow;
pub mod passwords;
pub mod promote;
pub mod rejoin;
mod restore;
pub mod seal;
pub mod shutdown;
mod take_over;
mod variables;
mod whole;

use crate::backup::snapshot::SnapshotError;
use crate::backup::unpack::RestoreError;
use crate::beginning::BeginError;
use crate::files::FileError;
use crate::logging;
use crate::member::{Member, Stance};
use crate::mysql::quote::QuoteError;
use crate::mysql::{Door, Session, SqlError};
use crate::observe::Facts;
use crate::supervise::{Server, Supervisor};
use porpoise_core::beginning::CANNOT_BEGIN;
use porpoise_core::member::Goal;
use porpoise_core::protocol::{ACCOUNTS_STAY, Action, Term};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Bound of a statement that only sets or reads something.
pub const BRIEF: Duration = Duration::from_secs(2);
/// Bound of stopping or starting replication threads.
pub const THREADS: Duration = Duration::from_secs(10);
/// Between two looks at a reached goal.
const KEEP: Duration = Duration::from_millis(500);
/// Between two looks at a goal that only needs time.
const WAIT: Duration = Duration::from_millis(20);
/// After a failed step.
const RETRY: Duration = Duration::from_millis(300);

/// How far a step came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The goal is reached.
    Reached,
    /// It needs time; what for, in words.
    Waits(String),
    /// The goal is reached and over: the member waits for the next order.
    Over,
}

/// What can go wrong on the way.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum GoalError {
    /// A statement failed.
    #[error("run a step")]
    RunStep {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// A value cannot be written in SQL.
    #[error("quote {what}")]
    QuoteValue {
        /// Of what.
        what: &'static str,
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// A file with an account cannot be read.
    #[error("read the account file {file}")]
    ReadAccount {
        /// The file.
        file: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// A password cannot be used.
    #[error("use the new {file} of the Secret: {reason}; {ACCOUNTS_STAY}")]
    RefusePassword {
        /// Its key in the Secret.
        file: String,
        /// Why, and what to do.
        reason: &'static str,
    },
    /// The application's account has a name that is not for it.
    #[error("use {user:?} for the application: the name is reserved")]
    AcceptUser {
        /// The name.
        user: String,
    },
    /// A file of the agent's cannot be used.
    #[error("keep a note on the volume")]
    KeepNote {
        /// Cause.
        #[source]
        source: FileError,
    },
    /// Writes could not be closed.
    #[error("close writes: {reason}")]
    CloseWrites {
        /// Why.
        reason: String,
    },
    /// A backup's data cannot be taken.
    #[error("restore")]
    RestoreData {
        /// Cause.
        #[source]
        source: RestoreError,
    },
    /// A volume that was made from a snapshot cannot be taken over.
    #[error("take over the volume")]
    TakeOverVolume {
        /// Cause.
        #[source]
        source: SnapshotError,
    },
    /// The first data of a cluster cannot be made.
    #[error("{CANNOT_BEGIN}")]
    BeginData {
        /// Cause.
        #[source]
        source: BeginError,
    },
    /// Copying failed.
    #[error("clone from {donor}")]
    CloneData {
        /// The donor.
        donor: String,
        /// Cause.
        #[source]
        source: SqlError,
    },
}

impl GoalError {
    /// Stable word for metrics and events.
    pub fn category(&self) -> &'static str {
        self.into()
    }

    fn step(source: SqlError) -> Self {
        Self::RunStep { source }
    }
}

/// Being primary of a term, in one run of mysqld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reign {
    /// The run.
    pub run: u64,
    /// The term.
    pub term: Term,
    /// Acknowledgements that were shown to arrive.
    pub proven_k: Option<i32>,
    /// Whether clients are let in.
    pub admitting: bool,
    /// Fingerprint of the accounts as last made sure of.
    pub accounts: String,
    /// What is known of former passwords.
    pub former: passwords::Former,
    /// What is known of scheduled events.
    pub events: events::Known,
}

/// What the agent remembers between steps; all of it is about the running mysqld.
#[derive(Default)]
struct Memory {
    reign: Option<Reign>,
    followed: Option<(u64, Term)>,
    threads_started: Option<Instant>,
    /// The run that is known to hold nothing in doubt.
    closed: Option<u64>,
    components: components::Known,
    credentials: passwords::Credentials,
    variables: variables::Known,
}

/// The worker.
pub struct Pursuit {
    member: Arc<Member>,
    supervisor: Arc<Supervisor>,
    admin: Session,
    door: Door,
    memory: Mutex<Memory>,
    /// Held while clients are let in or turned away.
    gate: tokio::sync::Mutex<()>,
    exclusive: Arc<tokio::sync::Mutex<()>>,
}

impl Pursuit {
    /// A worker with its own long-lived connection.
    pub fn new(member: Arc<Member>, supervisor: Arc<Supervisor>, door: Door) -> Self {
        Self {
            member,
            supervisor,
            admin: Session::start(door.clone()),
            door,
            memory: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
            exclusive: Arc::default(),
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self) -> Result<Facts, GoalError> {
        Facts::read(&self.admin, BRIEF).await.map_err(GoalError::step)
    }

    /// Works for ever.
    pub async fn pursue(self: &Arc<Self>) {
        let mut goals = self.member.goals();
        let mut servers = self.supervisor.status();
        let mut known_run = None;
        loop {
            let goal = goals.borrow_and_update().clone();
            let server = servers.borrow_and_update().clone();
            if server.run() != known_run {
                known_run = server.run();
                self.admin.forget().await;
            }
            self.forget_lost_reign(goal.as_ref(), known_run);
            tokio::select! {
                biased;
                _ = goals.changed() => {}
                _ = servers.changed() => {}
                () = self.work(goal, &server) => {}
            }
        }
    }

    /// Components and settings that the cluster's configuration lists, on the running mysqld. When there is nothing to do, this
    /// costs a look at a small file.
    async fn configure(&self) {
        let Some(run) = self.supervisor.now().run() else {
            return;
        };
        let config = self.member.newest_config();
        components::ensure(self, run, config.components.clone()).await;
        variables::ensure(self, run, config).await;
    }

    /// A primary whose mysqld ended does not become primary again by itself: what it last wrote may not be acknowledged.
    fn forget_lost_reign(&self, goal: Option<&Goal>, run: Option<u64>) {
        let lost = self.memory().reign.take_if(|reign| Some(reign.run) != run);
        if let (Some(reign), Some(goal)) = (lost, goal)
            && goal.ends_with_reign(reign.term)
        {
            tracing::warn!(term = reign.term, "mysqld ended: this member is no longer the primary");
            self.member.give_up(goal);
        }
    }

    async fn work(self: &Arc<Self>, goal: Option<Goal>, server: &Server) {
        let Some(goal) = goal else {
            self.member.say("", true);
            return std::future::pending().await;
        };
        // A clone that runs is not disturbed; whatever was ordered since comes after it.
        drop(self.exclusive.lock().await);
        loop {
            let pause = match self.step(&goal, server).await {
                Ok(Progress::Reached) => {
                    self.member.say("", true);
                    KEEP
                }
                Ok(Progress::Waits(message)) => {
                    self.member.say(&message, false);
                    WAIT
                }
                Ok(Progress::Over) => {
                    self.member.say("", true);
                    return self.member.give_up(&goal);
                }
                Err(error) => {
                    tracing::warn!(
                        category = error.category(),
                        error = logging::chain(&error),
                        "step failed"
                    );
                    self.member.say(&logging::chain(&error), false);
                    RETRY
                }
            };
            sleep(pause).await;
        }
    }

    async fn step(self: &Arc<Self>, goal: &Goal, server: &Server) -> Result<Progress, GoalError> {
        if goal.action == Action::Shutdown {
            return shutdown::step(self).await;
        }
        // There is no mysqld to wait for before the volume is ours.
        if let Action::TakeOver { former, request } = &goal.action {
            return take_over::step(self, former.clone(), request.clone()).await;
        }
        self.supervisor.want(true);
        if let Server::Held { reigned } = server {
            rejoin::while_held(self, goal, *reigned).await;
        }
        let Some(run) = server.run() else {
            // The caller begins again when mysqld answers.
            return std::future::pending().await;
        };
        let term = goal.term;
        match &goal.action {
            Action::Seal => {
                let progress = seal::step(self, run, term).await?;
                if progress == Progress::Reached {
                    rejoin::forget_reign(self, run)?;
                }
                Ok(progress)
            }
            Action::Promote { k, admit } => {
                let order = promote::Wanted { term, k: *k, admit: *admit };
                promote::step(self, run, order).await
            }
            Action::Follow { source, host, acknowledge, keep } => {
                let stance = Stance::Replica { term, source: source.clone() };
                if !rejoin::may_follow(self, run, stance, keep.as_deref()).await? {
                    return Ok(Progress::Waits(
                        "this member has what the primary lacks: waiting to be cloned".into(),
                    ));
                }
                let wanted = follow::Wanted { term, source, host, acknowledge: *acknowledge };
                follow::step(self, run, wanted).await
            }
            Action::Clone { donor, host, request } => {
                let wanted = clone::Wanted {
                    term,
                    donor: donor.clone(),
                    host: host.clone(),
                    request: request.clone(),
                };
                clone::step(self, run, wanted).await
            }
            Action::Restore { source, request } => {
                let (source, request) = (source.as_ref().clone(), request.clone());
                restore::step(self, restore::Wanted { term, source, request }).await
            }
            Action::Begin { origin, request } => {
                let (origin, request) = (origin.as_ref().clone(), request.clone());
                begin::step(self, begin::Wanted { term, origin, request }).await
            }
            // Done when the order came.
            Action::Adopt { .. } | Action::TakeOver { .. } | Action::Shutdown => Ok(Progress::Over),
        }
    }

    /// Whether threads that stopped with an error may be started again: not so often that the error is never seen.
    fn may_start_threads(&self) -> bool {
        const PAUSE: Duration = Duration::from_secs(5);
        let mut memory = self.memory();
        let may = memory.threads_started.is_none_or(|last| last.elapsed() >= PAUSE);
        if may {
            memory.threads_started = Some(Instant::now());
        }
        may
    }

    /// For `stop` on the way out: what mysqld does.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// News about mysqld.
    pub fn server(&self) -> watch::Receiver<Server> {
        self.supervisor.status()
    }
}
