//! What people and tools are told.

use super::roster::{Roster, reigns_in};
use super::step::{Situation, Step};
use super::{alarm, archive, backups, components, in_place, rollout, variables};
use crate::condition::{self, ConditionType, News};
use crate::event;
use crate::plan::{Deletion, Plan};
use crate::protocol::{DiskState, MemberState, Role, ServerPhase};
use crate::validate::{Cluster, Problem};
use crate::view::{ClusterView, Look};
use porpoise_crds::{
    Endpoints, InstanceRole, InstanceStatus, MySQLClusterStatus, Phase, Quorum, TailStatus, VersionStatus,
};
use std::time::Duration;

/// A paused cluster: only the status says so.
pub(super) fn paused(view: &ClusterView, mut plan: Plan) -> Plan {
    let facts =
        vec![News::new(ConditionType::Progressing, false, "Paused", "reconciling is stopped by spec.paused")];
    plan.status.phase = Some(Phase::Paused);
    settle(view, &mut plan.status, facts);
    "paused by request".clone_into(&mut plan.reason);
    plan
}

/// An invalid spec: the running database stays as it is.
pub(super) fn invalid(view: &ClusterView, problems: &[Problem], mut plan: Plan) -> Plan {
    let sentences: Vec<String> =
        problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
    let message = sentences.join("; ");
    let reason = problems.first().map_or("Invalid", |problem| problem.reason);
    if plan.status.phase != Some(Phase::Invalid)
        || plan.status.observed_generation != view.object.metadata.generation
    {
        plan.events.push(event::SPEC_INVALID.event(&[("problems", &message)]));
    }
    plan.status.phase = Some(Phase::Invalid);
    let facts = vec![
        News::new(ConditionType::ConfigurationValid, false, reason, &message),
        News::new(ConditionType::Progressing, false, "Invalid", "nothing is changed until the spec is valid"),
    ];
    settle(view, &mut plan.status, facts);
    // What the spec names may appear without a word to us.
    plan.look_again = Duration::from_secs(15);
    plan.reason = message;
    plan
}

/// The status of a valid cluster.
pub(super) fn report(cluster: &Cluster, view: &ClusterView, step: &Step, plan: &mut Plan) {
    let instances = instances(cluster, view);
    let ready = instances.iter().filter(|instance| instance.ready).count();
    let phase = phase(cluster, view, step, plan, ready);
    let mut facts = facts(cluster, view, step, phase, ready);
    facts.extend(backups::fact(cluster, view).map(|news| archive::with_archive(news, view, plan)));
    let status = &mut plan.status;
    let current =
        status.primary.as_deref().and_then(|name| view.answer(name)).and_then(|state| state.version.clone());
    status.phase = Some(phase);
    status.ready_instances = Some(format!("{ready}/{}", cluster.instances));
    status.version = Some(VersionStatus {
        current: current.or_else(|| status.version.as_ref().and_then(|version| version.current.clone())),
        target: Some(cluster.spec.version.clone()),
    });
    status.endpoints = Some(endpoints(cluster));
    status.selector = Some(selector_text(cluster));
    status.replicas = Some(i32::try_from(view.pods.len()).unwrap_or(i32::MAX));
    status.instances = instances;
    settle(view, status, facts);
}

fn settle(view: &ClusterView, status: &mut MySQLClusterStatus, facts: Vec<News>) {
    status.observed_generation = view.object.metadata.generation;
    status.conditions = condition::conditions(
        &status.conditions,
        facts,
        view.object.metadata.generation.unwrap_or(0),
        view.now,
    );
}

/// Says one thing in another way than [`report`] did.
pub(super) fn tell(view: &ClusterView, news: News, plan: &mut Plan) {
    let old = view.object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let generation = view.object.metadata.generation.unwrap_or(0);
    condition::replace(&mut plan.status.conditions, old, news, generation, view.now);
}

