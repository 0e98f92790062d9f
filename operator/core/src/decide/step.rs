//! The result of one protocol decision.

use super::halt::Halt;
use crate::event::Event;
use crate::plan::Record;
use crate::protocol::Order;
use porpoise_crds::{MySQLClusterStatus, SwitchoverRequest};

/// What the protocol does next.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// Where the protocol stands.
    pub(super) situation: Situation,
    /// Change of the durable record; nothing else is done before it is written.
    pub(super) record: Option<Record>,
    /// Orders under the recorded term.
    pub(super) orders: Vec<Order>,
    /// News about `spec.switchover`.
    pub(super) request: Option<SwitchoverRequest>,
    /// A move of the primary waits for something that may be over soon: the cluster is looked at again before long.
    pub(super) awaits: bool,
    /// Why a rollout does not go on by itself, if one is under way.
    pub(super) halt: Option<Halt>,
    /// Events to emit.
    pub(super) events: Vec<Event>,
    /// Why, in a sentence.
    pub(super) reason: String,
}

/// Where the protocol stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Situation {
    /// No member is known yet.
    Waiting,
    /// The first primary is being made.
    Founding,
    /// Members are being sealed; there are enough of them, or there may soon be.
    Sealing,
    /// Too few members answer.
    NoQuorum,
    /// The chosen member is not open yet.
    Promoting,
    /// The primary is open. Whether every wanted member takes part is another matter.
    Reigning,
}

impl Step {
    pub(super) fn wait(situation: Situation, reason: impl Into<String>) -> Self {
        Self {
            situation,
            record: None,
            orders: Vec::new(),
            request: None,
            awaits: false,
            halt: None,
            events: Vec::new(),
            reason: reason.into(),
        }
    }

    pub(super) fn record(situation: Situation, record: Record, reason: impl Into<String>) -> Self {
        Self { record: Some(record), ..Self::wait(situation, reason) }
    }

    pub(super) fn order(situation: Situation, orders: Vec<Order>, reason: impl Into<String>) -> Self {
        Self { orders, ..Self::wait(situation, reason) }
    }

    /// The same while a move of the primary waits for `what`.
    pub(super) fn awaiting(self, what: Option<String>) -> Self {
        match what {
            Some(reason) => Self { awaits: true, reason, ..self },
            None => self,
        }
    }

    pub(super) fn with_event(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }
}

/// The record as it is stored.
pub(super) fn recorded(status: &MySQLClusterStatus) -> Record {
    Record {
        term: status.term.unwrap_or(0),
        term_owner: status.term_owner.clone(),
        quorum: status.quorum.clone(),
        primary: status.primary.clone(),
        operation: status.operation.clone(),
    }
}
