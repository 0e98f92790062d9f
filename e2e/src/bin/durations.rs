//! `make durations`: from what cargo printed of a test run to the page that lists how long each suite takes (E3).
//!
//! Suites that were not run, or not as a whole, keep the row that they have.

use anyhow::{Context, Result};
use porpoise_e2e::programs::checkout;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;

const PAGE: &str = "docs/src/test-durations.md";
const HEAD: &str = "\
# Durations of the tests

How long each suite takes on two cores, by `make durations`; nothing here is typed in by hand. Compiling is not counted.

| tier | suite | tests | seconds | run on |
|---|---|---|---|---|
";

/// One suite's row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    tests: u32,
    seconds: String,
    date: String,
}

/// By tier and suite.
type Rows = BTreeMap<(String, String), Row>;

fn main() -> Result<()> {
    let mut log = String::new();
    std::io::stdin().read_to_string(&mut log).context("read cargo's words from stdin")?;
    let page = checkout().join(PAGE);
    let mut rows = std::fs::read_to_string(&page).map(|text| rows_of(&text)).unwrap_or_default();
    let date = jiff::Zoned::now().date().to_string();
    let run = suites(&log, &date);
    anyhow::ensure!(!run.is_empty(), "no whole suite was run: pipe the output of `make test` in, errors too");
    rows.extend(run);
    std::fs::write(&page, text_of(&rows)).with_context(|| format!("write {}", page.display()))?;
    print!("{}", text_of(&rows));
    Ok(())
}

/// The tier whose `make` target runs this suite.
fn tier(suite: &str) -> &'static str {
    match suite {
        "server" | "porpoise_agent" => "server",
        "api" | "charts" | "cluster" | "faults" | "operator" | "rig" | "porpoise_e2e" => "cluster",
        _ => "pure",
    }
}

/// Every suite that passed as a whole.
fn suites(log: &str, date: &str) -> Rows {
    let mut rows = Rows::new();
    let mut running = None;
    for line in log.lines() {
        if let Some(program) = line.trim_start().strip_prefix("Running ") {
            running = suite(program);
        }
        let Some(result) = line.strip_prefix("test result: ok. ") else { continue };
        if let (Some(name), Some((tests, seconds))) = (running.take(), figures(result)) {
            let row = Row { tests, seconds: seconds.to_owned(), date: date.to_owned() };
            rows.insert((tier(&name).to_owned(), name), row);
        }
    }
    rows
}

/// From `tests/server/main.rs (target/debug/deps/server-0123456789abcdef)` to `server`.
fn suite(program: &str) -> Option<String> {
    let (_, path) = program.split_once('(')?;
    let file = path.trim_end_matches(')').rsplit('/').next()?;
    Some(file.rsplit_once('-')?.0.to_owned())
}

/// How many tests and how many seconds, of a suite from which nothing was left out.
fn figures(result: &str) -> Option<(u32, &str)> {
    let before = |word: &str| result.split("; ").find_map(|part| part.strip_suffix(word));
    let is_whole = before(" filtered out") == Some("0");
    let tests: u32 = before(" passed")?.parse().ok()?;
    let seconds = result.rsplit_once("finished in ")?.1.trim_end().strip_suffix('s')?;
    (is_whole && tests > 0).then_some((tests, seconds))
}

fn rows_of(page: &str) -> Rows {
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[tier, suite, tests, seconds, date] = cells.as_slice() else { return None };
        let row = Row { tests: tests.parse().ok()?, seconds: seconds.to_owned(), date: date.to_owned() };
        Some(((tier.to_owned(), suite.trim_matches('`').to_owned()), row))
    };
    page.lines().filter_map(row).collect()
}

fn text_of(rows: &Rows) -> String {
    let mut text = HEAD.to_owned();
    for ((tier, suite), Row { tests, seconds, date }) in rows {
        // Writing into a String does not fail.
        let _ = writeln!(text, "| {tier} | `{suite}` | {tests} | {seconds} | {date} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
     Running unittests src/lib.rs (target/debug/deps/porpoise_core-0a1b)

running 2 tests
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 12.50s
     Running tests/server/main.rs (target/debug/deps/server-2c3d)
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 40 filtered out; finished in 3.00s
     Running tests/rig.rs (target/debug/deps/rig-4e5f)
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s
   Doc-tests porpoise_core
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn e3_only_whole_suites_that_passed_are_listed() {
        let rows = suites(LOG, "2026-11-21");
        let row = Row { tests: 2, seconds: "12.50".to_owned(), date: "2026-11-21".to_owned() };
        assert_eq!(rows, Rows::from([(("pure".to_owned(), "porpoise_core".to_owned()), row)]));
    }

    #[test]
    fn e3_a_page_is_read_as_it_was_written() {
        let rows = suites(LOG, "2026-11-21");
        assert_eq!(rows_of(&text_of(&rows)), rows);
    }
}
