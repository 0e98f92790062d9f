//! `make bench`: figures next to a floor of the same run. `make bench CASE=failover-kill` measures one; `CYCLES=5` shortens
//! it.

use anyhow::{Result, ensure};
use clap::Parser;
use porpoise_e2e::bench;
use porpoise_e2e::campaign::Mix;

/// Simulated schedules.
const SCHEDULES: usize = 1_000_000;
/// Clusters made from nothing.
const CREATIONS: usize = 5;
/// Rounds in which all that is compared has its turn.
const ROUNDS: usize = 3;
/// Points in time that are restored.
const POINTS: usize = 100;
/// Seconds of writes at a pace.
const SECONDS: usize = 60;
/// Mebibytes of data that are backed up and restored.
const MEBIBYTES: usize = 512;

#[derive(Parser)]
struct Arguments {
    /// One case; absent: all.
    case: Option<String>,
    /// How many samples; absent: as many as the case is meant to have.
    #[arg(long, env = "CYCLES")]
    cycles: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { case, cycles } = Arguments::parse();
    let mut known = vec!["simulated-schedules", "time-to-writable", "write-cost", "fault-cycles"];
    known.extend(["pitr-exact", "archive-delay", "restore-speed"]);
    known.extend(bench::CASES.iter().map(|one| one.name));
    let is_wanted = |name: &str| case.as_deref().is_none_or(|case| case == name);
    ensure!(
        known.iter().any(|name| is_wanted(name)),
        "there is no case {case:?}; there are: {}",
        known.join(", ")
    );
    if is_wanted("simulated-schedules") {
        bench::write(&bench::simulated_schedules(cycles.unwrap_or(SCHEDULES)).await?)?;
    }
    if is_wanted("time-to-writable") {
        bench::write(&bench::time_to_writable(cycles.unwrap_or(CREATIONS)).await?)?;
    }
    if is_wanted("write-cost") {
        bench::write(&bench::write_cost(cycles.unwrap_or(ROUNDS)).await?)?;
    }
    if is_wanted("pitr-exact") {
        bench::write(&bench::points_in_time(cycles.unwrap_or(POINTS)).await?)?;
    }
    if is_wanted("archive-delay") {
        bench::write(&bench::archive_delay(cycles.unwrap_or(SECONDS)).await?)?;
    }
    if is_wanted("restore-speed") {
        bench::write(&bench::backup_and_restore(cycles.unwrap_or(MEBIBYTES)).await?)?;
    }
    for one in bench::CASES.iter().filter(|one| is_wanted(one.name)) {
        bench::write(&bench::under_faults(one, cycles.unwrap_or(one.cycles)).await?)?;
    }
    if is_wanted("fault-cycles") {
        let mix = Mix::from_environment()?;
        bench::write(&bench::fault_cycles(&mix, cycles.unwrap_or_else(|| mix.round())).await?)?;
    }
    Ok(())
}