fn selector_text(cluster: &Cluster) -> String {
    let pairs: Vec<String> =
        crate::build::selector_labels(cluster).iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn endpoints(cluster: &Cluster) -> Endpoints {
    let namespace = cluster.names.namespace();
    Endpoints {
        primary: format!("{}.{namespace}.svc.cluster.local", cluster.names.cluster()),
        replicas: format!("{}.{namespace}.svc.cluster.local", cluster.names.replicas_service()),
    }
}

fn instances(cluster: &Cluster, view: &ClusterView) -> Vec<InstanceStatus> {
    let mut names: Vec<String> =
        (0..cluster.instances).map(|ordinal| cluster.names.instance(ordinal)).collect();
    names.extend(view.pods.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    names.iter().map(|name| instance(cluster, view, name)).collect()
}

fn instance(cluster: &Cluster, view: &ClusterView, name: &str) -> InstanceStatus {
    let pod = view.pods.get(name);
    let state = view.answer(name);
    InstanceStatus {
        name: name.to_owned(),
        role: state.map_or(InstanceRole::Unknown, role),
        ready: pod.is_some_and(|pod| pod.ready && !pod.terminating)
            && state.is_some_and(|state| serves(view, state)),
        version: state.and_then(|state| state.version.clone()),
        node: pod.and_then(|pod| pod.node.clone()),
        message: message(cluster, view, name),
        tails: state.map(tails).unwrap_or_default(),
    }
}

fn tails(state: &MemberState) -> Vec<TailStatus> {
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let told = state.tails.iter().map(|tail| TailStatus {
        file: tail.file.clone(),
        term: tail.term,
        transactions: number(tail.transactions),
        bytes: number(tail.bytes),
    });
    told.collect()
}

fn role(state: &MemberState) -> InstanceRole {
    match (&state.server, &state.role) {
        (ServerPhase::Initializing | ServerPhase::Cloning, _) => InstanceRole::Joining,
        (_, Role::Primary { .. }) => InstanceRole::Primary,
        (_, Role::Replica { .. }) => InstanceRole::Replica,
        (_, Role::Idle | Role::Sealed { .. }) => InstanceRole::Unknown,
    }
}

/// Whether it does its part in the recorded term: a deposed primary that was cut off still admits clients, in its own.
fn serves(view: &ClusterView, state: &MemberState) -> bool {
    let recorded = view.object.status.as_ref().and_then(|status| status.term);
    match &state.role {
        Role::Primary { term, admitting, .. } => *admitting && Some(*term) == recorded,
        Role::Replica { term, receiving, applying, .. } => *receiving && *applying && Some(*term) == recorded,
        Role::Idle | Role::Sealed { .. } => false,
    }
}

fn message(cluster: &Cluster, view: &ClusterView, name: &str) -> String {
    match view.members.get(name) {
        None | Some(Look::Absent) => "no running Pod".to_owned(),
        Some(Look::Silent { reason, .. }) => format!("does not answer: {reason}"),
        Some(Look::Answered(state)) => match (&state.server, &state.role) {
            (ServerPhase::ForeignVolume { owner, cluster }, _) if state.message.is_empty() => {
                format!("its volume belongs to {owner} (UID {cluster})")
            }
            (ServerPhase::UnusableVolume { reason }, _) => format!("its volume cannot be used: {reason}"),
            (ServerPhase::VolumeInUse, _) => "another process works on its volume".to_owned(),
            _ if state.disk != DiskState::Writable => alarm::disk(name, state.disk),
            (ServerPhase::Failed { reason }, _) => reason.clone(),
            (ServerPhase::Held { reigned }, _) => {
                format!("was the primary of term {reigned}; waits to hear what it may keep")
            }
            (_, Role::Replica { error, .. }) if !error.is_empty() => beside(error, cluster, view, state),
            (_, Role::Replica { lagging: true, .. }) => {
                "gets no reads: it is further behind than spec.services.replicas.maxLag".to_owned()
            }
            _ => beside(&state.message, cluster, view, state),
        },
    }
}

/// A member's message, with what it lacks of the configuration.
fn beside(message: &str, cluster: &Cluster, view: &ClusterView, state: &MemberState) -> String {
    let parts = [components::beside(message, cluster, state), variables::complaints(cluster, view, state)];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join("; ")
}

/// The one named state.
fn phase(cluster: &Cluster, view: &ClusterView, step: &Step, plan: &Plan, ready: usize) -> Phase {
    if cluster.spec.hibernated {
        return Phase::Hibernated;
    }
    if in_place::is_phase(view, &plan.status, step.situation) {
        return Phase::Restoring;
    }
    let before = view.object.status.as_ref().and_then(|status| status.phase);
    let founding = matches!(before, None | Some(Phase::Pending | Phase::Initializing));
    let stored = || plan.status.operation.as_ref();
    let operation = plan.record.as_ref().map_or_else(stored, |record| record.operation.as_ref());
    let planned = operation.is_some_and(|operation| operation.planned);
    match step.situation {
        Situation::Waiting if founding => Phase::Pending,
        Situation::Founding => Phase::Initializing,
        Situation::Sealing | Situation::Promoting if founding => Phase::Initializing,
        Situation::Sealing | Situation::Promoting if planned => Phase::SwitchingOver,
        Situation::Waiting | Situation::Promoting => Phase::Recovering,
        Situation::Sealing => Phase::FailingOver,
        Situation::NoQuorum => Phase::QuorumUnavailable,
        Situation::Reigning => reigning(cluster, view, plan, ready),
    }
}

fn reigning(cluster: &Cluster, view: &ClusterView, plan: &Plan, ready: usize) -> Phase {
    let wanted = usize::try_from(cluster.instances).unwrap_or(usize::MAX);
    let Some(claim) = plan.status.quorum.as_ref() else {
        return Phase::Initializing;
    };
    let roster = Roster { cluster, view, claim, term: plan.status.term.unwrap_or(0) };
    if rollout::is_pending(&roster) || !plan.deletions.iter().all(is_no_pod) {
        return Phase::Updating;
    }
    let members = claim.members.len();
    let before = view.object.status.as_ref().and_then(|status| status.phase);
    match (ready == wanted && members == wanted && view.pods.len() == wanted, cluster.is_complete(claim)) {
        (true, true) => Phase::Healthy,
        _ if members > wanted => Phase::Scaling,
        _ if members < wanted && matches!(before, Some(Phase::Healthy | Phase::Scaling)) => Phase::Scaling,
        _ if matches!(before, Some(Phase::Initializing | Phase::Restoring)) => Phase::Initializing,
        _ => Phase::Degraded,
    }
}

fn is_no_pod(deletion: &Deletion) -> bool {
    !matches!(deletion, Deletion::Pod { .. } | Deletion::IdlePod { .. })
}

fn facts(cluster: &Cluster, view: &ClusterView, step: &Step, phase: Phase, ready: usize) -> Vec<News> {
    let status = view.object.status.as_ref();
    let primary = status.and_then(|status| status.primary.as_deref()).unwrap_or_default();
    let term = status.and_then(|status| status.term);
    let writable = view.answer(primary).is_some_and(|state| serves(view, state) && reigns_in(state) == term);
    let resting = super::is_resting(phase);
    let why = if step.reason.is_empty() { "in progress" } else { step.reason.as_str() };
    let counts = format!("{ready} of {} instances are ready", cluster.instances);
    vec![
        News::new(
            ConditionType::Ready,
            phase == Phase::Healthy,
            phase_reason(phase),
            &if resting { counts.clone() } else { format!("{counts}; {why}") },
        ),
        writable_fact(cluster, status.and_then(|status| status.quorum.as_ref()), writable, primary, why),
        progressing(step, phase, if resting { "nothing to do" } else { why }),
        alarm::degraded(cluster, view, phase, &counts, why),
        configuration(cluster, view),
        alarm::storage(view),
        News::new(ConditionType::CertificatesReady, true, "Issued", "certificates are in place"),
    ]
}

/// Whether something is on its way. A rollout that waits for people says so, unless the cluster has other worries.
fn progressing(step: &Step, phase: Phase, why: &str) -> News {
    match step.halt.as_ref().filter(|_| phase == Phase::Updating) {
        Some(halt) => {
            News::new(ConditionType::Progressing, halt.ends_by_itself, halt.reason, halt.message.clone())
        }
        None => News::new(ConditionType::Progressing, !super::is_resting(phase), phase_reason(phase), why),
    }
}

/// The spec could be carried out; the servers may still have refused a value.
fn configuration(cluster: &Cluster, view: &ClusterView) -> News {
    match variables::refused(cluster, view) {
        Some(refused) => News::new(ConditionType::ConfigurationValid, false, "SettingRefused", refused),
        None => News::new(ConditionType::ConfigurationValid, true, "Valid", warnings(cluster)),
    }
}

fn warnings(cluster: &Cluster) -> String {
    if cluster.warnings.is_empty() {
        return "the spec is valid".to_owned();
    }
    let all: Vec<String> = cluster.warnings.iter().map(|warning| warning.message.clone()).collect();
    format!("the spec is valid; to consider: {}", all.join("; "))
}

fn phase_reason(phase: Phase) -> &'static str {
    phase.word()
}

fn writable_fact(
    cluster: &Cluster,
    claim: Option<&Quorum>,
    writable: bool,
    primary: &str,
    why: &str,
) -> News {
    let lowered = claim.filter(|claim| !cluster.is_complete(claim));
    match (writable, lowered) {
        (false, _) => News::new(ConditionType::Writable, false, "NoOpenPrimary", why),
        (true, None) => {
            News::new(ConditionType::Writable, true, "PrimaryOpen", format!("{primary} accepts writes"))
        }
        (true, Some(claim)) => {
            let message = format!(
                "{primary} accepts writes, each acknowledged by {} other members instead of {}; if these are lost, so are the \
                 writes (durability.policy: Degradable)",
                claim.k,
                cluster.wanted_k()
            );
            News::new(ConditionType::Writable, true, "DurabilityLowered", message)
        }
    }
}
