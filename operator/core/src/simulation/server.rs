//! mysqld while it runs: all of it is gone after a crash.

use crate::protocol::Term;

/// State of the receiver thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// It does not run.
    Off,
    /// It tries to connect.
    Connecting,
    /// It is connected to this run of the source. Whether it acknowledges was asked for when it connected.
    On { run: u64, acknowledges: bool },
}

impl Receiver {
    pub(super) fn is_active(self) -> bool {
        self != Self::Off
    }
}

/// One run of mysqld.
// The flags are independent settings of the server.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Number of the run, unique in the world.
    pub(super) run: u64,
    pub(super) read_only: bool,
    pub(super) offline: bool,
    pub(super) source_semi_sync: bool,
    pub(super) ack_count: i32,
    pub(super) replica_semi_sync: bool,
    pub(super) receiver: Receiver,
    pub(super) applies: bool,
    /// The source cannot give what is needed (error 1236).
    pub(super) needs_clone: bool,
    /// Up to where in the binlog each replica acknowledged.
    pub(super) acknowledged: Vec<(usize, usize)>,
    /// Clients whose transactions stand before this place were turned away.
    pub(super) answers_from: usize,
    /// Term it was opened for.
    pub(super) term: Term,
}

impl Server {
    /// A server that just started: closed, nothing runs.
    pub(super) fn boot(run: u64) -> Self {
        Self {
            run,
            read_only: true,
            offline: true,
            source_semi_sync: false,
            ack_count: 1,
            replica_semi_sync: false,
            receiver: Receiver::Off,
            applies: false,
            needs_clone: false,
            acknowledged: Vec::new(),
            answers_from: 0,
            term: 0,
        }
    }

    /// Takes note that `replica` has everything up to `place`, exclusive.
    pub(super) fn note(&mut self, replica: usize, place: usize) {
        match self.acknowledged.iter_mut().find(|(known, _)| *known == replica) {
            Some((_, known)) => *known = (*known).max(place),
            None => self.acknowledged.push((replica, place)),
        }
    }

    /// Whether the transaction at `place` may be committed.
    pub(super) fn may_commit(&self, place: usize) -> bool {
        let count = self.acknowledged.iter().filter(|(_, known)| *known > place).count();
        !self.source_semi_sync || i32::try_from(count).unwrap_or(i32::MAX) >= self.ack_count
    }

    /// Whether clients may write.
    pub(super) fn is_open(&self) -> bool {
        !self.read_only && !self.offline
    }
}
