//! Nodes that a primary had better leave before it must: cordoned ones (C4) and, behind a feature gate, those that run
//! out of memory or disk (H18). Without the right to read nodes none is known, and nothing here happens.

use super::rollout::is_outdated;
use super::roster::Roster;
use crate::gate::FeatureGate;
use crate::view::NodeView;
use std::time::Duration;

/// A move that ended where it began is tried again after this time: each attempt interrupts writes.
const AGAIN: Duration = Duration::from_mins(5);
/// A primary that was moved stays for so long, whatever pressure its node reports: two nodes that run short in turn must
/// not pass it to and fro.
const SETTLED: Duration = Duration::from_mins(30);

/// Why a member had better not be the primary where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Cordoned,
    MemoryPressure,
    DiskPressure,
}

impl Flaw {
    fn words(self) -> &'static str {
        match self {
            Self::Cordoned => "is cordoned",
            Self::MemoryPressure => "reports memory pressure",
            Self::DiskPressure => "reports disk pressure",
        }
    }
}

/// Why the primary goes to `to` before it must, if so. From a cordoned node only to one that is known to be good: when all are
/// cordoned, it stays.
pub(super) fn why_move(roster: &Roster<'_>, primary: &str, to: &str) -> Option<String> {
    let flaw = flaw(roster, primary)?;
    // A Pod with an older template is restarted soon, and the primary would come back.
    let ages = is_outdated(roster, to) && !is_outdated(roster, primary);
    (is_known_good(roster, to) && !ages && !rests(roster, primary, flaw))
        .then(|| describe(roster, primary, flaw))
}

/// Whether a primary that was moved here would leave again at once, as there is a better node. Says why.
pub(super) fn why_leave(roster: &Roster<'_>, instance: &str) -> Option<String> {
    let flaw = flaw(roster, instance).filter(|flaw| *flaw == Flaw::Cordoned)?;
    let better = roster.wanted().iter().any(|other| is_known_good(roster, other));
    better.then(|| describe(roster, instance, flaw))
}

/// Among members that could take over: first those that can stay the primary. Smaller is better.
pub(super) fn reluctance(roster: &Roster<'_>, instance: &str) -> (bool, bool) {
    (is_flawed(roster, instance), is_outdated(roster, instance))
}

/// Whether the member's node is one to leave.
pub(super) fn is_flawed(roster: &Roster<'_>, instance: &str) -> bool {
    flaw(roster, instance).is_some()
}

fn is_known_good(roster: &Roster<'_>, instance: &str) -> bool {
    node(roster, instance).is_some() && !is_flawed(roster, instance)
}

fn flaw(roster: &Roster<'_>, instance: &str) -> Option<Flaw> {
    let (_, node) = node(roster, instance)?;
    let counts = roster.cluster.settings.feature_gates.contains(&FeatureGate::MoveFromPressure);
    match node {
        NodeView { cordoned: true, .. } => Some(Flaw::Cordoned),
        NodeView { memory_pressure: true, .. } if counts => Some(Flaw::MemoryPressure),
        NodeView { disk_pressure: true, .. } if counts => Some(Flaw::DiskPressure),
        NodeView { .. } => None,
    }
}

/// The node of the instance's Pod, by name and as it was seen.
fn node<'a>(roster: &Roster<'a>, instance: &str) -> Option<(&'a str, &'a NodeView)> {
    let name = roster.view.pods.get(instance)?.node.as_deref()?;
    Some((name, roster.view.nodes.get(name)?))
}

fn describe(roster: &Roster<'_>, instance: &str, flaw: Flaw) -> String {
    let name = node(roster, instance).map_or("", |(name, _)| name);
    format!("the node {name} of {instance} {}", flaw.words())
}

/// Whether the last change of the primary was too recent for another one.
fn rests(roster: &Roster<'_>, primary: &str, flaw: Flaw) -> bool {
    let changes =
        roster.view.object.status.iter().flat_map(|status| [&status.last_switchover, &status.last_failover]);
    let Some(last) = changes.flatten().max_by_key(|change| change.term) else {
        return false;
    };
    let failed = last.from.as_deref() == Some(primary) && last.to == primary;
    let pause = match flaw {
        Flaw::Cordoned if failed => AGAIN,
        Flaw::Cordoned => Duration::ZERO,
        Flaw::MemoryPressure | Flaw::DiskPressure => SETTLED,
    };
    roster.since(&last.started_at) < pause
}
