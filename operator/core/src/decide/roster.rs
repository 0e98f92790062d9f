//! The members of the claim beside what each of them answered.

use crate::gtid::GtidSet;
use crate::names::ordinal;
use crate::protocol::{Action, DiskState, MemberState, Order, Role, ServerPhase, Term};
use crate::validate::Cluster;
use crate::view::ClusterView;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use porpoise_crds::{Quorum, QuorumMember};
use std::time::Duration;

/// One pass's facts for the protocol: the recorded claim, the wanted instances and the looks at all of them.
pub(super) struct Roster<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) view: &'a ClusterView,
    pub(super) claim: &'a Quorum,
    pub(super) term: Term,
}

impl<'a> Roster<'a> {
    /// Names of the instances that the spec wants, in order.
    pub(super) fn wanted(&self) -> Vec<String> {
        (0..self.cluster.instances).map(|ordinal| self.cluster.names.instance(ordinal)).collect()
    }

    /// Whether the spec wants this instance.
    pub(super) fn is_wanted(&self, instance: &str) -> bool {
        ordinal(instance).is_some_and(|ordinal| ordinal < self.cluster.instances)
    }

    /// Every instance that the spec wants or the claim names, once.
    pub(super) fn instances(&self) -> Vec<String> {
        let mut names = self.wanted();
        for member in &self.claim.members {
            if !names.contains(&member.name) {
                names.push(member.name.clone());
            }
        }
        names
    }

    /// What the instance answered, whatever volume it has.
    pub(super) fn answer(&self, instance: &str) -> Option<&'a MemberState> {
        self.view.answer(instance)
    }

    /// What the member answered; nothing when another volume answers under its name.
    pub(super) fn member(&self, member: &QuorumMember) -> Option<&'a MemberState> {
        self.answer(&member.name).filter(|state| state.volume == member.volume)
    }

    /// The claim's entry for the volume that answers under this name.
    pub(super) fn entry(&self, state: &MemberState) -> Option<&'a QuorumMember> {
        self.claim
            .members
            .iter()
            .find(|member| member.name == state.instance && member.volume == state.volume)
    }

    /// Members of the claim that answered, with their own volume.
    pub(super) fn answered(&self) -> impl Iterator<Item = &'a MemberState> + '_ {
        self.claim.members.iter().filter_map(|member| self.member(member))
    }

    /// How many members must be sealed so that they hold every acknowledged transaction: N - k (ha.md §1).
    pub(super) fn needed_seals(&self) -> usize {
        self.claim.members.len().saturating_sub(usize::try_from(self.claim.k).unwrap_or(0))
    }

    /// Whether the instance's Pod is on its way out.
    pub(super) fn is_leaving(&self, instance: &str) -> bool {
        !self.is_wanted(instance) || self.view.pods.get(instance).is_none_or(|pod| pod.terminating)
    }

    /// Time since then, by a clock that nobody sets.
    pub(super) fn since(&self, then: &MicroTime) -> Duration {
        self.view.ages.of(then.0)
    }

    /// An order to follow this primary.
    pub(super) fn follow(
        &self,
        state: &MemberState,
        primary: &MemberState,
        acknowledge: bool,
        keep: Option<String>,
    ) -> Order {
        let source = primary.instance.clone();
        let host = self.cluster.names.host(&source);
        self.order(state, Action::Follow { source, host, acknowledge, keep })
    }

    /// An order in the recorded term, with the recorded claim.
    pub(super) fn order(&self, state: &MemberState, action: Action) -> Order {
        Order {
            cluster: self.cluster.uid.clone(),
            instance: state.instance.clone(),
            volume: Some(state.volume.clone()),
            term: self.term,
            claim: Some(self.claim.clone()),
            seen: state.seen(),
            action,
        }
    }
}

/// The term this member reigns in, if it is a primary.
pub(super) fn reigns_in(state: &MemberState) -> Option<Term> {
    match state.role {
        Role::Primary { term, .. } => Some(term),
        Role::Idle | Role::Sealed { .. } | Role::Replica { .. } => None,
    }
}

/// Whether the member is connected to `source` and receives.
pub(super) fn receives_from(state: &MemberState, source: &str) -> bool {
    matches!(&state.role, Role::Replica { source: from, receiving: true, .. } if from == source)
}

/// Whether the member receives from `source` and heard it within the last second.
pub(super) fn hears(state: &MemberState, source: &str) -> bool {
    receives_from(state, source) && matches!(state.role, Role::Replica { hearing: true, .. })
}

/// Whether mysqld of this member answers.
pub(super) fn is_running(state: &MemberState) -> bool {
    state.server == ServerPhase::Running && state.data.is_some()
}

/// Whether the member's volume would take a promise.
pub(super) fn can_promise(state: &MemberState) -> bool {
    state.disk == DiskState::Writable
}

/// Whether mysqld is down because the member, a former primary, waits for what it may keep (ha.md §4e).
pub(super) fn is_held(state: &MemberState) -> bool {
    matches!(state.server, ServerPhase::Held { .. })
}

/// Everything the member has executed or received. Absent while mysqld does not answer or says what we cannot read.
pub(super) fn possession(state: &MemberState) -> Option<GtidSet> {
    let data = state.data.as_ref()?;
    Some(GtidSet::parse(&data.executed).ok()?.union(&GtidSet::parse(&data.retrieved).ok()?))
}

/// Everything the member has executed.
pub(super) fn executed(state: &MemberState) -> Option<GtidSet> {
    GtidSet::parse(&state.data.as_ref()?.executed).ok()
}

/// Everything that may be in the member's binlog: what it executed, and commits under way, which others may have
/// acknowledged already.
pub(super) fn written(state: &MemberState) -> Option<GtidSet> {
    Some(executed(state)?.union(&GtidSet::parse(&state.data.as_ref()?.owned).ok()?))
}
