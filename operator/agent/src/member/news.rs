//! News for whoever waits for it.

use super::Member;
use crate::pulse::Pulse;
use porpoise_core::protocol::{DiskState, LongTransactions};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::time::timeout;

impl Member {
    /// Compares what there is to tell with what was told, and wakes those who wait when it matters.
    pub(super) fn tell(&self) {
        let state = self.state();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if state.differs_from(&told) {
            *told = state;
            self.change.send_modify(|change| *change += 1);
        }
    }

    /// Takes the newest sign of the source; whoever waits is told when it fell silent or came back.
    pub fn hear(&self, pulse: Option<Pulse>) {
        let before = self.hears();
        self.board().pulse = pulse;
        if before != self.hears() || !self.hears() {
            self.tell();
        }
    }

    /// Whether the source was heard within the last second. A replica that just began to follow is given that second.
    pub fn hears(&self) -> bool {
        self.board().pulse.as_ref().is_none_or(Pulse::is_fresh)
    }

    /// Takes how the volume is, and tells whoever waits.
    pub fn tell_disk(&self, disk: DiskState) {
        self.board().disk = disk;
        self.tell();
    }

    /// Takes the transactions that a change of the primary would break off; whoever waits is told when there are none any
    /// more.
    pub fn tell_long_transactions(&self, found: Option<LongTransactions>) {
        let is_some = found.is_some();
        let before = std::mem::replace(&mut self.board().long_transactions, found);
        if before.is_some() != is_some {
            self.tell();
        }
    }

    /// Waits, within `limit`, for something that is newer than the change `after` of `process`. What another process was
    /// asked for is over.
    pub async fn news(&self, process: &str, after: u64, limit: Duration) {
        if process != self.process {
            return;
        }
        let mut change = self.change.subscribe();
        let _ = timeout(limit, change.wait_for(|change| *change > after)).await;
    }
}
