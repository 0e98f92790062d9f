//! From what is seen to what is done: pure and total. The protocol is in [`quorum`]; the rest keeps objects as they
//! should be and says how things stand.

mod alarm;
mod archive;
pub mod backup;
mod backups;
mod beginning;
mod changeover;
mod claim;
mod components;
mod cordon;
mod deletion;
mod failover;
mod final_backup;
mod follower;
mod founding;
mod halt;
mod handover;
mod in_place;
mod living;
mod mending;
mod passwords;
mod patience;
mod quorum;
mod rehearsal;
mod reign;
mod rejoin;
mod release;
mod retention;
mod rollout;
mod roster;
mod sealing;
mod seeding;
mod status;
mod step;
mod stores;
#[cfg(test)]
mod tests;
mod update_gate;
mod variables;

use crate::names::ClusterNames;
use crate::plan::Plan;
use crate::validate::{self, Settings, Stored};
use crate::view::ClusterView;
use porpoise_crds::Phase;
use std::time::Duration;

/// How long an undisturbed cluster is left alone.
const QUIET: Duration = Duration::from_mins(5);

/// Decides everything that is done for one cluster in one pass.
pub fn plan(view: &ClusterView, settings: &Settings) -> Plan {
    let mut base =
        Plan { status: view.object.status.clone().unwrap_or_default(), look_again: QUIET, ..Plan::default() };
    if view.object.metadata.deletion_timestamp.is_some() {
        rehearsal::forget(view, &mut base);
        let names = ClusterNames::new(&name(view), &namespace(view));
        return deletion::plan(view, settings, &names, base);
    }
    if view.object.spec.paused {
        return status::paused(view, base);
    }
    let stored = Stored::of(view);
    match validate::cluster(&view.object, &view.references, &stored, settings) {
        Ok(cluster) => living::plan(&cluster, view, base),
        Err(problems) => status::invalid(view, &problems, base),
    }
}

/// The protocol's part of [`plan`] for a valid cluster, without objects and status, and how many Pods shall run. The
/// simulator decides by it millions of times and holds it against [`plan`] now and then.
#[cfg(any(test, feature = "test-support"))]
pub(crate) fn protocol(cluster: &validate::Cluster, view: &ClusterView) -> (Plan, i32) {
    let mut plan = Plan::default();
    let step = living::protocol(cluster, view, &mut plan);
    (plan.record, plan.orders, plan.reason) = (step.record, step.orders, step.reason);
    (plan, living::replicas(cluster, view))
}

/// Whether this phase is a resting one: nothing is expected to change by itself soon.
pub(crate) fn is_resting(phase: Phase) -> bool {
    matches!(phase, Phase::Healthy | Phase::Hibernated | Phase::Paused | Phase::Invalid)
}

fn name(view: &ClusterView) -> String {
    view.object.metadata.name.clone().unwrap_or_default()
}

fn namespace(view: &ClusterView) -> String {
    view.object.metadata.namespace.clone().unwrap_or_default()
}
