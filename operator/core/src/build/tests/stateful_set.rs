use super::super::*;
use super::{cluster, object, selector};
use crate::fixture;
use crate::validate::{self, Cluster, Settings, Stored};
use crate::view::References;
use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::{Value, json};

fn built(cluster: &Cluster) -> StatefulSet {
    stateful_set(cluster, &PodInputs::default(), 3, None)
}

fn template(set: &StatefulSet) -> Value {
    json!(set)["spec"]["template"].clone()
}

/// The cluster as another operator version sees it.
fn upgraded(spec: &Value) -> Cluster {
    let settings = Settings {
        operator_image: "registry.example/porpoise:v1.3.0".to_owned(),
        mysql_image: "mirror.example/mysql:{version}".to_owned(),
        ..fixture::settings()
    };
    validate::cluster(&object(spec), &References::default(), &Stored::default(), &settings).unwrap()
}

#[test]
fn stateful_set_is_exactly_this() {
    let want: Value = serde_json::from_str(include_str!("../snapshot/stateful_set.json")).unwrap();
    assert_eq!(json!(built(&cluster(&json!({})))), want);
}

#[test]
fn selectors_are_minimal_and_stable() {
    let set = json!(built(&cluster(&json!({"version": "8.4"}))));
    assert_eq!(set["spec"]["selector"], json!({"matchLabels": selector()}));
    // Immutable too: whatever may change, such as the version, must not be in it.
    let claim = &set["spec"]["volumeClaimTemplates"][0]["metadata"]["labels"];
    assert_eq!(claim.get("app.kubernetes.io/version"), None);
    assert_eq!(claim["app.kubernetes.io/managed-by"], "porpoise");
}

#[test]
fn claim_follows_the_storage() {
    for (storage, class, size) in [
        (json!({"size": "20480Mi"}), Value::Null, "20Gi"),
        (json!({"size": "1.5Ti", "storageClassName": "fast"}), json!("fast"), "1536Gi"),
        (json!({"size": "20Gi", "storageClassName": ""}), Value::Null, "20Gi"),
    ] {
        let set = json!(built(&cluster(&json!({"storage": storage}))));
        let claim = &set["spec"]["volumeClaimTemplates"][0]["spec"];
        assert_eq!(claim["storageClassName"], class, "{storage}");
        assert_eq!(claim["resources"]["requests"]["storage"], size, "{storage}");
    }
}

/// C12: these change objects or Pods, but restart nothing.
#[test]
fn metadata_never_reaches_the_template() {
    let before = template(&built(&cluster(&json!({}))));
    let mut relabelled = object(&json!({
        "instances": 5,
        "storage": {"size": "40Gi", "deletionPolicy": "Delete"},
        "services": {"primary": {"type": "NodePort"}},
        "networkPolicy": {"mode": "Disabled"},
        "pod": {
            "labels": {"tier": "gold"},
            "annotations": {"example.com/note": "x"},
            "serviceAccountAnnotations": {"iam.example/role": "r"},
            "imagePullSecrets": [{"name": "registry"}],
        },
    }));
    relabelled.metadata.labels = Some([("team".to_owned(), "land".to_owned())].into());
    relabelled.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into());
    let cluster = fixture::cluster_of(&relabelled);
    assert_eq!(template(&built(&cluster)), before);
    let texts = |pairs: &[(&str, &str)]| metadata::texts(pairs);
    assert_eq!(
        pod_metadata(&cluster),
        (texts(&[("team", "land"), ("tier", "gold")]), texts(&[("a", "b"), ("example.com/note", "x")]))
    );
}

