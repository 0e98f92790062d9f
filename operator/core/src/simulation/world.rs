//! Everything there is: members, operators, the API server's object, what is on its way, and what clients were told.

use super::checks::{Ledger, Violation};
use super::dice::Dice;
use super::member::{Agent, Member, NAMES};
use super::network::Network;
use super::operator::Operator;
use super::planted::Planted;
use super::server::Server;
use super::transaction::Bases;
use porpoise_crds::MySQLClusterStatus;

/// The object as the API server has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    /// resourceVersion.
    pub(super) version: u64,
    /// `spec.instances`.
    pub(super) instances: usize,
    /// `spec.durability.policy` is `Degradable`.
    pub(super) degradable: bool,
    pub(super) status: MySQLClusterStatus,
}

/// Numbers that are given once.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    server: u16,
    content: u16,
    run: u64,
    process: u64,
}

impl Numbers {
    /// A server UUID, or a volume, that was never used before.
    pub(super) fn server(&mut self) -> u16 {
        self.server += 1;
        self.server
    }

    pub(super) fn content(&mut self) -> u16 {
        self.content += 1;
        self.content
    }

    pub(super) fn run(&mut self) -> u64 {
        self.run += 1;
        self.run
    }

    pub(super) fn process(&mut self) -> u64 {
        self.process += 1;
        self.process
    }
}

/// The world of one schedule.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) planted: Option<Planted>,
    /// Milliseconds since the beginning.
    pub(super) now: i64,
    pub(super) members: Vec<Member>,
    /// Pods that the `StatefulSet` runs.
    pub(super) replicas: usize,
    pub(super) stored: Stored,
    pub(super) operators: [Operator; 2],
    pub(super) network: Network,
    pub(super) ledger: Ledger,
    pub(super) numbers: Numbers,
    pub(super) bases: Bases,
    /// Nothing fails any more, and what is told is fresh.
    pub(super) calm: bool,
    /// Appliers are slow.
    pub(super) lagging: bool,
    /// mysqld is slow to answer: what its agent tells may be a moment old.
    pub(super) slow: bool,
    /// What happened, if somebody wants to read it.
    pub(super) trace: Option<Vec<String>>,
    pub(super) violation: Option<Violation>,
}

impl World {
    /// A cluster that was just created.
    pub(super) fn new(instances: usize, dice: Dice) -> Self {
        let mut world = Self {
            dice,
            planted: None,
            now: 0,
            members: Vec::new(),
            replicas: 0,
            stored: Stored { instances, ..Stored::default() },
            operators: [Operator::new(0), Operator::new(1)],
            network: Network::default(),
            ledger: Ledger::default(),
            numbers: Numbers::default(),
            bases: Bases::default(),
            calm: false,
            slow: false,
            lagging: false,
            trace: None,
            violation: None,
        };
        world.run_replicas(instances);
        world
    }

    /// Notes what happens, for people.
    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>7} ms  {}", self.now, text()));
        }
    }

    /// Agent and mysqld of a member whose agent runs.
    pub(super) fn running(&mut self, index: usize) -> Option<(&mut Agent, &mut Server)> {
        let member = self.members.get_mut(index)?;
        member.agent.as_mut().filter(|agent| !agent.paused).zip(member.server.as_mut())
    }

    /// The `StatefulSet` runs so many Pods from now on.
    pub(super) fn run_replicas(&mut self, replicas: usize) {
        let replicas = replicas.min(NAMES.len());
        while self.members.len() < replicas {
            let volume = self.numbers.server();
            self.members.push(Member::new(self.members.len(), volume));
            self.boot(self.members.len() - 1);
        }
        for index in replicas..self.members.len() {
            self.members[index].crash();
            self.members[index].pod_is_gone = true;
        }
        self.replicas = replicas;
    }

    /// Whether the Pod may run and its agent does not.
    pub(super) fn can_boot(&self, index: usize) -> bool {
        index < self.replicas && self.members[index].agent.is_none()
    }

    /// The agent starts.
    pub(super) fn boot(&mut self, index: usize) {
        let process = self.numbers.process();
        let planted = self.planted;
        self.note(|| format!("{} boots", NAMES[index]));
        self.members[index].boot(process, planted);
    }

    /// mysqld ends in the middle of whatever it did.
    pub(super) fn lose_server(&mut self, index: usize) {
        self.members[index].lose_server();
    }

    /// All processes of the member end; its volume stays.
    pub(super) fn crash(&mut self, index: usize) {
        self.note(|| format!("{} crashes", NAMES[index]));
        self.members[index].crash();
    }

    /// The volume is gone; the Pod gets a blank one.
    pub(super) fn lose_volume(&mut self, index: usize) {
        let volume = self.numbers.server();
        self.note(|| format!("{} loses its volume", NAMES[index]));
        self.members[index] = Member::new(index, volume);
    }

    /// Names of members that let clients write.
    pub(super) fn open_members(&self) -> Vec<usize> {
        let open = |member: &&Member| member.server.as_ref().is_some_and(Server::is_open);
        self.members.iter().filter(open).map(|member| member.index).collect()
    }
}
