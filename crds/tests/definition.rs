//! What the definition must be before an API server sees it.
#![allow(clippy::unwrap_used, clippy::panic)]

use porpoise_crds::examples::examples;
use porpoise_crds::{MySQLCluster, Phase, RESERVED_SETTINGS, backup_definition, definition, definitions};
use serde_json::Value;
use std::path::Path;

fn schema() -> Value {
    schema_of(definition())
}

fn schema_of(definition: impl serde::Serialize) -> Value {
    let definition = serde_json::to_value(definition).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Calls `visit` with every part of every kind.
fn walk_all(visit: &mut impl FnMut(&str, &Value)) {
    for definition in definitions() {
        walk("", &schema_of(definition), visit);
    }
}

/// Calls `visit` with the path and schema of every field, items and map values included.
fn walk(path: &str, schema: &Value, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, schema);
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), field, visit);
    }
    if schema["items"].is_object() {
        walk(&format!("{path}[]"), &schema["items"], visit);
    }
    if schema["additionalProperties"].is_object() {
        walk(&format!("{path}{{}}"), &schema["additionalProperties"], visit);
    }
}

#[test]
fn b3_names_columns_and_subresources() {
    let definition = serde_json::to_value(definition()).unwrap();
    let spec = &definition["spec"];
    assert_eq!(definition["metadata"]["name"], "mysqlclusters.mysql.porpoise.dev");
    assert_eq!(spec["names"]["shortNames"], serde_json::json!(["myc"]));
    assert_eq!(spec["names"]["categories"], serde_json::json!(["all", "porpoise"]));
    assert_eq!(spec["scope"], "Namespaced");
    let version = &spec["versions"][0];
    let columns: Vec<&str> = version["additionalPrinterColumns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["Phase", "Primary", "Ready", "Version", "Age"]);
    assert!(version["subresources"]["status"].is_object());
}

#[test]
fn a30_a_backup_shows_what_people_ask_first() {
    let definition = serde_json::to_value(backup_definition()).unwrap();
    assert_eq!(definition["metadata"]["name"], "mysqlbackups.mysql.porpoise.dev");
    assert_eq!(definition["spec"]["scope"], "Namespaced");
    let version = &definition["spec"]["versions"][0];
    assert!(version["subresources"]["status"].is_object());
    let schema = schema_of(backup_definition());
    for column in version["additionalPrinterColumns"].as_array().unwrap() {
        let path = column["jsonPath"].as_str().unwrap();
        let field =
            path.trim_start_matches('.').split('.').fold(&schema, |schema, name| &schema["properties"][name]);
        assert!(field["type"].is_string() || path.starts_with(".metadata"), "{path}");
    }
}

#[test]
fn h13_scale_subresource_names_real_fields() {
    let definition = serde_json::to_value(definition()).unwrap();
    let scale = definition["spec"]["versions"][0]["subresources"]["scale"].clone();
    let schema = schema();
    for key in ["specReplicasPath", "statusReplicasPath", "labelSelectorPath"] {
        let path = scale[key].as_str().unwrap();
        let field =
            path.trim_start_matches('.').split('.').fold(&schema, |schema, name| &schema["properties"][name]);
        assert!(field["type"].is_string(), "{key} {path}");
    }
}

#[test]
fn schema_is_structural() {
    walk_all(&mut |path, schema| {
        let open = schema["x-kubernetes-int-or-string"] == true
            || schema["x-kubernetes-preserve-unknown-fields"] == true;
        assert!(schema["type"].is_string() || open, "{path} has no type");
        for key in ["$ref", "oneOf", "allOf", "not", "definitions", "patternProperties"] {
            assert!(schema.get(key).is_none(), "{path} has {key}");
        }
        assert!(schema.get("anyOf").is_none() || open, "{path} has anyOf");
        let format = schema["format"].as_str().unwrap_or_default();
        assert!(!format.starts_with("uint"), "{path} has the unsigned format {format}");
        if !schema["properties"].is_null() {
            assert!(
                schema.get("additionalProperties").is_none(),
                "{path} has properties and additionalProperties"
            );
        }
    });
}

#[test]
fn every_rule_speaks_and_what_it_iterates_is_bounded() {
    walk_all(&mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["message"].is_string() || rule["messageExpression"].is_string(), "{path}: {rule}");
            if rule["rule"].as_str().unwrap().contains("self.all(") {
                assert!(
                    schema["maxProperties"].is_u64() || schema["maxItems"].is_u64(),
                    "{path} is not bounded"
                );
            }
        }
    });
}

#[test]
fn d22_lists_that_several_writers_touch_are_maps() {
    let schema = schema();
    let mut keyed = Vec::new();
    walk("", &schema, &mut |path, schema| {
        if let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() {
            keyed.push(path.to_owned());
            for key in keys {
                let required = schema["items"]["required"].as_array().unwrap();
                assert!(required.contains(key), "{path}: {key} is not required");
            }
        }
    });
    assert_eq!(
        keyed,
        [
            ".spec.pod.env",
            ".spec.pod.imagePullSecrets",
            ".status.conditions",
            ".status.instances",
            ".status.quorum.members",
            ".status.restore.former.quorum.members",
        ]
    );
}

