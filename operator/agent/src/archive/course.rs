//! The course of a restore: the segments that lead from a backup to a point in time, and where the last one is cut.

use super::ArchiveError;
use super::log::{self, Transaction};
use super::segment::{self, Header, Name};
use super::store::{Store, blocking};
use crate::tail::binlog::Events;
use jiff::Timestamp;
use porpoise_core::backup::RestorePoint;
use porpoise_core::gtid::{GtidError, GtidSet};
use std::fs::File;
use std::path::Path;

/// Why a point in time cannot be reached.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum CourseError {
    /// The archive cannot be read.
    #[error("read the archive")]
    ReadArchive {
        /// Cause.
        #[source]
        source: ArchiveError,
    },
    /// There is no segment.
    #[error(
        "find an archive beside the backup: nothing was archived; restore the backup alone, without pointInTime"
    )]
    FindArchive,
    /// The backup is older than every part of the archive that goes on.
    #[error(
        "go on from this backup: the archive begins later, and {missing} transactions lie between; name a newer backup"
    )]
    FollowBackup {
        /// How many.
        missing: u64,
    },
    /// The time is not one.
    #[error("understand the time {time:?}")]
    ReadTime {
        /// The text.
        time: String,
    },
    /// The transaction is none.
    #[error("read a transaction")]
    ReadGtid {
        /// Cause.
        #[source]
        source: GtidError,
    },
    /// The backup goes beyond the point.
    #[error("go back to {point}: the backup holds what came later; name an older backup")]
    PrecedeBackup {
        /// The point.
        point: String,
    },
    /// The archive ends before the point.
    #[error(
        "go up to {point}: the archive goes on from this backup until {reached_at}; name a point up to then, or latest"
    )]
    PassEnd {
        /// The point.
        point: String,
        /// How far the archive goes.
        reached_at: String,
    },
    /// The archive has a newer part that does not follow this backup.
    #[error(
        "go up to the latest point from this backup: the archive was broken at {reached_at} ({broken}); name a newer backup, or a time up to then"
    )]
    PassGap {
        /// How far the part goes.
        reached_at: String,
        /// Why another part began.
        broken: String,
    },
    /// What a segment follows is not there.
    #[error("go on with the segment {segment}: {missing} transactions before it are missing in the archive")]
    FollowSegment {
        /// Its name.
        segment: String,
        /// How many.
        missing: u64,
    },
}

impl CourseError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::ReadArchive { source } => source.is_for_good(),
            _ => true,
        }
    }
}

fn reading(source: ArchiveError) -> CourseError {
    CourseError::ReadArchive { source }
}

/// Where to end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Never,
    /// Microseconds since 1970: the last moment that counts.
    Time(i64),
    With(GtidSet),
    Before(GtidSet),
}

impl End {
    /// Whether the way ends before this transaction.
    fn is_before(&self, transaction: &Transaction) -> bool {
        match self {
            Self::Time(time) => i64::try_from(transaction.committed).unwrap_or(i64::MAX) > *time,
            Self::Before(gtid) => transaction.gtid.is_in(gtid),
            Self::Never | Self::With(_) => false,
        }
    }

    /// Whether this transaction is the last one.
    fn is_with(&self, transaction: &Transaction) -> bool {
        matches!(self, Self::With(gtid) if transaction.gtid.is_in(gtid))
    }
}

/// The way from a backup to a point.
pub struct Course {
    store: Store,
    end: End,
    names: std::vec::IntoIter<Name>,
    /// Everything that the data has when all that was given out is applied.
    pub have: GtidSet,
    is_over: bool,
}

/// What a backup holds.
pub struct Base<'a> {
    /// Its GTID set.
    pub gtid_set: &'a str,
    /// When it was complete (RFC 3339).
    pub completed_at: &'a str,
}

