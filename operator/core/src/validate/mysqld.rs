//! Settings of mysqld.

use super::{Problem, removed};
use crate::view::References;
use porpoise_crds::{MySQLClusterSpec, Mysql, reserved_setting};
use std::collections::{BTreeMap, BTreeSet};

const LEAST_CONNECTIONS: i64 = 20;

/// The user's settings: names as [`normalised`], `config` over the `ConfigMap`.
pub(super) fn merged(mysql: &Mysql, references: &References) -> BTreeMap<String, String> {
    let from_map = references.config_map.iter().filter(|_| mysql.config_map_ref.is_some()).flatten();
    let all = from_map.chain(&mysql.config);
    all.map(|(name, value)| (normalised(name), value.trim().to_owned())).collect()
}

pub(super) fn problems(spec: &MySQLClusterSpec, references: &References) -> Vec<Problem> {
    let (mysql, series) = (&spec.mysql, removed::series(spec));
    let mut problems = in_map("spec.mysql.config", &mysql.config, series);
    if let Some(reference) = &mysql.config_map_ref {
        match &references.config_map {
            Some(settings) => problems.extend(in_map("spec.mysql.configMapRef", settings, series)),
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

fn in_map(field: &str, settings: &BTreeMap<String, String>, series: Option<(u32, u32)>) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for (name, value) in settings {
        // Debug: a name with a line break must not break the sentence.
        let place = format!("{field}[{name:?}]");
        problems.extend(setting(&place, name, value).or_else(|| gone(&place, name, series?)));
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
    if let Some(problem) = too_few_connections(place, name, value) {
        return Some(problem);
    }
    let broken = value.chars().any(char::is_control);
    let message = format!("the value of {name} must be one line of text");
    broken.then(|| Problem::new(place, "InvalidSetting", message))
}

/// With fewer the agent itself would find no room, and could not even raise the number.
fn too_few_connections(place: &str, name: &str, value: &str) -> Option<Problem> {
    let is_few = value.trim().parse::<i64>().is_ok_and(|count| count < LEAST_CONNECTIONS);
    let message = format!(
        "{value} is too few, since the agent and replication need some; set at least {LEAST_CONNECTIONS}"
    );
    (normalised(name) == "max_connections" && is_few)
        .then(|| Problem::new(place, "TooFewConnections", message))
}

fn gone(place: &str, name: &str, series: (u32, u32)) -> Option<Problem> {
    let remedy = removed::remedy(&normalised(name), series)?;
    let (major, minor) = series;
    let message =
        format!("MySQL {major}.{minor} has no {name} any more and would not start with it; {remedy}");
    Some(Problem::new(place, "RemovedSetting", message))
}

fn is_name(name: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.len() <= 128 && name.bytes().all(rest)
}

/// One spelling: lower case, underscores. mysqld takes the others for the same.
fn normalised(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}
