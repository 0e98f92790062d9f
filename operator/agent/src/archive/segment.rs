//! A segment: what one object of the archive holds.
//!
//! A mark, the length of the header, the header as JSON, and the body: compressed and, if that is wanted, encrypted. Whole
//! and decompressed, the body is a binlog file that `mysqlbinlog` reads. A segment of a transaction that is larger than an
//! object has parts, which come before it; the object with the header is written last.

use super::ArchiveError;
use crate::vault::Seal;
use bytes::Bytes;
use porpoise_core::backup::{About, Chunk, Encrypted};
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::Term;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::Read as _;

/// Format of segments that this version writes.
pub const FORMAT: u32 = 1;
/// How an object of the archive begins.
const MARK: [u8; 8] = *b"porpseg\x01";
/// Length of the mark and of the header's length.
const PREFIX: usize = MARK.len() + 4;
/// Bytes of binlog in one object at most, unless they are few more.
pub const PIECE: u64 = 4 << 20;
/// No object of the archive is larger: twice a piece, and a header with the longest sets.
pub const LARGEST: u64 = 64 << 20;
/// Fastest: it is little, and soon.
const LEVEL: i32 = 1;

/// A segment's name; names in order are segments in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Number of the unbroken part of the archive. It grows when what follows does not follow what is there.
    pub chain: u32,
    /// Term of the primary that wrote it.
    pub term: Term,
    /// Which of the writers of this term: an agent that begins anew is another one.
    pub writer: u32,
    /// Which of the writer's segments.
    pub number: u32,
    /// Something that no other writer has: two that knew nothing of each other would not write over each other.
    pub mark: String,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, term, writer, number, mark } = self;
        write!(formatter, "{chain:06}-{term:010}-{writer:06}-{number:08}-{mark}")
    }
}

impl Name {
    /// Reads a name. `None`: it is that of a part, or of something else.
    pub fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split('-').collect();
        let [chain, term, writer, number, mark] = fields.as_slice() else { return None };
        let name = Self {
            chain: chain.parse().ok()?,
            term: term.parse().ok()?,
            writer: writer.parse().ok()?,
            number: number.parse().ok()?,
            mark: (*mark).to_owned(),
        };
        (name.to_string() == text).then_some(name)
    }

    /// The name of one of its parts.
    pub fn part(&self, number: usize) -> String {
        format!("{self}-part-{number:06}")
    }
}

/// What a segment says about itself.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`FORMAT`] of the version that wrote it.
    pub format: u32,
    /// Whose data it is.
    pub about: About,
    /// Everything before the unbroken part of the archive that it belongs to.
    pub begins: String,
    /// Everything before this segment: that, and what earlier segments hold.
    pub after: String,
    /// Its transactions. Some of them may be in earlier segments too.
    pub holds: String,
    /// Everything that was committed before this moment is in it or in earlier segments (RFC 3339).
    pub reached_at: String,
    /// Why the unbroken part begins here, in a sentence; empty if the archive does.
    pub broken: String,
    /// Encryption, if any.
    pub encryption: Option<Encrypted>,
    /// The parts, in order.
    pub parts: Vec<Chunk>,
    /// What follows the header.
    pub body: Chunk,
}

/// What every format says, first of all.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Header {
    /// Everything that is archived when this segment is.
    pub fn reached(&self) -> Result<GtidSet, ArchiveError> {
        Ok(set(&self.after)?.union(&set(&self.holds)?))
    }
}

/// Reads a set of a header.
pub fn set(text: &str) -> Result<GtidSet, ArchiveError> {
    GtidSet::parse(text).map_err(|source| ArchiveError::ReadSet { source })
}

/// Compresses and encrypts bytes of a binlog: what is stored, and its entry. Takes a thread for some milliseconds.
pub fn close(seal: &Seal, name: String, binlog: &[u8]) -> Result<(Vec<Bytes>, Chunk), ArchiveError> {
    let compressed =
        zstd::bulk::compress(binlog, LEVEL).map_err(|source| ArchiveError::Compress { source })?;
    let sealed = seal.close(name, compressed).map_err(|source| ArchiveError::UseStore { source })?;
    Ok((sealed.parts, sealed.entry))
}

