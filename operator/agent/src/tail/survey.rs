//! Finding the tail: the first transaction that may not be kept, and all that follow it.

use super::CutError;
use super::binlog::{BinlogError, Event, Events, Head, Kind};
use super::gtids::Gtid;
use porpoise_core::gtid::GtidSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A tail in a binlog file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Where the events end that describe the file itself.
    pub head: u64,
    /// Where the tail begins.
    pub offset: u64,
    /// How many transactions it has; the last may be incomplete.
    pub transactions: u64,
    /// Seconds since 1970 at which the first of them began.
    pub began: u32,
}

/// Looks into the newest file only: mysqld begins a new one when everything in the one before is committed (9.7.4:
/// `FLUSH BINARY LOGS` waits as long as a commit does), so no tail that can be undone spans two files.
pub fn newest(data: &Path, keep: &GtidSet, deadline: Instant) -> Result<Option<Found>, CutError> {
    let path = newest_file(data)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reading = |source| CutError::ReadBinlog { file: name.clone(), source };
    let mut events = Events::open(&path).map_err(reading)?;
    let head = events.head().map_err(reading)?;
    check_earlier(&head, keep)?;
    let mut search = Search { keep, found: None };
    let mut seen = 0_u32;
    while let Some(event) = events.next(|kind| search.wants(kind)).map_err(reading)? {
        search.look(&event).map_err(|error| error.of(&name))?;
        seen = seen.wrapping_add(1);
        if seen.trailing_zeros() >= 12 && Instant::now() > deadline {
            return Err(CutError::AwaitSurvey);
        }
    }
    match search.found {
        Some(_) if !events.is_in_use => Err(CutError::UndoClosed),
        Some(found) => Ok(Some(Found { path, head: head.end, ..found })),
        None => Ok(None),
    }
}

fn newest_file(data: &Path) -> Result<PathBuf, CutError> {
    let path = data.join("binlog.index");
    let finding = |source| CutError::FindBinlog { path: path.clone(), source };
    let text = fs::read_to_string(&path).map_err(finding)?;
    let last = text.lines().rev().find(|line| !line.is_empty());
    let name = last.and_then(|line| Path::new(line).file_name());
    let name = name.ok_or_else(|| finding(io::Error::from(io::ErrorKind::UnexpectedEof)))?;
    Ok(data.join(name))
}

/// All that earlier files hold must be kept, or the cut would have to begin there.
fn check_earlier(head: &Head, keep: &GtidSet) -> Result<(), CutError> {
    let foreign = head.previous.subtract(keep);
    if foreign.is_empty() { Ok(()) } else { Err(CutError::UndoEarlier { earlier: foreign.count() }) }
}

struct Search<'a> {
    keep: &'a GtidSet,
    found: Option<Found>,
}

/// What ends a search; the file's name is not known there.
enum Obstacle {
    Unreadable(BinlogError),
    Cut(CutError),
}

impl Obstacle {
    fn of(self, file: &str) -> CutError {
        match self {
            Self::Unreadable(source) => CutError::ReadBinlog { file: file.to_owned(), source },
            Self::Cut(error) => error,
        }
    }
}

impl Search<'_> {
    fn wants(&self, kind: Kind) -> bool {
        matches!(kind, Kind::Gtid | Kind::TaggedGtid) || (kind == Kind::Query && self.found.is_some())
    }

    fn look(&mut self, event: &Event) -> Result<(), Obstacle> {
        let unread = |what| Obstacle::Unreadable(BinlogError::ParseEvent { offset: event.offset, what });
        match event.kind {
            Kind::Gtid | Kind::TaggedGtid => {
                let gtid = event.gtid().ok_or_else(|| unread("it is no GTID"))?;
                self.transaction(event, &gtid)
            }
            Kind::AnonymousGtid => Err(unread("the transaction has no GTID")),
            // What InnoDB commits ends with another event.
            Kind::Query if statement(&event.body) == Some(b"COMMIT") => {
                Err(Obstacle::Cut(CutError::UndoChange { offset: event.offset }))
            }
            Kind::Stop | Kind::Rotate if self.found.is_some() => Err(Obstacle::Cut(CutError::UndoClosed)),
            Kind::Query
            | Kind::Stop
            | Kind::Rotate
            | Kind::FormatDescription
            | Kind::PreviousGtids
            | Kind::TableMap
            | Kind::Payload
            | Kind::Other => Ok(()),
        }
    }

    fn transaction(&mut self, event: &Event, gtid: &Gtid) -> Result<(), Obstacle> {
        let is_kept = gtid.is_in(self.keep);
        match (&mut self.found, is_kept) {
            (None, true) => {}
            (Some(_), true) => return Err(Obstacle::Cut(CutError::CutKept { gtid: gtid.to_string() })),
            (Some(found), false) => found.transactions += 1,
            (None, false) => {
                self.found = Some(Found {
                    path: PathBuf::new(),
                    head: 0,
                    offset: event.offset,
                    transactions: 1,
                    began: event.timestamp,
                });
            }
        }
        Ok(())
    }
}

/// The text of a `QUERY_EVENT`: thread, duration, length of the schema's name, error, length of the variables; then the
/// variables, the schema, a zero and the text.
fn statement(body: &[u8]) -> Option<&[u8]> {
    let schema = usize::from(*body.get(8)?);
    let variables = usize::from(u16::from_le_bytes(body.get(11..13)?.try_into().ok()?));
    body.get(13 + variables + schema + 1..)
}
