//! What distinguishes two states for all that can follow, as a number. Names that are only compared (servers, contents,
//! volumes, runs) count by where they first appear, moments by the limits they have passed.

use super::disk::Disk;
use super::member::Member;
use super::operator::{BEGINNING, Intention};
use super::server::{Receiver, Server};
use super::transaction::{Gtids, Transaction};
use super::world::World;
use crate::protocol::{Action, Order};
use porpoise_crds::{MySQLClusterStatus, Operation, Quorum};
use std::hash::{DefaultHasher, Hash, Hasher};

/// How far the clock is moved at once, in milliseconds.
pub(super) const WAIT: i64 = 4_000;
/// All limits of an operation have passed.
pub(super) const LONGEST: i64 = 3 * WAIT;

/// Gives names the number of their first appearance.
#[derive(Default)]
struct Names<T>(Vec<T>);

impl<T: PartialEq> Names<T> {
    fn number(&mut self, name: T) -> usize {
        self.0.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.0.push(name);
            self.0.len() - 1
        })
    }
}

/// A walk through a world.
struct Walk<'a> {
    hasher: DefaultHasher,
    world: &'a World,
    servers: Names<u16>,
    contents: Names<u16>,
    texts: Names<&'a str>,
}

impl World {
    /// Equal for states from which the same can follow.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut walk = Walk {
            hasher: DefaultHasher::new(),
            world: self,
            servers: Names::default(),
            contents: Names::default(),
            texts: Names::default(),
        };
        self.members.iter().for_each(|member| walk.member(member));
        walk.record();
        walk.network();
        walk.ledger();
        walk.hasher.finish()
    }

    /// Time that an operation has taken, as far as it matters.
    pub(super) fn elapsed(&self, operation: &Operation) -> i64 {
        (BEGINNING + self.now - operation.started_at.0.as_millisecond()).clamp(0, LONGEST)
    }

    /// Whether this is the run of mysqld that goes on at the member.
    pub(super) fn is_current(&self, index: usize, run: u64) -> bool {
        let server = self.members.get(index).and_then(|member| member.server.as_ref());
        server.is_some_and(|server| server.run == run)
    }
}

impl<'a> Walk<'a> {
    fn add(&mut self, value: impl Hash) {
        value.hash(&mut self.hasher);
    }

    fn text(&mut self, text: Option<&'a str>) {
        let number = text.map(|text| self.texts.number(text));
        self.add(number);
    }

    fn transactions(&mut self, all: &[Transaction]) {
        self.add(all.len());
        for one in all {
            let names = (self.servers.number(one.gtid.server), self.contents.number(one.content));
            self.add((names, one.gtid.number, one.kind));
            if let Some(base) = self.world.bases.get(one) {
                self.set(base);
            }
        }
    }

    fn set(&mut self, set: &Gtids) {
        for (server, bits) in set.iter() {
            let server = self.servers.number(server);
            self.add((server, bits));
        }
        self.add("set");
    }

    fn claim(&mut self, claim: Option<&'a Quorum>) {
        let Some(Quorum { members, k, version }) = claim else { return self.add("no claim") };
        self.add((members.len(), k, version));
        for member in members {
            self.add(&member.name);
            self.text(Some(&member.volume));
        }
    }

    fn member(&mut self, member: &'a Member) {
        let Member { index, disk, server, agent, pod_is_gone, floor, promised, broke_promise } = member;
        self.disk(disk);
        self.add(server.is_some());
        if let Some(server) = server {
            self.server(server, disk);
        }
        self.add((pod_is_gone, floor, promised, broke_promise, member.stance()));
        let Some(agent) = agent else { return self.add("no agent") };
        let reign = agent.reign.map(|reign| {
            let proof = reign.proof.map(|gtid| gtid.number);
            (reign.term, reign.proven_k, reign.admitting, proof, self.world.is_current(*index, reign.run))
        });
        let followed = agent.followed.filter(|(run, _)| self.world.is_current(*index, *run));
        self.add((agent.paused, reign, followed.map(|(_, term)| term)));
        self.add(agent.goal.as_ref().map(|goal| goal.term));
        if let Some(goal) = &agent.goal {
            self.action(&goal.action);
        }
        self.add(agent.copying.as_ref().map(|copying| (copying.donor, copying.torn)));
        self.text(agent.copying.as_ref().map(|copying| copying.request.as_str()));
    }

