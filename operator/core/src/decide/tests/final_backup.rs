//! `BackupThenDelete`: the volumes go only when a verified backup stands.

use super::world::{World, minutes};
use crate::decide;
use crate::fixture;
use crate::plan::{Deletion, Plan};
use crate::protocol::{Action, Role};
use crate::view::{Ages, BackupOrigin, BackupSeen, ClusterView, Look};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{BackupPhase, DeletionPolicy, Phase, SKIP_CLEANUP};
use serde_json::json;

const LAST: &str = "shop-final-c1a5ter";

/// A cluster that was deleted a moment ago; its primary has turned its clients away.
fn leaving() -> ClusterView {
    let mut view = open();
    set_admitting(&mut view, false);
    view
}

fn set_admitting(view: &mut ClusterView, is_in: bool) {
    let Some(Look::Answered(primary)) = view.members.get_mut("shop-0") else { panic!("the primary answers") };
    if let Role::Primary { admitting, .. } = &mut primary.role {
        *admitting = is_in;
    }
}

/// A Healthy cluster that was deleted just now.
fn open() -> ClusterView {
    let mut view = World::healthy(3).view();
    view.object.spec.storage.deletion_policy = DeletionPolicy::BackupThenDelete;
    view.object.spec.backup = serde_json::from_value(json!({"target": {"s3": {"bucket": "safe"}}})).unwrap();
    view.object.metadata.deletion_timestamp = Some(Time(view.now));
    view.stateful_set = Some(StatefulSet::default());
    view
}

fn decided(view: &ClusterView) -> Plan {
    decide::plan(view, &fixture::settings())
}

fn seen(view: &ClusterView, phase: BackupPhase) -> BackupSeen {
    BackupSeen {
        uid: "bac4up".to_owned(),
        created: Some(view.now),
        origin: BackupOrigin::Deletion,
        phase: Some(phase),
        completed: phase.is_over().then_some(view.now),
        verified: phase == BackupPhase::Succeeded,
        message: "the bucket is full".to_owned(),
        deleting: false,
        ..BackupSeen::default()
    }
}

fn with(mut view: ClusterView, backup: BackupSeen) -> ClusterView {
    view.backups.insert(LAST.to_owned(), backup);
    view
}

fn later(mut view: ClusterView, plan: &Plan, age: u64) -> ClusterView {
    view.object.status = Some(plan.status.clone());
    view.ages = [(view.now, minutes(age))].into_iter().collect();
    view
}

/// The members are gone.
fn stopped(mut view: ClusterView) -> ClusterView {
    view.stateful_set = None;
    view.pods.clear();
    view
}

fn stops(plan: &Plan) -> bool {
    plan.deletions.iter().any(|one| matches!(one, Deletion::StatefulSet { .. }))
}

fn deleted_claims(plan: &Plan) -> usize {
    plan.deletions.iter().filter(|one| matches!(one, Deletion::Claim { .. })).count()
}

fn reasons(plan: &Plan) -> Vec<&str> {
    plan.events.iter().map(|event| event.reason).collect()
}

fn condition(plan: &Plan, kind: &str) -> (String, String) {
    let found = plan.status.conditions.iter().find(|one| one.type_ == kind).unwrap();
    (found.reason.clone(), found.message.clone())
}

#[test]
fn a12_a_last_backup_is_made_while_the_members_run() {
    let view = leaving();
    let plan = decided(&view);
    assert_eq!(plan.backups.len(), 1);
    let made = json!(plan.backups[0]);
    assert_eq!(made["metadata"]["name"], LAST);
    assert_eq!(made["metadata"]["labels"]["mysql.porpoise.dev/origin"], "deletion");
    assert_eq!(
        made["spec"],
        json!({"clusterRef": {"name": "shop"}, "deletionPolicy": "Retain", "method": "Physical"})
    );
    assert!(made["metadata"].get("ownerReferences").is_none(), "it outlives the cluster");
    assert_eq!(plan.status.phase, Some(Phase::Deleting));
    assert!(reasons(&plan).contains(&"FinalBackupStarted"));
    assert_eq!(condition(&plan, "Progressing").0, "FinalBackup");
    let slice = Deletion::EndpointSlice { name: "shop-primary".to_owned() };
    assert_eq!(plan.deletions, [slice], "no client begins to write now, and no member stops");
    for phase in [BackupPhase::Pending, BackupPhase::Running] {
        let plan = decided(&later(with(view.clone(), seen(&view, phase)), &plan, 9));
        assert!(plan.backups.is_empty() && !stops(&plan) && plan.finalizer.is_none(), "{phase:?}");
    }
}

