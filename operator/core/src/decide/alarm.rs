//! States that are never passed over in silence: each has a reason of its own and a sentence that says what to do
//! (docs: "Bad states").

use super::roster::{executed, is_running, possession, reigns_in};
use super::{components, follower, seeding};
use crate::condition::{ConditionType, News};
use crate::gtid::GtidSet;
use crate::line;
use crate::names::RETAINED_BY;
use crate::protocol::{DiskState, MemberState, ServerPhase};
use crate::validate::Cluster;
use crate::view::{ClusterView, Look, Trouble, TroubleKind};
use porpoise_crds::Phase;

/// Longest piece of a GTID set that is shown.
const SHOWN: usize = 200;

/// A sentence about one member, under the reason that a condition has.
struct Alarm {
    reason: &'static str,
    sentence: String,
}

impl Alarm {
    fn new(reason: &'static str, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into() }
    }
}

/// The condition `Degraded`: Kubernetes' own words first, for they are the cause of much else.
pub(super) fn degraded(cluster: &Cluster, view: &ClusterView, phase: Phase, counts: &str, why: &str) -> News {
    let of_pods = view.troubles.iter().filter(|trouble| trouble.kind != TroubleKind::VolumeUnavailable);
    let of_pods = of_pods.map(|trouble| Alarm::new(trouble.kind.into(), words(trouble)));
    let missing = components::missing(cluster, view).map(|words| Alarm::new("ComponentNotLoaded", words));
    let all: Vec<Alarm> = of_pods.chain(quorum(phase, why)).chain(members(view)).chain(missing).collect();
    match all.first() {
        Some(first) => News::new(ConditionType::Degraded, true, first.reason, sentences(&all)),
        None if matches!(phase, Phase::Degraded | Phase::FailingOver) => {
            News::new(ConditionType::Degraded, true, phase.word(), counts)
        }
        None => News::new(ConditionType::Degraded, false, "AsExpected", "no trouble is known"),
    }
}

/// The condition `StorageReady`.
pub(super) fn storage(view: &ClusterView) -> News {
    let unavailable = view.troubles.iter().filter(|trouble| trouble.kind == TroubleKind::VolumeUnavailable);
    let unavailable = unavailable.map(|trouble| Alarm::new(trouble.kind.into(), words(trouble)));
    let answers = view.members.iter().filter_map(|(name, look)| Some((name, look.answer()?)));
    let alarms: Vec<Alarm> =
        answers.filter_map(|(name, state)| volume(view, name, state)).chain(unavailable).collect();
    if let Some(first) = alarms.first() {
        return News::new(ConditionType::StorageReady, false, first.reason, sentences(&alarms));
    }
    let unbound: Vec<&str> =
        view.claims.iter().filter(|(_, claim)| !claim.bound).map(|(name, _)| name.as_str()).collect();
    if !unbound.is_empty() {
        let message = format!("waiting for volumes of {}", unbound.join(", "));
        return News::new(ConditionType::StorageReady, false, "Provisioning", message);
    }
    let class = view.claims.values().find_map(|claim| claim.storage_class.clone());
    let class = class.unwrap_or_else(|| "none yet".to_owned());
    let message = format!("volumes are bound; storage class: {class}");
    News::new(ConditionType::StorageReady, true, "Bound", message)
}

fn words(trouble: &Trouble) -> String {
    format!("{}: {}", trouble.about, trouble.message)
}

fn sentences(alarms: &[Alarm]) -> String {
    let all: Vec<&str> = alarms.iter().map(|alarm| alarm.sentence.as_str()).collect();
    all.join("; ")
}

fn is_founded(view: &ClusterView) -> bool {
    view.object.status.as_ref().is_some_and(|status| status.quorum.is_some())
}

/// Why a member cannot use its volume.
fn volume(view: &ClusterView, name: &str, state: &MemberState) -> Option<Alarm> {
    let claim = line::claim(view.line, name);
    match &state.server {
        // Made for this cluster from a snapshot: it is being taken over. After that, nobody would any more.
        ServerPhase::ForeignVolume { .. } if !is_founded(view) && seeding::mark(view, name).is_some() => None,
        ServerPhase::ForeignVolume { cluster, owner } => Some(Alarm::new(
            "ForeignVolume",
            format!(
                "the volume of {name} belongs to {owner} (UID {cluster}) and is left untouched; to take it over, annotate its \
                 claim with {RETAINED_BY}={cluster}; to start empty, delete the claim"
            ),
        )),
        ServerPhase::UnusableVolume { reason } => Some(Alarm::new(
            "VolumeUnusable",
            format!(
                "the volume of {name} cannot be used: {reason}; {name} takes no order and acknowledges nothing, and nothing on \
                 the volume is touched; {}",
                remedy(view, name, &claim)
            ),
        )),
        ServerPhase::VolumeInUse => Some(Alarm::new(
            "VolumeInUse",
            format!(
                "another process works on the volume of {name}: perhaps a Pod that was deleted by force still runs; {name} goes \
                 on by itself when that process ends. Do not delete the claim {claim}"
            ),
        )),
        ServerPhase::Unknown
        | ServerPhase::Initializing
        | ServerPhase::Starting
        | ServerPhase::Running
        | ServerPhase::Cloning
        | ServerPhase::Stopped
        | ServerPhase::Held { .. }
        | ServerPhase::Failed { .. } => former(view, name, state).or_else(|| ailing(name, state.disk)),
    }
}

