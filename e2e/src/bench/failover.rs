//! The write gap of clients at each sort of fault (ha.md §7), next to what the same steps cost on bare servers.

use super::group::{self, Setting};
use super::results::{Case, Floor, Peer, Samples, earlier, milliseconds};
use super::trio::Trio;
use crate::campaign::{Cycle, Fault, Load, Measured, Mix, Scene, Steps};
use crate::ledger::Verdict;
use crate::scenario::Namespace;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// One case.
#[derive(Clone, Copy, Debug)]
pub struct UnderFaults {
    /// Its name.
    pub name: &'static str,
    /// How many cycles, if nobody says otherwise.
    pub cycles: usize,
    fault: Fault,
    load: Load,
    bare: Bare,
    peers: &'static [Setting],
    figure: Figure,
}

/// What bare servers do for comparison.
#[derive(Clone, Copy, Debug)]
enum Bare {
    Switchover,
    Failover,
    BusyFailover,
    RestartAll,
    Rejoin,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// Longest time without an acknowledged write.
    Gap,
    /// From the fault until the struck primary is a ready replica.
    Rejoined,
}

const fn case(name: &'static str, cycles: usize, fault: Fault, bare: Bare) -> UnderFaults {
    UnderFaults { name, cycles, fault, load: Load::Steady, bare, peers: &[], figure: Figure::Gap }
}

/// Every case.
pub const CASES: &[UnderFaults] = &[
    case("switchover", 50, Fault::Switchover, Bare::Switchover),
    UnderFaults { peers: group::SETTINGS, ..case("failover-kill", 50, Fault::Kill, Bare::Failover) },
    case("pod-deleted", 50, Fault::ForceDelete, Bare::Failover),
    case("partition", 50, Fault::CutNode, Bare::Failover),
    case("node-crash", 20, Fault::CrashNode, Bare::Failover),
    case("operator-and-primary", 20, Fault::OperatorAndPrimary, Bare::Failover),
    UnderFaults { load: Load::Saturated, ..case("failover-saturated", 20, Fault::Kill, Bare::BusyFailover) },
    case("all-killed", 20, Fault::KillAll, Bare::RestartAll),
    UnderFaults { figure: Figure::Rejoined, ..case("rejoin", 20, Fault::Kill, Bare::Rejoin) },
];

/// So many floors are enough to see their spread.
const FLOORS: usize = 10;
/// So many kills show what a peer does: each takes it several seconds.
const PEERS: usize = 5;

/// Measures a case in `cycles` cycles on one cluster.
///
/// # Errors
/// When a cycle does not end well; the report of the cluster is printed then.
pub async fn under_faults(wanted: &UnderFaults, cycles: usize) -> Result<Case> {
    let floor = wanted.bare.measure(cycles.min(FLOORS)).await.context("measure bare servers")?;
    let peers = peers(wanted.peers, cycles.min(PEERS)).await.context("measure peers")?;
    let mut more = Map::new();
    let (measured, verdict) = campaign(wanted.name, async |scene| {
        let fault = if scene.offers(wanted.fault).await? { wanted.fault } else { Fault::Evict };
        more.insert("fault".to_owned(), json!(fault.word()));
        Ok(vec![Cycle { fault, load: wanted.load }; cycles])
    })
    .await?;
    let clones = measured.iter().filter(|one| one.cloned).count();
    more.insert("clones".to_owned(), json!(clones));
    let samples: Vec<u64> =
        measured.iter().filter_map(|one| wanted.figure.of(one)).map(milliseconds).collect();
    ensure!(!samples.is_empty(), "no cycle of {} showed what is to be measured", wanted.name);
    Ok(Case {
        name: wanted.name,
        samples: Samples(samples),
        floor: Some(floor),
        peers,
        violations: verdict.count(),
        steps: steps(&measured),
        more,
    })
}

async fn peers(settings: &[Setting], cycles: usize) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    for setting in settings {
        peers.push(group::measure(setting, cycles).await?);
    }
    Ok(peers)
}

