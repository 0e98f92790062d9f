//! `docs/benchmarks/results.json` and the page made from it.

use super::{page, plot};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Measured times in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples(pub Vec<u64>);

/// What the same steps cost without us.
#[derive(Clone, Debug)]
pub struct Floor {
    /// What was measured.
    pub what: String,
    /// How long it took, in milliseconds.
    pub samples: Samples,
}

/// What others do under the same, for comparison.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Who.
    pub what: String,
    /// What was measured, in milliseconds.
    pub samples: Samples,
    /// Broken promises seen on the way, where somebody judged.
    pub violations: Option<u64>,
}

/// One row of the results.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What was measured.
    pub samples: Samples,
    /// Next to what, if anything is comparable.
    pub floor: Option<Floor>,
    /// What others do, measured in the same run.
    pub peers: Vec<Peer>,
    /// Broken promises seen on the way.
    pub violations: u64,
    /// When the steps on the way were done, each by its name.
    pub steps: Vec<(&'static str, Samples)>,
    /// What else is worth keeping, by its key in the row.
    pub more: Map<String, Value>,
}

impl Samples {
    /// The value that `percent` of the samples do not exceed (nearest rank).
    pub fn percentile(&self, percent: usize) -> u64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(0)
    }
}

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn row(case: &Case) -> Value {
    let Case { name, samples, floor, peers, violations, steps, more } = case;
    let mut row = json!({
        "case": name, "unit": "ms", "n": samples.0.len(),
        "p50": samples.percentile(50), "p90": samples.percentile(90), "p99": samples.percentile(99),
        "max": samples.percentile(100), "peers": peers.iter().map(beside).collect::<Vec<Value>>(), "violations": violations,
        "commit": commit(), "date": jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(), "machine": machine(),
    });
    if let Some(Floor { what, samples }) = floor {
        row["floor"] = json!({"what": what, "n": samples.0.len(), "p50": samples.percentile(50), "p99": samples.percentile(99)});
    }
    if !steps.is_empty() {
        let step = |samples: &Samples| json!({"n": samples.0.len(), "p50": samples.percentile(50), "p99": samples.percentile(99)});
        let steps: Vec<Value> =
            steps.iter().map(|(name, samples)| json!({"step": name, "at": step(samples)})).collect();
        row["steps"] = Value::Array(steps);
    }
    for (key, value) in more {
        row[key] = value.clone();
    }
    row
}

fn beside(peer: &Peer) -> Value {
    let Peer { what, samples, violations } = peer;
    json!({
        "what": what, "n": samples.0.len(), "p50": samples.percentile(50), "p99": samples.percentile(99),
        "violations": violations,
    })
}

/// The row that an earlier run left.
pub(super) fn earlier(case: &str) -> Option<Value> {
    let text = std::fs::read_to_string(docs().join("benchmarks/results.json")).ok()?;
    let rows: Vec<Value> = serde_json::from_str(&text).ok()?;
    rows.into_iter().find(|row| row["case"] == case)
}

/// Prints the case, puts it into the results in place of an earlier row of its name, and makes the page anew.
pub fn write(case: &Case) -> Result<()> {
    let new = row(case);
    println!("{}", serde_json::to_string_pretty(&new)?);
    let file = docs().join("benchmarks/results.json");
    let mut rows: Vec<Value> = match std::fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text).context("read the results")?,
        Err(_) => Vec::new(),
    };
    rows.retain(|old| old["case"] != case.name);
    rows.push(new);
    rows.sort_by_key(|row| row["case"].as_str().unwrap_or_default().to_owned());
    std::fs::create_dir_all(docs().join("benchmarks"))?;
    std::fs::write(&file, serde_json::to_string_pretty(&rows)? + "\n")?;
    std::fs::write(docs().join("src/benchmarks.md"), page::markdown(&rows))?;
    std::fs::write(docs().join("src/benchmarks.svg"), plot::svg(&rows))?;
    Ok(())
}

fn docs() -> PathBuf {
    crate::programs::checkout().join("docs")
}

fn commit() -> String {
    let output =
        std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(docs()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .next()
        .and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    let mut machine = Map::new();
    machine.insert("cores".to_owned(), json!(cores));
    machine.insert("memoryGiB".to_owned(), json!(kib.div_ceil(1024 * 1024)));
    Value::Object(machine)
}

#[cfg(test)]
mod tests {
    use super::Samples;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let samples = Samples(vec![5, 1, 4, 2, 3]);
        assert_eq!((samples.percentile(50), samples.percentile(99), samples.percentile(100)), (3, 5, 5));
        assert_eq!(Samples::default().percentile(50), 0);
    }
}
