//! The GTID algebra against a naive model: a plain set of single transactions.

#![allow(clippy::unwrap_used, reason = "a test")]

use porpoise_core::gtid::{GtidError, GtidSet, compare};
use proptest::prelude::*;
use std::cmp::Ordering;
use std::collections::BTreeSet;

const UUIDS: [&str; 3] = [
    "3e11fa47-71ca-11e1-9e33-c80aa9429562",
    "0b6a2a2c-aaaa-bbbb-cccc-0123456789ab",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
];
const TAGS: [&str; 3] = ["", "backup", "_x1"];

type Model = BTreeSet<(usize, usize, u64)>;

fn model() -> impl Strategy<Value = Model> {
    prop::collection::btree_set((0..UUIDS.len(), 0..TAGS.len(), 1_u64..24), 0..60)
}

/// One entry per transaction: as far from canonical as it gets.
fn text(model: &Model) -> String {
    let entry = |(uuid, tag, number): &(usize, usize, u64)| {
        let tag = if TAGS[*tag].is_empty() { String::new() } else { format!("{}:", TAGS[*tag]) };
        format!("{}:{tag}{number}", UUIDS[*uuid])
    };
    model.iter().rev().map(entry).collect::<Vec<_>>().join(",\n")
}

fn set(model: &Model) -> GtidSet {
    GtidSet::parse(&text(model)).unwrap()
}

fn expected_order(left: &Model, right: &Model) -> Option<Ordering> {
    match (left.is_superset(right), right.is_superset(left)) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Greater),
        (false, true) => Some(Ordering::Less),
        (false, false) => None,
    }
}

proptest! {
    #[test]
    fn algebra_agrees_with_the_model(left in model(), right in model()) {
        let (a, b) = (set(&left), set(&right));
        prop_assert_eq!(a.union(&b), set(&left.union(&right).copied().collect()));
        prop_assert_eq!(a.intersect(&b), set(&left.intersection(&right).copied().collect()));
        prop_assert_eq!(a.subtract(&b), set(&left.difference(&right).copied().collect()));
        prop_assert_eq!(a.contains(&b), left.is_superset(&right));
        prop_assert_eq!(a.count(), u64::try_from(left.len()).unwrap());
        prop_assert_eq!(a.is_empty(), left.is_empty());
        for (uuid, tag, number) in &right {
            prop_assert_eq!(a.has(UUIDS[*uuid], TAGS[*tag], *number), left.contains(&(*uuid, *tag, *number)));
        }
        prop_assert_eq!(compare(&a, &b), expected_order(&left, &right));
    }

    #[test]
    fn subsets_are_ordered(whole in model(), keep in any::<u64>()) {
        let part: Model = whole.iter().copied().filter(|(_, _, number)| keep >> number & 1 == 1).collect();
        prop_assert!(set(&whole).contains(&set(&part)));
        prop_assert_eq!(compare(&set(&whole), &set(&part)), expected_order(&whole, &part));
    }

    #[test]
    fn a_source_is_left_out_with_its_tags(model in model(), source in 0..UUIDS.len()) {
        let rest: Model = model.iter().copied().filter(|(uuid, _, _)| *uuid != source).collect();
        prop_assert_eq!(set(&model).without_source(&UUIDS[source].to_uppercase()), set(&rest));
    }

    #[test]
    fn text_is_canonical(model in model()) {
        let shown = set(&model).to_string();
        let again = GtidSet::parse(&shown).unwrap();
        prop_assert_eq!(&again, &set(&model));
        prop_assert_eq!(again.to_string(), shown);
    }

    #[test]
    fn no_text_panics(text in "\\PC*") {
        drop(GtidSet::parse(&text));
    }

    #[test]
    fn no_text_like_a_set_panics(text in "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})?[:,0-9a-z_\n -]*") {
        if let Ok(set) = GtidSet::parse(&text) {
            prop_assert_eq!(GtidSet::parse(&set.to_string()), Ok(set));
        }
    }
}

#[test]
fn shown_as_the_server_shows_it() {
    for (text, want) in [
        ("", ""),
        (" \n ", ""),
        ("3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5", "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"),
        (
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:47-49:1-3:11:4,\n0b6a2a2c-aaaa-bbbb-cccc-0123456789ab:1",
            "0b6a2a2c-aaaa-bbbb-cccc-0123456789ab:1,3e11fa47-71ca-11e1-9e33-c80aa9429562:1-4:11:47-49",
        ),
        (
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3 : tag_a : 1-5 : tag_b : 2, ",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-3:tag_a:1-5:tag_b:2",
        ),
        (
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:TAG:9,3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:8",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:tag:8-9",
        ),
        (
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9223372036854775806",
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-9223372036854775806",
        ),
    ] {
        assert_eq!(GtidSet::parse(text).unwrap().to_string(), want, "{text}");
    }
}

#[test]
fn large_sets_do_not_overflow() {
    let all = format!(
        "{}:1-9223372036854775806,{}:1-9223372036854775806,{}:1-9223372036854775806",
        UUIDS[0], UUIDS[1], UUIDS[2]
    );
    let all = GtidSet::parse(&all).unwrap();
    assert_eq!(all.count(), u64::MAX);
    assert!(all.subtract(&all).is_empty());
    assert_eq!(all.union(&all), all);
}

#[test]
fn refused_with_the_part_that_is_wrong() {
    let uuid = UUIDS[0];
    let part = |text: &str| GtidError::ReadPart { text: text.to_owned() };
    for (text, want) in [
        ("shop".to_owned(), GtidError::ReadUuid { text: "shop".to_owned() }),
        (format!("{uuid}0:1"), GtidError::ReadUuid { text: format!("{uuid}0") }),
        (uuid.to_owned(), part("")),
        (format!("{uuid}:"), part("")),
        (format!("{uuid}:0"), part("0")),
        (format!("{uuid}:5-3"), part("5-3")),
        (format!("{uuid}:+1"), part("+1")),
        (format!("{uuid}:1-2-3"), part("1-2-3")),
        (format!("{uuid}:9223372036854775807"), part("9223372036854775807")),
        (format!("{uuid}:99999999999999999999999"), part("99999999999999999999999")),
        (format!("{uuid}:1:tag"), GtidError::FindInterval { text: format!("{uuid}:1:tag") }),
        (format!("{uuid}:a23456789012345678901234567890123:1"), part("a23456789012345678901234567890123")),
    ] {
        assert_eq!(GtidSet::parse(&text), Err(want), "{text}");
    }
}
