//! What is said about settings that members set while mysqld runs (C12).

use super::world::World;
use crate::build::{self, PodInputs};
use crate::decide;
use crate::fixture;
use crate::plan::{Deletion, Desired, Plan};
use crate::protocol::Variable;
use crate::validate::{self, Stored};
use crate::view::ClusterView;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use porpoise_crds::Phase;

fn wishing(name: &str, value: &str) -> World {
    let mut world = World::healthy(3);
    world.object.spec.mysql.config.insert(name.to_owned(), value.to_owned());
    world
}

fn tell(world: &mut World, member: &str, pairs: (&str, &str), effective: &str, error: &str) {
    let (name, value) = (pairs.0.to_owned(), pairs.1.to_owned());
    let told = Variable { name, value, effective: effective.to_owned(), error: error.to_owned() };
    world.member(member).state.variables = vec![told];
}

/// With a template that knows the settings, as a first pass stores it.
fn view(world: &World) -> ClusterView {
    let mut view = world.view_with_old(&[]);
    let cluster =
        validate::cluster(&world.object, &view.references, &Stored::default(), &fixture::settings());
    let set = build::stateful_set(&cluster.unwrap(), &PodInputs::default(), 3, None);
    view.stateful_set.as_mut().unwrap().spec = set.spec;
    view
}

fn decided(view: &ClusterView) -> Plan {
    decide::plan(view, &fixture::settings())
}

fn message(plan: &Plan, name: &str) -> String {
    plan.status.instances.iter().find(|instance| instance.name == name).unwrap().message.clone()
}

fn valid(plan: &Plan) -> Condition {
    plan.status.conditions.iter().find(|condition| condition.type_ == "ConfigurationValid").unwrap().clone()
}

#[test]
fn c12_a_refused_value_names_field_value_words_and_remedy_and_stops_nothing() {
    let mut world = wishing("max-connections", "many");
    let wish = ("max_connections", "many");
    for member in ["shop-0", "shop-2"] {
        tell(&mut world, member, wish, "151", "Incorrect argument type to variable 'max_connections'");
    }
    tell(&mut world, "shop-1", wish, "151", "");
    let plan = decided(&view(&world));
    let want = "spec.mysql.config[\"max_connections\"] is not set to \"many\": Incorrect argument type to variable \
                'max_connections'; mysqld keeps what it has (\"151\"); change the value or remove it";
    assert_eq!(message(&plan, "shop-0"), want);
    assert_eq!(message(&plan, "shop-1"), "");
    let condition = valid(&plan);
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "SettingRefused"));
    assert_eq!(condition.message, format!("shop-0, shop-2: {want}"));
    assert_eq!(plan.status.phase, Some(Phase::Healthy));
    assert!(!plan.deletions.iter().any(|one| matches!(one, Deletion::Pod { .. } | Deletion::IdlePod { .. })));
    // What was said about another value is past.
    world.object.spec.mysql.config.clear();
    let plan = decided(&view(&world));
    assert_eq!((message(&plan, "shop-0").as_str(), valid(&plan).status.as_str()), ("", "True"));
}

#[test]
fn c12_a_member_says_until_it_has_taken_up_a_value_and_what_mysqld_made_of_it() {
    let mut world = wishing("max_connections", "200000");
    let wish = ("max_connections", "200000");
    assert_eq!(
        message(&decided(&view(&world)), "shop-1"),
        "max_connections of spec.mysql.config: not set yet"
    );
    tell(&mut world, "shop-1", wish, "200000", "");
    assert_eq!(message(&decided(&view(&world)), "shop-1"), "");
    tell(&mut world, "shop-1", wish, "100000", "");
    let want = "mysqld made 100000 of spec.mysql.config[\"max_connections\"] = \"200000\"";
    assert_eq!(message(&decided(&view(&world)), "shop-1"), want);
    // Agents of a template without the second annotation set nothing, and say nothing.
    world.member("shop-1").state.variables.clear();
    assert_eq!(message(&decided(&world.view_with_old(&[])), "shop-1"), "");
}

#[test]
fn c12_a_change_of_a_running_mysqlds_settings_replaces_no_pod() {
    let mut world = wishing("max_connections", "300");
    let mut seen = view(&world);
    for (config, is_kept) in [(("max_connections", "400"), true), (("innodb_page_size", "16K"), false)] {
        world.object.spec.mysql.config.insert(config.0.to_owned(), config.1.to_owned());
        seen.object = world.object.clone();
        let plan = decided(&seen);
        let stored = &seen.stateful_set.as_ref().unwrap().spec.as_ref().unwrap().template;
        let of_plan = plan.objects.iter().find_map(|object| match object {
            Desired::StatefulSet(set) => set.spec.as_ref().map(|spec| &spec.template),
            _ => None,
        });
        assert_eq!(of_plan == Some(stored), is_kept, "{config:?}");
    }
}
