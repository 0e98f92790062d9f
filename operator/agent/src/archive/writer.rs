//! Writing the archive, as the primary of one term in one run of mysqld.
//!
//! Only what is committed is archived, never what waits for acknowledgements: that may still be cut off (ha.md §4e). A writer
//! goes on where the archive ends, by GTID and not by file, so it does not matter which member wrote what is there.

use super::ArchiveError;
use super::log::{Log, Scan, Transaction};
use super::segment::{self, FORMAT, Header, Name, PIECE};
use super::store::{Store, blocking};
use super::takeover::{Chain, Start};
use crate::vault::Seal;
use jiff::Timestamp;
use porpoise_core::backup::{About, Chunk};
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::Term;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A segment grows up to this size by being written again: fewer objects for little more traffic.
const GROWN: u64 = 1 << 20;
/// Or up to this age.
const OLD: Duration = Duration::from_mins(1);
/// Without writes of clients the last segment is written this often.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// What the server has committed, and when it was asked.
#[derive(Clone, Debug)]
pub struct Committed {
    /// `@@gtid_executed`.
    pub executed: GtidSet,
    /// The moment before it was asked.
    pub at: Timestamp,
}

/// A writer.
pub struct Writer {
    store: Store,
    log: Log,
    about: About,
    seal: Arc<Seal>,
    /// The unbroken part of the archive.
    pub chain: Chain,
    next: Name,
    archived: GtidSet,
    file: String,
    offset: u64,
    growing: Option<Growing>,
    /// When the store was last written to.
    written: Instant,
    /// Everything committed before is stored, and the store says so.
    pub reached_at: Option<Timestamp>,
}

/// The last segment, as long as it may grow.
#[derive(Clone)]
struct Growing {
    name: Name,
    start: u64,
    end: u64,
    after: GtidSet,
    holds: GtidSet,
    began: Instant,
}

/// What a round stored.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// Commit times of the clients' transactions that were stored, in microseconds since 1970.
    pub committed: Vec<u64>,
    /// Whether there is more to do at once.
    pub is_behind: bool,
}

impl Writer {
    /// Takes over where the archive ends.
    pub fn new(store: Store, log: Log, seal: Arc<Seal>, about: About, term: Term, start: Start) -> Self {
        let Start { chain, writer, archived, file } = start;
        let offset = 0;
        let mark = uuid::Uuid::new_v4().simple().to_string().get(..8).unwrap_or_default().to_owned();
        let next = Name { chain: chain.number, term, writer, number: 1, mark };
        let (growing, written) = (None, Instant::now());
        Self {
            store,
            log,
            about,
            seal,
            chain,
            next,
            archived,
            file,
            offset,
            growing,
            written,
            reached_at: None,
        }
    }

    /// Stores what is new, up to a bound. What was committed after `committed` is left for the next round.
    pub async fn round(&mut self, committed: &Committed) -> Result<Round, ArchiveError> {
        let mut round = Round::default();
        let is_last = self.is_last().await?;
        let scan = self.scan(committed).await?;
        let new: Vec<&Transaction> = scan.transactions.iter().skip_while(|one| self.has(one)).collect();
        // So that the store tells until when there were no writes.
        let is_due = self.growing.is_none() || self.written.elapsed() >= HEARTBEAT;
        // Signs of life alone can wait: nobody would miss them.
        let is_urgent = new.iter().any(|one| !one.is_own) || !scan.is_whole || !is_last;
        if !is_urgent && !is_due {
            return Ok(round);
        }
        round.committed = new.iter().filter(|one| !one.is_own).map(|one| one.committed).collect();
        if let (Some(first), Some(last)) = (new.first(), new.last()) {
            self.extend(first, last, &new);
        }
        if is_due || !new.is_empty() {
            self.put(committed).await?;
        }
        round.is_behind = !scan.is_whole && scan.offset > self.offset;
        self.offset = scan.offset;
        if scan.is_whole && !is_last {
            self.next_file().await?;
            round.is_behind = true;
        }
        Ok(round)
    }

    /// Asked before the file is read: one that another follows grows no more.
    async fn is_last(&self) -> Result<bool, ArchiveError> {
        let files = self.files().await?;
        if !files.contains(&self.file) {
            return Err(ArchiveError::FollowBinlog { file: self.file.clone() });
        }
        Ok(files.last() == Some(&self.file))
    }

