//! A member: its volume, its mysqld, its agent. What the agent decides is the product's own code.

use super::disk::Disk;
use super::planted::Planted;
use super::server::{Receiver, Server};
use super::transaction::{Bases, Gtid, uuid};
use crate::fixture;
use crate::member::{self, Goal, Standing, Verdict};
use crate::protocol::{DataState, DiskState, MemberState, Order, Role, Seen, ServerPhase, Term};

/// Names of the instances.
pub(super) const NAMES: [&str; 5] = ["shop-0", "shop-1", "shop-2", "shop-3", "shop-4"];

/// What the member does, in one run of mysqld (the agent's `Stance`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stance {
    Idle,
    Sealed(Term),
    Primary { term: Term, proven_k: Option<i32>, admitting: bool },
    Replica { term: Term, source: usize },
}

impl Stance {
    fn differs_in_kind(self, other: Self) -> bool {
        match (self, other) {
            (Self::Idle, Self::Idle) => false,
            (Self::Sealed(a), Self::Sealed(b))
            | (Self::Primary { term: a, .. }, Self::Primary { term: b, .. })
            | (Self::Replica { term: a, .. }, Self::Replica { term: b, .. }) => a != b,
            _ => true,
        }
    }
}

/// Being primary of a term (the agent's `Reign`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Reign {
    pub(super) run: u64,
    pub(super) term: Term,
    pub(super) proven_k: Option<i32>,
    pub(super) admitting: bool,
    /// The write that shall prove the count, on its way.
    pub(super) proof: Option<Gtid>,
}

/// A copy that is made.
#[derive(Clone, Debug)]
pub(super) struct Copying {
    pub(super) donor: usize,
    pub(super) request: String,
    /// Data was removed, and some of the donor's is there.
    pub(super) torn: bool,
}

/// The last look at mysqld.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, as the server tells them")]
#[derive(Clone, Debug)]
struct Sight {
    run: u64,
    stance_number: u64,
    data: DataState,
    uuid: String,
    receiving: bool,
    applying: bool,
    acknowledging: bool,
    needs_clone: bool,
}

/// The agent's process.
#[derive(Clone, Debug)]
pub(super) struct Agent {
    process: String,
    pub(super) goals: u64,
    pub(super) goal: Option<Goal>,
    stance: Stance,
    stance_run: u64,
    stance_number: u64,
    pub(super) reign: Option<Reign>,
    pub(super) followed: Option<(u64, Term)>,
    pub(super) copying: Option<Copying>,
    sight: Option<Sight>,
    /// It does not get to run; mysqld goes on.
    pub(super) paused: bool,
}

impl Agent {
    fn new(process: u64) -> Self {
        Self {
            process: format!("process-{process}"),
            goals: 0,
            goal: None,
            stance: Stance::Idle,
            stance_run: 0,
            stance_number: 0,
            reign: None,
            followed: None,
            copying: None,
            sight: None,
            paused: false,
        }
    }

    /// Gives up the goal, which counts like a new one.
    pub(super) fn give_up(&mut self) {
        self.goal = None;
        self.goals += 1;
    }
}

/// A member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) index: usize,
    pub(super) disk: Disk,
    pub(super) server: Option<Server>,
    pub(super) agent: Option<Agent>,
    /// The Pod is gone too, not only its processes.
    pub(super) pod_is_gone: bool,
    /// For the checker: nothing of a lower term may be acknowledged by this member any more.
    pub(super) floor: Term,
    /// For the checker: the highest term of an accepted order.
    pub(super) promised: Term,
    /// For the checker: it took an order of a lower term than one it took before.
    pub(super) broke_promise: bool,
}