#[test]
fn g11_secrets_are_named_never_held() {
    walk_all(&mut |path, _| {
        let name = path.rsplit('.').next().unwrap().to_lowercase();
        assert!(!name.contains("password") && !name.contains("token"), "{path}");
    });
}

#[test]
fn fields_of_ours_are_documented() {
    walk_all(&mut |path, schema| {
        let foreign = ["pod.affinity", "pod.tolerations", "pod.topologySpread", "pod.env", "allowFrom"];
        let ours = path.starts_with(".spec.")
            && !path.ends_with(['}', ']'])
            && !foreign.iter().any(|part| path.contains(part));
        assert!(!ours || schema["description"].is_string(), "{path} has no description");
    });
}

#[test]
fn definition_is_small_enough_for_client_side_apply() {
    for definition in definitions() {
        let bytes = serde_json::to_vec(&definition).unwrap().len();
        // It is kept once more in an annotation, and all annotations of an object may have 256 KiB.
        assert!(bytes < 200_000, "{:?} {bytes}", definition.metadata.name);
    }
}

#[test]
fn only_the_size_has_no_default() {
    let object: MySQLCluster = serde_json::from_value(serde_json::json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLCluster",
        "metadata": {"name": "shop"}, "spec": {"storage": {"size": "20Gi"}},
    }))
    .unwrap();
    assert_eq!(object.spec, examples()[0].cluster.spec);
    assert_eq!((object.spec.instances, object.spec.version.as_str()), (3, "9.7"));
    assert_eq!(object.spec.pod.termination_grace_period_seconds, 300);
}

#[test]
fn schema_and_types_have_the_same_defaults() {
    // Parts that are absent by default must be there, as the smallest that people may write.
    let mut spec = examples()[0].cluster.spec.clone();
    let backup = serde_json::json!({"target": {"s3": {"bucket": "safe"}}});
    spec.backup = Some(serde_json::from_value(backup.clone()).unwrap());
    let location = serde_json::json!({"target": backup["target"], "path": "a"});
    let stored = serde_json::json!({"location": location});
    // Only a whole spec is checked for one way alone.
    let import = serde_json::json!({"location": location, "file": location});
    let bootstrap = serde_json::json!({"restore": stored, "import": import});
    spec.bootstrap = Some(serde_json::from_value(bootstrap).unwrap());
    let in_place = serde_json::json!({"requestId": "a", "location": location});
    spec.restore = Some(serde_json::from_value(in_place).unwrap());
    let spec = serde_json::to_value(spec).unwrap();
    walk("", &schema()["properties"]["spec"], &mut |path, schema| {
        if path.contains(['[', '{']) || schema.get("default").is_none() {
            return;
        }
        let value = path.split('.').skip(1).fold(&spec, |value, name| &value[name]);
        assert_eq!(*value, schema["default"], "{path}");
    });
}

#[test]
fn a_newer_object_can_be_read() {
    let object: Result<MySQLCluster, _> = serde_json::from_value(serde_json::json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLCluster", "metadata": {"name": "shop"},
        "spec": {"storage": {"size": "20Gi", "fromTheFuture": 1}, "fromTheFuture": {"a": []}},
    }));
    assert!(object.is_ok());
}

#[test]
fn examples_survive_a_round_trip() {
    for example in examples() {
        let value = serde_json::to_value(&example.cluster).unwrap();
        let back: MySQLCluster = serde_json::from_value(value).unwrap();
        assert_eq!(back, example.cluster, "{}", example.file);
    }
}

#[test]
fn reserved_settings_are_in_the_rule() {
    let schema = schema();
    let rules = schema["properties"]["spec"]["properties"]["mysql"]["properties"]["config"]["x-kubernetes-validations"].to_string();
    for setting in RESERVED_SETTINGS {
        assert!(rules.contains(&setting.replace('*', ".*")), "{setting}");
    }
}

#[test]
fn every_phase_has_a_heading_in_the_states_page() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/concepts/states.md");
    let text = std::fs::read_to_string(page).unwrap();
    let schema = schema();
    let phases = schema["properties"]["status"]["properties"]["phase"]["enum"].clone();
    let phases: Vec<Phase> = serde_json::from_value(Value::Array(
        phases.as_array().unwrap().iter().filter(|phase| !phase.is_null()).cloned().collect(),
    ))
    .unwrap();
    assert!(phases.len() >= 13);
    for phase in phases {
        assert!(text.contains(&format!("\n## {phase:?}\n")), "{phase:?}");
    }
}

/// An older operator reads what a newer version wrote; what it does not know it leaves alone.
#[test]
fn an_object_of_a_newer_version_is_read() {
    let object: MySQLCluster = serde_json::from_value(serde_json::json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLCluster", "metadata": {"name": "shop"},
        "spec": {"storage": {"size": "20Gi", "tier": "cold"}, "telepathy": {"mode": "Enabled"}},
        "status": {"mood": "good"},
    }))
    .unwrap();
    assert_eq!(object.spec.instances, 3);
}
