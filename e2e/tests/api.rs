//! The rules of the definition on a real API server (B4, K9): every rule both ways, every example accepted.
//!
//! Needs no operator and no nodes: objects are sent as a dry run, and those that must exist are paused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Tables of cases are long and clear.
#![allow(clippy::too_many_lines)]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use porpoise_crds::{MySQLBackup, MySQLCluster};
use porpoise_e2e::cluster::Cluster;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

const NAMESPACE: &str = "porpoise-api-rules";

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// The API of the kind in a namespace of ours. Brings up the cluster and applies the definition once.
async fn api() -> Api<kube::core::DynamicObject> {
    let cluster = CLUSTER
        .get_or_init(async || {
            let cluster = Cluster::from_environment().await.expect("a cluster");
            prepare(cluster.client().await.expect("a client")).await;
            cluster
        })
        .await;
    let kind = kube::core::ApiResource::erase::<MySQLCluster>(&());
    Api::namespaced_with(cluster.client().await.expect("a client"), NAMESPACE, &kind)
}

/// The API of the kind that an object says it is of.
fn api_of(api: &Api<kube::core::DynamicObject>, object: &Value) -> Api<kube::core::DynamicObject> {
    if object["kind"] == "MySQLBackup" { backups(api) } else { api.clone() }
}

/// The API of backups, over the same connection.
fn backups(api: &Api<kube::core::DynamicObject>) -> Api<kube::core::DynamicObject> {
    let kind = kube::core::ApiResource::erase::<MySQLBackup>(&());
    Api::namespaced_with(api.clone().into_client(), NAMESPACE, &kind)
}

async fn prepare(client: Client) {
    let apply = PatchParams::apply("api-rules").force();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in porpoise_crds::definitions().map(adoptable) {
        let name = definition.metadata.name.clone().unwrap();
        definitions
            .patch(&name, &apply, &Patch::Apply(&definition))
            .await
            .expect("the definition is accepted");
        let established = kube::runtime::wait::await_condition(
            definitions.clone(),
            &name,
            kube::runtime::conditions::is_crd_established(),
        );
        let established = tokio::time::timeout(Duration::from_secs(30), established).await;
        established.expect("in time").expect("established");
    }
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    namespaces.patch(NAMESPACE, &apply, &Patch::Apply(&namespace)).await.expect("a namespace");
}

/// Marked as the chart marks it: Helm takes over what bears its marks, and refuses anything else of that name.
fn adoptable(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    let mark = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    definition.metadata.labels.get_or_insert_default().extend([mark("app.kubernetes.io/managed-by", "Helm")]);
    definition.metadata.annotations.get_or_insert_default().extend([
        mark("meta.helm.sh/release-name", "porpoise-crds"),
        mark("meta.helm.sh/release-namespace", "porpoise-system"),
        mark("helm.sh/resource-policy", "keep"),
    ]);
    definition
}

/// An object with this spec merged over a size.
fn with(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": MySQLCluster::api_version(&()), "kind": MySQLCluster::kind(&()),
        "metadata": {"name": "shop"},
        "spec": {"storage": {"size": "20Gi"}},
    });
    merge(&mut object["spec"], spec);
    object
}

