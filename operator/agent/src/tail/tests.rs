//! Cutting a binlog that mysqld 9.7.4 left when it was killed. It has eight transactions, then five that waited for
//! acknowledgement: `CREATE DATABASE`, an insert (`InnoDB`), one into a `MyISAM` table, `CREATE TABLE`, `XA PREPARE`.

use super::binlog::BinlogError;
use super::{CutError, archive, cut, survey, truncate};
use crate::settings::Settings;
use clap::Parser;
use porpoise_core::gtid::GtidSet;
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SAMPLE: &[u8] = include_bytes!("../../tests/samples/waiting.binlog");
const UUID: &str = "ab14ab2d-e585-11f1-8f73-02fc00000001";
/// Where the five begin, and where the third of them does.
const TAIL: usize = 1113;
const THIRD: usize = 1569;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

fn keep(numbers: &str) -> String {
    format!("{UUID}:{numbers}:mytag:1-3:tag_two:1")
}

/// A stopped member with this binlog.
fn stopped(binlog: &[u8]) -> (TempDir, Settings) {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_string_lossy().into_owned();
    let line = ["agent", "--instance=shop-0", "--namespace=prod", "--data-path", &at("data"), "--state-path"];
    let settings = Line::parse_from(line.into_iter().chain([at("state").as_str()])).settings;
    fs::create_dir_all(&settings.data_path).unwrap();
    let data = &settings.data_path;
    fs::write(data.join("binlog.index"), "./binlog.000002\n./binlog.000003\n").unwrap();
    fs::write(data.join("binlog.000003"), binlog).unwrap();
    fs::write(data.join("auto.cnf"), "[auto]\n").unwrap();
    (directory, settings)
}

fn length(settings: &Settings) -> usize {
    fs::read(settings.data_path.join("binlog.000003")).unwrap().len()
}

fn is_renamed(settings: &Settings) -> bool {
    !settings.data_path.join("auto.cnf").exists()
}

#[test]
fn h3_the_tail_is_cut_off_and_kept() {
    let (_directory, settings) = stopped(&SAMPLE[..THIRD]);
    let tail = cut(&settings, 4, &keep("1-8")).unwrap().unwrap();
    assert_eq!((tail.term, tail.transactions, length(&settings)), (4, 2, TAIL));
    assert!(is_renamed(&settings), "its numbers are free again");
    let kept = fs::read(settings.state_path.join("tails").join(&tail.file)).unwrap();
    assert_eq!(u64::try_from(kept.len()).unwrap(), tail.bytes);
    assert!(kept.ends_with(&SAMPLE[TAIL..THIRD]) && kept.starts_with(b"\xfebin"));
    assert_eq!(archive::list(&settings.state_path).unwrap(), [tail]);
    assert_eq!(cut(&settings, 4, &keep("1-8")).unwrap(), None);
}

#[test]
fn an_incomplete_last_transaction_belongs_to_the_tail() {
    let (_directory, settings) = stopped(&SAMPLE[..THIRD - 7]);
    assert_eq!(cut(&settings, 4, &keep("1-8")).unwrap().unwrap().transactions, 2);
    assert_eq!(length(&settings), TAIL);
}

#[test]
fn without_a_tail_nothing_changes() {
    let (_directory, settings) = stopped(SAMPLE);
    assert_eq!(cut(&settings, 4, &keep("1-13")).unwrap(), None);
    assert_eq!((length(&settings), is_renamed(&settings)), (SAMPLE.len(), false));
    assert_eq!(archive::list(&settings.state_path).unwrap(), []);
}

