//! A member of the small world.

use super::set;
use crate::protocol::{DataState, MemberState, ServerPhase};
use crate::view::{ClaimView, TroubleKind};

#[derive(Clone)]
pub(in crate::decide::tests) struct Member {
    pub(in crate::decide::tests) state: MemberState,
    pub(in crate::decide::tests) up: bool,
    /// Its Pod is being deleted.
    pub(in crate::decide::tests) ends: bool,
    pub(in crate::decide::tests) claim: ClaimView,
    /// The note of the agent's: a primary of this term whose writes were not closed in order, waiting for acknowledgements.
    pub(super) reigned: Option<i64>,
    /// What a held member has.
    pub(super) asleep: Option<DataState>,
    /// The template its Pod was made from.
    pub(super) template: u32,
    /// Why nothing runs in its Pod.
    pub(in crate::decide::tests) held_up: Option<TroubleKind>,
    /// Whether its Pod was ready, and since when.
    pub(super) readiness: (bool, jiff::Timestamp),
    /// How often its container was started again.
    pub(in crate::decide::tests) restarts: u32,
}

impl Member {
    /// Executes these transactions.
    pub(in crate::decide::tests) fn executes(&mut self, text: &str) {
        add(&mut self.state, text);
    }

    /// mysqld starts with all it has: recovery commits whatever waited.
    pub(super) fn wake(&mut self) {
        self.reigned = None;
        if let Some(data) = self.asleep.take() {
            self.state.data = Some(data);
            self.state.server = ServerPhase::Running;
        }
    }
}

pub(super) fn add(state: &mut MemberState, text: &str) {
    let data = state.data.as_mut().unwrap();
    data.executed = set(&data.executed).union(&set(text)).to_string();
}

/// A server UUID that was never used before: a volume that is made anew or cloned gets one (ADR 0008).
pub(super) fn uuid(name: &str, incarnation: u64) -> String {
    let ordinal = crate::names::ordinal(name).unwrap_or(0);
    format!("0000000{ordinal}-0000-0000-0000-{incarnation:012}")
}

pub(super) fn blank(name: &str, volume: &str) -> Member {
    let state = MemberState {
        cluster: "c1a5ter".to_owned(),
        instance: name.to_owned(),
        volume: volume.to_owned(),
        server: ServerPhase::Running,
        server_uuid: Some(uuid(name, 0)),
        version: Some("9.7.4".to_owned()),
        data: Some(DataState { settled: true, ..DataState::default() }),
        ..MemberState::default()
    };
    let claim = ClaimView {
        uid: format!("claim-of-{name}"),
        bound: true,
        size_bytes: 20 << 30,
        ..ClaimView::default()
    };
    Member {
        state,
        up: true,
        ends: false,
        claim,
        reigned: None,
        asleep: None,
        template: 0,
        held_up: None,
        readiness: (false, jiff::Timestamp::UNIX_EPOCH),
        restarts: 0,
    }
}
