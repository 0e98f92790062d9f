//! Settings of mysqld.

use super::Problem;
use crate::view::References;
use porpoise_crds::{Mysql, reserved_setting};
use std::collections::{BTreeMap, BTreeSet};

/// The user's settings: names as [`normalised`], `config` over the `ConfigMap`.
pub(super) fn merged(mysql: &Mysql, references: &References) -> BTreeMap<String, String> {
    let from_map = references.config_map.iter().filter(|_| mysql.config_map_ref.is_some()).flatten();
    let all = from_map.chain(&mysql.config);
    all.map(|(name, value)| (normalised(name), value.trim().to_owned())).collect()
}

pub(super) fn problems(mysql: &Mysql, references: &References) -> Vec<Problem> {
    let mut problems = in_map("spec.mysql.config", &mysql.config);
    if let Some(reference) = &mysql.config_map_ref {
        match &references.config_map {
            Some(settings) => problems.extend(in_map("spec.mysql.configMapRef", settings)),
            None => problems.push(Problem::new(
                "spec.mysql.configMapRef.name",
                "ConfigMapMissing",
                format!(
                    "there is no ConfigMap {:?} in this namespace; create it or remove the reference",
                    reference.name
                ),
            )),
        }
    }
    problems
}

fn in_map(field: &str, settings: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (name, value) in settings {
        // Debug: a name with a line break must not break the sentence.
        let place = format!("{field}[{name:?}]");
        problems.extend(setting(&place, name, value));
        if !seen.insert(normalised(name)) {
            problems.push(Problem::new(
                place,
                "DuplicateSetting",
                format!("{name} is there in two spellings; keep one (dashes and underscores are the same)"),
            ));
        }
    }
    problems
}

fn setting(place: &str, name: &str, value: &str) -> Option<Problem> {
    if !is_name(name) {
        let message = "a setting is named by a letter followed by letters, digits, dashes, underscores and dots; \
                       sections and !include do not belong here";
        return Some(Problem::new(place, "InvalidSetting", message));
    }
    if reserved_setting(name).is_some() {
        let message = format!(
            "{name} is decided by Porpoise, since safe replication or the agent depend on it; remove it"
        );
        return Some(Problem::new(place, "ReservedSetting", message));
    }
    let broken = value.chars().any(char::is_control);
    let message = format!("the value of {name} must be one line of text");
    broken.then(|| Problem::new(place, "InvalidSetting", message))
}

fn is_name(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.len() <= 128 && name.bytes().all(rest)
}

/// One spelling: lower case, underscores. mysqld takes the others for the same.
fn normalised(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}