fn named(name: &str) -> Value {
    let mut object = with(json!({}));
    object["metadata"]["name"] = json!(name);
    object
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// The object as a dry run would store it, or the refusal.
async fn offer(api: &Api<kube::core::DynamicObject>, object: &Value) -> Result<Value, String> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let object = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    match api.create(&params, &object).await {
        Ok(stored) => Ok(serde_json::to_value(stored).unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

async fn accepts(api: &Api<kube::core::DynamicObject>, case: &str, object: Value) -> Value {
    offer(api, &object).await.unwrap_or_else(|refusal| panic!("{case} was refused: {refusal}"))
}

async fn rejects(api: &Api<kube::core::DynamicObject>, case: &str, object: Value, why: &str) {
    let refusal = offer(api, &object).await.expect_err(case);
    assert!(refusal.contains(why), "{case}: {refusal}");
}

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

/// A backup with this name and spec.
fn backup(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": MySQLBackup::api_version(&()), "kind": MySQLBackup::kind(&()),
        "metadata": {"name": name}, "spec": spec,
    })
}

#[tokio::test]
async fn a30_backups_are_checked() {
    let api = backups(&api().await);
    let of_shop = || json!({"clusterRef": {"name": "shop"}});
    let stored = accepts(&api, "only a cluster", backup("shop-a", of_shop())).await;
    assert_eq!(stored["spec"]["deletionPolicy"], "Delete");
    let kept = json!({"clusterRef": {"name": "shop"}, "deletionPolicy": "Retain"});
    accepts(&api, "a retained one", backup(&"a".repeat(52), kept)).await;
    for (case, name, spec, why) in [
        ("a long name", "a".repeat(53), of_shop(), "at most 52 characters"),
        ("a name with a dot", "shop.a".to_owned(), of_shop(), "at most 52 characters"),
        ("no cluster", "shop-a".to_owned(), json!({}), "spec.clusterRef: Required value"),
        ("a null cluster", "shop-a".to_owned(), json!({"clusterRef": null}), "spec.clusterRef"),
        (
            "an unknown policy",
            "shop-a".to_owned(),
            json!({"clusterRef": {"name": "shop"}, "deletionPolicy": "Burn"}),
            "Unsupported value",
        ),
    ] {
        rejects(&api, case, backup(&name, spec), why).await;
    }
}

#[tokio::test]
async fn a29_the_backups_of_a_cluster_are_checked() {
    let api = api().await;
    let safe = || json!({"target": {"s3": {"bucket": "safe"}}});
    let with_backup = |change: Value| {
        let mut backup = safe();
        merge(&mut backup, change);
        with(json!({"backup": backup}))
    };
    let stored = accepts(&api, "only a bucket", with_backup(json!({}))).await;
    let backup = &stored["spec"]["backup"];
    assert_eq!((&backup["timeZone"], &backup["from"]), (&json!("UTC"), &json!("PreferReplica")));
    assert_eq!(backup["retention"]["keepLast"], 7);
    assert_eq!(backup["target"]["s3"]["forcePathStyle"], true);
    for (case, change) in [
        ("a schedule", json!({"schedule": "0 3 * * *", "timeZone": "Europe/Berlin"})),
        ("a request", json!({"onDemand": {"requestId": "before-migration"}})),
        ("a key", json!({"encryption": {"keySecretRef": {"name": "keys"}, "keyName": "2026-11"}})),
        (
            "a store",
            json!({"target": {"s3": {"endpoint": "https://minio.example:9000", "prefix": "prod/mysql"}}}),
        ),
    ] {
        accepts(&api, case, with_backup(change)).await;
    }
    for (case, change, why) in [
        ("no target", json!({"target": {"s3": null}}), "spec.backup.target"),
        ("no bucket", json!({"target": {"s3": {"bucket": ""}}}), "spec.backup.target.s3.bucket"),
        ("a prefix from the root", json!({"target": {"s3": {"prefix": "/a"}}}), "should match"),
        (
            "an endpoint without a scheme",
            json!({"target": {"s3": {"endpoint": "minio:9000"}}}),
            "should match",
        ),
        ("nothing to keep", json!({"retention": {"keepLast": 0}}), "greater than or equal to 1"),
        ("a request in capitals", json!({"onDemand": {"requestId": "Now"}}), "should match"),
        ("a long request", json!({"onDemand": {"requestId": "a".repeat(21)}}), "may not be more than 20"),
        ("an unknown source", json!({"from": "Anybody"}), "Unsupported value"),
        ("a key without a Secret", json!({"encryption": {"keyName": "a"}}), "keySecretRef: Required value"),
    ] {
        rejects(&api, case, with_backup(change), why).await;
    }
}

#[tokio::test]
async fn a30_a_restore_names_one_backup() {
    let api = api().await;
    let location = json!({"target": {"s3": {"bucket": "safe"}}, "path": "prod/shop/u1/shop-a"});
    let restore = |restore: Value| with(json!({"bootstrap": {"restore": restore}}));
    accepts(&api, "a backup", restore(json!({"backupRef": {"name": "shop-a"}}))).await;
    accepts(&api, "a place", restore(json!({"location": location}))).await;
    for (case, spec) in
        [("neither", json!({})), ("both", json!({"backupRef": {"name": "shop-a"}, "location": location}))]
    {
        rejects(&api, case, restore(spec), "name either backupRef").await;
    }
    let outside = json!({"location": {"target": {"s3": {"bucket": "safe"}}, "path": "/shop"}});
    rejects(&api, "a path from the root", restore(outside), "should match").await;
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

#[tokio::test]
async fn b4_changes_that_cannot_be_made_are_refused() {
    let api = api().await;
    let skip = json!({"metadata": {"annotations": {porpoise_crds::SKIP_CLEANUP: "true"}}});
    for (case, before, after, why) in [
        ("grow", json!({}), json!({"storage": {"size": "21Gi"}}), None),
        ("the same in other words", json!({}), json!({"storage": {"size": "20480Mi"}}), None),
        ("shrink", json!({}), json!({"storage": {"size": "19Gi"}}), Some("volumes cannot shrink")),
        (
            "name a class later",
            json!({}),
            json!({"storage": {"storageClassName": "fast"}}),
            Some("StorageClass of existing volumes"),
        ),
        (
            "change the class",
            json!({"storage": {"storageClassName": "fast"}}),
            json!({"storage": {"storageClassName": "slow"}}),
            Some("StorageClass of existing volumes"),
        ),
        (
            "drop the class",
            json!({"storage": {"storageClassName": "fast"}}),
            json!({"storage": {"storageClassName": null}}),
            Some("StorageClass of existing volumes"),
        ),
        ("upgrade", json!({"version": "8.4"}), json!({"version": "9.7"}), None),
        (
            "downgrade",
            json!({}),
            json!({"version": "8.4"}),
            Some("cannot go back to an older release series"),
        ),
        ("scale", json!({}), json!({"instances": 5}), None),
        ("change the policy", json!({}), json!({"storage": {"deletionPolicy": "Delete"}}), None),
        (
            "restore later",
            json!({}),
            json!({"bootstrap": {"restore": {"backupRef": {"name": "shop-a"}}}}),
            Some("bootstrap counts only when a cluster is made"),
        ),
        (
            "restore no more",
            json!({"bootstrap": {"restore": {"backupRef": {"name": "shop-a"}}}}),
            json!({"bootstrap": null}),
            None,
        ),
    ] {
        let mut object = with(before);
        object["metadata"]["name"] = json!(format!("change-{}", case.replace(' ', "-")));
        object["spec"]["paused"] = json!(true);
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        api.patch(&name, &PatchParams::apply("api-rules").force(), &Patch::Apply(&object)).await.expect(case);
        let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
        let outcome = api.patch(&name, &dry_run, &Patch::Merge(json!({"spec": after}))).await;
        match (outcome, why) {
            (Ok(_), None) => {}
            (Err(error), Some(why)) => assert!(error.to_string().contains(why), "{case}: {error}"),
            (outcome, _) => panic!("{case}: {outcome:?}"),
        }
        api.patch(&name, &PatchParams::default(), &Patch::Merge(&skip)).await.expect(case);
        api.delete(&name, &DeleteParams::default()).await.expect(case);
    }
}

#[tokio::test]
async fn h13_the_scale_subresource_works_within_bounds() {
    let api = api().await;
    let mut object = with(json!({"paused": true}));
    object["metadata"]["name"] = json!("scaled");
    api.patch("scaled", &PatchParams::apply("api-rules").force(), &Patch::Apply(&object)).await.unwrap();
    let scale = api
        .patch_scale("scaled", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 5}})))
        .await;
    assert_eq!(scale.unwrap().spec.and_then(|spec| spec.replicas), Some(5));
    let far = api
        .patch_scale("scaled", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 10}})))
        .await;
    assert!(far.unwrap_err().to_string().contains("spec.instances"));
    let skip = json!({"metadata": {"annotations": {porpoise_crds::SKIP_CLEANUP: "true"}}});
    api.patch("scaled", &PatchParams::default(), &Patch::Merge(&skip)).await.unwrap();
    api.delete("scaled", &DeleteParams::default()).await.unwrap();
}
