//! Which cycles, and how many of each.

use super::cycle::Cycle;
use super::fault::Fault;
use super::load::Load;
use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use std::str::FromStr;

/// Cycles and how often each of them comes in one round of the mix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix(Vec<(Cycle, usize)>);

/// Every fault but those of disks under steady writes, most often the commonest, and every load under `kill -9`.
const EVERYTHING: &str = "kill*6,switchover,stop,force-delete*2,evict*2,delete,cut-node,crash-node,operator-and-primary,kill-all,\
                          kill+saturated,kill+open-transaction,kill+alter-table,kill+large-transaction,kill+xa-prepared,\
                          kill+account-statement,switchover+open-transaction,evict+open-transaction";

impl Mix {
    /// The mix of `FAULTS`, such as `kill*3,cut-node,kill+saturated`; everything when it is not set.
    ///
    /// # Errors
    /// When it names what there is not.
    pub fn from_environment() -> Result<Self> {
        std::env::var("FAULTS").unwrap_or_else(|_| EVERYTHING.to_owned()).parse()
    }

    /// The first `count` cycles. The rarer ones are spread among the others, so that a short campaign has many sorts.
    pub fn cycles(&self, count: usize) -> Vec<Cycle> {
        let round: usize = self.0.iter().map(|(_, times)| times).sum();
        let mut places: Vec<(usize, Cycle)> = Vec::new();
        for (cycle, times) in &self.0 {
            // The middle of each of `times` equal parts of the round, in thousandths.
            places.extend((0..*times).map(|time| (round * (2 * time + 1) * 500 / times, *cycle)));
        }
        places.sort_by_key(|(place, _)| *place);
        places.into_iter().map(|(_, cycle)| cycle).cycle().take(count).collect()
    }

    /// How many cycles one round has.
    pub fn round(&self) -> usize {
        self.0.iter().map(|(_, times)| times).sum()
    }
}

impl FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(part)
            .collect::<Result<_>>()
            .map(Self)
    }
}

/// `FAULT`, `FAULT+LOAD`, and either with `*TIMES`.
fn part(text: &str) -> Result<(Cycle, usize)> {
    let (cycle, times) = match text.split_once('*') {
        Some((cycle, times)) => (cycle, times.parse().with_context(|| format!("a number in {text:?}"))?),
        None => (text, 1),
    };
    let (fault, load) = cycle.split_once('+').unwrap_or((cycle, "steady"));
    let fault = Fault::from_str(fault, false).map_err(|_| anyhow!("there is no fault {fault:?}"))?;
    let load = Load::from_str(load, false).map_err(|_| anyhow!("there is no load {load:?}"))?;
    Ok((Cycle { fault, load }, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_holds_every_fault_and_every_load() {
        let mix: Mix = EVERYTHING.parse().unwrap();
        let cycles = mix.cycles(mix.round());
        for fault in Fault::value_variants()
            .iter()
            .filter(|fault| !matches!(fault, Fault::StallDisk | Fault::FillDisk))
        {
            assert!(cycles.iter().any(|cycle| cycle.fault == *fault), "{fault:?}");
        }
        for load in Load::value_variants() {
            assert!(cycles.iter().any(|cycle| cycle.load == *load), "{load:?}");
        }
    }

    #[test]
    fn a_mix_is_spread_and_repeated() {
        let mix: Mix = "kill*3, cut-node,kill+saturated*0".parse().unwrap();
        let words: Vec<String> = mix.cycles(6).iter().map(ToString::to_string).collect();
        assert_eq!(words, ["kill", "kill", "cut-node", "kill", "kill", "kill"]);
        assert_eq!(mix.round(), 4);
    }

    #[test]
    fn what_there_is_not_is_refused_by_name() {
        for (text, word) in [("kil", "kil"), ("kill+rain", "rain"), ("kill*x", "kill*x")] {
            let error = text.parse::<Mix>().unwrap_err();
            assert!(format!("{error:#}").contains(word), "{error:#}");
        }
    }
}
