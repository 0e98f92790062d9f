//! Renders `my.cnf`: derived defaults, then the user's settings, then what Porpoise decides. The last word counts.
//!
//! The agent passes what differs between members (`server_id`, `report_host`) on the command line.

mod fixed;
mod sizes;

pub use sizes::{AGENT_RESERVE_BYTES, buffer_pool_bytes};

use crate::runtime::{self, Value};
use porpoise_crds::MySQLClusterSpec;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What `my.cnf` depends on.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The spec.
    pub spec: &'a MySQLClusterSpec,
    /// The user's settings, normalised and merged.
    pub settings: &'a BTreeMap<String, String>,
    /// Memory limit of a member.
    pub memory_bytes: u64,
    /// CPU limit of a member, in thousandths.
    pub cpu_millis: u64,
    /// Size of a volume.
    pub storage_bytes: u64,
}

/// Title of the part with the user's settings.
const USER_SECTION: &str = "spec.mysql";

/// One line of `my.cnf`.
type Setting = (&'static str, String);

/// The text of `my.cnf`; equal inputs give equal text.
pub fn render(inputs: &Inputs<'_>) -> String {
    let mut text =
        String::from("# Written by porpoise. Change spec.mysql of the MySQLCluster instead.\n[mysqld]\n");
    let mut defaults = fixed::defaults();
    defaults.extend(sizes::derived(inputs));
    // A default that the user overrides is left out, so that the file says each thing once.
    defaults.retain(|(name, _)| !inputs.settings.contains_key(*name));
    section(&mut text, "defaults", defaults.iter().map(|(name, value)| (*name, value)));
    section(&mut text, USER_SECTION, inputs.settings.iter().map(|(name, value)| (name.as_str(), value)));
    let fixed = fixed::settings(inputs.spec);
    section(&mut text, "decided by porpoise", fixed.iter().map(|(name, value)| (*name, value)));
    text
}

fn section<'a>(text: &mut String, title: &str, lines: impl Iterator<Item = (&'a str, &'a String)>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n# {title}");
    for (name, value) in lines {
        let _ = writeln!(text, "{name}={value}");
    }
}

/// What the user's part of a rendered `my.cnf` says, by name.
pub fn user_settings(text: &str) -> BTreeMap<&str, &str> {
    let title = format!("# {USER_SECTION}");
    let lines = text.lines().skip_while(|line| **line != title).skip(1);
    lines.take_while(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect()
}

/// The value of a setting in a rendered `my.cnf`, whoever decided it.
pub fn value_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let settings = text.lines().rev().filter(|line| !line.starts_with('#'));
    let mut settings = settings.filter_map(|line| line.split_once('='));
    settings.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// A rendered `my.cnf` without those of the user's settings that a running mysqld takes.
pub fn without_variables(text: &str) -> String {
    without(text, runtime::is_settable)
}

/// The same, but with their numbers: a start needs sizes, and takes for a number what is none, such as 1 for
/// `max_connections=many`. Words can wait until mysqld runs and says what it thinks of them.
pub fn without_words(text: &str) -> String {
    without(text, |name, value| {
        runtime::is_settable(name, value) && matches!(runtime::value(value), Value::Text(_))
    })
}

fn without(text: &str, leaves_out: impl Fn(&str, &str) -> bool) -> String {
    let user = user_settings(text);
    let is_left_out = |line: &&str| {
        let setting = line.split_once('=');
        setting.is_some_and(|(name, value)| user.get(name) == Some(&value) && leaves_out(name, value))
    };
    text.lines().filter(|line| !is_left_out(line)).fold(String::new(), |kept, line| kept + line + "\n")
}

#[cfg(test)]
mod tests;
