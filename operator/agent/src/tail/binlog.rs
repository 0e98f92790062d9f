//! Events of a binlog file, header by header. `mysqlbinlog` is not in the stock image (docker-library/mysql#907).
//!
//! Source: MySQL 9.7 source documentation, "Binary Log Event" (`Log_event_header`, `Format_description_event`), and our
//! own files of 9.7.4, which the tests read.

use super::gtids::{self, Gtid};
use porpoise_core::gtid::GtidSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// First bytes of a binlog file.
const MAGIC: [u8; 4] = [0xfe, b'b', b'i', b'n'];
/// First bytes of an encrypted one (WL#10957).
const ENCRYPTED: [u8; 4] = [0xfd, b'b', b'i', b'n'];
/// Length of an event's header since version 4 of the format.
const HEADER: usize = 19;
/// Where the flags are in it.
const FLAGS: usize = 17;
/// Length of a checksum.
const CHECKSUM: usize = 4;
/// Flag of the first event: the file was not closed.
const IN_USE: u8 = 1;
/// Longest event body that is read into memory; only sets of GTIDs come near it.
const LONGEST_BODY: u64 = 64 << 20;

/// What can go wrong while a binlog is read.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum BinlogError {
    /// The file cannot be read.
    #[error("read {path}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The file is encrypted; its key is mysqld's.
    #[error("read an encrypted binlog")]
    ReadEncrypted,
    /// The file is no binlog, or of another version.
    #[error("recognise a binlog of version 4")]
    RecogniseFormat,
    /// An event is not what it should be.
    #[error("understand the event at {offset}: {what}")]
    ParseEvent {
        /// Where it begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
    },
}

/// Type of an event, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A statement; also `BEGIN`, and the `COMMIT` of what is not transactional.
    Query,
    /// The file ends because mysqld did.
    Stop,
    /// The file ends because another begins.
    Rotate,
    /// First event of every file.
    FormatDescription,
    /// Rows of a table follow.
    TableMap,
    /// Compressed events of a transaction (WL#3549).
    Payload,
    /// A transaction begins.
    Gtid,
    /// A transaction without GTID begins.
    AnonymousGtid,
    /// What is in earlier files.
    PreviousGtids,
    /// A transaction with a tagged GTID begins (WL#15294).
    TaggedGtid,
    /// Any other.
    Other,
}

impl Kind {
    fn of(code: u8) -> Self {
        match code {
            2 => Self::Query,
            3 => Self::Stop,
            4 => Self::Rotate,
            15 => Self::FormatDescription,
            19 => Self::TableMap,
            33 => Self::Gtid,
            34 => Self::AnonymousGtid,
            35 => Self::PreviousGtids,
            40 => Self::Payload,
            42 => Self::TaggedGtid,
            _ => Self::Other,
        }
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it begins.
    pub offset: u64,
    /// Where the next one begins.
    pub end: u64,
    /// What it is.
    pub kind: Kind,
    /// Seconds since 1970 at which its statement began.
    pub timestamp: u32,
    /// Its body without checksum, if it was asked for.
    pub body: Vec<u8>,
}

impl Event {
    /// The name of the transaction that begins with this event.
    pub fn gtid(&self) -> Option<Gtid> {
        match self.kind {
            Kind::TaggedGtid => gtids::tagged(&self.body),
            _ => gtids::plain(&self.body),
        }
    }

    /// When that was committed where it was first, in microseconds since 1970.
    pub fn committed(&self) -> Option<u64> {
        match self.kind {
            Kind::TaggedGtid => gtids::tagged_committed(&self.body),
            _ => gtids::plain_committed(&self.body),
        }
    }
}

/// What a file says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Where the events end that do so.
    pub end: u64,
    /// What is in earlier files.
    pub previous: GtidSet,
}

/// Header and body as they are in the file, checksum included.
type Raw = ([u8; HEADER], Vec<u8>);

/// The events of a file, one after the other.
pub struct Events {
    path: PathBuf,
    input: BufReader<File>,
    position: u64,
    length: u64,
    has_checksums: bool,
    is_excerpt: bool,
    /// Whether the file was left open, so that mysqld will recover from it.
    pub is_in_use: bool,
}

impl Events {
    /// Opens a file and reads its first event.
    pub fn open(path: &Path) -> Result<Self, BinlogError> {
        let reading = |source| BinlogError::ReadFile { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(reading)?;
        let length = file.metadata().map_err(reading)?.len();
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic).map_err(reading)?;
        match magic {
            MAGIC => {}
            ENCRYPTED => return Err(BinlogError::ReadEncrypted),
            _ => return Err(BinlogError::RecogniseFormat),
        }
        let input = BufReader::with_capacity(1 << 18, file);
        let position = u64::try_from(MAGIC.len()).unwrap_or_default();
        let mut events = Self {
            path: path.to_owned(),
            input,
            position,
            length,
            has_checksums: true,
            is_excerpt: false,
            is_in_use: false,
        };
        events.describe()?;
        Ok(events)
    }

