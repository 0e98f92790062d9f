//! The backup that is made before the volumes of a deleted cluster go (`BackupThenDelete`; A12, B7).
//!
//! The volumes are deleted only while a verified backup stands that was asked for after the deletion. Whatever else happens,
//! they are kept.
//!
//! First the primary turns its clients away, and then it is itself what is copied: nothing that it acknowledged is missing.

use super::backups::wish;
use super::{living, status};
use crate::condition::{ConditionType, News};
use crate::event;
use crate::names::ClusterNames;
use crate::plan::{Deletion, Plan};
use crate::protocol::{Action, MemberState, Order, Role};
use crate::validate::{self, Settings, Stored};
use crate::view::{BackupOrigin, BackupSeen, ClusterView};
use porpoise_crds::{BackupPhase, DeletionPolicy, Phase, Quorum};
use std::collections::BTreeMap;
use std::time::Duration;

/// After this long the backup is given up. The rest of the deletion's time is for stopping the members.
const PATIENCE: Duration = Duration::from_mins(10);
/// Pause between looks; the backup is watched.
const CALM: Duration = Duration::from_secs(5);
/// Reason of the condition that says that there is no last backup.
const GIVEN_UP: &str = "FinalBackupFailed";
/// What that means, at the end of the sentence.
const KEPT: &str = "; so the volumes are kept";

/// How the last backup stands.
pub(super) enum LastCopy {
    /// The policy asks for none.
    Unwanted,
    /// It is to be made, or was and is not over.
    Awaited {
        /// Its object exists.
        made: bool,
    },
    /// It is complete and verified.
    Stored,
    /// There is none, and there will be none: why, in a sentence.
    Failed(String),
}

/// Looks at the backup. An operator that begins in the middle of it comes to the same answer.
pub(super) fn stand(view: &ClusterView, names: &ClusterNames) -> LastCopy {
    if view.object.spec.storage.deletion_policy != DeletionPolicy::BackupThenDelete {
        return LastCopy::Unwanted;
    }
    if let Some(reason) = given_up(view) {
        return LastCopy::Failed(reason.to_owned());
    }
    let name = name(view, names);
    let seen = view.backups.get(&name);
    if let Some(over) = seen.and_then(|seen| ended(view, &name, seen)) {
        return over;
    }
    match obstacle(view) {
        Some(reason) => LastCopy::Failed(format!("no last backup can be made: {reason}")),
        None if is_overdue(view) => {
            let words = seen.map_or("it could not be made", |seen| seen.message.as_str());
            LastCopy::Failed(format!("{name} is not complete after 10 minutes: {words}"))
        }
        None => LastCopy::Awaited { made: seen.is_some() },
    }
}

/// Once it was given up it stays so, whatever the backup still comes to and whichever operator looks.
fn given_up(view: &ClusterView) -> Option<&str> {
    let status = view.object.status.as_ref()?;
    let told = status.conditions.iter().find(|one| one.reason == GIVEN_UP)?;
    Some(told.message.trim_end_matches(KEPT))
}

fn name(view: &ClusterView, names: &ClusterNames) -> String {
    names.final_backup(view.object.metadata.uid.as_deref().unwrap_or_default())
}

fn ended(view: &ClusterView, name: &str, seen: &BackupSeen) -> Option<LastCopy> {
    if seen.deleting {
        return Some(LastCopy::Failed(format!("{name} is being deleted")));
    }
    // Both times are the API server's.
    let since = view.object.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    if seen.created < since {
        return Some(LastCopy::Failed(format!(
            "{name} was made before the deletion and lacks what came after"
        )));
    }
    match seen.phase? {
        BackupPhase::Succeeded if seen.verified => Some(LastCopy::Stored),
        BackupPhase::Succeeded => Some(LastCopy::Failed(format!("{name} was not verified"))),
        BackupPhase::Failed => Some(LastCopy::Failed(format!("{name} failed: {}", seen.message))),
        BackupPhase::Pending | BackupPhase::Running | BackupPhase::Deleting => None,
    }
}

/// What makes waiting pointless.
fn obstacle(view: &ClusterView) -> Option<&'static str> {
    if view.object.spec.backup.is_none() {
        return Some("there is no spec.backup");
    }
    if view.object.status.as_ref().is_none_or(|status| status.quorum.is_none()) {
        return Some("the cluster was never set up");
    }
    let runs = view.pods.values().any(|pod| !pod.terminating);
    let returns = view.stateful_set.as_ref().is_some_and(|set| {
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        set.metadata.deletion_timestamp.is_none() && wanted > 0
    });
    (!runs && !returns).then_some("no member runs any more")
}

