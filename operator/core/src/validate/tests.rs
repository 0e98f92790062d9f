mod accepted;
mod settings;
mod specs;
mod stored;

use super::*;
use crate::fixture;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The fixture's object with `spec` laid over its own.
fn object(spec: &Value) -> MySQLCluster {
    let mut object = json!(fixture::object());
    lay_over(&mut object["spec"], spec);
    serde_json::from_value(object).unwrap()
}

fn lay_over(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

fn named(name: &str) -> MySQLCluster {
    let mut object = fixture::object();
    object.metadata.name = Some(name.to_owned());
    object
}

fn check(object: &MySQLCluster, references: &References, stored: &Stored) -> Result<Cluster, Vec<Problem>> {
    cluster(object, references, stored, &fixture::settings())
}

fn problems(object: &MySQLCluster) -> Vec<Problem> {
    check(object, &References::default(), &Stored::default()).err().unwrap_or_default()
}

/// Field, reason and the remedy that the message must contain.
type Refusal = (&'static str, &'static str, &'static str);

fn assert_refused(found: &[Problem], (field, reason, remedy): Refusal, case: &str) {
    assert_eq!(found.len(), 1, "{case}: {found:#?}");
    let problem = &found[0];
    assert_eq!((problem.field.as_str(), problem.reason), (field, reason), "{case}: {problem:?}");
    assert!(problem.message.contains(remedy), "{case}: {:?} lacks {remedy:?}", problem.message);
}

#[test]
fn names_are_refused_with_the_rule() {
    let fifty = "a".repeat(50);
    let fifty_one = "a".repeat(51);
    for (name, remedy) in [
        (fifty_one.as_str(), "51 characters"),
        ("", "begin with a letter"),
        ("8shop", "begin with a letter"),
        ("shop-", "end with a letter or digit"),
        ("Shop", "lower case"),
        ("shop.eu", "lower case"),
        ("größe", "lower case"),
        ("shop-ro", "choose another name"),
        ("shop-members", "choose another name"),
    ] {
        assert_refused(&problems(&named(name)), ("metadata.name", "InvalidName", remedy), name);
    }
    for name in [fifty.as_str(), "s", "shop-0", "ro", "shop-row"] {
        assert_eq!(problems(&named(name)), [], "{name}");
    }
}

#[test]
fn longest_name_still_fits_a_label() {
    let names = ClusterNames::new(&"a".repeat(50), "prod");
    for child in [
        names.members_service(),
        names.accounts_secret(),
        crate::line::claim(1, &names.instance(8)),
        names.primary_slice(),
    ] {
        assert!(child.len() <= 63, "{child}");
    }
}

#[test]
fn every_problem_is_collected() {
    let object = object(&json!({
        "instances": 12,
        "version": "5.7",
        "storage": {"size": "10"},
        "mysql": {"config": {"sync_binlog": "0", "datadir": "/x"}},
        "pod": {"terminationGracePeriodSeconds": 1},
    }));
    let fields: Vec<String> = problems(&object).into_iter().map(|problem| problem.field).collect();
    let want = [
        "spec.instances",
        "spec.version",
        "spec.storage.size",
        "spec.mysql.config[\"datadir\"]",
        "spec.mysql.config[\"sync_binlog\"]",
        "spec.pod.terminationGracePeriodSeconds",
    ];
    assert_eq!(fields, want);
}

proptest! {
    #[test]
    fn no_text_panics(name in "\\PC*", size in "\\PC*", key in "\\PC*", value in "\\PC*", image in "\\PC*", range in "\\PC*") {
        let mut object = named(&name);
        object.spec.storage.size.0 = size.clone();
        object.spec.version.clone_from(&value);
        object.spec.image = Some(image);
        object.spec.mysql.config.insert(key.clone(), value.clone());
        object.spec.pod.labels.insert(key.clone(), value.clone());
        object.spec.resources.limits.insert(key, k8s_openapi::apimachinery::pkg::api::resource::Quantity(size));
        object.spec.services.primary.load_balancer_source_ranges.push(range);
        drop(problems(&object));
    }

    #[test]
    fn what_passes_renders_one_line_for_each_setting(key in "[a-z_!\\[#=\n-]{1,12}", value in "[ -~\n\r]{0,12}") {
        let object = object(&json!({"mysql": {"config": {key.clone(): value.clone()}}}));
        if let Ok(cluster) = check(&object, &References::default(), &Stored::default()) {
            let line = format!("{}={}", key.replace('-', "_"), value.trim());
            prop_assert_eq!(cluster.my_cnf.lines().filter(|found| **found == line).count(), 1);
            prop_assert_eq!(cluster.my_cnf.lines().filter(|found| found.starts_with('[')).count(), 1);
        }
    }
}
