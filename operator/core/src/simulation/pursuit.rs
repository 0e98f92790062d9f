//! Working towards a goal as the agent does (`operator/agent/src/goal`), one statement at a time: between any two of them
//! a crash or another order may come.

use super::member::{NAMES, Reign, Stance};
use super::planted::Planted;
use super::server::Receiver;
use super::transaction::Kind;
use super::world::World;
use crate::protocol::{Action, Term};

/// What a promotion wants.
#[derive(Clone, Copy)]
struct Promotion {
    term: Term,
    k: i32,
    admit: bool,
}

/// What following wants.
#[derive(Clone, Copy)]
struct Following {
    term: Term,
    source: usize,
    acknowledge: bool,
}

impl World {
    /// One step of a member towards its goal; false when there is nothing to do.
    pub(super) fn pursue(&mut self, index: usize) -> bool {
        let member = &self.members[index];
        let Some(agent) = member.agent.as_ref().filter(|agent| !agent.paused) else { return false };
        if member.server.is_none() {
            return false;
        }
        if let Some(copying) = agent.copying.clone() {
            return self.copy(index, &copying);
        }
        let Some(goal) = agent.goal.clone() else { return false };
        let term = goal.term;
        match &goal.action {
            Action::Seal => self.seal(index, term),
            Action::Promote { k, admit } => self.promote(index, Promotion { term, k: *k, admit: *admit }),
            Action::Follow { source, acknowledge, .. } => {
                let source = place(source);
                self.follow(index, Following { term, source, acknowledge: *acknowledge })
            }
            Action::Clone { donor, request, .. } => self.begin_copy(index, place(donor), request),
            // Founding, and with it restoring, is over before a simulation begins.
            Action::Restore { .. }
            | Action::Begin { .. }
            | Action::Adopt { .. }
            | Action::TakeOver { .. }
            | Action::Shutdown => false,
        }
    }

    fn is_closed(&self, index: usize) -> bool {
        let member = &self.members[index];
        member.server.as_ref().is_none_or(|server| server.read_only) && member.disk.tail.is_empty()
    }

    /// Clients out, then writes closed; if commits wait, mysqld is killed in the end.
    pub(super) fn step_down(&mut self, index: usize) -> bool {
        let place = self.members[index].disk.binlog().count();
        let waiting = self.members[index].disk.tail.len();
        self.members[index].stand(Stance::Idle);
        let Some((agent, server)) = self.running(index) else { return false };
        agent.reign = None;
        if !server.offline {
            server.offline = true;
            server.answers_from = place;
        } else if waiting == 0 {
            server.read_only = true;
        } else if self.calm || self.dice.at_last(2) {
            self.note(|| format!("{} is killed: {waiting} commits wait", NAMES[index]));
            self.lose_server(index);
        }
        true
    }

    fn seal(&mut self, index: usize, term: Term) -> bool {
        if !self.is_closed(index) {
            return self.step_down(index);
        }
        let unapplied = !self.members[index].disk.relay.is_empty();
        let keeps_receiving = self.planted == Some(Planted::SealKeepsReceiving);
        let Some((_, server)) = self.running(index) else { return false };
        if server.receiver.is_active() && !keeps_receiving {
            server.receiver = Receiver::Off;
            return true;
        }
        if unapplied && !server.applies {
            server.source_semi_sync = false;
            server.applies = true;
            return true;
        }
        self.members[index].stand(Stance::Sealed(term))
    }

    /// Whether all that was received is applied and nothing is received; else one step towards it.
    fn settle(&mut self, index: usize) -> Result<(), bool> {
        let unapplied = !self.members[index].disk.relay.is_empty();
        let drops = self.planted == Some(Planted::ExecutedInsteadOfReceived);
        let Some((_, server)) = self.running(index) else { return Err(false) };
        if server.receiver.is_active() {
            server.receiver = Receiver::Off;
            return Err(true);
        }
        if !unapplied || drops {
            return Ok(());
        }
        let starts = !server.applies;
        server.source_semi_sync = false;
        server.applies = true;
        Err(starts)
    }

