//! The Pods.

use super::{Problem, keys};
use crate::names::{KILL_MARGIN_SECONDS, PRESTOP_SECONDS, SHORTEST_SHUTDOWN_SECONDS};
use porpoise_crds::Pod;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// The shortest has room for the preStop hook, for mysqld's end, and for killing it in time (C7). It is the schema's
/// figure too, so it does not move when one of its parts does.
const GRACE_SECONDS: RangeInclusive<i64> = 30..=3600;

const _: () = assert!(
    PRESTOP_SECONDS + SHORTEST_SHUTDOWN_SECONDS + KILL_MARGIN_SECONDS <= *GRACE_SECONDS.start(),
    "the preStop hook and mysqld's end fit into the shortest grace period"
);

/// Variables that the agent or mysqld read.
const RESERVED_VARIABLES: [&str; 7] = [
    "POD_NAME",
    "POD_NAMESPACE",
    "POD_UID",
    "MYSQL_HOME",
    "MYSQL_GROUP_SUFFIX",
    "MYSQL_TCP_PORT",
    "MYSQL_UNIX_PORT",
];

pub(super) fn problems(pod: &Pod) -> Vec<Problem> {
    let mut problems: Vec<Problem> = grace(pod.termination_grace_period_seconds).into_iter().collect();
    problems.extend(keys::labels("spec.pod.labels", &pod.labels));
    problems.extend(keys::annotations("spec.pod.annotations", &pod.annotations));
    let account = "spec.pod.serviceAccountAnnotations";
    problems.extend(keys::annotations(account, &pod.service_account_annotations));
    problems.extend(environment(pod));
    problems
}

fn grace(seconds: i64) -> Option<Problem> {
    let message = format!(
        "{seconds} seconds are out of bounds; choose 30 to 3600: the preStop hook takes up to {PRESTOP_SECONDS}, and \
         mysqld must end in order after it"
    );
    let field = "spec.pod.terminationGracePeriodSeconds";
    (!GRACE_SECONDS.contains(&seconds)).then(|| Problem::new(field, "InvalidGracePeriod", message))
}

fn environment(pod: &Pod) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut problems = Vec::new();
    for variable in &pod.env {
        let name = variable.name.as_str();
        let place = format!("spec.pod.env[{name:?}]");
        if !is_variable(name) {
            let message =
                "a variable is named by letters, digits and underscores, not beginning with a digit";
            problems.push(Problem::new(place, "InvalidVariable", message));
        } else if RESERVED_VARIABLES.contains(&name) || name.starts_with("PORPOISE_") {
            let message = format!("{name} is set by Porpoise; remove it");
            problems.push(Problem::new(place, "ReservedVariable", message));
        } else if !seen.insert(name) {
            problems.push(Problem::new(
                place,
                "DuplicateVariable",
                format!("{name} is there twice; keep one"),
            ));
        }
    }
    problems
}

fn is_variable(name: &str) -> bool {
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