    async fn files(&self) -> Result<Vec<String>, ArchiveError> {
        let log = self.log.clone();
        blocking("list the binlog", move || log.files()).await
    }

    async fn scan(&self, committed: &Committed) -> Result<Scan, ArchiveError> {
        let (log, file, offset) = (self.log.clone(), self.file.clone(), self.offset);
        let executed = committed.executed.clone();
        blocking("read the binlog", move || log.scan(&file, offset, &executed, PIECE)).await
    }

    fn has(&self, transaction: &Transaction) -> bool {
        transaction.gtid.is_in(&self.archived)
    }

    async fn next_file(&mut self) -> Result<(), ArchiveError> {
        let files = self.files().await?;
        let after = files.iter().position(|file| *file == self.file).and_then(|at| files.get(at + 1));
        let next = after.ok_or_else(|| ArchiveError::FollowBinlog { file: self.file.clone() })?;
        (self.file, self.offset) = (next.clone(), 0);
        self.growing = None;
        Ok(())
    }

    /// The last segment with the new transactions, or a new segment of them.
    fn extend(&mut self, first: &Transaction, last: &Transaction, new: &[&Transaction]) {
        let added = set_of(new);
        let grown = self.growing.take().filter(|last| {
            last.end - last.start <= GROWN && last.began.elapsed() < OLD && last.end <= first.start
        });
        let growing = match grown {
            Some(growing) => growing,
            None => self.empty(first.start),
        };
        self.growing = Some(Growing { end: last.end, holds: growing.holds.union(&added), ..growing });
    }

    /// A segment of no transactions yet.
    fn empty(&mut self, start: u64) -> Growing {
        let name = self.next.clone();
        self.next.number += 1;
        let (after, holds) = (self.archived.clone(), GtidSet::default());
        Growing { name, start, end: start, after, holds, began: Instant::now() }
    }

    /// Writes the last segment. Nothing counts as archived before that is done.
    async fn put(&mut self, committed: &Committed) -> Result<(), ArchiveError> {
        let growing = match self.growing.take() {
            Some(growing) => growing,
            None => self.empty(self.offset),
        };
        // After an error the store has the segment as it was or as it was to be. Both are in order; the next round begins another
        // one, which may hold some of the same transactions.
        self.write(&growing, committed).await?;
        self.archived = growing.after.union(&growing.holds);
        (self.written, self.reached_at) = (Instant::now(), Some(committed.at));
        self.growing = Some(growing);
        Ok(())
    }

    async fn write(&self, growing: &Growing, committed: &Committed) -> Result<(), ArchiveError> {
        let name = growing.name.to_string();
        let (mut parts, mut start) = (Vec::new(), growing.start);
        while growing.end - start > PIECE + PIECE / 2 {
            let part = growing.name.part(parts.len());
            let end = start + PIECE;
            let is_first = parts.is_empty();
            let (content, entry) = self.close(part, is_first, start, end).await?;
            self.store.put(&entry.name, content).await?;
            parts.push(entry);
            start = end;
        }
        let (content, body) = self.close(name.clone(), parts.is_empty(), start, growing.end).await?;
        let header = Header {
            format: FORMAT,
            about: self.about.clone(),
            begins: self.chain.begins.to_string(),
            after: growing.after.to_string(),
            holds: growing.holds.to_string(),
            reached_at: committed.at.to_string(),
            broken: self.chain.broken.clone(),
            encryption: self.seal.encrypted(),
            parts,
            body,
        };
        let object = std::iter::once(segment::front(&header)).chain(content).collect();
        self.store.put(&name, object).await
    }

    /// Bytes of the file, with its beginning if they come first in the segment.
    async fn close(
        &self,
        name: String,
        is_first: bool,
        start: u64,
        end: u64,
    ) -> Result<(Vec<bytes::Bytes>, Chunk), ArchiveError> {
        let (log, file, seal) = (self.log.clone(), self.file.clone(), self.seal.clone());
        blocking("read the binlog", move || {
            let binlog = if is_first {
                let head = log.head(&file)?.end;
                log.excerpt(&file, head, start.max(head), end.max(head))?
            } else {
                log.bytes(&file, start, end)?
            };
            segment::close(&seal, name, &binlog)
        })
        .await
    }
}

fn set_of(transactions: &[&Transaction]) -> GtidSet {
    let mut set = GtidSet::default();
    for transaction in transactions {
        let gtid = &transaction.gtid;
        set.insert(&gtid.uuid, &gtid.tag, gtid.number);
    }
    set
}
