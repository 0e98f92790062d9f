//! Renders `my.cnf`: derived defaults, then the user's settings, then what Porpoise decides. The last word counts.
//!
//! The agent passes what differs between members (`server_id`, `report_host`) on the command line.

mod fixed;
mod sizes;

pub use sizes::{AGENT_RESERVE_BYTES, buffer_pool_bytes};

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
    section(&mut text, "spec.mysql", inputs.settings.iter().map(|(name, value)| (name.as_str(), value)));
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

#[cfg(test)]
mod tests;