    fn promote(&mut self, index: usize, wanted: Promotion) -> bool {
        let run = self.members[index].server.as_ref().map(|server| server.run);
        let reign = self.members[index].agent.as_ref().and_then(|agent| agent.reign);
        match reign.filter(|reign| Some(reign.run) == run && reign.term == wanted.term) {
            None => self.begin_reign(index, wanted),
            Some(reign) if reign.proven_k.is_some_and(|proven| proven > wanted.k) => {
                self.lower(index, wanted, reign)
            }
            Some(reign) if reign.proven_k != Some(wanted.k) => self.prove(index, wanted, reign),
            Some(_) => {
                self.set_acknowledgement(index, wanted.k) || self.admit(index, wanted) || self.nudge(index)
            }
        }
    }

    fn begin_reign(&mut self, index: usize, wanted: Promotion) -> bool {
        if !self.is_closed(index) {
            return self.step_down(index);
        }
        if let Err(changed) = self.settle(index) {
            return changed;
        }
        let has_channel = self.members[index].disk.channel.is_some();
        let place = self.members[index].disk.binlog().count();
        let Some((_, server)) = self.running(index) else { return false };
        if !server.offline {
            server.offline = true;
            server.answers_from = place;
            return true;
        }
        if has_channel {
            server.applies = false;
            self.members[index].disk.forget_relay();
            self.members[index].disk.channel = None;
            return true;
        }
        server.replica_semi_sync = false;
        if !self.set_acknowledgement(index, wanted.k) {
            self.open_writes(index, wanted.term);
        }
        true
    }

    /// One step towards waiting for `k` acknowledgements; false when it is so.
    fn set_acknowledgement(&mut self, index: usize, k: i32) -> bool {
        let Some((_, server)) = self.running(index) else { return false };
        let semi_sync = k > 0;
        if semi_sync && server.ack_count != k {
            server.ack_count = k;
            return true;
        }
        let changes = server.source_semi_sync != semi_sync;
        server.source_semi_sync = semi_sync;
        changes
    }

    fn open_writes(&mut self, index: usize, term: Term) {
        let early = self.planted == Some(Planted::ClientsBeforeTermRecord);
        let Some((agent, server)) = self.running(index) else { return };
        let reign = Reign { run: server.run, term, proven_k: None, admitting: false, proof: None };
        agent.reign = Some(reign);
        server.term = term;
        server.read_only = false;
        if early {
            server.offline = false;
        }
        self.members[index].stand(Stance::Primary { term, proven_k: None, admitting: false });
    }

    /// Notes that fewer acknowledgements are proven, before the server waits for fewer.
    fn lower(&mut self, index: usize, wanted: Promotion, reign: Reign) -> bool {
        if self.planted == Some(Planted::LoweredTooLate) && self.set_acknowledgement(index, wanted.k) {
            return true;
        }
        let Some((agent, _)) = self.running(index) else { return false };
        let reign = Reign { proven_k: Some(wanted.k), proof: None, ..reign };
        agent.reign = Some(reign);
        self.stand_as(index, reign);
        true
    }

    /// Shows by a write that `k` acknowledgements arrive.
    fn prove(&mut self, index: usize, wanted: Promotion, reign: Reign) -> bool {
        if self.set_acknowledgement(index, wanted.k) {
            return true;
        }
        let arrived = match (reign.proven_k, reign.proof) {
            (_, Some(gtid)) if self.members[index].disk.executed.has(gtid) => true,
            (_, Some(_)) => return self.nudge(index),
            (before, None) => {
                let kind = before.map_or(Kind::TermRecord(wanted.term), |_| Kind::Beat);
                let proof = self.write(index, kind);
                let Some((agent, _)) = self.running(index) else { return false };
                agent.reign = Some(Reign { proof, ..reign });
                self.planted == Some(Planted::ClientsBeforeTermRecord)
            }
        };
        if arrived {
            let Some((agent, _)) = self.running(index) else { return false };
            let reign = Reign { proven_k: Some(wanted.k), proof: None, ..reign };
            agent.reign = Some(reign);
            self.stand_as(index, reign);
        }
        true
    }

    /// A primary whose commits wait turns its clients away and takes its proof back (ha.md §2).
    pub(super) fn fence(&mut self, index: usize) {
        let place = self.members[index].disk.binlog().count();
        if self.members[index].disk.tail.is_empty() {
            return;
        }
        let Some((agent, server)) = self.running(index) else { return };
        let must_prove = |reign: &&mut Reign| reign.admitting && reign.proven_k.is_some_and(|k| k > 0);
        let Some(reign) = agent.reign.as_mut().filter(must_prove) else { return };
        (reign.proven_k, reign.proof, reign.admitting) = (None, None, false);
        let reign = *reign;
        server.offline = true;
        server.answers_from = place;
        self.note(|| format!("{} turns its clients away", NAMES[index]));
        self.stand_as(index, reign);
    }

