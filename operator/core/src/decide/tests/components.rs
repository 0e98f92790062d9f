//! What is said about components that a member lacks (ha.md H18).

use super::world::World;
use crate::protocol::Component;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use porpoise_crds::Phase;

fn listing() -> World {
    let mut world = World::healthy(3);
    world.object.spec.mysql.components = vec!["classic_hashing".to_owned()];
    world
}

fn tell(world: &mut World, name: &str, error: &str) {
    let told = Component { name: "classic_hashing".to_owned(), error: error.to_owned() };
    world.member(name).state.components = vec![told];
}

fn message(world: &World, name: &str) -> String {
    let status = world.status();
    status.instances.iter().find(|instance| instance.name == name).unwrap().message.clone()
}

fn degraded(world: &World) -> Condition {
    world.status().conditions.iter().find(|condition| condition.type_ == "Degraded").unwrap().clone()
}

#[test]
fn h18_a_component_that_cannot_be_loaded_names_field_and_remedy_and_stops_nothing() {
    let mut world = listing();
    tell(&mut world, "shop-0", "");
    tell(&mut world, "shop-1", "its file is not in the plugin directory");
    tell(&mut world, "shop-2", "");
    world.passes(3);
    assert_eq!(world.phase(), Some(Phase::Healthy));
    assert_eq!(message(&world, "shop-0"), "");
    let want = "classic_hashing of spec.mysql.components is not loaded: its file is not in the plugin directory; use an image \
                that has it, or remove it from the list";
    assert_eq!(message(&world, "shop-1"), want);
    let condition = degraded(&world);
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "ComponentNotLoaded"));
    assert_eq!(condition.message, format!("shop-1: {want}"));
    world.object.spec.mysql.components.clear();
    world.passes(2);
    assert_eq!(message(&world, "shop-1"), "");
    assert_eq!(degraded(&world).status, "False");
}

#[test]
fn h18_a_member_says_until_it_has_taken_up_a_component() {
    let mut world = listing();
    world.passes(2);
    assert_eq!(message(&world, "shop-1"), "classic_hashing of spec.mysql.components: not loaded yet");
    assert_eq!(degraded(&world).status, "False");
    tell(&mut world, "shop-1", "");
    world.passes(2);
    assert_eq!(message(&world, "shop-1"), "");
}
