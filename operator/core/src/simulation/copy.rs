//! Replacing a member's data by a copy (`operator/agent/src/goal/clone.rs`): the intent is durable before anything is
//! removed.

use super::member::{Copying, NAMES, Stance};
use super::planted::Planted;
use super::server::Receiver;
use super::world::World;

impl World {
    pub(super) fn begin_copy(&mut self, index: usize, donor: usize, request: &str) -> bool {
        let done = self.members[index].disk.cloned.as_deref() == Some(request);
        let closed = self.members[index].disk.tail.is_empty();
        let Some((agent, server)) = self.running(index) else { return false };
        if done {
            agent.give_up();
            return true;
        }
        if !closed || !server.read_only {
            return self.step_down(index);
        }
        server.offline = true;
        server.receiver = Receiver::Off;
        server.applies = false;
        server.source_semi_sync = false;
        server.replica_semi_sync = false;
        self.members[index].stand(Stance::Idle);
        if !self.can_copy(index, donor) {
            return false;
        }
        let copying = Copying { donor, request: request.to_owned(), torn: false };
        self.members[index].disk.intent = Some(request.to_owned());
        let Some((agent, _)) = self.running(index) else { return false };
        agent.copying = Some(copying);
        self.note(|| format!("{} begins to copy {}", NAMES[index], NAMES[donor]));
        true
    }

    fn can_copy(&self, index: usize, donor: usize) -> bool {
        let up = self.members.get(donor).is_some_and(|member| member.server.is_some());
        up && donor != index && self.network.joins(donor, index) && self.members[donor].disk.intent.is_none()
    }

    /// The copy goes on: first some of the donor's data is there, then all. A donor that is lost in the middle ends mysqld.
    pub(super) fn copy(&mut self, index: usize, copying: &Copying) -> bool {
        if !self.can_copy(index, copying.donor) {
            if !copying.torn {
                self.members[index].disk.intent = None;
            }
            self.lose_server(index);
            return true;
        }
        if !self.calm && self.dice.once_in(2) {
            return false;
        }
        let donor = self.members[copying.donor].disk.clone();
        let disk = &mut self.members[index].disk;
        disk.forget_relay();
        (disk.log, disk.executed, disk.channel) = (donor.log, donor.executed, None);
        if copying.torn {
            return self.finish_copy(index, copying);
        }
        let whole = disk.log.len();
        disk.log.truncate(whole.saturating_sub(2));
        let torn = Copying { torn: true, ..copying.clone() };
        if let Some((agent, _)) = self.running(index) {
            agent.copying = Some(torn);
        }
        true
    }

    fn finish_copy(&mut self, index: usize, copying: &Copying) -> bool {
        let disk = &mut self.members[index].disk;
        disk.purged = disk.executed.clone();
        disk.cloned = Some(copying.request.clone());
        disk.renamed = false;
        disk.intent = None;
        self.note(|| format!("{} is a copy of {}", NAMES[index], NAMES[copying.donor]));
        self.lose_server(index);
        true
    }

    /// mysqld starts: an unfinished copy is thrown away, a finished one gets a UUID of its own, the tail is committed (H3).
    pub(super) fn start_server(&mut self, index: usize) -> bool {
        let member = &self.members[index];
        let may = member.agent.as_ref().is_some_and(|agent| !agent.paused) && member.server.is_none();
        if !may {
            return false;
        }
        let (uuid, run) = (self.numbers.server(), self.numbers.run());
        let planted = self.planted;
        let disk = &mut self.members[index].disk;
        if disk.intent.take().is_some() && planted != Some(Planted::IntentLost) {
            disk.wipe(uuid);
        }
        if !disk.renamed && planted != Some(Planted::CloneKeepsUuid) {
            disk.uuid = uuid;
        }
        disk.renamed = true;
        if planted == Some(Planted::RelayLogRecovery) {
            disk.forget_relay();
        }
        disk.recover();
        self.members[index].server = Some(super::server::Server::boot(run));
        true
    }
}
