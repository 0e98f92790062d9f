//! Before a claim is recorded: a new cluster, volumes of a deleted one, or a status that was lost.

use super::beginning;
use super::seeding;
use super::step::{Situation, Step};
use crate::line;
use crate::plan::Record;
use crate::protocol::{Action, MemberState, Order, ServerPhase};
use crate::validate::Cluster;
use crate::view::{ClusterView, Look};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use porpoise_crds::{Operation, OperationKind, Quorum, QuorumMember};

/// Decides while no claim is recorded.
pub(super) fn step(cluster: &Cluster, view: &ClusterView) -> Step {
    let answers: Vec<&MemberState> = view.members.values().filter_map(Look::answer).collect();
    if let Some(reason) = two_pasts(cluster, view, &answers) {
        return Step::wait(Situation::Waiting, reason);
    }
    // A snapshot holds what the member that it was taken of had promised: to another cluster, in which that is still true.
    let own: Vec<&MemberState> =
        answers.into_iter().filter(|state| !seeding::is_awaiting(cluster, view, state)).collect();
    let remembering = own.iter().any(|state| state.claim.is_some());
    if remembering { remember(cluster, view, &own) } else { found(cluster, view) }
}

/// A cluster is to begin with other data where that of an earlier one of this name is still there: only people know which.
fn two_pasts(cluster: &Cluster, view: &ClusterView, answers: &[&MemberState]) -> Option<String> {
    cluster.spec.bootstrap.as_ref()?;
    let is_foreign = |state: &&&MemberState| {
        let is_foreign = matches!(state.server, ServerPhase::ForeignVolume { .. });
        is_foreign && !seeding::is_awaiting(cluster, view, state)
    };
    let instance = &answers.iter().find(is_foreign)?.instance;
    // The first volume is made from a snapshot before there are members: by now they would make a blank one.
    let what = if seeding::is_from_snapshot(view) {
        "delete the MySQLCluster and the volume claims of this name, and make it again,"
    } else {
        "delete the volume claims of this name"
    };
    Some(format!(
        "spec.bootstrap says what to begin with, and the volume of {instance} holds the data of an earlier cluster: remove \
         spec.bootstrap to go on with that data, or {what} to begin as it says"
    ))
}

/// Takes the newest claim that any member persisted. Waits for all wanted members, since one that is silent may know a
/// newer claim than the others.
fn remember(cluster: &Cluster, view: &ClusterView, answers: &[&MemberState]) -> Step {
    for ordinal in 0..cluster.instances {
        let name = cluster.names.instance(ordinal);
        let known = answers.iter().any(|state| {
            state.instance == name
                && !state.volume.is_empty()
                && state.cluster == cluster.uid
                && !matches!(state.server, ServerPhase::ForeignVolume { .. })
        });
        if !known {
            return Step::wait(
                Situation::Waiting,
                format!("volumes of an earlier cluster are there; waiting for {name} to say what it knows"),
            );
        }
    }
    let newest = answers.iter().filter_map(|state| state.claim.clone()).max_by_key(|claim| claim.version);
    let promised = answers.iter().map(|state| state.promised).max().unwrap_or(0);
    let record = Record {
        term: promised,
        term_owner: Some(view.operator.clone()),
        quorum: newest,
        primary: None,
        operation: None,
    };
    Step::record(Situation::Sealing, record, "took term and claim from the volumes of an earlier cluster")
}

/// Makes the first instance the only member of the first claim.
fn found(cluster: &Cluster, view: &ClusterView) -> Step {
    let name = cluster.names.instance(0);
    let Some(first) = view.answer(&name) else {
        return match seeding::awaited(cluster, view).filter(|_| view.stateful_set.is_none()) {
            Some(missing) => Step::wait(Situation::Founding, missing),
            None => Step::wait(Situation::Waiting, format!("waiting for {name} to answer")),
        };
    };
    if let Some(step) = seeding::step(cluster, view, first) {
        return step;
    }
    let status = view.object.status.as_ref();
    // Also of lines of data before this one: a term is never used twice, and a claim of theirs is older than this one.
    let mut term = status.and_then(|status| status.term).unwrap_or(0).max(first.promised) + 1;
    let former = line::under_way(&view.object).and_then(|restore| restore.former.as_ref());
    let version = former.map_or(0, |former| former.quorum.version) + 1;
    match (&first.server, &first.data) {
        (ServerPhase::Running, Some(data))
            if data.executed.is_empty() || beginning::is_outdated(cluster, first) =>
        {
            if let Some(step) = beginning::step(cluster, view, first) {
                return step;
            }
        }
        // A copy holds the term records of its cluster: what is written now is newer than all of them.
        (ServerPhase::Running, Some(data)) if beginning::is_made(cluster, first) => {
            term = term.max(data.history + 1);
        }
        (ServerPhase::Running, Some(_)) => {
            return Step::wait(
                Situation::Waiting,
                format!("{name} has data but no claim; restore it from a backup or remove its volume"),
            );
        }
        _ => {
            let reason = format!("waiting for mysqld of {name}: {}", first.message);
            return beginning::told(view, first, Step::wait(Situation::Founding, reason));
        }
    }
    let member = QuorumMember { name: name.clone(), volume: first.volume.clone() };
    let record = Record {
        term,
        term_owner: Some(view.operator.clone()),
        quorum: Some(Quorum { members: vec![member], k: 0, version }),
        primary: Some(name.clone()),
        operation: Some(Operation {
            kind: OperationKind::Promoting,
            target: Some(name.clone()),
            started_at: MicroTime(view.now),
            sealed_at: None,
            from: None,
            planned: false,
            message: match former {
                Some(_) => "first primary of the restored data".to_owned(),
                None => "first primary of a new cluster".to_owned(),
            },
        }),
    };
    Step::record(Situation::Founding, record, format!("{name} becomes the first primary"))
}

/// Orders that let a cluster take over volumes which an earlier one of the same name left on purpose.
pub(super) fn adoptions(cluster: &Cluster, view: &ClusterView) -> Vec<Order> {
    let is_new = view.object.status.as_ref().is_none_or(|status| status.quorum.is_none());
    if is_new && cluster.spec.bootstrap.is_some() {
        return Vec::new();
    }
    view.members
        .values()
        .filter_map(Look::answer)
        .filter_map(|state| {
            let ServerPhase::ForeignVolume { cluster: former, .. } = &state.server else {
                return None;
            };
            let claim = view.claims.get(&state.instance)?;
            (claim.retained_by.as_ref() == Some(former)).then(|| Order {
                cluster: cluster.uid.clone(),
                instance: state.instance.clone(),
                volume: None,
                term: state.promised,
                claim: None,
                seen: state.seen(),
                action: Action::Adopt { former: former.clone() },
            })
        })
        .collect()
}