    fn admit(&mut self, index: usize, wanted: Promotion) -> bool {
        let place = self.members[index].disk.binlog().count();
        let Some((agent, server)) = self.running(index) else { return false };
        let Some(reign) = &mut agent.reign else { return false };
        reign.admitting = wanted.admit;
        let reign = *reign;
        let switches = server.offline == wanted.admit;
        server.offline = !wanted.admit;
        if switches && wanted.admit {
            self.check_admission(index);
        } else if switches {
            server.answers_from = place;
        }
        self.stand_as(index, reign) || switches
    }

    fn stand_as(&mut self, index: usize, reign: Reign) -> bool {
        let Reign { term, proven_k, admitting, .. } = reign;
        self.members[index].stand(Stance::Primary { term, proven_k, admitting })
    }

    /// A replica that reconnects does not acknowledge again what it has: a write helps (H7).
    fn nudge(&mut self, index: usize) -> bool {
        let waits = !self.members[index].disk.tail.is_empty() && self.network.acks.is_empty();
        let semi_sync = self.members[index].server.as_ref().is_some_and(|server| server.source_semi_sync);
        // A search that leaves the completion out would write without end.
        let stands_still = !(self.dice.is_searching() && self.may_complete(index));
        let due = waits && semi_sync && self.has_idle_replica(index) && stands_still && self.dice.at_last(2);
        due && self.write(index, Kind::Beat).is_some()
    }

    fn follow(&mut self, index: usize, wanted: Following) -> bool {
        if !self.is_closed(index) {
            return self.step_down(index);
        }
        if let Some(changed) = self.leave_older_term(index, wanted) {
            return changed;
        }
        if self.members[index].disk.channel != Some(wanted.source) {
            return self.point(index, wanted);
        }
        let acknowledge = wanted.acknowledge || self.planted == Some(Planted::NonMemberAcknowledges);
        let Some((agent, server)) = self.running(index) else { return false };
        if server.replica_semi_sync != acknowledge {
            let active = server.receiver.is_active();
            server.receiver = Receiver::Off;
            server.replica_semi_sync = acknowledge && !active;
            return true;
        }
        agent.followed = Some((server.run, wanted.term));
        self.members[index].disk.followed_term = wanted.term;
        if self.members[index].stand(Stance::Replica { term: wanted.term, source: wanted.source }) {
            return true;
        }
        self.start_threads(index)
    }

    /// The receiver may belong to a deposed primary (H25).
    fn leave_older_term(&mut self, index: usize, wanted: Following) -> Option<bool> {
        let (agent, server) = self.running(index)?;
        let leaves = agent.followed != Some((server.run, wanted.term)) && server.receiver.is_active();
        leaves.then(|| {
            server.receiver = Receiver::Off;
            true
        })
    }

    fn point(&mut self, index: usize, wanted: Following) -> bool {
        if self.members[index].stand(Stance::Replica { term: wanted.term, source: wanted.source }) {
            return true;
        }
        if let Err(changed) = self.settle(index) {
            return changed;
        }
        let Some((_, server)) = self.running(index) else { return false };
        server.needs_clone = false;
        self.members[index].disk.forget_relay();
        self.members[index].disk.channel = Some(wanted.source);
        true
    }

    fn start_threads(&mut self, index: usize) -> bool {
        let retries = self.dice.once_in(4);
        let Some((_, server)) = self.running(index) else { return false };
        if !server.receiver.is_active() && (!server.needs_clone || retries) {
            let news = !server.needs_clone;
            server.receiver = Receiver::Connecting;
            let member = &mut self.members[index];
            member.floor = member.floor.max(member.promised);
            return news;
        }
        if !server.applies {
            server.source_semi_sync = false;
            server.applies = true;
            return true;
        }
        let works = matches!(server.receiver, Receiver::On { .. });
        let opens = works && server.offline;
        server.offline &= !works;
        opens
    }
}

/// Index of the instance with this name.
pub(super) fn place(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap_or_default()
}