/// What a client is told now must be in the backup: so nobody is told anything when it begins.
#[test]
fn a12_the_last_backup_begins_when_the_clients_are_out() {
    let view = open();
    let plan = decided(&view);
    assert!(plan.backups.is_empty() && !reasons(&plan).contains(&"FinalBackupStarted"));
    let told: Vec<_> =
        plan.orders.iter().map(|order| (order.instance.as_str(), order.action.clone())).collect();
    assert_eq!(told, [("shop-0", Action::Promote { k: 1, admit: false })]);
    assert!(plan.reason.contains("turn its clients away"), "{}", plan.reason);
    // It stays so: closed, it is not opened again, and whoever is promoted meanwhile stays closed too.
    let closed = decided(&leaving());
    let opens = |plan: &Plan| {
        plan.orders.iter().any(|order| matches!(order.action, Action::Promote { admit: true, .. }))
    };
    assert!(!opens(&closed) && closed.backups.len() == 1);
    let mut busy = leaving();
    let Some(Look::Answered(primary)) = busy.members.get_mut("shop-0") else { panic!("the primary answers") };
    primary.message = "turn clients away: no answer".to_owned();
    assert!(decided(&busy).backups.is_empty());
}

#[test]
fn a12_a_primary_that_is_lost_meanwhile_is_replaced() {
    let mut world = World::healthy(3);
    world.crash("shop-0");
    let mut view = world.view();
    let like = leaving();
    view.object.spec = like.object.spec;
    view.object.metadata.deletion_timestamp = Some(Time(view.now));
    view.stateful_set = Some(StatefulSet::default());
    let plan = decided(&view);
    let record = plan.record.as_ref().expect("a new term");
    assert!(record.operation.is_some());
    assert!(plan.objects.is_empty() && plan.claim_sizes.is_empty(), "{:?}", plan.objects);
}

#[test]
fn a12_with_a_verified_backup_the_volumes_go() {
    let view = leaving();
    let done = with(view.clone(), seen(&view, BackupPhase::Succeeded));
    let plan = decided(&done);
    assert!(stops(&plan) && reasons(&plan).contains(&"DeletionStarted"));
    let note = plan.events.iter().find(|event| event.reason == "DeletionStarted").unwrap();
    assert!(note.note.contains("deleted"), "{}", note.note);
    let mut gone = stopped(later(done, &plan, 5));
    let plan = decided(&gone);
    assert_eq!((deleted_claims(&plan), plan.claim_annotations.len()), (3, 0));
    gone.claims.clear();
    assert_eq!(decided(&gone).finalizer, Some(false));
}

