//! The server's own binlog, file by file, as far as it is committed. For threads that may block.

use super::ArchiveError;
use crate::tail::binlog::{self, BinlogError, Event, Events, Head, Kind};
use crate::tail::gtids::Gtid;
use porpoise_core::gtid::GtidSet;
use porpoise_core::names::PRIVATE_SCHEMA;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The binlog of a server.
#[derive(Clone, Debug)]
pub struct Log {
    data: PathBuf,
}

/// A transaction in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its name.
    pub gtid: Gtid,
    /// When it was committed where it was first, in microseconds since 1970.
    pub committed: u64,
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Whether it is one of the agent's own: it changes nothing but rows of the private schema, as a sign of life does.
    pub is_own: bool,
}

/// What was found in a file from some offset on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The transactions, in order.
    pub transactions: Vec<Transaction>,
    /// Where to go on.
    pub offset: u64,
    /// Whether all of the file as it was then has been seen.
    pub is_whole: bool,
}

impl Log {
    /// The binlog in this data directory.
    pub fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }

    /// The names of its files, oldest first.
    pub fn files(&self) -> Result<Vec<String>, ArchiveError> {
        let path = self.data.join("binlog.index");
        let text = fs::read_to_string(&path).map_err(|source| ArchiveError::UseFile { path, source })?;
        let names = text.lines().filter_map(|line| Path::new(line).file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    /// Bytes of a file.
    pub fn size(&self, file: &str) -> Result<u64, ArchiveError> {
        let path = self.data.join(file);
        let metadata = fs::metadata(&path).map_err(|source| ArchiveError::UseFile { path, source })?;
        Ok(metadata.len())
    }

    /// How a file begins.
    pub fn head(&self, file: &str) -> Result<Head, ArchiveError> {
        let reading = |source| ArchiveError::ReadBinlog { file: file.to_owned(), source };
        let mut events = Events::open(&self.data.join(file)).map_err(reading)?;
        events.head().map_err(reading)
    }

    /// What follows `offset` in a file, up to the first transaction that is not in `executed`, and about as many bytes as
    /// `most` says. The set must be older than this call: what is in it is whole in the file.
    pub fn scan(&self, file: &str, offset: u64, executed: &GtidSet, most: u64) -> Result<Scan, ArchiveError> {
        let reading = |source| ArchiveError::ReadBinlog { file: file.to_owned(), source };
        let mut events = Events::open(&self.data.join(file)).map_err(reading)?;
        let head = events.head().map_err(reading)?;
        let offset = offset.max(head.end);
        events.skip_to(offset).map_err(reading)?;
        scan(&mut events, |gtid| gtid.is_in(executed), most).map_err(reading)
    }

    /// The beginning of a file and the bytes from `start` to `end`: again a binlog file.
    pub fn excerpt(&self, file: &str, head: u64, start: u64, end: u64) -> Result<Vec<u8>, ArchiveError> {
        let path = self.data.join(file);
        let read = || -> io::Result<Vec<u8>> {
            let mut from = File::open(&path)?;
            let mut excerpt = Vec::new();
            binlog::copy_head(&mut from, &mut excerpt, head)?;
            append(&mut from, start, end, &mut excerpt)?;
            Ok(excerpt)
        };
        read().map_err(|source| ArchiveError::UseFile { path: path.clone(), source })
    }

    /// The bytes from `start` to `end` alone.
    pub fn bytes(&self, file: &str, start: u64, end: u64) -> Result<Vec<u8>, ArchiveError> {
        let path = self.data.join(file);
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            append(&mut File::open(&path)?, start, end, &mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|source| ArchiveError::UseFile { path: path.clone(), source })
    }
}

fn append(from: &mut File, start: u64, end: u64, to: &mut Vec<u8>) -> io::Result<()> {
    from.seek(SeekFrom::Start(start))?;
    let wanted = end.saturating_sub(start);
    let read = from.take(wanted).read_to_end(to)?;
    if u64::try_from(read).unwrap_or_default() < wanted {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Transactions from where `events` stand, up to the first one that is not wanted, and about as many bytes as `most` says.
pub fn scan(events: &mut Events, is_wanted: impl Fn(&Gtid) -> bool, most: u64) -> Result<Scan, BinlogError> {
    let from = events.position();
    let mut found = Scan { offset: from, ..Scan::default() };
    let mut current: Option<Transaction> = None;
    // Known once there are rows: a definition has none.
    let mut is_own: Option<bool> = None;
    loop {
        let position = events.position();
        let event = events.next(|kind| is_gtid(kind) || kind == Kind::TableMap)?;
        if event.as_ref().is_none_or(|event| ends(event.kind))
            && let Some(transaction) = current.take()
        {
            let is_own = is_own.take().unwrap_or(false);
            found.transactions.push(Transaction { end: position, is_own, ..transaction });
            found.offset = position;
        }
        let Some(event) = event else {
            found.is_whole = true;
            return Ok(found);
        };
        match event.kind {
            Kind::Gtid | Kind::TaggedGtid => {
                let transaction = begin(&event)?;
                if !is_wanted(&transaction.gtid) || found.offset.saturating_sub(from) >= most {
                    return Ok(found);
                }
                current = Some(transaction);
            }
            Kind::AnonymousGtid => {
                let what = "the transaction has no GTID";
                return Err(BinlogError::ParseEvent { offset: position, what });
            }
            Kind::TableMap | Kind::Payload => {
                let is_private = schema_of(&event) == Some(PRIVATE_SCHEMA.as_bytes());
                is_own = Some(is_private && is_own.unwrap_or(true));
            }
            Kind::Query
            | Kind::Stop
            | Kind::Rotate
            | Kind::FormatDescription
            | Kind::PreviousGtids
            | Kind::Other => {}
        }
    }
}

/// The schema in the body of a `TABLE_MAP_EVENT`: after six bytes of number and two of flags, its length and its name.
fn schema_of(event: &Event) -> Option<&[u8]> {
    let length = usize::from(*event.body.get(8)?);
    event.body.get(9..9 + length)
}

fn is_gtid(kind: Kind) -> bool {
    matches!(kind, Kind::Gtid | Kind::TaggedGtid)
}

/// What no transaction goes on behind.
fn ends(kind: Kind) -> bool {
    is_gtid(kind) || matches!(kind, Kind::Rotate | Kind::Stop)
}

fn begin(event: &Event) -> Result<Transaction, BinlogError> {
    let what = "it is no GTID with a time";
    let broken = || BinlogError::ParseEvent { offset: event.offset, what };
    let (gtid, committed) = (event.gtid().ok_or_else(broken)?, event.committed().ok_or_else(broken)?);
    Ok(Transaction { gtid, committed, start: event.offset, end: event.end, is_own: false })
}