    /// The first event has a checksum in any case, taken without the flag that is cleared in place, and says whether the
    /// others have one.
    fn describe(&mut self) -> Result<(), BinlogError> {
        let Some((header, mut rest)) = self.raw(|kind| kind == Kind::FormatDescription)? else {
            return Err(BinlogError::RecogniseFormat);
        };
        let version = rest.get(..2).map(|bytes| [bytes[0], bytes[1]]);
        if Kind::of(header[4]) != Kind::FormatDescription || version != Some([4, 0]) {
            return Err(BinlogError::RecogniseFormat);
        }
        self.is_in_use = header[FLAGS] & IN_USE != 0;
        let mut plain = header;
        plain[FLAGS] &= !IN_USE;
        let start = self.position - u64::from(size_of(&header));
        check(&plain, &mut rest, start)?;
        self.has_checksums = match rest.last() {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(BinlogError::RecogniseFormat),
        };
        Ok(())
    }

    /// The same of a file whose events were elsewhere in another one: they say where they were there.
    pub fn of_excerpt(path: &Path) -> Result<Self, BinlogError> {
        Ok(Self { is_excerpt: true, ..Self::open(path)? })
    }

    /// Reads the event after the first one.
    pub fn head(&mut self) -> Result<Head, BinlogError> {
        let offset = self.position;
        let broken = |what| BinlogError::ParseEvent { offset, what };
        let Some(event) = self.next(|_| true)?.filter(|event| event.kind == Kind::PreviousGtids) else {
            return Err(broken("the file does not say what is in earlier ones"));
        };
        let previous = gtids::previous(&event.body).ok_or_else(|| broken("it is no set of GTIDs"))?;
        Ok(Head { end: event.end, previous })
    }

    /// Goes on at an offset where an event begins.
    pub fn skip_to(&mut self, offset: u64) -> Result<(), BinlogError> {
        self.input.seek(SeekFrom::Start(offset)).map_err(|source| self.reading(source))?;
        self.position = offset;
        Ok(())
    }

    /// Where the next event begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next event, with its body if `wants` says so; nothing at the end, also when the last event is incomplete:
    /// mysqld cuts that off itself.
    pub fn next(&mut self, wants: impl Fn(Kind) -> bool) -> Result<Option<Event>, BinlogError> {
        let offset = self.position;
        let Some((header, mut body)) = self.raw(&wants)? else {
            return Ok(None);
        };
        let kind = Kind::of(header[4]);
        if self.has_checksums && wants(kind) {
            check(&header, &mut body, offset)?;
        }
        let timestamp = number(&header, 0);
        Ok(Some(Event { offset, end: self.position, kind, timestamp, body }))
    }

    fn raw(&mut self, wants: impl Fn(Kind) -> bool) -> Result<Option<Raw>, BinlogError> {
        let left = self.length.saturating_sub(self.position);
        if left < HEADER as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER];
        self.input.read_exact(&mut header).map_err(|source| self.reading(source))?;
        let size = u64::from(size_of(&header));
        if size < HEADER as u64 {
            return Err(self.broken("its size is too small"));
        }
        if size > left {
            return Ok(None);
        }
        let end = self.position + size;
        // Four bytes of a position that may be longer.
        if !self.is_excerpt && u64::from(number(&header, 13)) != end & u64::from(u32::MAX) {
            return Err(self.broken("it is not where it says"));
        }
        let rest = size - HEADER as u64;
        let body = if wants(Kind::of(header[4])) { self.body(rest)? } else { self.skip(rest)? };
        self.position = end;
        Ok(Some((header, body)))
    }

    fn body(&mut self, length: u64) -> Result<Vec<u8>, BinlogError> {
        if length > LONGEST_BODY {
            return Err(self.broken("it is too long"));
        }
        let mut body = vec![0; usize::try_from(length).unwrap_or_default()];
        self.input.read_exact(&mut body).map_err(|source| self.reading(source))?;
        Ok(body)
    }

    fn skip(&mut self, length: u64) -> Result<Vec<u8>, BinlogError> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.input.seek_relative(length).map_err(|source| self.reading(source))?;
        Ok(Vec::new())
    }

    fn reading(&self, source: io::Error) -> BinlogError {
        BinlogError::ReadFile { path: self.path.clone(), source }
    }

    fn broken(&self, what: &'static str) -> BinlogError {
        BinlogError::ParseEvent { offset: self.position, what }
    }
}

/// Copies the first `length` bytes of a binlog as those of a file that was closed.
pub fn copy_head(from: &mut File, to: &mut impl io::Write, length: u64) -> io::Result<()> {
    from.seek(SeekFrom::Start(0))?;
    let mut head = Vec::new();
    from.take(length).read_to_end(&mut head)?;
    if let Some(flags) = head.get_mut(MAGIC.len() + FLAGS) {
        *flags &= !IN_USE;
    }
    to.write_all(&head)
}

fn size_of(header: &[u8; HEADER]) -> u32 {
    number(header, 9)
}

fn number(header: &[u8; HEADER], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[at..at + 4]);
    u32::from_le_bytes(bytes)
}

/// Compares the checksum (CRC-32 over header and body) and takes it off.
fn check(header: &[u8; HEADER], body: &mut Vec<u8>, offset: u64) -> Result<(), BinlogError> {
    const ALGORITHM: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let broken = |what| BinlogError::ParseEvent { offset, what };
    let split = body.len().checked_sub(CHECKSUM).ok_or_else(|| broken("it has no checksum"))?;
    let stored = body.split_off(split);
    let mut digest = ALGORITHM.digest();
    digest.update(header);
    digest.update(body);
    if digest.finalize().to_le_bytes() == stored[..] { Ok(()) } else { Err(broken("its checksum is wrong")) }
}