/// The agent was started for another object of this name, which was deleted without its Pods.
fn former(view: &ClusterView, name: &str, state: &MemberState) -> Option<Alarm> {
    let is_ours = state.cluster.is_empty() || view.object.metadata.uid.as_ref() == Some(&state.cluster);
    let sentence = format!(
        "{name} runs for a former cluster of this name (UID {}) and takes no orders; delete the Pod {name}, and mark the claim \
         {} with {RETAINED_BY}={} to take its data over",
        state.cluster,
        line::claim(view.line, name),
        state.cluster
    );
    (!is_ours).then(|| Alarm::new("FormerCluster", sentence))
}

fn ailing(name: &str, state: DiskState) -> Option<Alarm> {
    let reason = match state {
        DiskState::Writable => return None,
        DiskState::Full => "VolumeFull",
        DiskState::Stalled => "VolumeStalled",
    };
    Some(Alarm::new(reason, disk(name, state)))
}

/// What is to be said about a volume that takes no writes.
pub(super) fn disk(instance: &str, state: DiskState) -> String {
    match state {
        DiskState::Writable => format!("the volume of {instance} takes what is written"),
        DiskState::Full => format!(
            "the volume of {instance} is full: raise spec.storage.size, or remove data that is not needed"
        ),
        DiskState::Stalled => format!(
            "the volume of {instance} has answered no write for 3 s: look at the storage behind it; the member takes part again \
             when it answers"
        ),
    }
}

/// A volume may be given up only while another member serves: else it may hold the only copy of acknowledged writes.
fn remedy(view: &ClusterView, name: &str, claim: &str) -> String {
    match open_primary(view).filter(|primary| primary.instance != name) {
        Some(primary) => format!(
            "{} serves, so the volume can be given up: delete the claim {claim}, then the Pod {name}, and the data is copied \
             from another member",
            primary.instance
        ),
        None => format!(
            "no other member serves, so keep the claim {claim}: it may hold the only copy of acknowledged writes. Repair \
             the file, bring the other members back, or restore a backup into a new cluster"
        ),
    }
}

fn quorum(phase: Phase, why: &str) -> Option<Alarm> {
    let sentence = format!(
        "{why}; nobody is promoted, since that could lose acknowledged writes. Bring back the missing members with the \
         volumes they had; delete none of their claims"
    );
    (phase == Phase::QuorumUnavailable).then(|| Alarm::new(phase.word(), sentence))
}

fn members(view: &ClusterView) -> Vec<Alarm> {
    let answers: Vec<&MemberState> = view.members.values().filter_map(Look::answer).collect();
    let failed = answers.iter().filter_map(|state| match &state.server {
        ServerPhase::Failed { reason } => {
            let sentence = format!("mysqld of {} does not come up: {reason}", state.instance);
            Some(Alarm::new("MemberFailed", sentence))
        }
        _ => None,
    });
    let primary = open_primary(view);
    let astray = answers.iter().filter_map(|state| astray(view, primary?, state));
    failed.chain(twins(&answers)).chain(astray).collect()
}

fn open_primary(view: &ClusterView) -> Option<&MemberState> {
    let status = view.object.status.as_ref()?;
    let state = view.answer(status.primary.as_deref()?)?;
    (reigns_in(state).is_some() && reigns_in(state) == status.term).then_some(state)
}

/// Two servers of one UUID: the data directory of one is a copy of the other's, made behind our back.
fn twins(answers: &[&MemberState]) -> Option<Alarm> {
    let uuid = |state: &MemberState| state.server_uuid.clone().filter(|_| is_running(state));
    answers.iter().enumerate().find_map(|(place, one)| {
        let other = answers.iter().skip(place + 1).find(|other| uuid(one).is_some() && uuid(one) == uuid(other))?;
        let sentence = format!(
            "{} and {} are servers of one UUID: the data directory of one is a copy of the other's; delete the claim and the \
             Pod of the one that is not the primary",
            one.instance, other.instance
        );
        Some(Alarm::new("TwinServers", sentence))
    })
}

/// A member whose data does not lead to the primary's.
fn astray(view: &ClusterView, primary: &MemberState, state: &MemberState) -> Option<Alarm> {
    if state.instance == primary.instance || !is_running(state) || !follower::needs_clone(primary, state) {
        return None;
    }
    let name = &state.instance;
    if follower::is_foreign(primary, state) {
        let sentence = format!(
            "{name} shares no transaction with {}: its data is of another history and is left untouched; if it may go, delete \
             the claim {} and then the Pod {name}",
            primary.instance,
            line::claim(view.line, name)
        );
        return Some(Alarm::new("ForeignHistory", sentence));
    }
    let (ours, theirs) = (possession(primary)?, possession(state)?);
    let extra = follower::beyond(primary, &ours, &theirs);
    if !extra.is_empty() {
        return Some(Alarm::new("Diverged", diverged(primary, name, &extra)));
    }
    // A blank member on its way in is no trouble.
    let is_blank = executed(state).is_none_or(|set| set.is_empty());
    let sentence = format!(
        "{} no longer has the transactions that {name} needs; {name} leaves the quorum and copies the data of another member",
        primary.instance
    );
    (!is_blank).then(|| Alarm::new("TooFarBehind", sentence))
}

fn diverged(primary: &MemberState, name: &str, extra: &GtidSet) -> String {
    let text = extra.to_string();
    let shown = crate::event::shorten(&text, SHOWN);
    let more = if shown.len() < text.len() { " ..." } else { "" };
    format!(
        "{name} has {} transactions that {} lacks and that were never acknowledged ({shown}{more}); {name} leaves the quorum \
         and copies the data of another member",
        extra.count(),
        primary.instance
    )
}
