//! What is accepted as it stands: good specs, defaults, every example.

use crate::{accepts, api, api_of, named, with};
use porpoise_crds::MySQLCluster;
use serde_json::{Value, json};

#[tokio::test]
async fn b4_good_specs_are_accepted() {
    let api = api().await;
    for (case, spec) in [
        ("only a size", json!({})),
        ("one instance", json!({"instances": 1})),
        ("nine instances", json!({"instances": 9})),
        ("version 8.4", json!({"version": "8.4"})),
        ("the smallest size", json!({"storage": {"size": "1Gi"}})),
        ("a size in bytes", json!({"storage": {"size": "1073741824"}})),
        ("an empty class", json!({"storage": {"storageClassName": ""}})),
        (
            "a digest",
            json!({"image": "mysql@sha256:0000000000000000000000000000000000000000000000000000000000000000"}),
        ),
        ("whole CPUs", json!({"resources": {"limits": {"cpu": 2, "memory": "4Gi"}}})),
        (
            "requests below limits",
            json!({"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": 1, "memory": "1Gi"}}}),
        ),
        ("requests alone", json!({"resources": {"requests": {"cpu": "500m"}}})),
        ("ordinary settings", json!({"mysql": {"config": {"max-connections": "500", "sql_mode": ""}}})),
        (
            "a setting that only begins like a refused one",
            json!({"mysql": {"config": {"log_bin_trust_function_creators": "ON"}}}),
        ),
        ("components", json!({"mysql": {"components": ["classic_hashing", "query_attributes"]}})),
        ("a certificate", json!({"tls": {"mode": "Secret", "secretName": "cert"}})),
        (
            "a load balancer",
            json!({"services": {"primary": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8", "fd00::/8"]}}}),
        ),
        ("labels", json!({"pod": {"labels": {"example.com/team": "a", "owner": ""}}})),
        ("the shortest grace", json!({"pod": {"terminationGracePeriodSeconds": 30}})),
        ("environment", json!({"pod": {"env": [{"name": "TZ", "value": "UTC"}]}})),
        ("a field from the future", json!({"fromTheFuture": {"a": 1}})),
    ] {
        accepts(&api, case, with(spec)).await;
    }
    accepts(&api, "a name of 50 characters", named(&"a".repeat(50))).await;
}

#[tokio::test]
async fn b3_defaults_are_filled_in() {
    let api = api().await;
    let stored = accepts(&api, "only a size", with(json!({}))).await;
    let spec = &stored["spec"];
    assert_eq!(spec["instances"], 3);
    assert_eq!(spec["version"], "9.7");
    assert_eq!(spec["storage"]["deletionPolicy"], "Retain");
    assert_eq!(spec["resources"]["limits"], json!({"cpu": "1", "memory": "1Gi"}));
    assert_eq!(spec["tls"]["mode"], "Managed");
    assert_eq!(spec["services"]["primary"]["type"], "ClusterIP");
    assert_eq!(spec["networkPolicy"]["mode"], "Enabled");
    assert_eq!(spec["pod"]["terminationGracePeriodSeconds"], 300);
    assert!(serde_json::from_value::<MySQLCluster>(stored.clone()).is_ok());
}

#[tokio::test]
async fn every_example_is_accepted() {
    let api = api().await;
    for example in porpoise_crds::examples::examples() {
        let object = serde_json::to_value(&example.cluster).unwrap();
        accepts(&api, example.file, object).await;
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/examples");
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "yaml") {
            let object: Value = serde_norway::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            accepts(&api_of(&api, &object), &file.display().to_string(), object).await;
        }
    }
}

#[tokio::test]
async fn b11_every_alm_example_is_accepted() {
    let api = api().await;
    let file = "../charts/olm/bundle/manifests/porpoise.clusterserviceversion.yaml";
    let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let version: Value = serde_norway::from_str(&text).unwrap();
    let examples = version["metadata"]["annotations"]["alm-examples"].as_str().unwrap();
    let examples: Vec<Value> = serde_json::from_str(examples).unwrap();
    assert!(!examples.is_empty());
    for example in examples {
        accepts(&api_of(&api, &example), &example["metadata"]["name"].to_string(), example.clone()).await;
    }
}