impl Member {
    pub(super) fn new(index: usize, volume: u16) -> Self {
        let disk = Disk::blank(NAMES[index], volume);
        Self {
            index,
            disk,
            server: None,
            agent: None,
            pod_is_gone: false,
            floor: 0,
            promised: 0,
            broke_promise: false,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        NAMES[self.index]
    }

    /// The agent process starts; mysqld is started by it later.
    pub(super) fn boot(&mut self, process: u64, planted: Option<Planted>) {
        if planted == Some(Planted::PromiseNotPersisted) {
            self.disk.promise = member::Promise::default();
        }
        self.pod_is_gone = false;
        self.agent = Some(Agent::new(process));
    }

    /// mysqld ends in the middle of whatever it did. A reign does not come back by itself.
    pub(super) fn lose_server(&mut self) {
        self.server = None;
        let Some(agent) = &mut self.agent else { return };
        agent.copying = None;
        let lost = agent.reign.take();
        if let (Some(reign), Some(goal)) = (lost, &agent.goal)
            && goal.ends_with_reign(reign.term)
        {
            agent.give_up();
        }
    }

    /// All processes end.
    pub(super) fn crash(&mut self) {
        self.server = None;
        self.agent = None;
    }

    pub(super) fn stance(&self) -> Stance {
        match (&self.agent, &self.server) {
            (Some(agent), Some(server)) if agent.stance_run == server.run => agent.stance,
            _ => Stance::Idle,
        }
    }

    /// Takes what the member does now; true when that is news.
    pub(super) fn stand(&mut self, stance: Stance) -> bool {
        let before = self.stance();
        let (Some(agent), Some(server)) = (&mut self.agent, &self.server) else { return false };
        let is_news = agent.stance_run != server.run || agent.stance != stance;
        if agent.stance_run != server.run || before.differs_in_kind(stance) {
            agent.stance_number += 1;
        }
        (agent.stance, agent.stance_run) = (stance, server.run);
        match stance {
            Stance::Idle => {}
            Stance::Sealed(term) | Stance::Primary { term, .. } | Stance::Replica { term, .. } => {
                self.floor = self.floor.max(term);
            }
        }
        is_news
    }

    /// Answers an order, by the product's own judgement. None: there is nobody to answer.
    pub(super) fn take(&mut self, order: &Order, planted: Option<Planted>) -> Option<Result<(), String>> {
        let agent = self.agent.as_mut().filter(|agent| !agent.paused)?;
        let mut promise = self.disk.promise.clone();
        let mut seen = Seen { process: agent.process.clone(), goal: agent.goals };
        match planted {
            // What was seen is checked too, and would hide it.
            Some(Planted::OrderWithoutTermCheck) => (promise.term, seen) = (0, order.seen.clone()),
            Some(Planted::PromiseNotPersisted | Planted::OrderWithoutSeen) => seen = order.seen.clone(),
            _ => {}
        }
        let standing = Standing {
            cluster: fixture::UID,
            owner: "prod/shop",
            instance: NAMES[self.index],
            volume: &self.disk.volume,
            promise: &promise,
            goal: agent.goal.as_ref(),
            seen: &seen,
        };
        if let Verdict::Refuse(reason) = member::judge(standing, order) {
            return Some(Err(reason));
        }
        self.broke_promise |= order.term < self.promised;
        self.disk.promise = self.disk.promise.after(order);
        self.promised = self.promised.max(order.term);
        let goal = Goal::of(order);
        if goal.is_some() && agent.goal != goal {
            agent.goal = goal;
            agent.goals += 1;
            if let Some(reign) = &mut agent.reign {
                // The work is dropped in the middle; the transaction goes on waiting.
                reign.proof = None;
            }
        }
        Some(Ok(()))
    }

    /// Whether the member refuses the order now and ever after: what it promised and what it has seen only grow.
    pub(super) fn refuses_for_good(&self, order: &Order, planted: Option<Planted>) -> bool {
        let knows_newer = match (&order.claim, &self.disk.promise.claim) {
            (Some(told), Some(known)) => told.version < known.version,
            _ => false,
        };
        let is_seen = self
            .agent
            .as_ref()
            .is_some_and(|agent| agent.process == order.seen.process && agent.goals == order.seen.goal);
        match planted {
            Some(Planted::OrderWithoutTermCheck | Planted::PromiseNotPersisted) => false,
            Some(Planted::OrderWithoutSeen) => order.term < self.disk.promise.term || knows_newer,
            _ => order.term < self.disk.promise.term || knows_newer || !is_seen,
        }
    }

    /// The agent looks at mysqld.
    pub(super) fn look(&mut self, bases: &Bases, planted: Option<Planted>) {
        let data = self.data(bases, planted);
        let (Some(agent), Some(server)) = (&mut self.agent, &self.server) else { return };
        agent.sight = Some(Sight {
            run: server.run,
            stance_number: agent.stance_number,
            data,
            uuid: uuid(self.disk.uuid),
            receiving: matches!(server.receiver, Receiver::On { .. }),
            applying: server.applies,
            acknowledging: server.replica_semi_sync,
            needs_clone: server.needs_clone,
        });
    }

    fn data(&self, bases: &Bases, planted: Option<Planted>) -> DataState {
        let active = self.server.as_ref().is_some_and(|server| server.receiver.is_active());
        let unapplied = match planted {
            Some(Planted::ExecutedInsteadOfReceived) => false,
            _ => !self.disk.relay.is_empty(),
        };
        let sealed_open = planted == Some(Planted::SealKeepsReceiving);
        DataState {
            executed: self.disk.executed.text(),
            owned: self.disk.owned().text(),
            retrieved: self.disk.retrieved().text(),
            purged: self.disk.purged.text(),
            history: match planted {
                Some(Planted::HistoryByFollowedPrimary) => self.disk.history().max(self.disk.followed_term),
                _ => self.disk.history(),
            },
            strays: match planted {
                Some(Planted::StraysForgotten) => String::new(),
                _ => self.disk.strays(bases).text(),
            },
            settled: !unapplied && (!active || sealed_open),
            waiting_commits: u64::try_from(self.disk.tail.len()).unwrap_or(0),
        }
    }

    /// The stance as it is told: a count that is being changed is not proven.
    fn told_stance(&self, agent: &Agent) -> Stance {
        match self.stance() {
            Stance::Primary { term, proven_k, admitting } => {
                let proven_k = agent.goal.as_ref().and_then(|goal| goal.proven(proven_k));
                Stance::Primary { term, proven_k, admitting }
            }
            other => other,
        }
    }

    /// What the agent tells, from what it saw last. None: it does not answer.
    pub(super) fn state(&self) -> Option<MemberState> {
        let agent = self.agent.as_ref().filter(|agent| !agent.paused)?;
        let sight = agent.sight.as_ref().filter(|sight| {
            self.server.as_ref().is_some_and(|server| server.run == sight.run)
                && (agent.stance_run != sight.run || agent.stance_number == sight.stance_number)
        });
        Some(MemberState {
            crashes: 0,
            cluster: fixture::UID.to_owned(),
            instance: self.name().to_owned(),
            volume: self.disk.volume.id().unwrap_or_default().to_owned(),
            process: agent.process.clone(),
            change: 0,
            replaced_by: String::new(),
            goal: agent.goals,
            promised: self.disk.promise.term,
            claim: self.disk.promise.claim.clone(),
            server: match (&agent.copying, &self.server) {
                (Some(_), _) => ServerPhase::Cloning,
                (None, None) => ServerPhase::Starting,
                (None, Some(_)) => ServerPhase::Running,
            },
            role: role(self.told_stance(agent), sight),
            version: sight.map(|_| "9.7.4".to_owned()),
            server_uuid: sight.map(|sight| sight.uuid.clone()),
            data: sight.map(|sight| sight.data.clone()),
            tails: Vec::new(),
            disk: DiskState::default(),
            long_transactions: None,
            components: Vec::new(),
            variables: Vec::new(),
            archive: None,
            former_passwords: None,
            message: String::new(),
        })
    }
}

fn role(stance: Stance, sight: Option<&Sight>) -> Role {
    match stance {
        Stance::Idle => Role::Idle,
        Stance::Sealed(term) => Role::Sealed { term },
        Stance::Primary { term, proven_k, admitting } => Role::Primary { term, proven_k, admitting },
        Stance::Replica { term, source } => {
            let receiving = sight.is_some_and(|sight| sight.receiving);
            let needs_clone = sight.is_some_and(|sight| sight.needs_clone);
            Role::Replica {
                term,
                source: NAMES[source].to_owned(),
                receiving,
                hearing: receiving,
                applying: sight.is_some_and(|sight| sight.applying),
                acknowledging: receiving && sight.is_some_and(|sight| sight.acknowledging),
                lag_seconds: Some(0),
                lagging: false,
                error: if needs_clone { "error 1236".to_owned() } else { String::new() },
                needs_clone,
            }
        }
    }
}