impl Course {
    /// Finds the way, or says why there is none, before anything is applied.
    ///
    /// `scratch` is the name of a file that does not outlive the call.
    pub async fn find(
        store: Store,
        base: &Base<'_>,
        point: &RestorePoint,
        scratch: &Path,
    ) -> Result<Self, CourseError> {
        let have = segment::set(base.gtid_set).map_err(reading)?;
        let names = store.names().await.map_err(reading)?;
        let part = part_of(&store, &names, &have).await?;
        let (Some(last), Some(newest)) = (part.last(), names.last()) else {
            return Err(CourseError::FindArchive);
        };
        let header = store.header(last).await.map_err(reading)?;
        let end = end_of(point)?;
        if end == End::Never && newest.chain != last.chain {
            let newest = store.header(newest).await.map_err(reading)?;
            return Err(CourseError::PassGap { reached_at: header.reached_at, broken: newest.broken });
        }
        check_end(&end, &header, &have, point)?;
        let first = store.count_within(part, &have).await.map_err(reading)?;
        if let End::Time(time) = end {
            let around = part.get(first.saturating_sub(1)..part.len().min(first + 1)).unwrap_or_default();
            let last = last_of(&store, around, &have, scratch).await?;
            // The transactions' own times first: the clock of the Job that made the backup was another one. Where the archive
            // does not go back to them, that one has to do.
            if last.map_or(!is_after(base, time), |last| time < last) {
                return Err(CourseError::PrecedeBackup { point: words(point) });
            }
        }
        let names = part.get(first..).unwrap_or_default().to_vec().into_iter();
        Ok(Self { store, end, names, have, is_over: false })
    }

