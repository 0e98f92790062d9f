//! What survives on a member's volume.

use super::transaction::{Bases, Gtid, Gtids, Kind, Transaction};
use crate::fixture;
use crate::member::{Identity, Promise, Volume};
use crate::protocol::Term;

/// Content of a volume.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// Whose it is.
    pub(super) volume: Volume,
    /// `promise.json`.
    pub(super) promise: Promise,
    /// `intent.json`: the request of a copy that has begun.
    pub(super) intent: Option<String>,
    /// `cloned.json`: the request of the last copy that was finished.
    pub(super) cloned: Option<String>,
    /// The server got a new UUID since then.
    pub(super) renamed: bool,
    /// `auto.cnf`.
    pub(super) uuid: u16,
    /// Transactions that are committed, in order.
    pub(super) log: Vec<Transaction>,
    /// `@@gtid_executed`. What a half-finished copy claims may not be in `log`.
    pub(super) executed: Gtids,
    /// Transactions in the binlog that `InnoDB` has only prepared: they wait for acknowledgement. A restart commits them (H3).
    pub(super) tail: Vec<Transaction>,
    /// Received and not yet applied, in order.
    pub(super) relay: Vec<Transaction>,
    /// How many of `relay` are on the disk; the rest is in the page cache, which a crashed node loses (H20).
    pub(super) relay_synced: usize,
    /// `@@gtid_purged`.
    pub(super) purged: Gtids,
    /// Member that the replication channel points at.
    pub(super) channel: Option<usize>,
    /// Term of the last order to follow; only a planted bug takes it for history.
    pub(super) followed_term: Term,
}

impl Disk {
    /// A volume that is used for the first time.
    pub(super) fn blank(instance: &str, number: u16) -> Self {
        let identity = Identity {
            cluster: fixture::UID.to_owned(),
            owner: "prod/shop".to_owned(),
            instance: instance.to_owned(),
            volume: format!("volume-{number}"),
            server_id: 1,
        };
        Self {
            volume: Volume::Ours(identity),
            promise: Promise::default(),
            intent: None,
            cloned: None,
            renamed: true,
            uuid: number,
            log: Vec::new(),
            executed: Gtids::default(),
            tail: Vec::new(),
            relay: Vec::new(),
            relay_synced: 0,
            purged: Gtids::default(),
            channel: None,
            followed_term: 0,
        }
    }

    /// An empty data directory; the agent's own files stay.
    pub(super) fn wipe(&mut self, uuid: u16) {
        self.uuid = uuid;
        self.log.clear();
        self.executed = Gtids::default();
        self.tail.clear();
        self.forget_relay();
        self.purged = Gtids::default();
        self.channel = None;
    }

    /// Deletes the relay logs.
    pub(super) fn forget_relay(&mut self) {
        self.relay.clear();
        self.relay_synced = 0;
    }

    /// Commits a transaction, unless one with its identifier is there.
    pub(super) fn commit(&mut self, transaction: Transaction) {
        if !self.executed.has(transaction.gtid) {
            self.executed.add(transaction.gtid);
            self.log.push(transaction);
        }
    }

    /// What crash recovery of the server does: everything in the binlog is committed (H3).
    pub(super) fn recover(&mut self) {
        for transaction in std::mem::take(&mut self.tail) {
            self.commit(transaction);
        }
    }

    /// The binlog, as a replica reads it: what waits for acknowledgement is in it.
    pub(super) fn binlog(&self) -> impl Iterator<Item = &Transaction> {
        self.log.iter().chain(&self.tail)
    }

    /// Whether the transaction is executed, waits or was received.
    pub(super) fn has(&self, gtid: Gtid) -> bool {
        self.executed.has(gtid) || self.waits(gtid) || self.relay.iter().any(|one| one.gtid == gtid)
    }

    fn waits(&self, gtid: Gtid) -> bool {
        self.tail.iter().any(|one| one.gtid == gtid)
    }

    /// Executed and waiting.
    pub(super) fn logged(&self) -> Gtids {
        self.tail.iter().fold(self.executed.clone(), |mut all, one| {
            all.add(one.gtid);
            all
        })
    }

    /// `Retrieved_Gtid_Set`, of what is not applied yet.
    pub(super) fn retrieved(&self) -> Gtids {
        gtids(&self.relay)
    }

    /// `@@gtid_owned`: commits that wait.
    pub(super) fn owned(&self) -> Gtids {
        gtids(&self.tail)
    }

    /// Term of the last term record.
    pub(super) fn history(&self) -> Term {
        self.record().map_or(0, |(term, _)| term)
    }

    /// The term record of the highest term.
    fn record(&self) -> Option<(Term, &Transaction)> {
        let records = self.log.iter().rev().filter_map(|one| match one.kind {
            Kind::TermRecord(term) => Some((term, one)),
            Kind::Write | Kind::Beat => None,
        });
        // The first of its term: a later one repeats it.
        records.max_by_key(|(term, _)| *term)
    }

    /// What is executed that the last term record's writer neither had then nor wrote itself.
    pub(super) fn strays(&self, bases: &Bases) -> Gtids {
        let Some((_, record)) = self.record() else { return Gtids::default() };
        let beyond = bases.get(record).map_or_else(Gtids::default, |base| self.executed.minus(base));
        beyond.minus(&beyond.of_server(record.gtid.server))
    }
}

fn gtids(transactions: &[Transaction]) -> Gtids {
    transactions.iter().fold(Gtids::default(), |mut all, one| {
        all.add(one.gtid);
        all
    })
}
