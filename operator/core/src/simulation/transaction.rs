//! Transactions and sets of them, as small as they can be.

use crate::protocol::Term;
use std::fmt::Write;

/// Highest number that a server gives; after that it takes no more writes.
pub(super) const LAST_NUMBER: u8 = 120;

/// Global transaction identifier: which server (by its UUID) and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gtid {
    pub(super) server: u16,
    pub(super) number: u8,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A client's.
    Write,
    /// The first of a term.
    TermRecord(Term),
    /// Written so that acknowledgements arrive.
    Beat,
}

/// One transaction. Its content is unique, its identifier should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) gtid: Gtid,
    pub(super) content: u16,
    pub(super) kind: Kind,
}

/// What the writer of each term record had before it: the record holds it.
#[derive(Clone, Debug, Default)]
pub(super) struct Bases(Vec<(u16, Gtids)>);

impl Bases {
    pub(super) fn note(&mut self, content: u16, base: Gtids) {
        self.0.push((content, base));
    }

    pub(super) fn get(&self, record: &Transaction) -> Option<&Gtids> {
        self.0.iter().find(|(content, _)| *content == record.content).map(|(_, base)| base)
    }
}

/// A set of identifiers: the numbers of each server as bits, ordered by server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gtids(Vec<(u16, u128)>);

impl Gtids {
    fn bits(&self, server: u16) -> u128 {
        self.0.iter().find(|(known, _)| *known == server).map_or(0, |(_, bits)| *bits)
    }

    pub(super) fn has(&self, gtid: Gtid) -> bool {
        self.bits(gtid.server) >> gtid.number & 1 == 1
    }

    pub(super) fn add(&mut self, gtid: Gtid) {
        match self.0.binary_search_by_key(&gtid.server, |(server, _)| *server) {
            Ok(index) => self.0[index].1 |= 1 << gtid.number,
            Err(index) => self.0.insert(index, (gtid.server, 1 << gtid.number)),
        }
    }

    /// What is here and not there.
    pub(super) fn minus(&self, other: &Self) -> Self {
        let rest = self.0.iter().map(|(server, bits)| (*server, bits & !other.bits(*server)));
        Self(rest.filter(|(_, bits)| *bits != 0).collect())
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(server, bits)| bits & !self.bits(*server) == 0)
    }

    /// Servers and the numbers of each, as bits.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, u128)> {
        self.0.iter().copied()
    }

    /// What `server` numbered and this set has.
    pub(super) fn of_server(&self, server: u16) -> Self {
        let bits = self.bits(server);
        Self(if bits == 0 { Vec::new() } else { vec![(server, bits)] })
    }

    /// The smallest number that the server has not given: MySQL's choice. None when they run out.
    pub(super) fn next_number(&self, server: u16) -> Option<u8> {
        let taken = self.bits(server) | 1;
        u8::try_from(taken.trailing_ones()).ok().filter(|number| *number <= LAST_NUMBER)
    }

    /// As `@@gtid_executed` shows it.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.0.len() * 48);
        for (server, bits) in &self.0 {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&uuid(*server));
            intervals(&mut text, *bits);
        }
        text
    }
}

fn intervals(text: &mut String, bits: u128) {
    let mut rest = bits;
    while rest != 0 {
        let first = rest.trailing_zeros();
        let length = (rest >> first).trailing_ones();
        let last = first + length - 1;
        // Writing to a String cannot fail.
        let _ = if first == last { write!(text, ":{first}") } else { write!(text, ":{first}-{last}") };
        rest &= !(((1_u128 << length) - 1) << first);
    }
}

/// `@@server_uuid` of the server with this number.
pub(super) fn uuid(server: u16) -> String {
    format!("{server:08x}-0000-4000-8000-000000000000")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gtid::GtidSet;

    #[test]
    fn sets_read_like_those_of_a_server() {
        let mut set = Gtids::default();
        for (server, number) in [(7, 1), (7, 2), (7, 3), (7, 9), (2, 5)] {
            set.add(Gtid { server, number });
        }
        assert_eq!(set.text(), format!("{}:5,{}:1-3:9", uuid(2), uuid(7)));
        assert_eq!(GtidSet::parse(&set.text()).unwrap().count(), 5);
        assert_eq!((set.next_number(7), set.next_number(3)), (Some(4), Some(1)));
        assert!(set.covers(&set.of_server(7)) && !set.of_server(7).covers(&set));
    }
}
