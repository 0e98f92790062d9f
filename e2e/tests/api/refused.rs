//! What is refused, each with its sentence.

use crate::{api, named, rejects, with};
use serde_json::json;

#[tokio::test]
async fn b4_bad_specs_are_refused_with_a_sentence() {
    let api = api().await;
    let long = "x".repeat(1025);
    for (case, spec, why) in [
        ("no instances", json!({"instances": 0}), "spec.instances"),
        ("ten instances", json!({"instances": 10}), "less than or equal to 9"),
        ("negative instances", json!({"instances": -1}), "greater than or equal to 1"),
        ("half an instance", json!({"instances": 1.5}), "must be of type integer"),
        ("size 0", json!({"storage": {"size": "0"}}), "the size must be a quantity of at least 1Gi"),
        ("10 bytes", json!({"storage": {"size": "10"}}), "the size must be a quantity of at least 1Gi"),
        ("a number as size", json!({"storage": {"size": 10}}), "must be of type string"),
        (
            "a negative size",
            json!({"storage": {"size": "-1Gi"}}),
            "the size must be a quantity of at least 1Gi",
        ),
        ("words as size", json!({"storage": {"size": "big"}}), "the size must be a quantity of at least 1Gi"),
        ("an empty size", json!({"storage": {"size": ""}}), "spec.storage.size"),
        ("null as size", json!({"storage": {"size": null}}), "spec.storage.size"),
        (
            "an unknown policy",
            json!({"storage": {"deletionPolicy": "Maybe"}}),
            "supported values: \"Retain\", \"Delete\"",
        ),
        ("an unknown version", json!({"version": "5.7"}), "supported values: \"8.4\", \"9.7\""),
        ("a version as number", json!({"version": 9.7}), "must be of type string"),
        ("an empty image", json!({"image": ""}), "spec.image"),
        ("an image with a space", json!({"image": "mysql :9.7"}), "spec.image"),
        (
            "negative memory",
            json!({"resources": {"limits": {"memory": "-1Gi"}}}),
            "spec.resources.limits.memory",
        ),
        (
            "little memory",
            json!({"resources": {"limits": {"memory": "64Mi"}}}),
            "a memory limit of at least 512Mi",
        ),
        (
            "memory request above its limit",
            json!({"resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}}),
            "the memory request must not be larger than the memory limit",
        ),
        (
            "CPU request above its limit",
            json!({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}}),
            "the cpu request must not be larger than the cpu limit",
        ),
        (
            "a reserved setting",
            json!({"mysql": {"config": {"server_id": "5"}}}),
            "server_id is set by Porpoise",
        ),
        ("with a dash", json!({"mysql": {"config": {"gtid-mode": "OFF"}}}), "gtid-mode is set by Porpoise"),
        (
            "loosely",
            json!({"mysql": {"config": {"loose_skip-log-bin": ""}}}),
            "loose_skip-log-bin is set by Porpoise",
        ),
        (
            "by prefix",
            json!({"mysql": {"config": {"rpl_semi_sync_source_timeout": "1"}}}),
            "rpl_semi_sync_source_timeout is set by Porpoise",
        ),
        (
            "a second line in a value",
            json!({"mysql": {"config": {"sql_mode": "a\nserver_id=5"}}}),
            "a setting's value must be on one line",
        ),
        (
            "a second line in a key",
            json!({"mysql": {"config": {"a\nserver_id": "5"}}}),
            "a setting's name is a lower case letter",
        ),
        (
            "a section as key",
            json!({"mysql": {"config": {"[client]": "5"}}}),
            "a setting's name is a lower case letter",
        ),
        (
            "an upper case key",
            json!({"mysql": {"config": {"Server_ID": "5"}}}),
            "a setting's name is a lower case letter",
        ),
        ("a value that is too long", json!({"mysql": {"config": {"init_connect": long}}}), "1024"),
        (
            "a setting as number",
            json!({"mysql": {"config": {"max_connections": 500}}}),
            "must be of type string",
        ),
        (
            "an unnamed ConfigMap",
            json!({"mysql": {"configMapRef": {"name": ""}}}),
            "spec.mysql.configMapRef.name",
        ),
        (
            "a component's file",
            json!({"mysql": {"components": ["component_classic_hashing"]}}),
            "without the component_ of its file",
        ),
        (
            "a component with a quote",
            json!({"mysql": {"components": ["x'"]}}),
            "a component is named by lower case letters",
        ),
        (
            "a component twice",
            json!({"mysql": {"components": ["classic_hashing", "classic_hashing"]}}),
            "every component must be there once",
        ),
        (
            "a component that Porpoise refuses",
            json!({"mysql": {"components": ["classic_hashing", "keyring_file"]}}),
            "keyring_file does not go with what Porpoise does",
        ),
        ("no Secret", json!({"tls": {"mode": "Secret"}}), "mode Secret needs secretName"),
        (
            "an unnamed Secret",
            json!({"tls": {"mode": "Secret", "secretName": ""}}),
            "mode Secret needs secretName",
        ),
        (
            "an unused Secret",
            json!({"tls": {"secretName": "cert"}}),
            "secretName is used with mode Secret only",
        ),
        ("an unknown TLS mode", json!({"tls": {"mode": "Off"}}), "Unsupported value"),
        (
            "an unknown kind of Service",
            json!({"services": {"replicas": {"type": "ExternalName"}}}),
            "Unsupported value",
        ),
        (
            "ranges without a load balancer",
            json!({"services": {"primary": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}}}),
            "loadBalancerSourceRanges needs type LoadBalancer",
        ),
        (
            "a range that is none",
            json!({"services": {"primary": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["everyone"]}}}),
            "every range must be an address block",
        ),
        (
            "an annotation of ours on a Service",
            json!({"services": {"primary": {"annotations": {"mysql.porpoise.dev/x": "1"}}}}),
            "keys of porpoise.dev are set by Porpoise",
        ),
        (
            "a label of ours",
            json!({"pod": {"labels": {"mysql.porpoise.dev/role": "primary"}}}),
            "choose a prefix of your own",
        ),
        (
            "a common label",
            json!({"pod": {"labels": {"app.kubernetes.io/name": "x"}}}),
            "choose a prefix of your own",
        ),
        ("a label key with a space", json!({"pod": {"labels": {"a b": "x"}}}), "every key must be a name"),
        ("a label value with a space", json!({"pod": {"labels": {"a": "x y"}}}), "spec.pod.labels.a"),
        (
            "a node label key with a space",
            json!({"pod": {"nodeSelector": {"a b": "x"}}}),
            "every key must be a name",
        ),
        (
            "too little grace",
            json!({"pod": {"terminationGracePeriodSeconds": 10}}),
            "greater than or equal to 30",
        ),
        (
            "too much grace",
            json!({"pod": {"terminationGracePeriodSeconds": 3601}}),
            "less than or equal to 3600",
        ),
        (
            "the same variable twice",
            json!({"pod": {"env": [{"name": "A"}, {"name": "A"}]}}),
            "Duplicate value",
        ),
        (
            "a toleration of the wrong type",
            json!({"pod": {"tolerations": [{"key": 5}]}}),
            "must be of type string",
        ),
        (
            "an unknown resource",
            json!({"resources": {"limits": {"ram": "4Gi"}}}),
            "use cpu, memory, ephemeral-storage",
        ),
        (
            "a variable of ours",
            json!({"pod": {"env": [{"name": "POD_NAME"}]}}),
            "are set by Porpoise; remove them",
        ),
        (
            "a label of the StatefulSet",
            json!({"pod": {"labels": {"apps.kubernetes.io/pod-index": "1"}}}),
            "choose a prefix",
        ),
        (
            "a peer that names nobody",
            json!({"networkPolicy": {"allowFrom": [{}]}}),
            "every peer names either",
        ),
        (
            "a peer that is no block",
            json!({"networkPolicy": {"allowFrom": [{"ipBlock": {"cidr": "everyone"}}]}}),
            "every ipBlock needs an address block",
        ),
        ("a delay beyond reason", json!({"failover": {"delay": "11m"}}), "must be 10m or less"),
        ("a delay in words", json!({"failover": {"delay": "soon"}}), "should match"),
        (
            "an update in an unknown way",
            json!({"update": {"mode": "Manual"}}),
            "\"Automatic\", \"Supervised\"",
        ),
        ("a soak of days", json!({"update": {"soak": "1441m"}}), "must be 1440m or less"),
        ("no lag at all", json!({"failover": {"maxApplyLag": "0s"}}), "must be 100ms or more"),
        ("a minute of lag and more", json!({"failover": {"maxApplyLag": "2m"}}), "must be 1m or less"),
        ("reads without any lag", json!({"services": {"replicas": {"maxLag": "0s"}}}), "must be 1s or more"),
        ("reads of yesterday", json!({"services": {"replicas": {"maxLag": "1000m"}}}), "must be 60m or less"),
        ("an unknown failover", json!({"failover": {"mode": "Sometimes"}}), "Unsupported value"),
        ("an unknown durability", json!({"durability": {"policy": "Never"}}), "Unsupported value"),
        ("an unknown policy mode", json!({"networkPolicy": {"mode": "Maybe"}}), "Unsupported value"),
        ("a word for yes", json!({"paused": "yes"}), "must be of type boolean"),
    ] {
        rejects(&api, case, with(spec), why).await;
    }
}

#[tokio::test]
async fn a6_a_size_is_required() {
    let api = api().await;
    let mut object = with(json!({}));
    object["spec"] = json!({});
    rejects(&api, "no storage", object.clone(), "spec.storage: Required value").await;
    object["spec"] = json!({"storage": {}});
    rejects(&api, "no size", object.clone(), "spec.storage.size: Required value").await;
    object.as_object_mut().unwrap().remove("spec");
    rejects(&api, "no spec", object, "spec: Required value").await;
}

#[tokio::test]
async fn names_leave_room_for_what_is_made_from_them() {
    let api = api().await;
    for (name, why) in [
        ("a".repeat(51), "at most 50 characters"),
        ("a".repeat(63), "at most 50 characters"),
        ("a".repeat(200), "at most 50 characters"),
        ("5shop".to_owned(), "must begin with a letter"),
        ("shop.example".to_owned(), "must begin with a letter"),
        ("shop-ro".to_owned(), "must not end with -ro or -members"),
        ("shop-members".to_owned(), "must not end with -ro or -members"),
    ] {
        rejects(&api, &name, named(&name), why).await;
    }
}
