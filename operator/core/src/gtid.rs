//! GTID sets and their algebra, for pure decisions; where a server is at hand, the server compares.
//!
//! Source: MySQL 9.7 Reference Manual, "GTID Format and Storage" (tagged GTIDs: WL#15294).

mod intervals;

use intervals::Intervals;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

/// A set of global transaction identifiers, `UUID:INTERVALS` or `UUID:TAG:INTERVALS`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct GtidSet {
    // No entry is empty, so that equal sets have equal maps.
    sources: BTreeMap<Source, Intervals>,
}

/// Who numbers transactions: a server, and a tag, empty for none. Both in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Source {
    uuid: String,
    tag: String,
}

/// Why a text is no GTID set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GtidError {
    /// The first part of an entry is not a UUID.
    #[error("read a UUID in {text:?}")]
    ReadUuid {
        /// The part.
        text: String,
    },
    /// A part is neither a number, nor a range of numbers, nor a tag.
    #[error("read an interval or a tag in {text:?}")]
    ReadPart {
        /// The part.
        text: String,
    },
    /// An entry or a tag has no interval.
    #[error("find an interval in {text:?}")]
    FindInterval {
        /// The entry.
        text: String,
    },
}

impl GtidSet {
    /// Reads what `@@gtid_executed` and its kin show. White space anywhere is tolerated.
    pub fn parse(text: &str) -> Result<Self, GtidError> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let mut set = Self::default();
        for entry in compact.split(',').filter(|entry| !entry.is_empty()) {
            set.read_entry(entry)?;
        }
        Ok(set)
    }

    fn read_entry(&mut self, entry: &str) -> Result<(), GtidError> {
        let (uuid, parts) = entry.split_once(':').unwrap_or((entry, ""));
        let mut source = Source { uuid: uuid_of(uuid)?, tag: String::new() };
        let mut complete = false;
        for part in parts.split(':') {
            if let Some(tag) = tag_of(part) {
                source.tag = tag;
                complete = false;
            } else {
                let (first, last) =
                    interval_of(part).ok_or_else(|| GtidError::ReadPart { text: part.to_owned() })?;
                self.sources.entry(source.clone()).or_default().insert(first, last);
                complete = true;
            }
        }
        if complete { Ok(()) } else { Err(GtidError::FindInterval { text: entry.to_owned() }) }
    }

    /// Whether no transaction is in the set.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// Whether one transaction is in the set. `uuid` and `tag` in lower case, no tag: empty. For long scans: allocates
    /// nothing.
    pub fn has(&self, uuid: &str, tag: &str, number: u64) -> bool {
        let mut matching = self.sources.iter().filter(|(source, _)| source.uuid == uuid && source.tag == tag);
        matching.any(|(_, intervals)| intervals.has(number))
    }

    /// Puts one transaction in. `uuid` and `tag` in lower case, no tag: empty.
    pub fn insert(&mut self, uuid: &str, tag: &str, number: u64) {
        let source = Source { uuid: uuid.to_owned(), tag: tag.to_owned() };
        self.sources.entry(source).or_default().insert(number, number);
    }

    /// Whether every transaction of `other` is in this set.
    pub fn contains(&self, other: &Self) -> bool {
        other.subtract(self).is_empty()
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut sources = self.sources.clone();
        for (source, intervals) in &other.sources {
            sources.entry(source.clone()).or_default().insert_all(intervals);
        }
        Self { sources }
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        self.map(|source, mine| {
            other.sources.get(source).map_or_else(|| mine.clone(), |theirs| mine.subtract(theirs))
        })
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        self.map(|source, mine| {
            other.sources.get(source).map_or_else(Intervals::default, |theirs| mine.intersect(theirs))
        })
    }

    /// Number of transactions; `u64::MAX` when there are more.
    pub fn count(&self) -> u64 {
        self.sources.values().map(Intervals::count).fold(0, u64::saturating_add)
    }

    /// The set without everything that the server `uuid` originated, tagged or not.
    #[must_use]
    pub fn without_source(&self, uuid: &str) -> Self {
        let uuid = uuid.to_ascii_lowercase();
        self.map(|source, mine| if source.uuid == uuid { Intervals::default() } else { mine.clone() })
    }

    fn map(&self, change: impl Fn(&Source, &Intervals) -> Intervals) -> Self {
        let changed = self.sources.iter().map(|(source, mine)| (source.clone(), change(source, mine)));
        Self { sources: changed.filter(|(_, intervals)| !intervals.is_empty()).collect() }
    }
}

/// Ordered by source, then tag, intervals merged and ascending: what `@@gtid_executed` shows, without line breaks.
impl fmt::Display for GtidSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut current = None;
        for (source, intervals) in &self.sources {
            if current != Some(&source.uuid) {
                let comma = if current.is_some() { "," } else { "" };
                write!(formatter, "{comma}{}", source.uuid)?;
                current = Some(&source.uuid);
            }
            if !source.tag.is_empty() {
                write!(formatter, ":{}", source.tag)?;
            }
            write!(formatter, "{intervals}")?;
        }
        Ok(())
    }
}

/// Partial order by inclusion: `None` when each set has something that the other lacks.
pub fn compare(left: &GtidSet, right: &GtidSet) -> Option<Ordering> {
    match (left.contains(right), right.contains(left)) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => None,
    }
}

fn uuid_of(text: &str) -> Result<String, GtidError> {
    let fits = |(index, byte): (usize, u8)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    if text.len() == 36 && text.bytes().enumerate().all(fits) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(GtidError::ReadUuid { text: text.to_owned() })
    }
}

/// A tag has a letter or underscore first, then also digits, at most 32 characters.
fn tag_of(text: &str) -> Option<String> {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (begins && fits).then(|| text.to_ascii_lowercase())
}

fn interval_of(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number_of(first)?, number_of(last)?);
    (first <= last).then_some((first, last))
}

/// Transaction numbers go from 1 to 2^63 - 2.
fn number_of(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (1..=i64::MAX.unsigned_abs() - 1).contains(&number).then_some(number)
}