/// A campaign of any mix; its row adds up what campaigns have run so far.
///
/// # Errors
/// As [`under_faults`].
pub async fn fault_cycles(mix: &Mix, cycles: usize) -> Result<Case> {
    let (measured, verdict) = campaign("fault-cycles", async |scene| {
        let mut offered = Vec::new();
        for cycle in mix.cycles(cycles) {
            if scene.offers(cycle.fault).await? {
                offered.push(cycle);
            }
        }
        Ok(offered)
    })
    .await?;
    let before = earlier("fault-cycles").unwrap_or_default();
    let mut more = Map::new();
    let run = u64::try_from(measured.len()).unwrap_or(u64::MAX);
    more.insert("total".to_owned(), json!(before["total"].as_u64().unwrap_or(0) + run));
    more.insert("sorts".to_owned(), sorts(&measured));
    Ok(Case {
        name: "fault-cycles",
        samples: Samples(measured.iter().map(|one| milliseconds(one.gap)).collect()),
        violations: before["violations"].as_u64().unwrap_or(0) + verdict.count(),
        more,
        ..Case::default()
    })
}

/// Runs cycles on a cluster of its own, and judges.
async fn campaign(
    name: &str,
    plan: impl AsyncFnOnce(&Scene<'_>) -> Result<Vec<Cycle>>,
) -> Result<(Vec<Measured>, Verdict)> {
    let mut outcome = None;
    Namespace::scenario(name, async |namespace| {
        let Some(mut scene) = Scene::set(namespace).await? else { bail!("{name} needs the rig") };
        let cycles = plan(&scene).await?;
        outcome = Some(scene.campaign(&cycles).await?);
        Ok(())
    })
    .await?;
    outcome.context("a campaign that ended well has an outcome")
}

/// How many cycles of each sort.
fn sorts(measured: &[Measured]) -> Value {
    let mut sorts = Map::new();
    for one in measured {
        let count = sorts.entry(one.cycle.to_string()).or_insert_with(|| json!(0));
        *count = json!(count.as_u64().unwrap_or(0) + 1);
    }
    Value::Object(sorts)
}

fn steps(measured: &[Measured]) -> Vec<(&'static str, Samples)> {
    let of = |step: fn(&Steps) -> Option<Duration>| {
        Samples(measured.iter().filter_map(|one| step(&one.steps)).map(milliseconds).collect())
    };
    vec![
        ("detected", of(|steps| steps.detected)),
        ("sealed", of(|steps| steps.sealed)),
        ("promoted", of(|steps| steps.promoted)),
        ("published", of(|steps| steps.published)),
        ("first write", of(|steps| steps.first_write)),
        ("rejoined", of(|steps| steps.rejoined)),
        ("Healthy", Samples(measured.iter().map(|one| milliseconds(one.healthy)).collect())),
    ]
}

impl Figure {
    fn of(self, measured: &Measured) -> Option<Duration> {
        match self {
            Self::Gap => Some(measured.gap),
            Self::Rejoined => measured.steps.rejoined,
        }
    }
}

impl Bare {
    async fn measure(self, count: usize) -> Result<Floor> {
        let mut samples = Samples::default();
        let mut trio = Trio::start().await?;
        for round in 0..count {
            let time = match self {
                Self::Switchover => trio.switchover().await?,
                Self::Failover => trio.failover().await?.first_write,
                Self::Rejoin => trio.failover().await?.rejoined,
                Self::RestartAll => trio.restart_all().await?,
                Self::BusyFailover => {
                    if round > 0 {
                        trio = Trio::start().await?;
                    }
                    trio.busy_failover().await?
                }
            };
            samples.0.push(milliseconds(time));
        }
        Ok(Floor { what: self.words().to_owned(), samples })
    }

    fn words(self) -> &'static str {
        match self {
            Self::Switchover => "three bare mysqld: close the source, wait, open another, first write",
            Self::Failover => "three bare mysqld: kill -9, stop receiving, apply, open, first write",
            Self::BusyFailover => "the same after two seconds of as many writes as get through",
            Self::RestartAll => "three bare mysqld: kill -9 of all, boot, open, first write",
            Self::Rejoin => "three bare mysqld: kill -9, another opens, the first boots and follows it",
        }
    }
}