#[test]
fn what_cannot_be_undone_is_left_alone() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = SAMPLE[..THIRD].to_vec();
        bytes[at] = byte;
        bytes
    };
    let refused = |binlog: &[u8], keep: &str| {
        let (_directory, settings) = stopped(binlog);
        let error = cut(&settings, 4, keep).unwrap_err();
        assert_eq!((length(&settings), is_renamed(&settings)), (binlog.len(), false), "{error}");
        error.category()
    };
    for (case, binlog, keep, want) in [
        ("a MyISAM change", SAMPLE.to_vec(), keep("1-8"), "UndoChange"),
        ("earlier files", SAMPLE[..THIRD].to_vec(), keep("2-8"), "UndoEarlier"),
        ("one of the tail is kept", SAMPLE[..THIRD].to_vec(), keep("1-8:10"), "CutKept"),
        ("no set", SAMPLE[..THIRD].to_vec(), "x".to_owned(), "ReadKeep"),
        ("closed in order", changed(4 + 17, 0), keep("1-8"), "UndoClosed"),
        ("encrypted", changed(0, 0xfd), keep("1-8"), "ReadBinlog"),
        ("no binlog", changed(1, 0), keep("1-8"), "ReadBinlog"),
        ("a wrong checksum", changed(TAIL + 25, 0), keep("1-8"), "ReadBinlog"),
        ("a wrong size", changed(TAIL + 9, 7), keep("1-8"), "ReadBinlog"),
        ("empty", Vec::new(), keep("1-8"), "ReadBinlog"),
    ] {
        assert_eq!(refused(&binlog, &keep), want, "{case}");
    }
}

#[test]
fn an_encrypted_binlog_is_told_from_a_broken_one() {
    let (_directory, settings) = stopped(b"\xfdbin and what only mysqld can read");
    let error = cut(&settings, 4, &keep("1-8")).unwrap_err();
    assert!(matches!(error, CutError::ReadBinlog { source: BinlogError::ReadEncrypted, .. }));
}

/// What the steps leave when the agent is killed between them.
#[test]
fn a_crash_between_any_two_steps_does_no_harm() {
    let (_directory, settings) = stopped(&SAMPLE[..THIRD]);
    let set = GtidSet::parse(&keep("1-8")).unwrap();
    let found = survey::newest(&settings.data_path, &set, Instant::now() + Duration::from_mins(1));
    let found = found.unwrap().unwrap();
    let first = archive::store(&settings.state_path, 4, &found).unwrap();
    // Killed here: nothing was decided; the next order finds the same tail and keeps it once.
    assert!(!truncate::finish(&settings).unwrap());
    assert_eq!(length(&settings), THIRD);
    assert_eq!(archive::store(&settings.state_path, 4, &found).unwrap(), first);
    assert_eq!(archive::list(&settings.state_path).unwrap(), [first]);
    // Killed after this one: the next start finishes it.
    truncate::begin(&settings, &found).unwrap();
    assert!(truncate::finish(&settings).unwrap());
    assert_eq!((length(&settings), is_renamed(&settings)), (TAIL, true));
    // Killed after the cut and before the intent was taken back: done twice.
    truncate::begin(&settings, &found).unwrap();
    assert!(truncate::finish(&settings).unwrap() && !truncate::finish(&settings).unwrap());
    assert_eq!(length(&settings), TAIL);
}

#[test]
fn the_archive_keeps_the_newest() {
    let (_directory, settings) = stopped(&SAMPLE[..THIRD]);
    let set = GtidSet::parse(&keep("1-8")).unwrap();
    let found = survey::newest(&settings.data_path, &set, Instant::now() + Duration::from_mins(1));
    let mut found = found.unwrap().unwrap();
    for began in 1..=12 {
        found.began = began;
        archive::store(&settings.state_path, 4, &found).unwrap();
    }
    fs::write(settings.state_path.join("tails/4-99.binlog"), "from a crash").unwrap();
    found.began = 13;
    archive::store(&settings.state_path, 4, &found).unwrap();
    let names: Vec<String> =
        archive::list(&settings.state_path).unwrap().into_iter().map(|tail| tail.file).collect();
    assert_eq!((names.len(), names[0].as_str(), names[9].as_str()), (10, "4-4.binlog", "4-13.binlog"));
    assert_eq!(fs::read_dir(settings.state_path.join("tails")).unwrap().count(), 11);
}
