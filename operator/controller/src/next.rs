//! From what became of a pass to when the next one is, and what is remembered until then.

use crate::context::Context;
use crate::kubernetes::chain;
use crate::observation::Observation;
use crate::outcome::Outcome;
use crate::reconcile::ReconcileError;
use crate::report::Reported;
use crate::requeue::Next;
use crate::watch::Guarded;
use kube::Resource;
use kube::runtime::controller::Action;
use porpoise_core::plan::Plan;
use porpoise_core::view::{ClusterView, Look};
use porpoise_crds::Phase;
use std::time::Duration;

/// Labels that wait for the endpoint's change are written after this time.
const LABELS_SOON: Duration = Duration::from_millis(1200);
/// Pause between looks at a cluster that cannot be carried out.
const INVALID: Duration = Duration::from_secs(10);
/// Pause while nothing goes on: for a failed step, or while no Pod runs.
const AT_REST: Duration = Duration::from_secs(5);
/// Ceiling for a pass that could not even read.
const NO_PLAN: Duration = Duration::from_mins(5);

/// Remembers what the next pass needs, and says when it is.
pub fn next(
    context: &Context,
    observation: &Observation,
    plan: &Plan,
    outcome: &Outcome,
    reported: Reported,
) -> Next {
    let uid = observation.view.object.metadata.uid.clone().unwrap_or_default();
    if outcome.released {
        return Next::Gone;
    }
    let conflict = outcome.look_at_once || reported == Reported::Conflict;
    let failures = context.memories.of(&uid, |memory| {
        // After a conflict the watch may still show what was read before.
        memory.needs_fresh_record = outcome.needs_fresh_record || conflict;
        memory.taken.extend(outcome.taken.iter().cloned());
        memory.failures = if outcome.failures.is_empty() { 0 } else { memory.failures.saturating_add(1) };
        memory.failures
    });
    outcome.failures.iter().for_each(|error| context.metrics.failed(error.category()));
    let wish = wish(&observation.view, plan, outcome);
    match (failures, conflict) {
        (0, true) => Next::AtOnce,
        (0, false) => Next::After(wish),
        (failures, _) => Next::Failed { failures, at_most: longest(plan) },
    }
}

fn wish(view: &ClusterView, plan: &Plan, outcome: &Outcome) -> Duration {
    if outcome.labels_wait {
        plan.look_again.min(LABELS_SOON)
    } else if plan.status.phase == Some(Phase::Invalid) {
        // What would make it valid may be an object that is not watched: a reference, or a name that becomes free.
        plan.look_again.min(INVALID)
    } else if is_still(view) {
        plan.look_again.max(AT_REST)
    } else {
        plan.look_again
    }
}

/// No Pod runs: whatever happens next, a watch tells. Thousands of clusters may wait for a node like this.
fn is_still(view: &ClusterView) -> bool {
    let absent = view.members.values().all(|look| matches!(look, Look::Absent));
    absent && view.object.metadata.deletion_timestamp.is_none()
}

/// How long a failed step may be left alone. What goes on meanwhile is never delayed; and the members of a cluster are
/// looked at as often as ever, for a failed step says nothing about them.
fn longest(plan: &Plan) -> Duration {
    let goes_on = plan.record.is_some() || !plan.orders.is_empty() || plan.status.operation.is_some();
    if goes_on { plan.look_again } else { plan.look_again.max(AT_REST) }
}

/// After a pass that ended early: the count of failures decides.
pub fn after_error(object: &Guarded, error: &ReconcileError, context: &Context) -> Action {
    let uid = object.meta().uid.clone().unwrap_or_default();
    let failures = context.memories.of(&uid, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.needs_fresh_record = true;
        memory.failures
    });
    let pause = context.requeue.pause(Next::Failed { failures, at_most: NO_PLAN });
    context.metrics.failed(error.into());
    let (name, namespace) = (&object.meta().name, &object.meta().namespace);
    tracing::warn!(cluster = name, namespace, error = chain(error), ?pause, "pass failed");
    Action::requeue(pause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::Freshness;
    use crate::outcome::ActError;
    use crate::testing::{cluster, context, server};
    use std::collections::BTreeMap;

    const BUSY: Duration = Duration::from_millis(250);

    fn observation(look: Look) -> Observation {
        let view = ClusterView {
            now: jiff::Timestamp::UNIX_EPOCH,
            ages: porpoise_core::view::Ages::default(),
            operator: "operator-0".to_owned(),
            object: cluster(),
            namespace_terminating: false,
            stateful_set: None,
            pods: BTreeMap::new(),
            nodes: BTreeMap::new(),
            line: porpoise_core::line::FIRST,
            other_claims: BTreeMap::new(),
            claims: BTreeMap::new(),
            members: BTreeMap::from([("shop-0".to_owned(), look)]),
            references: porpoise_core::view::References::default(),
            backups: BTreeMap::new(),
            troubles: Vec::new(),
        };
        Observation { view, freshness: Freshness::Read }
    }

    fn answered() -> Look {
        Look::Answered(Box::default())
    }

    fn failed() -> Outcome {
        Outcome { failures: vec![ActError::HoldLease], ..Outcome::default() }
    }

    #[tokio::test]
    async fn table() {
        let (client, _calls) = server(|_| None);
        let (context, _until) = context(&client);
        let plan = |phase| {
            let mut plan = Plan { look_again: BUSY, ..Plan::default() };
            plan.status.phase = phase;
            plan
        };
        let waits = || Outcome { labels_wait: true, ..Outcome::default() };
        let conflict = || Outcome { look_at_once: true, ..Outcome::default() };
        let yes = Reported::Yes;
        for (case, look, phase, outcome, reported, want) in [
            ("busy", answered(), None, Outcome::default(), yes, Next::After(BUSY)),
            ("no Pod runs", Look::Absent, None, Outcome::default(), yes, Next::After(AT_REST)),
            ("labels wait", answered(), None, waits(), yes, Next::After(BUSY)),
            ("conflict", answered(), None, conflict(), yes, Next::AtOnce),
            ("status conflict", answered(), None, Outcome::default(), Reported::Conflict, Next::AtOnce),
            (
                "first failure",
                answered(),
                None,
                failed(),
                yes,
                Next::Failed { failures: 1, at_most: AT_REST },
            ),
            (
                "second failure",
                answered(),
                None,
                failed(),
                yes,
                Next::Failed { failures: 2, at_most: AT_REST },
            ),
            ("well again", answered(), None, Outcome::default(), yes, Next::After(BUSY)),
            (
                "failure after that",
                answered(),
                None,
                failed(),
                yes,
                Next::Failed { failures: 1, at_most: AT_REST },
            ),
        ] {
            let next = next(&context, &observation(look), &plan(phase), &outcome, reported);
            assert_eq!(next, want, "{case}");
        }
        let quiet = Plan { look_again: Duration::from_mins(5), ..plan(Some(Phase::Invalid)) };
        let invalid = next(&context, &observation(answered()), &quiet, &Outcome::default(), yes);
        assert_eq!(invalid, Next::After(INVALID));
    }
}