#[test]
fn a12_without_one_the_volumes_are_kept_and_everybody_is_told() {
    type Change = fn(&mut ClusterView);
    let cases: [(&str, Change, &str); 8] = [
        (
            "failed",
            |view| seen_as(view, BackupPhase::Failed),
            "shop-final-c1a5ter failed: the bucket is full",
        ),
        (
            "late",
            |view| {
                seen_as(view, BackupPhase::Running);
                view.ages = [(view.now, minutes(11))].into_iter().collect();
            },
            "not complete after 10 minutes: the bucket is full",
        ),
        (
            "refused by the API server",
            |view| view.ages = [(view.now, minutes(11))].into_iter().collect(),
            "it could not be made",
        ),
        (
            "not verified",
            |view| {
                seen_as(view, BackupPhase::Succeeded);
                view.backups.get_mut(LAST).unwrap().verified = false;
            },
            "was not verified",
        ),
        (
            "made too early",
            |view| {
                seen_as(view, BackupPhase::Succeeded);
                view.backups.get_mut(LAST).unwrap().created = Some("2026-11-20T00:00:00Z".parse().unwrap());
            },
            "before the deletion",
        ),
        (
            "deleted by somebody",
            |view| {
                seen_as(view, BackupPhase::Succeeded);
                view.backups.get_mut(LAST).unwrap().deleting = true;
            },
            "is being deleted",
        ),
        ("without a target", |view| view.object.spec.backup = None, "there is no spec.backup"),
        (
            "never set up",
            |view| view.object.status.as_mut().unwrap().quorum = None,
            "the cluster was never set up",
        ),
    ];
    for (case, change, words) in cases {
        let mut view = leaving();
        change(&mut view);
        let plan = decided(&view);
        assert!(stops(&plan), "{case}");
        assert!(plan.backups.is_empty() && deleted_claims(&plan) == 0, "{case}");
        let event = plan.events.iter().find(|event| event.reason == "FinalBackupFailed").unwrap();
        assert!(event.warning && event.note.contains(words), "{case}: {}", event.note);
        let (reason, message) = condition(&plan, "BackupReady");
        assert_eq!(reason, "FinalBackupFailed", "{case}");
        assert!(message.ends_with("; so the volumes are kept"), "{case}: {message}");
        let takes_back = case == "late";
        assert_eq!(plan.retired_backups.len(), usize::from(takes_back), "{case}");
        // It stays so, and the news stay the same, even when a backup comes after all and the operator is a new one.
        let mut gone = stopped(later(view.clone(), &plan, 0));
        seen_as(&mut gone, BackupPhase::Succeeded);
        gone.ages = Ages::default();
        let end = decided(&gone);
        assert_eq!((deleted_claims(&end), end.claim_annotations.len()), (0, 3), "{case}");
        assert_eq!(condition(&end, "BackupReady").1, message, "{case}");
        assert!(end.events.contains(event), "{case}");
    }
}

fn seen_as(view: &mut ClusterView, phase: BackupPhase) {
    let backup = seen(view, phase);
    view.backups.insert(LAST.to_owned(), backup);
}

#[test]
fn a12_members_that_stopped_give_no_backup() {
    let mut hibernated = leaving();
    hibernated.pods.clear();
    hibernated.stateful_set.as_mut().unwrap().spec =
        serde_json::from_value(json!({"replicas": 0, "selector": {}, "serviceName": "a", "template": {}}))
            .unwrap();
    for view in [&stopped(leaving()), &hibernated] {
        let plan = decided(view);
        assert!(plan.backups.is_empty() && deleted_claims(&plan) == 0);
        assert!(condition(&plan, "BackupReady").1.contains("no member runs any more"));
    }
    let mut restarting = leaving();
    restarting.pods.clear();
    assert_eq!(decided(&restarting).backups.len(), 1, "they come back");
}

#[test]
fn a12_skip_and_a_namespace_that_goes_let_go_at_once() {
    let mut skipped = leaving();
    skipped.object.metadata.annotations = Some([(SKIP_CLEANUP.to_owned(), "true".to_owned())].into());
    let mut terminating = leaving();
    terminating.namespace_terminating = true;
    for view in [&skipped, &terminating] {
        let plan = decided(view);
        assert!(plan.finalizer == Some(false) && plan.backups.is_empty() && plan.deletions.is_empty());
    }
}

#[test]
fn a12_a_paused_or_invalid_cluster_waits_without_orders() {
    let mut paused = leaving();
    paused.object.spec.paused = true;
    let mut invalid = leaving();
    invalid.object.spec.instances = 99;
    for view in [&paused, &invalid] {
        let plan = decided(view);
        assert!(plan.record.is_none() && plan.orders.is_empty());
        assert_eq!((plan.backups.len(), plan.status.phase), (1, Some(Phase::Deleting)));
    }
}
