//! Backups, restores and the archive of the binlog on real servers, without Kubernetes: what the agent's own figures tell.

use super::results::{Case, Floor, Peer, Samples};
use crate::programs::cargo;
use crate::rig::{mysql_root, tools};
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::process::Stdio;
use tokio::process::Command;

/// Restores so many points in time, each at random, and compares what is there with what was there then.
pub async fn points_in_time(count: usize) -> Result<Case> {
    let text =
        measure("archive::a30_any_point_in_time_is_restored_exactly", &[("PORPOISE_POINTS", count)]).await?;
    let times: Vec<u64> = figures(&text, "point").concat();
    let mut more = Map::new();
    more.insert("points".into(), Value::from(times.len()));
    Ok(Case { name: "pitr-exact", samples: Samples(times), more, ..Case::default() })
}

/// Time from a commit to when it is stored, at 200 writes a second.
pub async fn archive_delay(seconds: usize) -> Result<Case> {
    let text = measure("speed::archive_delay", &[("PORPOISE_SECONDS", seconds)]).await?;
    let mut more = Map::new();
    more.insert(
        "writes".into(),
        json!({
            "withoutArchive": micros(&text, "write-without-archive")?,
            "withArchive": micros(&text, "write-with-archive")?,
        }),
    );
    Ok(Case { name: "archive-delay", samples: Samples(delays(&text)), more, ..Case::default() })
}

/// A backup and restores of so many mebibytes.
pub async fn backup_and_restore(mebibytes: usize) -> Result<Case> {
    let text = measure("speed::backup_and_restore", &[("PORPOISE_MEBIBYTES", mebibytes)]).await?;
    let all = |name: &str| -> Result<Samples> {
        let samples = Samples(figures(&text, name).concat());
        ensure!(!samples.0.is_empty(), "find the figure {name}");
        Ok(samples)
    };
    let median = |name: &str| -> Result<u64> { Ok(all(name)?.percentile(50)) };
    let speed = |ours: &str, other: &str| -> Result<u64> { Ok(median(other)? * 100 / median(ours)?.max(1)) };
    let mut more = Map::new();
    for (key, name) in [
        ("dataBytes", "data-bytes"),
        ("storedBytes", "stored-bytes"),
        ("backupMilliseconds", "backup"),
        ("unverifiedBackupMilliseconds", "backup-unverified"),
        ("cloneLocalMilliseconds", "clone-local"),
        ("plainUploadMilliseconds", "upload"),
    ] {
        more.insert(key.into(), Value::from(median(name)?));
    }
    for (key, ours, other) in [
        ("backupSpeedPercentOfCloneLocal", "backup", "clone-local"),
        ("unverifiedBackupSpeedPercentOfCloneLocal", "backup-unverified", "clone-local"),
        ("restoreSpeedPercentOfDownload", "restore", "download"),
        ("restoreSpeedPercentOfLoad", "restore", "load"),
    ] {
        more.insert(key.into(), Value::from(speed(ours, other)?));
    }
    let (alone, during) = (micros(&text, "write-alone")?, micros(&text, "write-during-backup")?);
    more.insert("writes".into(), json!({"alone": alone, "duringBackup": during}));
    let floor = Floor { what: "a plain download of the same objects".into(), samples: all("download")? };
    let dump = Peer { what: "mysql < dump of the same data".into(), samples: all("load")?, violations: None };
    Ok(Case {
        name: "restore-speed",
        samples: all("restore")?,
        floor: Some(floor),
        peers: vec![dump],
        more,
        ..Case::default()
    })
}

async fn measure(name: &str, amounts: &[(&str, usize)]) -> Result<String> {
    let mut command = Command::from(cargo());
    command.args(["test", "--release", "--quiet", "-p", "porpoise-agent", "--test", "server", "--"]);
    command.args([name, "--exact", "--include-ignored", "--nocapture"]);
    command.env("PORPOISE_MYSQL_ROOT", mysql_root()?).env("PORPOISE_STORE", tools::store_program()?);
    command.envs(amounts.iter().map(|(variable, amount)| (*variable, amount.to_string())));
    let output = command.stderr(Stdio::inherit()).output().await.context("run the measurement")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the measurement failed:\n{text}");
    Ok(text)
}

/// The numbers of each line of this name.
fn figures(text: &str, name: &str) -> Vec<Vec<u64>> {
    // The dots of tests that ended meanwhile may stand before it.
    let lines = text.lines().filter_map(|line| line.split_once("FIGURE ")?.1.split_once(' '));
    let of_name = lines.filter(|(found, _)| *found == name);
    of_name
        .map(|(_, numbers)| numbers.split(' ').filter_map(|number| number.parse().ok()).collect())
        .collect()
}

/// Milliseconds of each stored transaction, by the bound that it did not exceed.
fn delays(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.split_once("FIGURE delay-at-most-")?.1.split_once(' '));
    let (mut samples, mut counted) = (Vec::new(), 0);
    for (bound, count) in lines {
        let (Ok(bound), Ok(count)) = (bound.parse::<f64>(), count.parse::<usize>()) else { continue };
        let milliseconds =
            std::time::Duration::try_from_secs_f64(bound).map_or(u64::MAX, super::results::milliseconds);
        samples.extend(std::iter::repeat_n(milliseconds, count.saturating_sub(counted)));
        counted = count;
    }
    samples
}

fn micros(text: &str, name: &str) -> Result<Value> {
    let samples = Samples(figures(text, name).concat());
    ensure!(!samples.0.is_empty(), "find the figure {name}");
    let (p50, p99) = (samples.percentile(50), samples.percentile(99));
    Ok(json!({"n": samples.0.len(), "p50Micros": p50, "p99Micros": p99}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_lines_of_a_measurement() {
        let text = "..FIGURE point 5\nnothing\nFIGURE point 7\nFIGURE delay-at-most-0.5 2\nFIGURE delay-at-most-1.0 3\nFIGURE delay-at-most-+Inf 3\n";
        assert_eq!(figures(text, "point").concat(), [5, 7]);
        assert_eq!(delays(text), [500, 500, 1000]);
    }
}
