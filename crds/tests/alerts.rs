//! Alerts are about what users feel, of metrics that exist, with a page that says what to do (F21).
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One alert, as text: the chart is a template and no YAML.
struct Alert {
    name: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn alerts() -> Vec<Alert> {
    let template = read("charts/porpoise/templates/monitoring.yaml");
    let alerts = template.split("- alert: ").skip(1).map(|text| {
        let (name, text) = text.split_once('\n').unwrap();
        Alert { name: name.to_owned(), text: text.to_owned() }
    });
    alerts.collect()
}

impl Alert {
    fn expression(&self) -> &str {
        let (_, rest) = self.text.split_once("expr:").unwrap();
        rest.split_once("for:").unwrap().0
    }

    fn field(&self, name: &str) -> &str {
        let line = self.text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

/// Whether a program registers this metric.
fn is_exported(metric: &str) -> bool {
    let (short, source) = match metric.strip_prefix("porpoise_agent_") {
        Some(short) => (short, "operator/agent/src/metrics.rs"),
        None => (metric.strip_prefix("porpoise_").unwrap(), "operator/controller/src/metrics.rs"),
    };
    read(source).contains(&format!("\"{short}\""))
}

#[test]
fn f21_alerts_use_metrics_that_exist() {
    for alert in alerts() {
        let metrics: BTreeSet<&str> =
            words(alert.expression()).filter(|word| word.starts_with("porpoise_")).collect();
        assert!(!metrics.is_empty() || alert.expression().contains("up{"), "{}", alert.name);
        for metric in metrics {
            assert!(is_exported(metric), "{}: nothing exports {metric}", alert.name);
        }
    }
    assert!(!is_exported("porpoise_agent_wishes") && !is_exported("porpoise_wishes"));
}

#[test]
fn f21_alerts_name_states_that_exist() {
    let phases = read("crds/src/status.rs");
    for alert in alerts() {
        for states in alert.expression().split("state=~\"").skip(1) {
            for state in states.split_once('"').unwrap().0.split('|') {
                assert!(phases.contains(&format!("=> \"{state}\"")), "{}: {state}", alert.name);
            }
        }
    }
}

#[test]
fn f21_every_alert_has_a_runbook_with_steps_and_what_to_expect() {
    for alert in alerts() {
        let (_, page) = alert.field("runbook_url").split_once("}}/").unwrap();
        let page = read(&format!("docs/src/runbooks/{page}"));
        assert!(page.contains("\n1. ") && page.contains("\n2. "), "{}: no steps", alert.name);
        assert!(page.contains("Expect:"), "{}: nothing to expect", alert.name);
        assert!(
            read("docs/src/tasks/monitoring.md").contains(&format!("`{}`", alert.name)),
            "{}",
            alert.name
        );
    }
}

/// A failed Job is tried again, and a failed backup followed by a good one needs nobody.
#[test]
fn f9_alerts_on_backups_end_with_the_next_good_one() {
    let about_backups: Vec<Alert> =
        alerts().into_iter().filter(|alert| alert.text.contains("no-backup.md")).collect();
    assert_eq!(about_backups.len(), 4);
    for alert in about_backups {
        assert!(!alert.expression().to_lowercase().contains("job"), "{}", alert.name);
        let minutes: u32 = alert.field("for").strip_suffix('m').unwrap().parse().unwrap();
        assert!(minutes >= 15, "{}", alert.name);
    }
}

/// It is about the archive only: a failed backup has alerts of its own.
#[test]
fn a29_a_failing_archive_alerts_by_a_number_of_its_own() {
    let alert = alerts().into_iter().find(|alert| alert.text.contains("archive-behind.md")).unwrap();
    assert!(alert.expression().contains("porpoise_cluster_archive_failing"));
    assert!(!alert.expression().contains("porpoise_backup_"));
}

/// What heals by itself within seconds wakes nobody; that a Pod started anew is no symptom at all.
#[test]
fn f21_no_alert_is_about_one_restart() {
    let wanted = [
        "PorpoiseOperatorAbsent",
        "PorpoiseClusterNotWritable",
        "PorpoiseNoFailoverReplica",
        "PorpoiseReplicationStopped",
        "PorpoiseReplicaLag",
        "PorpoiseVolumeNearlyFull",
        "PorpoiseBackupFailed",
        "PorpoiseBackupOverdue",
        "PorpoiseNoRecentBackup",
        "PorpoiseNoVerifiedBackup",
        "PorpoiseArchiveBehind",
    ];
    assert_eq!(alerts().iter().map(|alert| alert.name.as_str()).collect::<Vec<_>>(), wanted);
    for alert in alerts() {
        let minutes: u32 = alert.field("for").strip_suffix('m').unwrap().parse().unwrap();
        assert!(minutes >= 1, "{}", alert.name);
        assert!(["warning", "critical"].contains(&alert.field("severity")), "{}", alert.name);
        assert!(!words(alert.expression()).any(|word| word.contains("restart") || word.contains("starts")));
    }
}
