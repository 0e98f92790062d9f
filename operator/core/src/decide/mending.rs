//! Members that do not work, and whose Pods have an outdated template: replaced at once, so that going back heals without a
//! person at the Pods (D40). An ordinary restart waits until all is well, which it may never be with such a member.

use super::follower::is_healthy_follower;
use super::halt::is_late;
use super::rollout::has_old_template;
use super::roster::{Roster, reigns_in};
use crate::plan::{Deletion, Record};
use crate::protocol::{Role, ServerPhase};
use crate::view::{ClusterView, PodView};

/// Pods with an outdated template in which nothing runs, all of them, whatever else goes on: they acknowledge nothing,
/// can be sealed for nothing and take nobody away. So a cluster heals too of which no member ever came up.
pub(super) fn idle(view: &ClusterView) -> Vec<Deletion> {
    let idle = view.pods.iter().filter(|(name, pod)| {
        is_unwell(pod) && nothing_runs(view, name, pod) && has_old_template(view, name)
    });
    idle.map(|(name, pod)| Deletion::IdlePod { name: name.clone(), uid: pod.uid.clone() }).collect()
}

/// A member with an outdated template that runs without being of use, when the others carry the claim without it: one, and
/// within the budget. Whether it acknowledges, or whether anything runs there at all, need not be known.
pub(super) fn spared(roster: &Roster<'_>, record: &Record) -> Option<Deletion> {
    let primary = roster.answer(record.primary.as_deref()?)?;
    let admits = matches!(primary.role, Role::Primary { admitting: true, .. })
        && reigns_in(primary) == Some(roster.term);
    let complete =
        roster.wanted().iter().all(|name| roster.view.pods.get(name).is_some_and(|pod| !pod.terminating));
    if !admits || !complete || record.operation.is_some() {
        return None;
    }
    let name = roster.wanted().into_iter().find(|name| {
        let pod = roster.view.pods.get(name);
        *name != primary.instance
            && pod.is_some_and(|pod| is_unwell(pod) && is_of_no_use(roster.view, name, pod))
            && has_old_template(roster.view, name)
    })?;
    let followers = roster.answered().filter(|state| is_healthy_follower(roster, primary, state));
    let others = followers.filter(|state| state.instance != name).count();
    let enough = i32::try_from(others).unwrap_or(i32::MAX) >= roster.claim.k;
    let uid = roster.view.pods.get(&name)?.uid.clone();
    enough.then_some(Deletion::Pod { name, uid })
}

fn is_unwell(pod: &PodView) -> bool {
    !pod.ready && !pod.terminating
}

fn nothing_runs(view: &ClusterView, instance: &str, pod: &PodView) -> bool {
    match view.answer(instance) {
        Some(state) => matches!(state.server, ServerPhase::Failed { .. }),
        None => pod.held_up.is_some(),
    }
}

/// A replica that cannot follow is of no use at once; one that starts or does not answer, after a while. What is about to
/// copy data is left alone: it would begin again.
fn is_of_no_use(view: &ClusterView, instance: &str, pod: &PodView) -> bool {
    let Some(state) = view.answer(instance) else {
        return is_late(view, pod);
    };
    match (&state.server, &state.role) {
        (ServerPhase::Running, Role::Replica { error, .. }) if !error.is_empty() => true,
        (ServerPhase::Running | ServerPhase::Starting | ServerPhase::Unknown, _) => is_late(view, pod),
        (
            ServerPhase::Initializing
            | ServerPhase::Cloning
            | ServerPhase::Stopped
            | ServerPhase::Held { .. }
            | ServerPhase::ForeignVolume { .. }
            | ServerPhase::UnusableVolume { .. }
            | ServerPhase::VolumeInUse
            | ServerPhase::Failed { .. },
            _,
        ) => false,
    }
}
