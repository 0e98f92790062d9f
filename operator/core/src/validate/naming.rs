//! The name of the cluster, from which all other names are made.

use super::Problem;
use crate::view::References;
use porpoise_crds::MySQLCluster;

/// Longest name: with the longest suffix and a revision hash it still fits a label.
const LONGEST: usize = 50;
/// Suffixes of Services. A cluster `shop-ro` would fight with the cluster `shop` for the Service `shop-ro`.
const TAKEN_SUFFIXES: [&str; 2] = ["-ro", "-members"];

pub(super) fn problems(object: &MySQLCluster, references: &References) -> Vec<Problem> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let rules = [too_long(name), not_a_label(name), collides(name)];
    let own =
        rules.into_iter().flatten().map(|message| Problem::new("metadata.name", "InvalidName", message));
    own.chain(references.taken_names.iter().map(|taken| name_taken(taken))).collect()
}

fn too_long(name: &str) -> Option<String> {
    (name.len() > LONGEST).then(|| {
        let length = name.len();
        format!("the name has {length} characters; choose one of at most {LONGEST}, since Pods and Services are named after it")
    })
}

/// Services need a label as in RFC 1035: it begins with a letter.
fn not_a_label(name: &str) -> Option<String> {
    let characters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let fits = characters && begins && !name.ends_with('-');
    (!fits).then(|| {
        format!("{name:?} must begin with a letter, end with a letter or digit, and hold only lower case letters, digits and dashes")
    })
}

fn collides(name: &str) -> Option<String> {
    let suffix = TAKEN_SUFFIXES.iter().find(|suffix| name.ends_with(*suffix))?;
    Some(format!("{name} ends with {suffix}, like a Service of another cluster; choose another name"))
}

fn name_taken(taken: &str) -> Problem {
    let message = format!(
        "{taken} exists and belongs to something else; remove it or choose another name for the cluster"
    );
    Problem::new("metadata.name", "NameTaken", message)
}