#[test]
fn what_calls_for_a_restart_changes_the_hash() {
    let inputs = PodInputs::default();
    let before = template_hash(&cluster(&json!({})), &inputs);
    let fixed = static_hash(&cluster(&json!({})), &inputs);
    for spec in [
        json!({"version": "8.4"}),
        json!({"image": "mysql:9.7.4"}),
        json!({"resources": {"limits": {"cpu": "1", "memory": "2Gi"}}}),
        json!({"mysql": {"config": {"innodb_page_size": "16K"}}}),
        json!({"mysql": {"config": {"no_such_setting": "1"}}}),
        json!({"mysql": {"config": {"sql_mode": "'ANSI'"}}}),
        json!({"tls": {"requireClients": true}}),
        json!({"pod": {"nodeSelector": {"disktype": "ssd"}}}),
        json!({"pod": {"priorityClassName": "high"}}),
        json!({"pod": {"schedulerName": "mine"}}),
        json!({"pod": {"runtimeClassName": "kata"}}),
        json!({"pod": {"terminationGracePeriodSeconds": 600}}),
        json!({"pod": {"env": [{"name": "TZ", "value": "UTC"}]}}),
        json!({"pod": {"tolerations": [{"key": "dedicated", "operator": "Exists"}]}}),
        json!({"pod": {"affinity": {}}}),
    ] {
        assert_ne!(template_hash(&cluster(&spec), &inputs), before, "{spec}");
        assert_ne!(static_hash(&cluster(&spec), &inputs), fixed, "{spec}");
    }
    let restart = PodInputs { restart: Some("2026-11-21".to_owned()) };
    assert_ne!(template_hash(&cluster(&json!({})), &restart), before);
    assert_ne!(static_hash(&cluster(&json!({})), &restart), fixed);
}

/// What a running mysqld takes may come, change and go, and the Pods keep their template.
#[test]
fn c12_settings_of_a_running_mysqld_keep_the_template() {
    let inputs = PodInputs::default();
    let with = |config: Value| cluster(&json!({"mysql": {"config": config}}));
    let first = json!({"innodb_page_size": "16K", "max_connections": "300"});
    let stored = built(&with(first.clone()));
    for (config, is_kept) in [
        (json!({"innodb_page_size": "16K", "max_connections": "400"}), true),
        (json!({"innodb_page_size": "16K", "max_connections": "300", "sql_mode": "ANSI"}), true),
        (json!({"innodb_page_size": "16K"}), true),
        (json!({"innodb_page_size": "32K", "max_connections": "300"}), false),
        (json!({"max_connections": "300"}), false),
        (json!({"innodb_page_size": "16K", "max_connections": "'300'"}), false),
    ] {
        let changed_wish = with(config.clone());
        let new = stateful_set(&changed_wish, &inputs, 3, Some(&stored));
        assert_eq!(template(&new) == template(&stored), is_kept, "{config}");
        let data = config_map(&changed_wish, &new).data.unwrap();
        let named = template(&new)["metadata"]["annotations"][INPUTS_ANNOTATION].as_str().unwrap().to_owned();
        assert!(data["my.cnf"].starts_with(&crate::names::template_line(&named)), "{config}");
        let agent: crate::protocol::AgentConfig = serde_json::from_str(&data["agent.json"]).unwrap();
        assert_eq!(agent.template, named, "{config}");
        let told: Vec<(&str, &str)> =
            agent.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(told, changed_wish.variables().collect::<Vec<_>>(), "{config}");
    }
    // By hand changed is set back, and another operator's is kept as it is.
    let changed_wish = with(json!({"innodb_page_size": "16K", "max_connections": "400"}));
    let mut changed = stored.clone();
    changed.spec.as_mut().unwrap().template.spec.as_mut().unwrap().priority_class_name = Some("x".to_owned());
    assert_eq!(template(&stateful_set(&changed_wish, &inputs, 3, Some(&changed))), template(&stored));
    let newer =
        upgraded(&json!({"mysql": {"config": {"innodb_page_size": "16K", "max_connections": "400"}}}));
    assert_eq!(template(&stateful_set(&newer, &inputs, 3, Some(&changed))), template(&changed));
}

