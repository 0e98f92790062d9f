//! Where a writer goes on: by what the archive holds, whoever wrote it.
//!
//! If that is not possible an unbroken part ends and another begins, and both the archive and the state say why. Nothing of
//! the earlier part is touched.

use super::ArchiveError;
use super::log::Log;
use super::segment::{self, Header, Name};
use super::store::{Store, blocking};
use porpoise_core::gtid::GtidSet;
use porpoise_core::protocol::Term;

/// A part of the archive that is new begins with so many bytes of binlog that is there already, at most.
const BEFORE: u64 = 256 << 20;

/// An unbroken part of the archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Its number.
    pub number: u32,
    /// Everything before it.
    pub begins: GtidSet,
    /// Why it begins there, in a sentence; empty if the archive does.
    pub broken: String,
}

/// Where a writer begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The part that it goes on with.
    pub chain: Chain,
    /// Its number among the writers of this term.
    pub writer: u32,
    /// Everything that is archived, and what was before.
    pub archived: GtidSet,
    /// The first file with something that may not be archived.
    pub file: String,
}

/// What a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// `@@gtid_executed`.
    pub executed: GtidSet,
    /// Its binlog files, oldest first; never empty.
    pub files: Vec<OwnFile>,
}

/// A file of a binlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFile {
    /// Its name.
    pub name: String,
    /// Every transaction of the server that is not in this or a later file.
    pub before: GtidSet,
    /// Its size.
    pub bytes: u64,
}

impl Own {
    /// Looks at the files. `purged`: `@@gtid_purged`, what is in no file.
    pub async fn look(log: &Log, executed: GtidSet, purged: GtidSet) -> Result<Self, ArchiveError> {
        let log = log.clone();
        let files = blocking("look at the binlog", move || {
            let one = |name: String| {
                let before = log.head(&name)?.previous.union(&purged);
                Ok(OwnFile { before, bytes: log.size(&name)?, name })
            };
            log.files()?.into_iter().map(one).collect()
        });
        Ok(Self { executed, files: files.await? })
    }
}

/// Reads where the archive ends, and finds the place in the own binlog.
pub async fn find(store: &Store, own: &Own, term: Term) -> Result<Start, ArchiveError> {
    let names = store.names().await?;
    let last = match names.last() {
        Some(name) => Some((name, store.header(name).await?)),
        None => None,
    };
    if let Some((name, _)) = &last
        && name.term > term
    {
        return Err(ArchiveError::KeepTerm { term, later: name.term });
    }
    let writers = names.iter().filter(|name| name.term == term).map(|name| name.writer);
    let writer = writers.max().unwrap_or(0) + 1;
    start(last.as_ref().map(|(name, header)| (*name, header)), own, writer)
}

/// Decides where to begin.
fn start(last: Option<(&Name, &Header)>, own: &Own, writer: u32) -> Result<Start, ArchiveError> {
    let Some((name, header)) = last else {
        return fresh(1, String::new(), own, writer);
    };
    let archived = header.reached()?;
    let foreign = archived.subtract(&own.executed);
    if !foreign.is_empty() {
        let broken = format!("it held transactions that the cluster lost: {foreign}");
        return fresh(name.chain + 1, broken, own, writer);
    }
    let Some(file) = own.files.iter().rev().find(|file| archived.contains(&file.before)) else {
        let missing = own.files.first().map(|file| file.before.subtract(&archived).count());
        let missing = missing.unwrap_or_default();
        let broken = format!("the binlog of {missing} transactions was removed before they were archived");
        return fresh(name.chain + 1, broken, own, writer);
    };
    let begins = segment::set(&header.begins)?;
    let chain = Chain { number: name.chain, begins, broken: header.broken.clone() };
    Ok(Start { chain, writer, archived, file: file.name.clone() })
}

/// Begins a part of its own, with what is there of the binlog as far as that is little.
fn fresh(number: u32, broken: String, own: &Own, writer: u32) -> Result<Start, ArchiveError> {
    let mut bytes = 0;
    let little = own.files.iter().rev().take_while(|file| {
        bytes += file.bytes;
        bytes <= BEFORE
    });
    let file = little.last().or(own.files.last());
    let file = file.ok_or_else(|| ArchiveError::FollowBinlog { file: "binlog.index".to_owned() })?;
    let chain = Chain { number, begins: file.before.clone(), broken };
    Ok(Start { archived: file.before.clone(), chain, writer, file: file.name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "ab14ab2d-e585-11f1-8f73-02fc00000001";

    fn set(intervals: &str) -> GtidSet {
        if intervals.is_empty() {
            GtidSet::default()
        } else {
            GtidSet::parse(&format!("{UUID}:{intervals}")).unwrap()
        }
    }

    fn own() -> Own {
        let file =
            |name: &str, before: &str, bytes| OwnFile { name: name.to_owned(), before: set(before), bytes };
        Own {
            executed: set("1-100"),
            files: vec![file("b.1", "1-10", 10), file("b.2", "1-50", 10), file("b.3", "1-90", 10)],
        }
    }

    fn name() -> Name {
        Name { chain: 3, term: 5, writer: 1, number: 9, mark: "1f0c".to_owned() }
    }

    fn header(after: &str, holds: &str) -> Header {
        Header {
            begins: set("1-5").to_string(),
            after: set(after).to_string(),
            holds: set(holds).to_string(),
            ..segment::tests::blank()
        }
    }

    #[test]
    fn a29_a_writer_goes_on_where_the_archive_ends_whoever_wrote_it() {
        for (after, holds, file) in [
            ("1-80", "81-95", "b.3"),
            ("1-60", "61-70", "b.2"),
            ("1-50", "", "b.2"),
            ("1-10", "11-12", "b.1"),
        ] {
            let found = start(Some((&name(), &header(after, holds))), &own(), 2).unwrap();
            assert_eq!((found.file.as_str(), found.writer, found.chain.number), (file, 2, 3), "{after}");
            assert_eq!(found.chain.begins, set("1-5"));
            assert_eq!(found.archived, set(after).union(&set(holds)));
        }
    }

    #[test]
    fn a29_what_cannot_follow_begins_anew_and_says_why() {
        for (after, holds, words) in [
            ("1-5", "6-8", "the binlog of 2 transactions was removed"),
            (
                "1-80",
                "81-101",
                "transactions that the cluster lost: ab14ab2d-e585-11f1-8f73-02fc00000001:101",
            ),
        ] {
            let found = start(Some((&name(), &header(after, holds))), &own(), 1).unwrap();
            assert_eq!(
                (found.chain.number, &found.chain.begins, found.file.as_str()),
                (4, &set("1-10"), "b.1")
            );
            assert!(found.chain.broken.contains(words), "{}", found.chain.broken);
        }
    }

    #[test]
    fn the_first_part_begins_with_what_is_there_if_it_is_little() {
        let found = start(None, &own(), 1).unwrap();
        assert_eq!((found.chain.number, found.file.as_str(), found.chain.broken.as_str()), (1, "b.1", ""));
        let mut much = own();
        much.files[1].bytes = BEFORE;
        assert_eq!(start(None, &much, 1).unwrap().file, "b.3");
        much.files[2].bytes = BEFORE + 1;
        let found = start(None, &much, 1).unwrap();
        assert_eq!((found.file.as_str(), found.archived), ("b.3", set("1-90")));
    }
}