    /// Writes what comes next as a binlog file, cut where the way ends. `None`: the point is reached.
    pub async fn next(&mut self, into: &Path) -> Result<Option<u64>, CourseError> {
        while !self.is_over {
            let Some(name) = self.names.next() else { break };
            let (header, body) = self.store.read(&name).await.map_err(reading)?;
            let after = segment::set(&header.after).map_err(reading)?;
            let missing = after.subtract(&self.have);
            if !missing.is_empty() {
                let (segment, missing) = (name.to_string(), missing.count());
                return Err(CourseError::FollowSegment { segment, missing });
            }
            self.store.unpack(&header, body, into).await.map_err(reading)?;
            let bytes = self.cut(&name, &header, into).await?;
            if bytes > 0 {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Ends the file where the way ends. Gives the bytes of what is new in it, 0 if nothing is.
    async fn cut(&mut self, name: &Name, header: &Header, file: &Path) -> Result<u64, CourseError> {
        let (path, end, have) = (file.to_owned(), self.end.clone(), self.have.clone());
        let cut = blocking("read a segment", move || cut(&path, &end, have)).await.map_err(reading)?;
        let holds = segment::set(&header.holds).map_err(reading)?;
        if !cut.is_over && !cut.have.contains(&holds) {
            let reason = "it lacks transactions that its header names".to_owned();
            return Err(reading(ArchiveError::UnderstandSegment { segment: name.to_string(), reason }));
        }
        (self.have, self.is_over) = (cut.have, cut.is_over);
        Ok(cut.bytes)
    }
}

struct Cut {
    have: GtidSet,
    is_over: bool,
    bytes: u64,
}

fn cut(path: &Path, end: &End, mut have: GtidSet) -> Result<Cut, ArchiveError> {
    let mut bytes = 0;
    for transaction in transactions(path)? {
        let is_new = !transaction.gtid.is_in(&have);
        if is_new && end.is_before(&transaction) {
            shorten(path, transaction.start)?;
            return Ok(Cut { have, is_over: true, bytes });
        }
        have.insert(&transaction.gtid.uuid, &transaction.gtid.tag, transaction.gtid.number);
        bytes += if is_new { transaction.end - transaction.start } else { 0 };
        if end.is_with(&transaction) {
            shorten(path, transaction.end)?;
            return Ok(Cut { have, is_over: true, bytes });
        }
    }
    Ok(Cut { have, is_over: false, bytes })
}

fn shorten(path: &Path, length: u64) -> Result<(), ArchiveError> {
    let opened = File::options().write(true).open(path);
    opened
        .and_then(|file| file.set_len(length))
        .map_err(|source| ArchiveError::UseFile { path: path.to_owned(), source })
}

fn end_of(point: &RestorePoint) -> Result<End, CourseError> {
    let one = |gtid: &String| GtidSet::parse(gtid).map_err(|source| CourseError::ReadGtid { source });
    Ok(match point {
        RestorePoint::Latest => End::Never,
        RestorePoint::Time { time } => {
            let parsed: Timestamp = time.parse().map_err(|_| CourseError::ReadTime { time: time.clone() })?;
            End::Time(parsed.as_microsecond())
        }
        RestorePoint::Gtid { gtid } => End::With(one(gtid)?),
        RestorePoint::BeforeGtid { gtid } => End::Before(one(gtid)?),
    })
}

/// The newest unbroken part of the archive that can follow the backup.
async fn part_of<'a>(store: &Store, names: &'a [Name], have: &GtidSet) -> Result<&'a [Name], CourseError> {
    let mut fewest = None;
    let parts: Vec<&[Name]> = names.chunk_by(|one, next| one.chain == next.chain).collect();
    for part in parts.into_iter().rev() {
        let Some(first) = part.first() else { continue };
        let header = store.header(first).await.map_err(reading)?;
        let begins = segment::set(&header.begins).map_err(reading)?;
        let missing = begins.subtract(have);
        if missing.is_empty() {
            return Ok(part);
        }
        fewest = Some(missing.count());
    }
    Err(fewest.map_or(CourseError::FindArchive, |missing| CourseError::FollowBackup { missing }))
}

/// Whether the part reaches the point, and the backup does not go beyond it.
fn check_end(end: &End, last: &Header, have: &GtidSet, point: &RestorePoint) -> Result<(), CourseError> {
    let pass = || CourseError::PassEnd { point: words(point), reached_at: last.reached_at.clone() };
    match end {
        End::Never => Ok(()),
        End::Time(time) => {
            let reached = last.reached_at.parse().map_or(i64::MIN, Timestamp::as_microsecond);
            if *time > reached { Err(pass()) } else { Ok(()) }
        }
        End::With(gtid) | End::Before(gtid) => {
            if have.contains(gtid) {
                return Err(CourseError::PrecedeBackup { point: words(point) });
            }
            let reached = last.reached().map_err(reading)?;
            if reached.contains(gtid) { Ok(()) } else { Err(pass()) }
        }
    }
}

fn words(point: &RestorePoint) -> String {
    match point {
        RestorePoint::Latest => "the latest point".to_owned(),
        RestorePoint::Time { time } => time.clone(),
        RestorePoint::Gtid { gtid } => gtid.clone(),
        RestorePoint::BeforeGtid { gtid } => format!("what is before {gtid}"),
    }
}

/// Whether the time is after the backup was complete: then the backup holds nothing that is later.
fn is_after(base: &Base<'_>, time: i64) -> bool {
    base.completed_at.parse().map_or(i64::MAX, Timestamp::as_microsecond) <= time
}

/// When the last transaction of the backup was committed, in microseconds since 1970, as far as the archive goes back: a
/// backup cannot be taken back to a time before that.
async fn last_of(
    store: &Store,
    around: &[Name],
    have: &GtidSet,
    scratch: &Path,
) -> Result<Option<i64>, CourseError> {
    let mut last = None;
    for name in around {
        let (header, body) = store.read(name).await.map_err(reading)?;
        store.unpack(&header, body, scratch).await.map_err(reading)?;
        let (path, have) = (scratch.to_owned(), have.clone());
        let newest = blocking("read a segment", move || newest(&path, &have)).await.map_err(reading)?;
        last = last.max(newest);
    }
    let _ = std::fs::remove_file(scratch);
    Ok(last)
}

fn newest(path: &Path, have: &GtidSet) -> Result<Option<i64>, ArchiveError> {
    let scan = transactions(path)?;
    let had = scan.iter().filter(|one| one.gtid.is_in(have));
    Ok(had.map(|one| i64::try_from(one.committed).unwrap_or(i64::MAX)).max())
}

/// All transactions of a file.
fn transactions(path: &Path) -> Result<Vec<Transaction>, ArchiveError> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let broken = |source| ArchiveError::ReadBinlog { file: file.clone(), source };
    let mut events = Events::of_excerpt(path).map_err(broken)?;
    events.head().map_err(broken)?;
    Ok(log::scan(&mut events, |_| true, u64::MAX).map_err(broken)?.transactions)
}