/// The agents in its Pods set nothing: it is kept for what it was made from, and for nothing else.
#[test]
fn c12_a_template_of_before_is_kept_until_a_setting_changes() {
    let inputs = PodInputs::default();
    let config = |value: &str| json!({"mysql": {"config": {"max_connections": value}}});
    let mut stored = built(&cluster(&config("300")));
    let metadata = stored.spec.as_mut().unwrap().template.metadata.as_mut().unwrap();
    metadata.annotations.as_mut().unwrap().remove(STATIC_INPUTS_ANNOTATION);
    let kept = stateful_set(&upgraded(&config("300")), &inputs, 3, Some(&stored));
    assert_eq!(template(&kept), template(&stored));
    let changed = upgraded(&config("400"));
    let fresh = stateful_set(&changed, &inputs, 3, None);
    assert_eq!(stateful_set(&changed, &inputs, 3, Some(&stored)), fresh);
}

#[test]
fn the_same_wish_in_other_words_changes_nothing() {
    let inputs = PodInputs::default();
    let hash = |spec: Value| template_hash(&cluster(&spec), &inputs);
    let before = hash(json!({"mysql": {"config": {"max_connections": "300"}}}));
    for spec in [
        json!({"mysql": {"config": {"max-connections": "300"}}}),
        json!({"mysql": {"config": {"max_connections": " 300 "}}, "resources": {"limits": {"cpu": "1000m"}}}),
        json!({"mysql": {"config": {"max_connections": "300"}}, "resources": {"requests": {"memory": "1024Mi"}}}),
    ] {
        assert_eq!(hash(spec.clone()), before, "{spec}");
    }
}

/// If this changes, upgrading to this release restarts every database: change it only on purpose, and say so in
/// the release notes.
#[test]
fn hash_is_the_same_from_release_to_release() {
    assert_eq!(template_hash(&fixture::cluster(), &PodInputs::default()), "745308b85f5bfe60");
    // Without settings the two are the same.
    assert_eq!(static_hash(&fixture::cluster(), &PodInputs::default()), "745308b85f5bfe60");
}

#[test]
fn upgrading_the_operator_keeps_the_template() {
    let stored = built(&cluster(&json!({})));
    let inputs = PodInputs::default();
    let new = stateful_set(&upgraded(&json!({"instances": 5})), &inputs, 5, Some(&stored));
    assert_eq!(template(&new), template(&stored));
    assert_eq!(json!(new)["spec"]["replicas"], 5);
    let fresh = stateful_set(&upgraded(&json!({})), &inputs, 3, None);
    assert_ne!(template(&fresh), template(&stored));
}

#[test]
fn the_next_restart_brings_the_new_template() {
    let stored = built(&cluster(&json!({})));
    let spec = json!({"mysql": {"config": {"innodb_page_size": "16K"}}});
    let changed = upgraded(&spec);
    let new = stateful_set(&changed, &PodInputs::default(), 3, Some(&stored));
    assert_eq!(new, stateful_set(&changed, &PodInputs::default(), 3, None));

    let mut asked = object(&json!({}));
    asked.metadata.annotations = Some([(RESTART_ANNOTATION.to_owned(), "now".to_owned())].into());
    let new = stateful_set(&upgraded(&json!({})), &PodInputs::of(&asked), 3, Some(&stored));
    let image = &template(&new)["spec"]["initContainers"][0]["image"];
    assert_eq!(image, "registry.example/porpoise:v1.3.0");
}

#[test]
fn a_template_changed_by_hand_is_set_back() {
    let cluster = cluster(&json!({}));
    let right = built(&cluster);
    for change in [
        |set: &mut Value| set["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mysql:5.7"),
        |set: &mut Value| set["spec"]["template"]["metadata"]["annotations"] = Value::Null,
    ] {
        let mut changed = json!(right);
        change(&mut changed);
        let changed: StatefulSet = serde_json::from_value(changed).unwrap();
        assert_eq!(stateful_set(&cluster, &PodInputs::default(), 3, Some(&changed)), right);
    }
}
