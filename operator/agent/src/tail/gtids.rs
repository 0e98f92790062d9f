//! GTIDs as events of a binlog store them.
//!
//! Source: MySQL 9.7 source documentation, "`Gtid_event`", "`Previous_gtids_event`" and "MySQL Serialization Library"
//! (tagged GTIDs, WL#15294); our own files of 9.7.4.

use porpoise_core::gtid::GtidSet;
use std::fmt::{self, Write as _};

/// One transaction's name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Gtid {
    /// The server, in lower case.
    pub uuid: String,
    /// The tag, empty for none.
    pub tag: String,
    /// The number.
    pub number: u64,
}

impl Gtid {
    /// Whether it is in the set.
    pub fn is_in(&self, set: &GtidSet) -> bool {
        set.has(&self.uuid, &self.tag, self.number)
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.tag.is_empty() { "" } else { ":" };
        write!(formatter, "{}{colon}{}:{}", self.uuid, self.tag, self.number)
    }
}

/// Reads the bytes of an event from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn fixed(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn seven(&mut self) -> Option<u64> {
        let mut value = [0; 8];
        value[..7].copy_from_slice(self.take(7)?);
        Some(u64::from_le_bytes(value))
    }

    fn uuid(&mut self) -> Option<String> {
        Some(uuid::Uuid::from_slice(self.take(16)?).ok()?.to_string())
    }

    /// An integer of 1 to 9 bytes: as many ones at the low end of the first byte as bytes follow.
    fn variable(&mut self) -> Option<u64> {
        let first = *self.take(1)?.first()?;
        let more = first.trailing_ones();
        let mut value = [0; 8];
        let rest = self.take(usize::try_from(more).ok()?)?;
        value[..rest.len()].copy_from_slice(rest);
        let rest = u64::from_le_bytes(value);
        // Of eight or nine bytes the first holds nothing but the count.
        let held = 7_u32.saturating_sub(more);
        let low = u64::from(first).checked_shr(more + 1).unwrap_or(0);
        Some(low | rest << held)
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.variable()?).ok()?;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

/// Body of a `GTID_LOG_EVENT`: flags, UUID, number, and more that does not matter.
pub fn plain(body: &[u8]) -> Option<Gtid> {
    let mut bytes = Bytes(body);
    bytes.take(1)?;
    Some(Gtid { uuid: bytes.uuid()?, tag: String::new(), number: bytes.fixed()? })
}

/// Body of a `GTID_TAGGED_LOG_EVENT`: a serialised message of numbered fields: 0 flags, 1 UUID, byte by byte, 2 number,
/// 3 tag, and more that does not matter.
pub fn tagged(body: &[u8]) -> Option<Gtid> {
    let mut bytes = Bytes(body);
    let (version, _size, _last) = (bytes.variable()?, bytes.variable()?, bytes.variable()?);
    if version != 1 {
        return None;
    }
    expect(&mut bytes, 0)?;
    bytes.variable()?;
    expect(&mut bytes, 1)?;
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = u8::try_from(bytes.variable()?).ok()?;
    }
    expect(&mut bytes, 2)?;
    // Signed: the lowest bit is the sign, and a number is never negative.
    let number = bytes.variable()?;
    expect(&mut bytes, 3)?;
    let tag = bytes.text()?;
    (number & 1 == 0).then(|| Gtid {
        uuid: uuid::Uuid::from_bytes(uuid).to_string(),
        tag,
        number: number >> 1,
    })
}

/// When the transaction of a `GTID_LOG_EVENT` was committed where it was first, in microseconds since 1970: after the number
/// come a type and two logical clocks, then the time of this commit, and the first one's if it is another.
pub fn plain_committed(body: &[u8]) -> Option<u64> {
    const OTHER: u64 = 1 << 55;
    let mut bytes = Bytes(body);
    bytes.take(1 + 16 + 8 + 1 + 8 + 8)?;
    let here = bytes.seven()?;
    if here & OTHER == 0 { Some(here) } else { bytes.seven() }
}

/// The same for a `GTID_TAGGED_LOG_EVENT`: fields 4 and 5 are logical clocks, 6 is the time of this commit, and 7 the first
/// one's if it is another.
pub fn tagged_committed(body: &[u8]) -> Option<u64> {
    let mut bytes = Bytes(body);
    for _ in 0..3 {
        bytes.variable()?;
    }
    expect(&mut bytes, 0)?;
    bytes.variable()?;
    expect(&mut bytes, 1)?;
    for _ in 0..16 {
        bytes.variable()?;
    }
    expect(&mut bytes, 2)?;
    bytes.variable()?;
    expect(&mut bytes, 3)?;
    bytes.text()?;
    for clock in [4, 5] {
        expect(&mut bytes, clock)?;
        bytes.variable()?;
    }
    expect(&mut bytes, 6)?;
    let here = bytes.variable()?;
    if bytes.variable()? == 7 { bytes.variable() } else { Some(here) }
}

