//! Who may be the primary while members of two releases live together (A34, C8, D40).

use super::world::World;
use crate::decide::plan;
use crate::fixture;
use crate::plan::{Deletion, Plan};
use crate::view::{ClusterView, Look};
use porpoise_crds::Switchover;

const OLDER: &str = "8.4.6";
const NEWER: &str = "9.7.4";

/// A Healthy cluster whose `old` members were made from a former template and run the older release.
fn rolling(world: &World, old: &[&str]) -> ClusterView {
    let mut view = world.view_with_old(old);
    for (name, look) in &mut view.members {
        if let Look::Answered(state) = look {
            state.version = Some(if old.contains(&name.as_str()) { OLDER } else { NEWER }.to_owned());
        }
    }
    view
}

fn decided(view: &ClusterView) -> Plan {
    plan(view, &fixture::settings())
}

fn replaced(view: &ClusterView) -> Vec<String> {
    let deletions = decided(view).deletions.into_iter();
    deletions
        .filter_map(|one| match one {
            Deletion::Pod { name, .. } => Some(name),
            _ => None,
        })
        .collect()
}

fn taker(view: &ClusterView) -> Option<String> {
    decided(view).record?.operation?.target
}

#[test]
fn a34_c8_replicas_get_the_newer_release_first_and_the_primary_last() {
    let world = World::healthy(3);
    assert_eq!(world.primary(), "shop-0");
    for (old, next, to) in [
        (vec!["shop-0", "shop-1", "shop-2"], vec!["shop-2"], None),
        (vec!["shop-0", "shop-1"], vec!["shop-1"], None),
        (vec!["shop-0"], vec![], Some("shop-1")),
        (vec![], vec![], None),
    ] {
        let view = rolling(&world, &old);
        assert_eq!(replaced(&view), next, "{old:?}");
        assert_eq!(taker(&view).as_deref(), to, "{old:?}");
    }
}

#[test]
fn a34_nobody_becomes_the_primary_of_replicas_that_are_older() {
    let mut world = World::healthy(3);
    world.object.spec.switchover = Some(Switchover { request_id: "now".to_owned(), target: None });
    assert_eq!(taker(&rolling(&world, &["shop-0", "shop-1"])).as_deref(), Some("shop-1"));
    assert_eq!(taker(&rolling(&world, &["shop-0", "shop-2"])).as_deref(), Some("shop-2"));
    world.object.spec.switchover =
        Some(Switchover { request_id: "now".to_owned(), target: Some("shop-2".to_owned()) });
    assert_eq!(taker(&rolling(&world, &["shop-0", "shop-1"])), None, "shop-1 could not follow it");
}

#[test]
fn a34_a_lost_primary_is_replaced_by_the_older_of_two_equals() {
    for (newer, want) in [("shop-1", "shop-2"), ("shop-2", "shop-1")] {
        let mut world = World::healthy(3);
        for (name, member) in &mut world.members {
            member.state.version = Some(if name == newer { NEWER } else { OLDER }.to_owned());
        }
        world.crash("shop-0");
        world.passes(100);
        assert_eq!(world.primary(), want);
    }
}
