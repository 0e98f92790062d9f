//! The end of a cluster: stop routing, make a last backup if one is asked for, stop the members in order, treat the volumes
//! by policy, let go (B7).

use super::final_backup::{self, LastCopy};
use crate::event;
use crate::line;
use crate::names::{ClusterNames, RETAINED_BY};
use crate::plan::{Deletion, Plan};
use crate::validate::Settings;
use crate::view::{ClaimView, ClusterView};
use porpoise_crds::{DeletionPolicy, FINALIZER, Phase, SKIP_CLEANUP};
use std::collections::BTreeMap;
use std::time::Duration;

/// After this long the cluster is let go with its volumes kept, whatever still hangs.
const DEADLINE: Duration = Duration::from_mins(15);
const SOON: Duration = Duration::from_millis(500);

/// Decides for an object that is being deleted. Its spec may be invalid: only names and policy are used.
pub(super) fn plan(view: &ClusterView, settings: &Settings, names: &ClusterNames, mut plan: Plan) -> Plan {
    plan.status.phase = Some(Phase::Deleting);
    plan.look_again = SOON;
    if !view.object.metadata.finalizers.as_ref().is_some_and(|keys| keys.iter().any(|key| key == FINALIZER)) {
        "already let go".clone_into(&mut plan.reason);
        return plan;
    }
    if let Some(reason) = let_go_at_once(view) {
        return release(plan, reason);
    }
    let copy = final_backup::stand(view, names);
    if let LastCopy::Awaited { made } = copy {
        return final_backup::wait(view, settings, names, made, plan);
    }
    if let LastCopy::Failed(reason) = &copy {
        plan = final_backup::give_up(view, names, reason, plan);
    }
    let fate = Fate::of(view, &copy);
    if view.stateful_set.is_some() || !view.pods.is_empty() {
        return stop(view, names, fate, plan);
    }
    match fate {
        Fate::Kept => retained(view, names, plan),
        Fate::Deleted => deleted(view, names, plan),
    }
}

/// What becomes of the volumes.
#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Deleted,
}

impl Fate {
    fn of(view: &ClusterView, copy: &LastCopy) -> Self {
        match (view.object.spec.storage.deletion_policy, copy) {
            (DeletionPolicy::Delete, _) | (DeletionPolicy::BackupThenDelete, LastCopy::Stored) => {
                Self::Deleted
            }
            (DeletionPolicy::Retain, _)
            | (
                DeletionPolicy::BackupThenDelete,
                LastCopy::Unwanted | LastCopy::Awaited { .. } | LastCopy::Failed(_),
            ) => Self::Kept,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Deleted => "deleted",
        }
    }
}

fn let_go_at_once(view: &ClusterView) -> Option<&'static str> {
    let annotations = view.object.metadata.annotations.as_ref();
    if annotations.is_some_and(|all| all.get(SKIP_CLEANUP).is_some_and(|value| value == "true")) {
        return Some("cleanup is skipped by annotation; volumes are kept");
    }
    if view.namespace_terminating {
        return Some("the namespace is being deleted, and everything in it");
    }
    None
}

fn release(mut plan: Plan, reason: &str) -> Plan {
    plan.finalizer = Some(false);
    reason.clone_into(&mut plan.reason);
    plan
}

/// Empties the rw Service and deletes the `StatefulSet`. Each agent fences its server before it stops it.
fn stop(view: &ClusterView, names: &ClusterNames, fate: Fate, mut plan: Plan) -> Plan {
    if is_overdue(view) {
        let plan = retain(view, names, plan);
        return release(plan, "members did not stop in time; volumes are kept");
    }
    if let Some(stateful_set) = &view.stateful_set {
        if stateful_set.metadata.deletion_timestamp.is_none() {
            plan.events.push(event::DELETION_STARTED.event(&[("policy", fate.word())]));
            let name = names.cluster().to_owned();
            plan.deletions.push(Deletion::StatefulSet { name, orphan: false });
        }
        plan.deletions.insert(0, Deletion::EndpointSlice { name: names.primary_slice() });
    }
    plan.reason = format!("waiting for {} to stop", pod_names(view));
    plan
}

fn pod_names(view: &ClusterView) -> String {
    let names: Vec<&str> = view.pods.keys().map(String::as_str).collect();
    if names.is_empty() { "the StatefulSet".to_owned() } else { names.join(", ") }
}

/// The members' claims of all lines by their own name.
fn all_claims(view: &ClusterView) -> BTreeMap<String, &ClaimView> {
    let current = view.claims.iter().map(|(instance, claim)| (line::claim(view.line, instance), claim));
    current.chain(view.other_claims.iter().map(|(name, claim)| (name.clone(), claim))).collect()
}

/// Those that hold what was acknowledged last: a cluster of the same name may adopt them and no others.
fn kept_claims<'a>(view: &'a ClusterView, names: &ClusterNames) -> BTreeMap<String, &'a ClaimView> {
    let kept = line::kept(&view.object, view.line);
    let of = |name: &str| line::read_claim(name, names.cluster()).map(|(line, _)| line);
    all_claims(view).into_iter().filter(|(name, _)| of(name) == Some(kept)).collect()
}

fn listed(claims: &BTreeMap<String, &ClaimView>) -> String {
    claims.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn is_overdue(view: &ClusterView) -> bool {
    let since = view.object.metadata.deletion_timestamp.as_ref();
    since.is_some_and(|time| view.ages.of(time.0) > DEADLINE)
}

fn retained(view: &ClusterView, names: &ClusterNames, plan: Plan) -> Plan {
    let uid = view.object.metadata.uid.as_ref();
    let kept = kept_claims(view, names);
    let marked = kept.values().all(|claim| claim.retained_by.as_ref() == uid);
    let mut plan = retain(view, names, plan);
    if marked {
        plan.events.push(event::VOLUMES_RETAINED.event(&[("claims", &listed(&kept))]));
        return release(plan, "volumes are kept for a cluster of the same name");
    }
    "marking the volumes as left on purpose".clone_into(&mut plan.reason);
    plan
}

/// Marks the claims, so that a cluster of the same name may adopt them and no other.
fn retain(view: &ClusterView, names: &ClusterNames, mut plan: Plan) -> Plan {
    let uid = view.object.metadata.uid.clone().unwrap_or_default();
    for (name, claim) in kept_claims(view, names) {
        if claim.retained_by.as_deref() != Some(uid.as_str()) {
            let mark = BTreeMap::from([(RETAINED_BY.to_owned(), uid.clone())]);
            plan.claim_annotations.insert(name, mark);
        }
    }
    plan
}

fn deleted(view: &ClusterView, names: &ClusterNames, mut plan: Plan) -> Plan {
    let claims = match view.object.spec.storage.deletion_policy {
        DeletionPolicy::Delete => all_claims(view),
        // What other lines hold is in no last backup.
        DeletionPolicy::BackupThenDelete | DeletionPolicy::Retain => kept_claims(view, names),
    };
    if claims.is_empty() || is_overdue(view) {
        for name in
            [names.app_secret(), names.accounts_secret(), names.server_secret(), names.authority_secret()]
        {
            plan.deletions.push(Deletion::Secret { name });
        }
        plan.events.push(event::VOLUMES_DELETED.event(&[("claims", &listed(&claims))]));
        return release(plan, "volumes and passwords are deleted");
    }
    for (name, claim) in claims.into_iter().filter(|(_, claim)| !claim.terminating) {
        plan.deletions.push(Deletion::Claim { name, uid: claim.uid.clone() });
    }
    "deleting the volume claims".clone_into(&mut plan.reason);
    plan
}
