//! One fault cycle.

use super::fault::{Fault, Wound};
use super::load::Load;
use super::scene::Scene;
use super::timeline::{Steps, Timeline};
use crate::ledger::{History, Shift, longest_gap};
use crate::scenario::HEALTHY_WITHIN;
use anyhow::{Context, Result};
use porpoise_crds::{MySQLClusterStatus, Phase};
use std::fmt;
use std::time::Duration;

/// Clients at once.
pub(crate) const WRITERS: u32 = 4;

/// One fault under one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// The fault.
    pub fault: Fault,
    /// What goes on meanwhile.
    pub load: Load,
}

/// What one cycle showed.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Which cycle.
    pub cycle: Cycle,
    /// Longest time without an acknowledged write.
    pub gap: Duration,
    /// When the steps were done, after the fault.
    pub steps: Steps,
    /// When the cluster was seen Healthy, after the fault.
    pub healthy: Duration,
    /// Whether a member's data was replaced by a copy.
    pub cloned: bool,
}

impl Scene<'_> {
    /// Runs one cycle; at its end the cluster is Healthy again.
    ///
    /// # Errors
    /// When writes do not go on or the cluster does not get well, with the name of the cycle.
    pub async fn run(&mut self, cycle: Cycle) -> Result<Measured> {
        self.round += 1;
        let measured = self.cycle(cycle).await.with_context(|| format!("cycle {} ({cycle})", self.round))?;
        println!("cycle {:>3}: {measured}", self.round);
        Ok(measured)
    }

    async fn cycle(&mut self, cycle: Cycle) -> Result<Measured> {
        let before = self.database.until_phase(Phase::Healthy).await?;
        let primary = before.primary.clone().context("a Healthy cluster has a primary")?;
        cycle.fault.prepare(self, &primary).await?;
        self.until_endpoints_rest().await?;
        let timeline = Timeline::watch(&self.database, self.ledger.clock());
        let network = self.network_beside(&primary).await?;
        let shift = self.ledger.shift(&network, WRITERS, cycle.load.pace());
        let struck = self.strike(cycle, &primary, &before, &shift).await;
        // Whatever happened: what clients were told counts.
        let history = shift.end().await?;
        let measured = match struck {
            Ok(struck) => self.measure(cycle, &before, &history, &timeline, &struck).await,
            Err(error) => Err(error),
        };
        self.ledger.close(history);
        measured
    }

    /// From the first write to Healthy again.
    async fn strike(
        &self,
        cycle: Cycle,
        primary: &str,
        before: &MySQLClusterStatus,
        shift: &Shift,
    ) -> Result<Struck> {
        shift.until_steady(cycle.load.steady(), HEALTHY_WITHIN).await?;
        let aside = cycle.load.begin(self, cycle.fault, primary).await?;
        let wound = cycle.fault.strike(self, primary).await?;
        let resumed = shift.until_resumed(wound.done, HEALTHY_WITHIN).await;
        // Also when nothing was resumed: the next scenario needs whole nodes.
        wound.heal(self)?;
        resumed?;
        self.until_healed(before.term, wound.deleted.as_ref()).await?;
        let healthy = self.ledger.clock().now().saturating_sub(wound.at);
        aside.finish(self).await?;
        if cycle.fault == Fault::OperatorAndPrimary {
            self.until_operators().await?;
        }
        Ok(Struck { wound, healthy })
    }

    async fn measure(
        &self,
        cycle: Cycle,
        before: &MySQLClusterStatus,
        history: &History,
        timeline: &Timeline,
        struck: &Struck,
    ) -> Result<Measured> {
        let fault = struck.wound.at;
        let gap =
            longest_gap(&history.entries, fault).context("no write was acknowledged after the fault")?;
        let reigns = self.ledger.reigns(&self.database, &self.primary().await?).await?;
        let steps = timeline.steps(before, fault, gap, &reigns);
        let cloned = timeline.saw_clone(fault);
        Ok(Measured { cycle, gap: gap.length(), steps, healthy: struck.healthy, cloned })
    }
}

struct Struck {
    wound: Wound,
    healthy: Duration,
}

impl fmt::Display for Cycle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.fault.word())?;
        if self.load == Load::Steady { Ok(()) } else { write!(formatter, "+{}", self.load.word()) }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cycle, gap, steps, healthy, cloned } = self;
        let milliseconds =
            |step: Option<Duration>| step.map_or_else(|| "-".to_owned(), |time| time.as_millis().to_string());
        write!(
            formatter,
            "{cycle}: gap {} ms; after the fault: detected {}, sealed {}, promoted {}, published {}, first write {}, \
             rejoined {}, Healthy {} ms{}",
            gap.as_millis(),
            milliseconds(steps.detected),
            milliseconds(steps.sealed),
            milliseconds(steps.promoted),
            milliseconds(steps.published),
            milliseconds(steps.first_write),
            milliseconds(steps.rejoined),
            healthy.as_millis(),
            if *cloned { "; CLONED" } else { "" }
        )
    }
}