    fn disk(&mut self, disk: &'a Disk) {
        self.text(disk.volume.id());
        self.add(disk.promise.term);
        self.claim(disk.promise.claim.as_ref());
        self.text(disk.intent.as_deref());
        self.text(disk.cloned.as_deref());
        let uuid = self.servers.number(disk.uuid);
        self.add((
            uuid,
            disk.renamed,
            disk.channel,
            disk.followed_term,
            disk.relay.len() - disk.relay_synced,
        ));
        for transactions in [&disk.log, &disk.tail, &disk.relay] {
            self.transactions(transactions);
        }
        self.set(&disk.executed);
        self.set(&disk.purged);
    }

    fn server(&mut self, server: &Server, disk: &Disk) {
        let settings = (server.read_only, server.offline, server.source_semi_sync, server.ack_count);
        self.add((settings, server.replica_semi_sync, server.applies, server.needs_clone, server.term));
        let source = disk.channel.unwrap_or_default();
        self.add(match server.receiver {
            Receiver::Off => (0, false),
            Receiver::Connecting => (1, false),
            Receiver::On { run, acknowledges } => {
                (if self.world.is_current(source, run) { 2 } else { 3 }, acknowledges)
            }
        });
        let place = disk.log.len();
        let ahead = server.acknowledged.iter().filter(|(_, known)| *known > place);
        let mut ahead: Vec<(usize, usize)> = ahead.map(|(who, known)| (*who, known - place)).collect();
        ahead.sort_unstable();
        self.add((ahead, server.answers_from.saturating_sub(place)));
    }

    fn action(&mut self, action: &'a Action) {
        match action {
            Action::Seal => self.add(0),
            Action::Promote { k, admit } => self.add((1, k, admit)),
            Action::Follow { source, host: _, acknowledge, keep } => {
                self.add((2, source, acknowledge, keep));
            }
            Action::Clone { donor, host: _, request } => {
                self.add((3, donor));
                self.text(Some(request));
            }
            Action::Adopt { former } => self.add((4, former)),
            Action::TakeOver { former, request } => {
                self.add((8, former));
                self.text(Some(request));
            }
            Action::Shutdown => self.add(5),
            Action::Restore { source: _, request } => {
                self.add(6);
                self.text(Some(request));
            }
            Action::Begin { origin: _, request } => {
                self.add(7);
                self.text(Some(request));
            }
        }
    }

    fn record(&mut self) {
        let stored = &self.world.stored;
        let MySQLClusterStatus { term, quorum, primary, operation, .. } = &stored.status;
        self.add((stored.instances, self.world.replicas, term, primary));
        self.claim(quorum.as_ref());
        self.operation(operation.as_ref());
        for operator in &self.world.operators {
            let Some(intention) = operator.intention.as_deref() else {
                self.add("no intention");
                continue;
            };
            let Intention { version, plan, replicas } = intention;
            self.add((*version == stored.version, replicas));
            if let Some(record) = &plan.record {
                self.add((record.term, &record.primary));
                self.claim(record.quorum.as_ref());
                self.operation(record.operation.as_ref());
            }
        }
    }

    fn operation(&mut self, operation: Option<&Operation>) {
        let Some(operation) = operation else { return self.add("no operation") };
        let Operation { kind, target, started_at: _, sealed_at: _, from, planned, message: _ } = operation;
        let elapsed = self.world.elapsed(operation).unsigned_abs().div_ceil(WAIT.unsigned_abs());
        self.add((kind, target, from, planned, elapsed));
    }

    /// Messages on their way are in no order.
    fn network(&mut self) {
        let network = &self.world.network;
        self.add(network.cuts());
        let mut acks: Vec<_> = network.acks.iter().map(|ack| (ack.replica, ack.source, ack.place)).collect();
        acks.sort_unstable();
        self.add(acks);
        let mut orders: Vec<&'a Order> = network.late.iter().map(|(_, order)| order).collect();
        orders
            .sort_by_cached_key(|order| (order.instance.clone(), order.term, format!("{:?}", order.action)));
        for order in orders {
            self.add((&order.instance, order.term, order.claim.as_ref().map(|claim| claim.version)));
            self.action(&order.action);
        }
    }

    fn ledger(&mut self) {
        let ledger = &self.world.ledger;
        let mut known: Vec<usize> =
            ledger.acknowledged.iter().map(|one| self.contents.number(one.content)).collect();
        known.sort_unstable();
        let seen = ledger.visible.iter().enumerate().filter(|(_, seen)| **seen);
        let contents: Vec<u16> = seen.filter_map(|(content, _)| u16::try_from(content).ok()).collect();
        let mut seen: Vec<usize> = contents.into_iter().map(|one| self.contents.number(one)).collect();
        seen.sort_unstable();
        self.add((known, seen, ledger.completed));
    }
}
