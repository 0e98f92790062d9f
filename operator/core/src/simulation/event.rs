//! The events that a search tries one by one: which are enabled, and what they do.

use super::fingerprint::{LONGEST, WAIT};
use super::member::NAMES;
use super::server::Receiver;
use super::transaction::Kind;
use super::world::World;
use std::fmt;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// mysqld ends; its agent goes on.
    Server,
    /// All processes of a member end.
    Member,
    /// The node goes down, with what was in its page cache; the Pod is removed until it boots again.
    Node,
    /// Nothing gets from or to a member, until all cuts heal.
    Cut,
    /// A member's volume is lost.
    Volume,
    /// An operator's process ends.
    Operator,
    /// An acknowledgement is lost.
    Acknowledgement,
}

/// Something that happens to the member, operator or message with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An operator asks everybody and decides; orders go out.
    Look(usize),
    /// It writes the record that it decided on.
    Record(usize),
    /// An order arrives.
    Deliver(usize),
    /// An agent starts.
    Boot(usize),
    /// mysqld starts.
    Start(usize),
    /// A member goes on towards its goal.
    Pursue(usize),
    /// A receiver connects, or notices that it is not connected.
    Connect(usize),
    /// A replica receives a transaction.
    Receive(usize),
    /// An acknowledgement arrives.
    Acknowledge(usize),
    /// The oldest waiting commit is completed.
    Complete(usize),
    /// A replica applies a transaction.
    Apply(usize),
    /// A client writes.
    Write(usize),
    /// The number of instances that is wanted changes.
    Scale(usize),
    /// Time passes.
    Wait,
    /// All cuts heal.
    Heal,
    /// Something goes wrong.
    Mishap(Fault, usize),
}

/// How much happens at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grain {
    /// One statement of an agent.
    Statement,
    /// Everything that an agent can do towards its goal at once.
    Goal,
    /// Everything that a member can do at once: also mysqld starts with its agent, receivers connect, and what is received
    /// is applied.
    Member,
}

