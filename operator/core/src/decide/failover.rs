//! Whether a lost primary is replaced now: `spec.failover`.

use super::handover;
use super::roster::{Roster, is_running};
use super::sealing::{self, Aim};
use super::step::{Situation, Step};
use crate::plan::Record;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use porpoise_crds::{FailoverMode, RequestOutcome};

/// Why no other member is promoted yet, if so. A primary whose server answers again is elected without further ado: it has
/// everything.
pub(super) fn obstacle(roster: &Roster<'_>, primary: &str) -> Option<String> {
    let is_back =
        roster.answer(primary).is_some_and(|state| is_running(state) && roster.entry(state).is_some());
    if is_back || handover::pending(roster).is_some() {
        return None;
    }
    if roster.cluster.spec.failover.mode == FailoverMode::Manual {
        return Some(format!(
            "failover.mode is Manual: waiting for {primary}, or for a new spec.switchover to promote another member"
        ));
    }
    let delay = roster.cluster.failover_delay;
    let waited = lost_since(roster).map(|since| roster.since(&since));
    let is_early = !delay.is_zero() && waited.is_none_or(|waited| waited < delay);
    is_early.then(|| format!("{primary} is waited for, as failover.delay is {}s", delay.as_secs_f32()))
}

/// Since when the status says that nobody accepts writes.
fn lost_since(roster: &Roster<'_>) -> Option<MicroTime> {
    let status = roster.view.object.status.as_ref()?;
    let writable = status.conditions.iter().find(|condition| condition.type_ == "Writable")?;
    (writable.status == "False").then_some(MicroTime(writable.last_transition_time.0))
}

/// Raises the term. A request that waits is served by this: its target is preferred among those that have everything.
pub(super) fn begin(roster: &Roster<'_>, record: &Record, why: &str) -> Step {
    let wish = handover::pending(roster).filter(|_| record.operation.is_none());
    let preferred = wish.as_ref().and_then(|(wish, _)| wish.target.clone());
    let next = sealing::begin(roster, record, Aim::Election(preferred), why.to_owned());
    let step = Step::record(Situation::Sealing, next, format!("{why}: raising the term"));
    let request = wish.map(|(wish, seen_at)| {
        let message = format!("{why}: a member that has every acknowledged write takes over");
        handover::answer(wish, RequestOutcome::Started, seen_at, message)
    });
    Step { request, ..step }
}
