//! A cluster that begins with a backup's data (A30).

use super::world::World;
use crate::backup::{RestoreSource, TargetSecrets};
use crate::plan::{Deletion, Desired, Plan};
use crate::protocol::{Action, ServerPhase};
use crate::view::RestoreLook;
use porpoise_crds::{BackupLocation, Bootstrap, Phase};
use serde_json::json;

fn bootstrap() -> Bootstrap {
    serde_json::from_value(json!({"restore": {"backupRef": {"name": "shop-monday"}}})).unwrap()
}

fn source() -> RestoreSource {
    let location: BackupLocation = serde_json::from_value(
        json!({"target": {"s3": {"bucket": "safe"}}, "path": "prod/shop/u/shop-monday"}),
    )
    .unwrap();
    RestoreSource { location, secrets: TargetSecrets::default(), point: None }
}

fn world() -> World {
    let mut world = World::new(3);
    world.object.spec.bootstrap = Some(bootstrap());
    world.restore = Some(RestoreLook::Ready(Box::new(source())));
    world
}

#[test]
fn a30_a_restored_cluster_reigns_in_a_newer_term_than_its_data_knows() {
    let mut world = world();
    world.until(Phase::Healthy);
    // The backup's newest term record is of term 7.
    assert!(world.status().term.unwrap() > 7);
    assert_eq!(world.claim().members.len(), 3);
    for member in world.members.values() {
        let executed = &member.state.data.as_ref().unwrap().executed;
        assert!(executed.contains("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-50"), "{executed}");
    }
}

#[test]
fn a30_a_cluster_never_begins_empty_in_the_place_of_a_restored_one() {
    let mut world = world();
    world.restore =
        Some(RestoreLook::Missing("the Secret `s3` of spec.bootstrap is missing: make it".to_owned()));
    world.passes(30);
    assert_eq!(world.status().quorum, None);
    assert!(world.last.reason.contains("Secret `s3`"), "{}", world.last.reason);
    assert!(world.last.orders.is_empty());
    world.restore = None;
    world.passes(3);
    assert_eq!(world.status().quorum, None);
    world.restore = Some(RestoreLook::Ready(Box::new(source())));
    world.until(Phase::Healthy);
}

/// The request that the first member is given, for this point.
fn request(point: &serde_json::Value) -> String {
    let mut world = world();
    let wish = json!({"restore": {"backupRef": {"name": "shop-monday"}, "pointInTime": point}});
    world.object.spec.bootstrap = Some(serde_json::from_value(wish).unwrap());
    for _ in 0..20 {
        world.passes(1);
        for order in &world.last.orders {
            if let Action::Restore { request, .. } = &order.action {
                return request.clone();
            }
        }
    }
    panic!("nothing is restored: {}", world.last.reason)
}

#[test]
fn a30_another_point_in_time_is_another_wish() {
    let gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7";
    let points = [
        json!(null),
        json!({"latest": true}),
        json!({"time": "2026-11-21T10:00:00Z"}),
        json!({"time": "2026-11-21T10:00:01Z"}),
        json!({"gtid": gtid}),
        json!({"beforeGtid": gtid}),
    ];
    let requests: Vec<String> = points.iter().map(request).collect();
    assert_eq!(requests[0], "restore-c1a5ter", "as operators before this one called it");
    let different: std::collections::BTreeSet<&String> = requests.iter().collect();
    assert_eq!(different.len(), points.len(), "{requests:?}");
    assert_eq!(requests[2], request(&points[2]), "and the same point the same wish");
}

/// `spec.bootstrap` may be removed at any time, also between the restore and the first claim.
#[test]
fn a30_what_was_restored_counts_also_without_the_wish() {
    let mut world = world();
    let wish = json!({"restore": {"backupRef": {"name": "shop-monday"}, "pointInTime": {"latest": true}}});
    world.object.spec.bootstrap = Some(serde_json::from_value(wish).unwrap());
    for _ in 0..20 {
        world.passes(1);
        if world.last.orders.iter().any(|order| matches!(order.action, Action::Restore { .. })) {
            break;
        }
    }
    assert_eq!(world.status().quorum, None);
    world.object.spec.bootstrap = None;
    world.until(Phase::Healthy);
    assert!(world.status().term.unwrap() > 7);
}