/// What may still happen in a state, beside what the product does by itself.
#[derive(Clone, Debug)]
pub(super) struct Allowance {
    pub(super) grain: Grain,
    pub(super) operators: usize,
    pub(super) writes: u8,
    pub(super) faults: u8,
    pub(super) kinds: &'static [Fault],
    /// Volumes that may be lost, each of them a fault.
    pub(super) volumes: u8,
    /// Numbers of instances that may still be asked for, in this order.
    pub(super) scales: &'static [usize],
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl World {
    /// Events that may happen now.
    pub(super) fn enabled(&self, allowance: &Allowance) -> Vec<Event> {
        let operators = 0..allowance.operators;
        let mut events: Vec<Event> = operators.clone().map(Event::Look).collect();
        events
            .extend(operators.filter(|index| self.operators[*index].intention.is_some()).map(Event::Record));
        events.extend((0..self.network.late.len()).map(Event::Deliver));
        events.extend((0..self.network.acks.len()).map(Event::Acknowledge));
        for index in 0..self.members.len() {
            self.enabled_at(index, allowance, &mut events);
        }
        events.extend(allowance.scales.first().copied().map(Event::Scale));
        if self.network.is_cut() {
            events.push(Event::Heal);
        }
        let operation = self.stored.status.operation.as_ref();
        if operation.is_some_and(|operation| self.elapsed(operation) < LONGEST) {
            events.push(Event::Wait);
        }
        if allowance.faults > 0 {
            allowance.kinds.iter().for_each(|fault| self.mishaps(*fault, allowance, &mut events));
        }
        events
    }

    fn enabled_at(&self, index: usize, allowance: &Allowance, events: &mut Vec<Event>) {
        let member = &self.members[index];
        if self.can_boot(index) {
            events.push(Event::Boot(index));
        }
        let Some(agent) = &member.agent else { return };
        let Some(server) = &member.server else { return events.push(Event::Start(index)) };
        if agent.goal.is_some() {
            events.push(Event::Pursue(index));
        }
        if server.receiver != Receiver::Off {
            events.push(Event::Connect(index));
        }
        if self.stream(index).is_some() {
            events.push(Event::Receive(index));
        }
        if !member.disk.tail.is_empty() {
            events.push(Event::Complete(index));
        }
        if server.applies && !member.disk.relay.is_empty() {
            events.push(Event::Apply(index));
        }
        if server.is_open() && allowance.writes > 0 {
            events.push(Event::Write(index));
        }
    }

    fn mishaps(&self, fault: Fault, allowance: &Allowance, events: &mut Vec<Event>) {
        let runs = |index: &usize| self.members[*index].agent.is_some();
        let serves = |index: &usize| self.members[*index].server.is_some();
        let members = 0..self.members.len();
        let targets: Vec<usize> = match fault {
            Fault::Server => members.filter(serves).collect(),
            Fault::Member | Fault::Node => members.filter(runs).collect(),
            Fault::Cut => members.collect(),
            Fault::Volume => members.filter(|_| allowance.volumes > 0 && self.may_lose_a_volume()).collect(),
            Fault::Operator => {
                (0..allowance.operators).filter(|index| self.operators[*index].intention.is_some()).collect()
            }
            Fault::Acknowledgement => (0..self.network.acks.len()).collect(),
        };
        events.extend(targets.into_iter().map(|target| Event::Mishap(fault, target)));
    }

    /// While the claim says that others have everything, and nobody is about to record that only one has.
    fn may_lose_a_volume(&self) -> bool {
        let intentions = self.operators.iter().filter_map(|operator| operator.intention.as_ref());
        let records = intentions.filter_map(|intention| intention.plan.record.as_ref());
        let intended = records.filter_map(|record| record.quorum.as_ref());
        let recorded = self.stored.status.quorum.as_ref();
        recorded.is_some() && recorded.into_iter().chain(intended).all(|claim| claim.k > 0)
    }

    /// Lets an event happen. What clients can see afterwards, they have seen.
    pub(super) fn happen(&mut self, event: Event, grain: Grain) {
        self.note(|| format!("- {event}"));
        match event {
            Event::Look(operator) => self.look(operator),
            Event::Record(operator) => self.act(operator),
            Event::Deliver(which) => {
                let (operator, order) = self.network.late.remove(which);
                self.deliver(operator, &order);
            }
            Event::Boot(index) => self.boot_with(index, grain),
            Event::Start(index) => drop(self.start_server(index)),
            Event::Pursue(index) => self.go_on(index, grain),
            Event::Connect(index) => drop(self.connect(index)),
            Event::Receive(index) => self.receive_with(index, grain),
            Event::Acknowledge(which) => self.acknowledge(which),
            Event::Complete(index) => drop(self.complete(index)),
            Event::Apply(index) => drop(self.apply(index)),
            Event::Write(index) => drop(self.write(index, Kind::Write)),
            Event::Scale(instances) => self.scale(instances),
            Event::Wait => self.now += WAIT,
            Event::Heal => self.network.heal(),
            Event::Mishap(fault, target) => self.go_wrong(fault, target),
        }
        self.forget_the_dead();
        for index in self.open_members() {
            self.read_by_client(index);
        }
    }

    /// Asks and decides at one moment. Orders are under way at once; a record is written by an event of its own.
    fn look(&mut self, operator: usize) {
        self.read(operator);
        self.decide(operator);
        let intention = self.operators[operator].intention.as_ref();
        if intention.is_some_and(|intention| intention.plan.record.is_none()) {
            self.act(operator);
        }
    }

    fn boot_with(&mut self, index: usize, grain: Grain) {
        self.boot(index);
        if grain == Grain::Member {
            self.start_server(index);
        }
    }

    fn go_on(&mut self, index: usize, grain: Grain) {
        let whole = grain == Grain::Member;
        while self.pursue(index) | (whole && (self.connect(index) | self.apply(index))) {
            if grain == Grain::Statement || self.members[index].server.is_none() {
                return;
            }
        }
    }

    fn receive_with(&mut self, index: usize, grain: Grain) {
        self.receive(index);
        while grain == Grain::Member && self.apply(index) {}
    }

    fn scale(&mut self, instances: usize) {
        self.stored.instances = instances;
        self.stored.version += 1;
    }

    fn go_wrong(&mut self, fault: Fault, target: usize) {
        match fault {
            Fault::Server => self.lose_server(target),
            Fault::Member => self.crash(target),
            Fault::Node => {
                self.crash(target);
                self.lose_page_cache(target);
                self.members[target].pod_is_gone = true;
            }
            Fault::Cut => {
                self.note(|| format!("{} is cut off", NAMES[target]));
                self.network.isolate(target);
            }
            Fault::Volume => self.lose_volume(target),
            Fault::Operator => self.operators[target].crash(),
            Fault::Acknowledgement => drop(self.network.acks.remove(target)),
        }
    }

    /// Messages that can have no effect any more do not make a state another one.
    fn forget_the_dead(&mut self) {
        let mut late = std::mem::take(&mut self.network.late);
        late.retain(|(_, order)| {
            let member = self.members.get(super::pursuit::place(&order.instance));
            member.is_some_and(|member| !member.refuses_for_good(order, self.planted))
        });
        self.network.late = late;
        let mut acks = std::mem::take(&mut self.network.acks);
        acks.retain(|ack| self.is_current(ack.source, ack.run));
        self.network.acks = acks;
    }
}