/// The way back: what was stored, checked against its entry.
pub fn open(seal: &Seal, entry: &Chunk, stored: Vec<u8>) -> Result<Vec<u8>, ArchiveError> {
    let compressed = seal.open(entry, stored).map_err(|source| ArchiveError::UseStore { source })?;
    let broken = |reason: String| ArchiveError::UnderstandSegment { segment: entry.name.clone(), reason };
    let decoder = zstd::Decoder::new(compressed.as_slice()).map_err(|error| broken(error.to_string()))?;
    let mut binlog = Vec::new();
    // What unpacks to more than any segment has is none.
    let read = decoder.take(2 * LARGEST).read_to_end(&mut binlog);
    read.map_err(|error| broken(error.to_string()))?;
    Ok(binlog)
}

/// The beginning of a segment's object; the body follows.
pub fn front(header: &Header) -> Bytes {
    // It has a JSON form, and no key in it is anything but text.
    let text = serde_json::to_vec(header).unwrap_or_default();
    let length = u32::try_from(text.len()).unwrap_or_default();
    let mut front = Vec::with_capacity(PREFIX + text.len());
    front.extend_from_slice(&MARK);
    front.extend_from_slice(&length.to_le_bytes());
    front.extend_from_slice(&text);
    front.into()
}

/// Takes an object apart: its header and its body as it is stored.
pub fn split(name: &Name, mut object: Vec<u8>) -> Result<(Header, Vec<u8>), ArchiveError> {
    let broken = |reason: &str| ArchiveError::UnderstandSegment {
        segment: name.to_string(),
        reason: reason.to_owned(),
    };
    let length = object.get(MARK.len()..PREFIX).and_then(|bytes| bytes.try_into().ok());
    let length = length.map(u32::from_le_bytes).and_then(|length| usize::try_from(length).ok());
    let end = length.map(|length| PREFIX + length).filter(|_| object.starts_with(&MARK));
    let text =
        end.and_then(|end| object.get(PREFIX..end)).ok_or_else(|| broken("it does not begin as one"))?;
    let Format { format } =
        serde_json::from_slice(text).map_err(|_| broken("its header does not tell its format"))?;
    if format > FORMAT {
        return Err(ArchiveError::NewerFormat { segment: name.to_string(), found: format, known: FORMAT });
    }
    let header = serde_json::from_slice(text).map_err(|error| broken(&error.to_string()))?;
    let body = object.split_off(end.unwrap_or_default());
    Ok((header, body))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn name() -> Name {
        Name { chain: 1, term: 7, writer: 2, number: 30, mark: "1f0c".to_owned() }
    }

    /// A header that says nothing.
    pub fn blank() -> Header {
        Header {
            format: FORMAT,
            about: About::default(),
            begins: String::new(),
            after: String::new(),
            holds: String::new(),
            reached_at: String::new(),
            broken: String::new(),
            encryption: None,
            parts: Vec::new(),
            body: Chunk { name: String::new(), bytes: 0, sha256: String::new() },
        }
    }

    fn header() -> Header {
        Header { holds: "ab14ab2d-e585-11f1-8f73-02fc00000001:1-3".to_owned(), ..blank() }
    }

    #[test]
    fn names_tell_the_order() {
        assert_eq!(Name::parse(&name().to_string()), Some(name()));
        assert_eq!(Name::parse(&name().part(3)), None);
        assert_eq!(Name::parse("manifest.json"), None);
        let later = [
            Name { number: 31, ..name() },
            Name { number: 1, writer: 3, ..name() },
            Name { number: 1, writer: 1, term: 10, ..name() },
            Name { number: 1, writer: 1, term: 1, chain: 2, ..name() },
        ];
        let mut texts: Vec<String> = later.iter().map(Name::to_string).collect();
        assert!(texts.is_sorted() && later.is_sorted());
        texts.insert(0, name().to_string());
        assert!(texts.is_sorted());
    }

    #[test]
    fn an_object_comes_apart_as_it_was_put_together() {
        let mut object = front(&header()).to_vec();
        object.extend_from_slice(b"body");
        assert_eq!(split(&name(), object.clone()).unwrap(), (header(), b"body".to_vec()));
        for length in [0, 5, PREFIX, 40] {
            let outcome = split(&name(), object[..length].to_vec());
            assert!(matches!(outcome, Err(ArchiveError::UnderstandSegment { .. })), "{length}: {outcome:?}");
        }
    }

    #[test]
    fn a_later_format_is_refused() {
        let object = front(&Header { format: FORMAT + 1, ..header() }).to_vec();
        assert!(matches!(split(&name(), object), Err(ArchiveError::NewerFormat { found: 2, .. })));
    }
}