/// What an empty volume was given once is never given again, whatever happens to the member.
#[test]
fn a30_a_member_that_loses_its_volume_is_cloned_and_not_restored() {
    let mut world = world();
    world.until(Phase::Healthy);
    world.lose_volume("shop-0");
    let before = world.status().term;
    for _ in 0..60 {
        world.passes(1);
        assert!(!world.last.orders.iter().any(|order| matches!(order.action, Action::Restore { .. })));
    }
    world.until(Phase::Healthy);
    assert!(world.status().term >= before);
}

/// Kept volumes and a backup: two pasts of one name. Nothing is taken over, and nothing is restored over it.
#[test]
fn a19_a30_retained_volumes_and_a_restore_wait_for_a_decision() {
    let mut world = world();
    world.passes(1);
    while world.members.is_empty() {
        world.passes(1);
    }
    for member in world.members.values_mut() {
        member.state.server =
            ServerPhase::ForeignVolume { cluster: "former".to_owned(), owner: "prod/shop".to_owned() };
        member.claim.retained_by = Some("former".to_owned());
    }
    world.passes(5);
    assert_eq!((world.status().quorum, world.last.orders.len()), (None, 0));
    for word in ["remove spec.bootstrap", "delete the volume claims"] {
        assert!(world.last.reason.contains(word), "{}", world.last.reason);
    }
    world.object.spec.bootstrap = None;
    world.passes(1);
    assert!(world.last.orders.iter().all(|order| matches!(order.action, Action::Adopt { .. })));
    assert!(!world.last.orders.is_empty());
}

/// Names of the `StatefulSet`s that a plan keeps and ends, beside the members' own.
fn stores(plan: &Plan) -> (Vec<String>, Vec<String>) {
    let kept = plan.objects.iter().filter_map(|one| match one {
        Desired::StatefulSet(set) => set.metadata.name.clone(),
        _ => None,
    });
    let ended = plan.deletions.iter().filter_map(|one| match one {
        Deletion::StatefulSet { name, orphan: false } => Some(name.clone()),
        _ => None,
    });
    (kept.filter(|name| name != "shop").collect(), ended.collect())
}

#[test]
fn a29_a_claim_is_served_as_long_as_data_comes_from_it() {
    let mut world = world();
    let location = json!({"target": {"volume": {"claimName": "safe"}}, "path": "prod/shop/u/shop-monday"});
    let source = RestoreSource { location: serde_json::from_value(location).unwrap(), ..source() };
    world.restore = Some(RestoreLook::Ready(Box::new(source)));
    world.passes(2);
    assert_eq!(stores(&world.last), (vec!["shop-restore".to_owned()], vec!["shop-backups".to_owned()]));
    world.until(Phase::Healthy);
    world.restore = None;
    world.passes(1);
    let ended = ["shop-backups", "shop-restore"].map(str::to_owned).to_vec();
    assert_eq!(stores(&world.last), (vec![], ended));
}

#[test]
fn a29_the_claim_of_a_size_is_made_and_served() {
    let mut world = World::new(1);
    world.object.spec.backup =
        serde_json::from_value(json!({"target": {"volume": {"size": "5Gi"}}})).unwrap();
    world.passes(2);
    let made = world.last.backups_claim.clone().unwrap();
    assert_eq!(made.metadata.name.as_deref(), Some("shop-backups"));
    assert_eq!(made.metadata.owner_references, None);
    assert_eq!(stores(&world.last).0, ["shop-backups"]);
    world.object.spec.backup =
        serde_json::from_value(json!({"target": {"volume": {"claimName": "safe"}}})).unwrap();
    world.passes(1);
    assert_eq!(
        (world.last.backups_claim.clone(), stores(&world.last).0),
        (None, vec!["shop-backups".to_owned()])
    );
}