fn is_overdue(view: &ClusterView) -> bool {
    let since = view.object.metadata.deletion_timestamp.as_ref();
    since.is_some_and(|time| view.ages.of(time.0) > PATIENCE)
}

/// Takes the clients away and keeps the members going until there is a backup.
pub(super) fn wait(
    view: &ClusterView,
    settings: &Settings,
    names: &ClusterNames,
    made: bool,
    plan: Plan,
) -> Plan {
    let name = name(view, names);
    let mut plan = keep_going(view, settings, plan);
    plan.status.phase = Some(Phase::Deleting);
    plan.look_again = plan.look_again.min(CALM);
    plan.deletions.push(Deletion::EndpointSlice { name: names.primary_slice() });
    close(view, &mut plan);
    if !made && is_closed(view) {
        plan.backups.push(wish(names, &BTreeMap::new(), name.clone(), BackupOrigin::Deletion));
        plan.events.push(event::FINAL_BACKUP_STARTED.event(&[("backup", &name)]));
    }
    plan.reason = if made || is_closed(view) {
        format!("waiting for the last backup {name}; the members stop after it")
    } else {
        format!("waiting for the primary to turn its clients away; the last backup {name} begins after that")
    };
    let news = News::new(ConditionType::Progressing, true, "FinalBackup", plan.reason.clone());
    status::tell(view, news, &mut plan);
    plan
}

/// Clients stay out from now on, whoever is primary.
fn close(view: &ClusterView, plan: &mut Plan) {
    for order in &mut plan.orders {
        if let Action::Promote { admit, .. } = &mut order.action {
            *admit = false;
        }
    }
    let Some((primary, claim)) = reigning(view) else { return };
    let is_told = plan.orders.iter().any(|order| order.instance == primary.instance);
    if !is_told && matches!(primary.role, Role::Primary { admitting: true, .. }) {
        plan.orders.push(Order {
            cluster: view.object.metadata.uid.clone().unwrap_or_default(),
            instance: primary.instance.clone(),
            volume: Some(primary.volume.clone()),
            term: primary.promised,
            claim: Some(claim.clone()),
            seen: primary.seen(),
            action: Action::Promote { k: claim.k, admit: false },
        });
    }
}

/// Whether the primary answers and has turned its clients away.
fn is_closed(view: &ClusterView) -> bool {
    reigning(view).is_some_and(|(primary, _)| {
        matches!(primary.role, Role::Primary { admitting: false, proven_k: Some(_), .. })
            && primary.message.is_empty()
    })
}

/// The recorded primary, if it answers and reigns in the recorded term, and the recorded claim.
fn reigning(view: &ClusterView) -> Option<(&MemberState, &Quorum)> {
    let status = view.object.status.as_ref().filter(|status| status.operation.is_none())?;
    let primary = view.answer(status.primary.as_ref()?)?;
    let reigns = matches!(primary.role, Role::Primary { term, .. } if Some(term) == status.term);
    let promised = Some(primary.promised) == status.term;
    Some((primary, status.quorum.as_ref()?)).filter(|_| reigns && promised)
}

/// The protocol alone: a primary that is lost now must not cost the backup. Nothing else is changed any more.
fn keep_going(view: &ClusterView, settings: &Settings, plan: Plan) -> Plan {
    let stored = Stored::of(view);
    let cluster = validate::cluster(&view.object, &view.references, &stored, settings);
    let Some(cluster) = cluster.ok().filter(|_| !view.object.spec.paused) else { return plan };
    let living = living::plan(&cluster, view, plan);
    Plan {
        secrets: false,
        objects: Vec::new(),
        deletions: Vec::new(),
        claim_sizes: BTreeMap::new(),
        backups: Vec::new(),
        retired_backups: Vec::new(),
        verifications: Vec::new(),
        ..living
    }
}

/// Says that the volumes are kept, and takes back a backup that may never begin, or begin with a successor's data.
pub(super) fn give_up(view: &ClusterView, names: &ClusterNames, reason: &str, mut plan: Plan) -> Plan {
    plan.events.push(event::FINAL_BACKUP_FAILED.event(&[("reason", reason)]));
    let name = name(view, names);
    if let Some(seen) = view.backups.get(&name)
        && !seen.deleting
        && !seen.phase.is_some_and(BackupPhase::is_over)
    {
        plan.retired_backups.push((name, seen.uid.clone()));
    }
    let message = format!("{reason}{KEPT}");
    status::tell(view, News::new(ConditionType::BackupReady, false, GIVEN_UP, message), &mut plan);
    plan
}
