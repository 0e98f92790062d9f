//! Pausing, hibernating, invalid specs, deletion, adoption, routing.

use super::world::{World, minutes};
use crate::decide::plan;
use crate::fixture;
use crate::plan::{Deletion, Desired, Plan};
use crate::protocol::{Action, ServerPhase};
use crate::view::{Ages, ClusterView};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use porpoise_crds::{DeletionPolicy, FINALIZER, Phase, SKIP_CLEANUP};

fn decide(view: &ClusterView) -> Plan {
    plan(view, &fixture::settings())
}

fn addresses(plan: &Plan) -> Option<usize> {
    plan.objects.iter().find_map(|object| match object {
        Desired::EndpointSlice(slice) => Some(slice.endpoints.len()),
        _ => None,
    })
}

#[test]
fn b7_the_finalizer_comes_before_anything_else() {
    let mut world = World::new(3);
    world.object.metadata.finalizers = None;
    let plan = decide(&world.view());
    assert_eq!(plan.finalizer, Some(true));
    assert!(plan.objects.is_empty());
}

#[test]
fn b22_the_rw_service_leads_to_the_open_primary_and_nowhere_else() {
    let mut world = World::healthy(3);
    world.pass();
    assert_eq!(addresses(&world.last), Some(1));
    world.crash("shop-0");
    world.crash("shop-1");
    world.until(Phase::QuorumUnavailable);
    assert_eq!(addresses(&world.last), Some(0));
}

/// Where the rw Service is led by this pass.
fn led_to(plan: &Plan) -> Option<Vec<String>> {
    plan.objects.iter().find_map(|object| match object {
        Desired::EndpointSlice(slice) => {
            let targets = slice.endpoints.iter().filter_map(|endpoint| endpoint.target_ref.as_ref());
            Some(targets.filter_map(|target| target.name.clone()).collect())
        }
        _ => None,
    })
}

#[test]
fn h19_a_failover_changes_the_endpoint_once() {
    let mut world = World::healthy(3);
    world.pass();
    let mut seen: Vec<Vec<String>> = led_to(&world.last).into_iter().collect();
    world.crash("shop-0");
    for _ in 0..80 {
        world.pass();
        seen.extend(led_to(&world.last));
        seen.dedup();
    }
    assert_eq!(seen, [["shop-0"], [world.primary().as_str()]]);
}

#[test]
fn b20_a_paused_cluster_gets_no_orders_and_no_objects() {
    let mut world = World::healthy(3);
    world.object.spec.paused = true;
    world.crash("shop-0");
    world.pass();
    assert_eq!(world.phase(), Some(Phase::Paused));
    assert!(world.last.orders.is_empty() && world.last.objects.is_empty() && world.last.record.is_none());
}

#[test]
fn a_hibernated_cluster_stops_its_pods_and_comes_back() {
    let mut world = World::healthy(3);
    world.object.spec.hibernated = true;
    world.passes(3);
    assert_eq!(world.phase(), Some(Phase::Hibernated));
    assert!(world.members.values().all(|member| !member.up));
    world.object.spec.hibernated = false;
    for name in ["shop-0", "shop-1", "shop-2"] {
        world.crash(name);
        world.boot(name);
    }
    world.until(Phase::Healthy);
}

#[test]
fn k9_an_invalid_spec_changes_nothing_and_says_why() {
    let mut world = World::healthy(3);
    let before = world.status();
    world.object.spec.mysql.config.insert("gtid_mode".to_owned(), "OFF".to_owned());
    world.pass();
    assert_eq!(world.phase(), Some(Phase::Invalid));
    assert!(world.last.objects.is_empty() && world.last.orders.is_empty() && world.last.deletions.is_empty());
    assert_eq!(world.status().primary, before.primary);
    let conditions = world.status().conditions;
    let valid = conditions.iter().find(|condition| condition.type_ == "ConfigurationValid").unwrap();
    assert_eq!(valid.status, "False");
    assert!(valid.message.contains("gtid_mode"), "{}", valid.message);
}

#[test]
fn b7_deletion_stops_the_members_then_marks_the_volumes_then_lets_go() {
    let mut world = World::healthy(3);
    let mut view = world.view();
    view.object.metadata.deletion_timestamp = Some(Time(view.now));
    view.stateful_set = Some(StatefulSet::default());
    let stop = decide(&view);
    assert!(stop.deletions.contains(&Deletion::StatefulSet { name: "shop".to_owned(), orphan: false }));
    assert_eq!(stop.finalizer, None);
    view.stateful_set = None;
    view.pods.clear();
    let mark = decide(&view);
    assert_eq!(mark.claim_annotations.len(), 3);
    assert_eq!(mark.finalizer, None);
    for claim in view.claims.values_mut() {
        claim.retained_by = Some("c1a5ter".to_owned());
    }
    assert_eq!(decide(&view).finalizer, Some(false));
    world.passes(0);
}

#[test]
fn a12_policy_delete_removes_volumes_and_passwords() {
    let world = World::healthy(3);
    let mut view = world.view();
    view.object.metadata.deletion_timestamp = Some(Time(view.now));
    view.object.spec.storage.deletion_policy = DeletionPolicy::Delete;
    view.pods.clear();
    let volumes = decide(&view);
    assert_eq!(volumes.deletions.iter().filter(|one| matches!(one, Deletion::Claim { .. })).count(), 3);
    view.claims.clear();
    let end = decide(&view);
    assert_eq!(end.deletions.iter().filter(|one| matches!(one, Deletion::Secret { .. })).count(), 4);
    assert_eq!(end.finalizer, Some(false));
}

#[test]
fn b7_deletion_always_ends() {
    let world = World::healthy(3);
    let mut view = world.view();
    view.object.metadata.deletion_timestamp = Some(Time(view.now));
    view.stateful_set = Some(StatefulSet::default());
    view.ages = [(view.now, minutes(20))].into_iter().collect();
    let overdue = decide(&view);
    assert_eq!(overdue.finalizer, Some(false));
    assert_eq!(overdue.claim_annotations.len(), 3, "volumes are kept when time runs out");
    view.ages = Ages::default();
    view.object.metadata.annotations = Some([(SKIP_CLEANUP.to_owned(), "true".to_owned())].into());
    assert_eq!(decide(&view).finalizer, Some(false));
}

#[test]
fn e10_a_terminating_namespace_gets_nothing_new_and_lets_go() {
    let mut world = World::new(3);
    let mut view = world.view();
    view.namespace_terminating = true;
    assert!(decide(&view).objects.is_empty());
    view.object.metadata.deletion_timestamp = Some(Time(view.now));
    view.object.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    assert_eq!(decide(&view).finalizer, Some(false));
    world.passes(0);
}

#[test]
fn a19_only_a_volume_left_on_purpose_is_adopted() {
    let mut world = World::healthy(1);
    world.member("shop-0").state.server =
        ServerPhase::ForeignVolume { cluster: "former".to_owned(), owner: "prod/shop".to_owned() };
    world.pass();
    assert!(world.last.orders.is_empty());
    let storage = world.status().conditions.into_iter().find(|one| one.type_ == "StorageReady").unwrap();
    assert_eq!(storage.reason, "ForeignVolume");
    world.member("shop-0").claim.retained_by = Some("former".to_owned());
    let plan = decide(&world.view());
    assert!(
        plan.orders
            .iter()
            .any(|order| matches!(&order.action, Action::Adopt { former } if former == "former"))
    );
}
