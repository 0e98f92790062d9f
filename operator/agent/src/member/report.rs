//! The state that a member tells.

use super::{Member, Stance};
use crate::observe::{Facts, Thread};
use crate::supervise::Server;
use porpoise_core::member::Volume;
use porpoise_core::protocol::{MemberState, Role, ServerPhase};

impl Member {
    /// All that the operator learns.
    pub fn state(&self) -> MemberState {
        let facts = self.facts();
        let stance = self.told_stance();
        let phase = self.phase();
        let hears = self.hears();
        let run = self.supervisor.now().run();
        let board = self.board();
        let messages = [board.message.as_str(), board.silent.as_str()];
        let flaws =
            Flaws { is_diverged: run.is_some() && board.diverged == run, is_lagging: board.reads.is_lagging };
        let mut message = messages.into_iter().filter(|text| !text.is_empty());
        let is_primary = matches!(stance, Stance::Primary { .. });
        MemberState {
            cluster: match &board.volume {
                Volume::Ours(identity) | Volume::Foreign(identity) => identity.cluster.clone(),
                Volume::Unusable(_) | Volume::InUse => String::new(),
            },
            instance: self.settings.instance.clone(),
            volume: board.volume.id().unwrap_or_default().to_owned(),
            process: self.process.clone(),
            change: *self.change.borrow(),
            goal: board.goals,
            promised: board.promise.term,
            claim: board.promise.claim.clone(),
            server: phase,
            role: role(&stance, facts.as_ref(), hears, flaws),
            version: facts.as_ref().map(|facts| facts.version.clone()),
            server_uuid: facts.as_ref().map(|facts| facts.server_uuid.clone()),
            data: facts.map(|facts| facts.data),
            tails: board.tails.clone(),
            replaced_by: board.replaced_by.clone(),
            disk: board.disk,
            long_transactions: board.long_transactions.clone(),
            former_passwords: board.former_passwords.clone().filter(|_| is_primary),
            archive: self.archive_state(&board.archived),
            crashes: self.supervisor.crashes(),
            components: if run == Some(board.components.0) { board.components.1.clone() } else { Vec::new() },
            variables: if run == Some(board.variables.0) { board.variables.1.clone() } else { Vec::new() },
            message: message.next().unwrap_or_default().to_owned(),
        }
    }

    /// The stance as it is told: a count that is being changed is not proven.
    fn told_stance(&self) -> Stance {
        match self.stance() {
            Stance::Primary { term, proven_k, admitting } => {
                let goal = self.goal.borrow();
                let proven_k = goal.as_ref().and_then(|goal| goal.proven(proven_k));
                Stance::Primary { term, proven_k, admitting }
            }
            other => other,
        }
    }

    fn phase(&self) -> ServerPhase {
        let server = self.supervisor.now();
        let board = self.board();
        match &board.volume {
            Volume::Foreign(identity) => ServerPhase::ForeignVolume {
                cluster: identity.cluster.clone(),
                owner: identity.owner.clone(),
            },
            Volume::Unusable(reason) => ServerPhase::UnusableVolume { reason: reason.clone() },
            Volume::InUse => ServerPhase::VolumeInUse,
            Volume::Ours(_) if board.is_cloning => ServerPhase::Cloning,
            Volume::Ours(_) => match server {
                Server::Down | Server::Starting => ServerPhase::Starting,
                Server::Initializing => ServerPhase::Initializing,
                Server::Up { .. } => ServerPhase::Running,
                Server::Stopped => ServerPhase::Stopped,
                Server::Held { reigned } => ServerPhase::Held { reigned },
                Server::Failed { reason } => ServerPhase::Failed { reason },
            },
        }
    }
}

/// What is wrong with a replica, as far as it knows by itself.
#[derive(Clone, Copy)]
struct Flaws {
    is_diverged: bool,
    is_lagging: bool,
}

fn role(stance: &Stance, facts: Option<&Facts>, hears: bool, flaws: Flaws) -> Role {
    match stance {
        Stance::Idle => Role::Idle,
        Stance::Sealed { term } => Role::Sealed { term: *term },
        Stance::Primary { term, proven_k, admitting } => {
            Role::Primary { term: *term, proven_k: *proven_k, admitting: *admitting }
        }
        Stance::Replica { term, source } => {
            let replication = facts.and_then(|facts| facts.replication.clone()).unwrap_or_default();
            let receiving = facts.is_some_and(|facts| facts.receiver == Thread::On);
            Role::Replica {
                term: *term,
                source: source.clone(),
                receiving,
                hearing: receiving && hears,
                applying: facts.is_some_and(|facts| facts.applier == Thread::On),
                acknowledging: receiving && facts.is_some_and(|facts| facts.replica_semi_sync),
                lag_seconds: replication.lag_seconds,
                lagging: flaws.is_lagging,
                error: replication.error,
                needs_clone: replication.needs_clone || flaws.is_diverged,
            }
        }
    }
}
