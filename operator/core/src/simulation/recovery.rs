//! Fair weather: everything gets through and everybody runs. Within so many passes the cluster must be well (I8).

use super::member::{NAMES, Stance};
use super::world::World;

/// Passes within which a healed cluster must be Healthy.
const PASSES: usize = 160;
/// Rounds in which members come to rest between two passes.
const ROUNDS: usize = 60;

impl World {
    /// Heals everything, waits until all is well, and looks at what is there then.
    pub(super) fn recover_and_rest(&mut self) {
        self.recover();
        if self.violation.is_none() && !self.has_run_out_of_numbers() {
            self.check_rest();
        }
    }

    /// Heals everything and waits until all is well.
    pub(super) fn recover(&mut self) {
        self.calm = true;
        self.network.heal();
        for member in &mut self.members {
            if let Some(agent) = &mut member.agent {
                agent.paused = false;
            }
        }
        for pass in 0..PASSES {
            self.settle_members();
            self.now += 250;
            self.pass(pass % 2);
            if self.violation.is_some() || (self.is_well() && self.settle_members() == 1) {
                return;
            }
        }
        if self.has_run_out_of_numbers() {
            return;
        }
        for (member, name) in self.members.clone().iter().zip(NAMES) {
            let sets = (
                member.disk.uuid,
                member.disk.executed.text(),
                member.disk.tail.len(),
                member.disk.relay.len(),
            );
            let told = format!("{:?} {sets:?} {:?}", member.stance(), member.server);
            self.note(|| format!("{name} at the end: {told}"));
        }
        let operation = self.stored.status.operation.clone();
        self.fail("I8", || format!("not well after {PASSES} passes: {operation:?}"));
    }

    /// A server of this small world has a hundred numbers for its transactions. A primary that has given them all writes no
    /// proof any more; that says nothing about the protocol.
    fn has_run_out_of_numbers(&self) -> bool {
        let mut primaries =
            self.members.iter().filter(|member| matches!(member.stance(), Stance::Primary { .. }));
        primaries.any(|member| member.disk.logged().next_number(member.disk.uuid).is_none())
    }

    /// Lets members and replication go on until nothing changes; says how many rounds it took.
    pub(super) fn settle_members(&mut self) -> usize {
        for round in 1..=ROUNDS {
            let mut changed = false;
            for index in 0..self.members.len() {
                if self.calm && self.can_boot(index) {
                    self.boot(index);
                }
                changed |= self.progress(index);
            }
            while !self.network.acks.is_empty() {
                self.acknowledge(0);
            }
            if !changed {
                return round;
            }
        }
        ROUNDS
    }

    /// One member does one of everything that it can do.
    pub(super) fn progress(&mut self, index: usize) -> bool {
        let mut changed = self.start_server(index);
        changed |= self.pursue(index);
        changed |= self.connect(index);
        while self.receive(index) {
            changed = true;
        }
        while self.complete(index) {
            changed = true;
        }
        while (self.calm || !self.lagging) && self.apply(index) {
            changed = true;
        }
        changed
    }

    /// The claim is complete, the primary admits, everybody wanted follows and acknowledges.
    pub(super) fn is_well(&self) -> bool {
        let status = &self.stored.status;
        let wanted = self.stored.instances;
        let k = i32::try_from(wanted / 2).unwrap_or_default();
        let complete =
            status.quorum.as_ref().is_some_and(|claim| claim.members.len() == wanted && claim.k == k);
        complete
            && status.operation.is_none()
            && self.replicas == wanted
            && (0..wanted).all(|index| self.is_in_place(index))
    }

    fn is_in_place(&self, index: usize) -> bool {
        let (term, primary) = (self.stored.status.term, self.stored.status.primary.as_deref());
        let acknowledges = self.members[index].server.as_ref().is_some_and(|server| server.replica_semi_sync);
        match self.members[index].stance() {
            Stance::Primary { term: own, admitting: true, proven_k: Some(_) } => {
                Some(own) == term && primary == Some(NAMES[index]) && self.members[index].disk.tail.is_empty()
            }
            Stance::Replica { term: own, source } => {
                Some(own) == term && primary == Some(NAMES[source]) && acknowledges
            }
            Stance::Primary { .. } | Stance::Idle | Stance::Sealed(_) => false,
        }
    }
}
