//! Keys and values of labels and annotations.
//!
//! Source: Kubernetes documentation, "Labels and Selectors", syntax and character set.

use super::Problem;
use std::collections::BTreeMap;

/// Prefixes whose keys the operator or Kubernetes sets on Pods.
const RESERVED_LABELS: [&str; 4] =
    ["app.kubernetes.io/", "statefulset.kubernetes.io/", "apps.kubernetes.io/", "controller-revision-hash"];
const OWN_DOMAIN: &str = "porpoise.dev/";

pub(super) fn labels(field: &str, labels: &BTreeMap<String, String>) -> Vec<Problem> {
    let mut problems = keys(field, labels.keys());
    for (key, value) in labels {
        if RESERVED_LABELS.iter().any(|reserved| key.starts_with(reserved)) {
            problems.push(reserved(field, key));
        }
        if !is_value(value) {
            let message = format!(
                "{value:?} is no label value; use at most 63 letters, digits, dashes, dots and underscores"
            );
            problems.push(Problem::new(format!("{field}[{key:?}]"), "InvalidLabel", message));
        }
    }
    problems
}

pub(super) fn annotations(field: &str, annotations: &BTreeMap<String, String>) -> Vec<Problem> {
    keys(field, annotations.keys())
}

pub(super) fn keys<'a>(field: &str, keys: impl Iterator<Item = &'a String>) -> Vec<Problem> {
    let check = |key: &String| {
        if key.contains(OWN_DOMAIN) {
            return Some(reserved(field, key));
        }
        let message = "a key is a name of at most 63 characters, if need be after a domain and a slash: example.com/team";
        (!is_key(key)).then(|| Problem::new(format!("{field}[{key:?}]"), "InvalidKey", message))
    };
    keys.filter_map(check).collect()
}

fn reserved(field: &str, key: &str) -> Problem {
    let message = format!("{key} is set by Porpoise or Kubernetes; choose another key");
    Problem::new(format!("{field}[{key:?}]"), "ReservedKey", message)
}

fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        None => !key.is_empty() && is_value(key),
        Some((domain, name)) => is_domain(domain) && !name.is_empty() && is_value(name),
    }
}

fn is_domain(domain: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    domain.len() <= 253 && domain.split('.').all(part)
}

fn is_value(value: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let edge = |c: char| c.is_ascii_alphanumeric();
    value.len() <= 63
        && value.bytes().all(inner)
        && (value.is_empty() || (value.starts_with(edge) && value.ends_with(edge)))
}
