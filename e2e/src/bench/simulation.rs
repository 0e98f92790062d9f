//! Schedules of the simulator, many more than a test run has, and the planted bugs that it must find.

use super::results::Case;
use crate::programs::cargo;
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use std::process::Stdio;
use tokio::process::Command;

/// Runs so many schedules of the product as it is, and every planted bug. A violation is an error, with its trace.
pub async fn simulated_schedules(count: usize) -> Result<Case> {
    let text = run(count).await?;
    let line =
        text.lines().find(|line| line.contains(" schedules in ")).context("the campaign tells its count")?;
    let number = |word: &str| before(line, word).with_context(|| format!("read {word:?} in {line:?}"));
    let found = text.lines().filter(|line| line.contains(": schedule ") && line.contains(" breaks ")).count();
    let mut more = Map::new();
    more.insert("unit".into(), Value::from("schedules"));
    more.insert("n".into(), Value::from(number("schedules in")?));
    more.insert("acknowledged".into(), Value::from(number("writes acknowledged")?));
    more.insert("decisions".into(), Value::from(number("decisions")?));
    more.insert("plantedBugsFound".into(), Value::from(found));
    let violations = number("violations")?;
    Ok(Case { name: "simulated-schedules", violations, more, ..Case::default() })
}

async fn run(count: usize) -> Result<String> {
    let output = Command::from(cargo())
        .args(["test", "--quiet", "-p", "porpoise-core", "--lib", "simulation::", "--", "--nocapture"])
        .env("PORPOISE_SCHEDULES", count.to_string())
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("run the simulator")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the simulator found something:\n{text}");
    Ok(text)
}

/// The number right before these words.
fn before(line: &str, words: &str) -> Option<u64> {
    // The dots of tests that ended meanwhile stand before it.
    line.split_once(words)?.0.split_whitespace().next_back()?.trim_start_matches('.').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_campaigns_line() {
        let line =
            "..1000 schedules in 3.2s: 3144 writes acknowledged, 30736 decisions, 1574 terms, 0 violations";
        assert_eq!(before(line, "schedules in"), Some(1000));
        assert_eq!(before(line, "writes acknowledged"), Some(3144));
        assert_eq!(before(line, "violations"), Some(0));
        assert_eq!(before(line, "losses"), None);
    }
}