fn expect(bytes: &mut Bytes<'_>, field: u64) -> Option<()> {
    (bytes.variable()? == field).then_some(())
}

/// Body of a `PREVIOUS_GTIDS_LOG_EVENT`: a count of sources, then for each its UUID, its tag if the format has tags, and
/// half-open intervals. The format is in the last byte of the count, and with tags in the first one too.
pub fn previous(body: &[u8]) -> Option<GtidSet> {
    let mut bytes = Bytes(body);
    let count = bytes.take(8)?;
    let has_tags = match count[7] {
        0 => false,
        1 => true,
        _ => return None,
    };
    let whole = u64::from_le_bytes(count.try_into().ok()?);
    let sources = if has_tags { (whole & 0x00ff_ffff_ffff_ffff) >> 8 } else { whole };
    let mut text = String::new();
    for _ in 0..sources {
        read_source(&mut bytes, has_tags, &mut text)?;
    }
    let is_whole = bytes.0.is_empty();
    GtidSet::parse(&text).ok().filter(|_| is_whole)
}

fn read_source(bytes: &mut Bytes<'_>, has_tags: bool, text: &mut String) -> Option<()> {
    text.push_str(&bytes.uuid()?);
    let tag = if has_tags { bytes.text()? } else { String::new() };
    if !tag.is_empty() {
        write!(text, ":{tag}").ok()?;
    }
    for _ in 0..bytes.fixed()? {
        let (first, after) = (bytes.fixed()?, bytes.fixed()?);
        write!(text, ":{first}-{}", after.checked_sub(1)?).ok()?;
    }
    text.push(',');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "ab14ab2d-e585-11f1-8f73-02fc00000001";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    /// Bytes that mysqld 9.7.4 wrote.
    #[test]
    fn a_tagged_gtid_is_read() {
        let body = bytes(
            "02740000 0002ad02 28ad025a 95031502 22c5033d 02e604f1 03000000 02040c06 0a6d7974 61670800 \
             0a040c7f f1cfa72c c5600610 2d041283 12",
        );
        let want = Gtid { uuid: UUID.into(), tag: "mytag".into(), number: 3 };
        assert_eq!(tagged(&body), Some(want));
        assert_eq!(tagged_committed(&body), Some(0x06_60c5_2ca7_cff1));
        for length in 0..30 {
            assert_eq!(tagged(&body[..length]), None);
        }
    }

    #[test]
    fn previous_gtids_with_tags_are_read() {
        let body = bytes(
            "01020000 00000001 ab14ab2d e58511f1 8f7302fc 00000001 00 0100000000000000 0100000000000000 \
             0400000000000000 ab14ab2d e58511f1 8f7302fc 00000001 0a 6d79746167 0100000000000000 \
             0100000000000000 0300000000000000",
        );
        let want = GtidSet::parse(&format!("{UUID}:1-3:mytag:1-2")).unwrap();
        assert_eq!(previous(&body), Some(want));
        for length in 0..body.len() {
            assert_eq!(previous(&body[..length]), None, "{length}");
        }
    }

    #[test]
    fn previous_gtids_without_tags_are_read() {
        assert_eq!(previous(&[0; 8]), Some(GtidSet::default()));
        let body = bytes(
            "0100000000000000 ab14ab2d e58511f1 8f7302fc 00000001 0200000000000000 0100000000000000 \
             0400000000000000 0900000000000000 0a00000000000000",
        );
        assert_eq!(previous(&body), Some(GtidSet::parse(&format!("{UUID}:1-3:9")).unwrap()));
    }

    #[test]
    fn variable_integers_table() {
        for (hex, want) in [
            ("00", Some(0)),
            ("fe", Some(127)),
            ("ad02", Some(0xab)),
            ("fbff07", Some(65_535)),
            ("7fffffffffffffff", Some((1 << 56) - 1)),
            ("ffffffffffffffffff", Some(u64::MAX)),
            ("ff00", None),
        ] {
            assert_eq!(Bytes(&bytes(hex)).variable(), want, "{hex}");
        }
    }
}
