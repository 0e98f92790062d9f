//! Replication and acknowledgement, each message a step of its own.

use super::member::{Member, NAMES};
use super::network::Acknowledgement;
use super::planted::Planted;
use super::server::Receiver;
use super::transaction::{Gtid, Kind, Transaction};
use super::world::World;

impl World {
    /// Writes to the binlog of a server; it waits there for acknowledgement. None: the numbers have run out.
    pub(super) fn write(&mut self, index: usize, kind: Kind) -> Option<Gtid> {
        let disk = &mut self.members[index].disk;
        let number = disk.logged().next_number(disk.uuid)?;
        let gtid = Gtid { server: disk.uuid, number };
        let content = self.numbers.content();
        if let Kind::TermRecord(_) = kind {
            self.bases.note(content, disk.executed.clone());
        }
        disk.tail.push(Transaction { gtid, content, kind });
        self.note(|| format!("{} writes {gtid:?} {kind:?}", NAMES[index]));
        Some(gtid)
    }

    /// The oldest waiting transaction is committed, if enough replicas acknowledged it; its client is answered.
    pub(super) fn complete(&mut self, index: usize) -> bool {
        let may = self.may_complete(index);
        let gives_up = self.planted == Some(Planted::SemiSyncTimesOut) && self.dice.at_last(6);
        let member = &mut self.members[index];
        let Some(server) = &member.server else { return false };
        if member.disk.tail.is_empty() || !(may || gives_up) {
            return false;
        }
        let place = member.disk.log.len();
        let (term, answers) = (server.term, place >= server.answers_from);
        let transaction = member.disk.tail.remove(0);
        member.disk.commit(transaction);
        self.check_completion(index, term, transaction, answers);
        true
    }

    /// Whether the oldest waiting transaction has the acknowledgements that it needs.
    pub(super) fn may_complete(&self, index: usize) -> bool {
        let Member { server, disk, .. } = &self.members[index];
        server.as_ref().is_some_and(|server| !disk.tail.is_empty() && server.may_commit(disk.log.len()))
    }

    /// The receiver connects, or notices that it is connected no more.
    pub(super) fn connect(&mut self, index: usize) -> bool {
        let Some(source) = self.members[index].disk.channel else { return false };
        let source_run = self.members.get(source).and_then(|member| Some(member.server.as_ref()?.run));
        let reachable = source_run.filter(|_| self.network.joins(source, index));
        let Some(server) = &self.members[index].server else { return false };
        match (server.receiver, reachable) {
            (Receiver::Connecting, Some(run)) => self.handshake(index, source, run),
            (Receiver::On { run, .. }, current) if current != Some(run) => {
                self.set_receiver(index, Receiver::Connecting)
            }
            _ => false,
        }
    }

    fn handshake(&mut self, index: usize, source: usize, run: u64) -> bool {
        let purged = &self.members[source].disk.purged;
        let disk = &self.members[index].disk;
        let has_purged = disk.executed.covers(purged);
        let own = disk.executed.of_server(self.members[source].disk.uuid);
        let more = !self.members[source].disk.logged().covers(&own);
        let refused = (!has_purged || more) && self.planted != Some(Planted::TailKept);
        let Some(server) = self.members[index].server.as_mut() else { return false };
        let news = server.needs_clone != refused;
        server.needs_clone = refused;
        let acknowledges = server.replica_semi_sync;
        if refused {
            server.receiver = Receiver::Off;
            return news;
        }
        self.set_receiver(index, Receiver::On { run, acknowledges })
    }

    fn set_receiver(&mut self, index: usize, receiver: Receiver) -> bool {
        if let Some(server) = self.members[index].server.as_mut() {
            server.receiver = receiver;
        }
        true
    }

    /// The source sends the next transaction that the replica lacks.
    pub(super) fn receive(&mut self, index: usize) -> bool {
        let Some((source, run, acknowledges)) = self.stream(index) else { return false };
        let disk = &self.members[index].disk;
        let next = self.members[source].disk.binlog().enumerate().find(|(_, one)| !disk.has(one.gtid));
        let Some((place, &transaction)) = next else { return false };
        let strict = self.planted != Some(Planted::RelayNotSynced) || self.dice.once_in(4);
        let disk = &mut self.members[index].disk;
        disk.relay.push(transaction);
        if strict {
            disk.relay_synced = disk.relay.len();
        }
        if acknowledges {
            self.check_acknowledgement(index, source);
            self.network.acks.push(Acknowledgement { replica: index, source, run, place: place + 1 });
        }
        true
    }

    /// Whether a replica that would acknowledge has everything already.
    pub(super) fn has_idle_replica(&self, source: usize) -> bool {
        let last = self.members[source].disk.binlog().last().map(|one| one.gtid);
        let is_idle = |index: usize| {
            let acknowledges = self.stream(index).is_some_and(|(from, _, asked)| from == source && asked);
            acknowledges && last.is_some_and(|gtid| self.members[index].disk.has(gtid))
        };
        (0..self.members.len()).any(is_idle)
    }

    /// Source, its run and whether acknowledgements are asked for, if transactions flow.
    pub(super) fn stream(&self, index: usize) -> Option<(usize, u64, bool)> {
        let source = self.members[index].disk.channel?;
        let Receiver::On { run, acknowledges } = self.members[index].server.as_ref()?.receiver else {
            return None;
        };
        let current = self.members.get(source)?.server.as_ref()?.run;
        (current == run && self.network.passes(source, index)).then_some((source, run, acknowledges))
    }

    /// An acknowledgement arrives, or is lost with its connection.
    pub(super) fn acknowledge(&mut self, which: usize) {
        let Acknowledgement { replica, source, run, place } = self.network.acks.swap_remove(which);
        if !self.network.passes(replica, source) {
            return;
        }
        if let Some(server) = self.members[source].server.as_mut().filter(|server| server.run == run) {
            server.note(replica, place);
        }
    }

    /// The applier takes the next transaction.
    pub(super) fn apply(&mut self, index: usize) -> bool {
        let member = &mut self.members[index];
        let applies = member.server.as_ref().is_some_and(|server| server.applies);
        if !applies || member.disk.relay.is_empty() {
            return false;
        }
        let transaction = member.disk.relay.remove(0);
        member.disk.relay_synced = member.disk.relay_synced.saturating_sub(1);
        member.disk.commit(transaction);
        true
    }

    /// The node crashes: what was only in the page cache is gone (H20).
    pub(super) fn lose_page_cache(&mut self, index: usize) {
        let disk = &mut self.members[index].disk;
        disk.relay.truncate(disk.relay_synced);
    }
}
