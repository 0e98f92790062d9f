//! A cluster that begins with statements or with a copy of another one (B29).

use super::world::World;
use crate::beginning::{CANNOT_BEGIN, DonorKey, Origin, ScriptPart};
use crate::names::COPIES_LABEL;
use crate::protocol::Action;
use crate::view::OriginLook;
use porpoise_crds::Phase;
use serde_json::{Value, json};

fn script() -> Origin {
    let part = ScriptPart {
        name: "spec.bootstrap.initSql[0]".to_owned(),
        text: "SELECT 1".to_owned(),
        secret: false,
    };
    Origin::Script { parts: vec![part] }
}

fn copy() -> Origin {
    Origin::Cluster { cluster: "shop-old".to_owned(), donors: Vec::new(), key: DonorKey::default() }
}

fn world(bootstrap: Value, origin: Origin) -> World {
    let mut world = World::new(3);
    world.object.spec.bootstrap = Some(serde_json::from_value(bootstrap).unwrap());
    world.origin = Some(OriginLook::Ready(Box::new(origin)));
    world
}

fn statements(text: &str) -> World {
    world(json!({"initSql": [text]}), script())
}

/// Passes until the first member is told to begin: the request.
fn request(world: &mut World) -> String {
    for _ in 0..20 {
        world.passes(1);
        for order in &world.last.orders {
            if let Action::Begin { request, .. } = &order.action {
                assert_eq!((order.instance.as_str(), order.claim.as_ref()), ("shop-0", None));
                return request.clone();
            }
        }
    }
    panic!("nothing begins: {}", world.last.reason)
}

#[test]
fn b29_the_first_member_begins_with_the_statements_before_anybody_is_let_in() {
    let mut world = statements("SELECT 1");
    request(&mut world);
    assert_eq!(world.status().quorum, None);
    assert!(
        world.last.reason.contains("runs the statements of spec.bootstrap.initSql"),
        "{}",
        world.last.reason
    );
    assert!(world.last.events.iter().any(|event| event.reason == "BootstrapStarted"));
    world.until(Phase::Healthy);
    assert_eq!(world.claim().members.len(), 3);
    let first = world.members["shop-0"].state.replaced_by.clone();
    assert!(first.starts_with("begin-c1a5ter-"), "{first}");
}

#[test]
fn b29_other_statements_are_another_wish_and_the_same_ones_are_not() {
    let first = request(&mut statements("SELECT 1"));
    assert_eq!(first, request(&mut statements("SELECT 1")));
    assert_ne!(first, request(&mut statements("SELECT 2")));
}

/// Corrected after they ran and before the claim: the data of the old ones is made anew.
#[test]
fn b29_statements_that_are_corrected_before_the_first_claim_run_instead() {
    let mut world = statements("SELECT 1");
    let old = request(&mut world);
    world.object.spec.bootstrap = Some(serde_json::from_value(json!({"initSql": ["SELECT 2"]})).unwrap());
    assert_eq!(world.status().quorum, None);
    let new = request(&mut world);
    assert_ne!(old, new);
    world.until(Phase::Healthy);
    assert_eq!(world.members["shop-0"].state.replaced_by, new);
}

#[test]
fn b29_a_cluster_never_begins_empty_in_the_place_of_one_with_statements() {
    let mut world = statements("SELECT 1");
    world.origin = Some(OriginLook::Missing("spec.bootstrap.initSqlFrom[0]: Secret users".to_owned()));
    world.passes(30);
    assert_eq!((world.status().quorum, world.last.orders.len()), (None, 0));
    assert!(world.last.reason.contains("Secret users"), "{}", world.last.reason);
    world.origin = None;
    world.passes(3);
    assert_eq!(world.status().quorum, None);
    world.origin = Some(OriginLook::Ready(Box::new(script())));
    world.until(Phase::Healthy);
}

/// What was begun with counts also without the wish, and a member that is lost later is cloned.
#[test]
fn b29_statements_never_run_a_second_time() {
    let mut world = statements("SELECT 1");
    request(&mut world);
    world.object.spec.bootstrap = None;
    world.until(Phase::Healthy);
    world.object.spec.bootstrap = Some(serde_json::from_value(json!({"initSql": ["SELECT 1"]})).unwrap());
    world.lose_volume("shop-0");
    for _ in 0..60 {
        world.passes(1);
        assert!(!world.last.orders.iter().any(|order| matches!(order.action, Action::Begin { .. })));
    }
    world.until(Phase::Healthy);
}

#[test]
fn b29_a_statement_that_fails_is_told_once_with_mysqls_words() {
    let mut world = statements("SELECT 1");
    request(&mut world);
    let words = format!("{CANNOT_BEGIN}: statement 1 of spec.bootstrap.initSql[0]: MySQL error 1064");
    let member = world.members.get_mut("shop-0").unwrap();
    (member.state.data, member.state.replaced_by) =
        (Some(crate::protocol::DataState::default()), String::new());
    member.state.message.clone_from(&words);
    world.last.orders.clear();
    let view = world.view();
    let plan = crate::decide::plan(&view, &crate::fixture::settings());
    let told: Vec<&str> = plan.events.iter().map(|event| event.reason).collect();
    assert_eq!(told, ["BootstrapFailed"]);
    assert!(plan.events[0].note.contains(&words), "{}", plan.events[0].note);
    let mut again = view;
    again.object.status = Some(plan.status);
    assert!(crate::decide::plan(&again, &crate::fixture::settings()).events.is_empty());
}

/// The other cluster's policy lets in who copies it, as long as it does.
#[test]
fn b29_i10_the_pod_that_copies_another_cluster_says_so_until_the_first_claim() {
    let mut world = world(json!({"clone": {"clusterRef": {"name": "shop-old"}}}), copy());
    request(&mut world);
    let label = |world: &World, name: &str| world.last.pod_metadata[name].labels[COPIES_LABEL].clone();
    assert_eq!(label(&world, "shop-0").as_deref(), Some("shop-old"));
    assert_eq!(label(&world, "shop-1"), None);
    assert!(world.last.reason.contains("copies a member of MySQLCluster shop-old"), "{}", world.last.reason);
    world.until(Phase::Healthy);
    assert_eq!(label(&world, "shop-0"), None);
}
