use super::super::*;
use super::{cluster, selector};
use k8s_openapi::api::core::v1::{Container, PodSpec, Volume};
use serde_json::{Value, json};

/// Specs that touch every part of the Pod.
fn specs() -> Vec<Value> {
    vec![
        json!({}),
        json!({"instances": 1, "version": "8.4"}),
        json!({"pod": {"env": [{"name": "TZ", "value": "UTC"}], "runtimeClassName": "kata", "nodeSelector": {"a": "b"}}}),
        json!({"resources": {"requests": {"memory": "2Gi"}, "limits": {"cpu": "4"}}}),
    ]
}

fn pod(spec: &Value) -> PodSpec {
    let set = stateful_set(&cluster(spec), &PodInputs::default(), 3, None);
    set.spec.unwrap().template.spec.unwrap()
}

fn containers(pod: &PodSpec) -> Vec<Container> {
    pod.init_containers.iter().flatten().chain(&pod.containers).cloned().collect()
}

/// B31
#[test]
fn exactly_one_container_holds_mysqld_and_agent() {
    for spec in specs() {
        let pod = pod(&spec);
        let names: Vec<&str> = pod.containers.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(names, ["mysql"], "{spec}");
    }
}

/// J2: what Pod Security *restricted* and the catalogue ask.
#[test]
fn pods_are_restricted() {
    for spec in specs() {
        let pod = pod(&spec);
        let context = pod.security_context.clone().unwrap();
        assert_eq!(context.run_as_non_root, Some(true));
        for id in [context.run_as_user, context.run_as_group, context.fs_group] {
            assert!((1..=65535).contains(&id.unwrap()));
        }
        assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
        assert_eq!(
            (pod.host_network, pod.host_ipc, pod.host_pid, pod.share_process_namespace),
            (None, None, None, None)
        );
        assert_eq!(pod.automount_service_account_token, Some(false));
        for container in containers(&pod) {
            assert_eq!(
                json!(container.security_context),
                json!({
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "privileged": false,
                    "readOnlyRootFilesystem": true,
                }),
                "{}",
                container.name
            );
        }
    }
}

/// A4, J2: no other kind of volume, and data only on the claim.
#[test]
fn volumes_are_of_allowed_kinds() {
    for spec in specs() {
        for volume in pod(&spec).volumes.unwrap() {
            let Volume { name, config_map, empty_dir, secret, .. } = volume.clone();
            let kinds = [config_map.is_some(), empty_dir.is_some(), secret.is_some()];
            assert_eq!(kinds.iter().filter(|there| **there).count(), 1, "{name}");
            assert_eq!(json!(volume).as_object().unwrap().len(), 2, "{name}");
        }
    }
}

/// G7: every key by name, none optional.
#[test]
fn secret_keys_are_explicit() {
    let volumes = pod(&json!({})).volumes.unwrap();
    let secrets: Vec<_> = volumes.iter().filter_map(|volume| volume.secret.as_ref()).collect();
    assert_eq!(secrets.len(), 3);
    for secret in secrets {
        assert!(secret.items.as_ref().is_some_and(|items| !items.is_empty()));
        assert_eq!((secret.optional, secret.default_mode), (None, Some(0o440)));
    }
}

/// E8, H6, H7, H10: amounts on every container, Guaranteed by default.
#[test]
fn resources_are_set_everywhere_and_equal() {
    for spec in specs() {
        for container in containers(&pod(&spec)) {
            let resources = container.resources.unwrap();
            let (requests, limits) = (resources.requests.unwrap(), resources.limits.unwrap());
            assert!(requests.contains_key("cpu") && requests.contains_key("memory"), "{spec}");
            assert_eq!(requests, limits, "{spec}");
        }
    }
}

#[test]
fn resources_table() {
    for (given, requests, limits) in [
        (json!({}), json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "1", "memory": "1Gi"})),
        (
            json!({"requests": {"memory": "4096Mi"}}),
            json!({"cpu": "1", "memory": "4Gi"}),
            json!({"cpu": "1", "memory": "4Gi"}),
        ),
        (
            json!({"requests": {"cpu": 0.5}, "limits": {"cpu": 2, "memory": "2Gi"}}),
            json!({"cpu": "500m", "memory": "2Gi"}),
            json!({"cpu": "2", "memory": "2Gi"}),
        ),
        (
            json!({"limits": {"ephemeral-storage": "1Gi"}}),
            json!({"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}),
            json!({"cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi"}),
        ),
    ] {
        let pod = pod(&json!({"resources": given}));
        assert_eq!(
            json!(pod.containers[0].resources),
            json!({"requests": requests, "limits": limits}),
            "{given}"
        );
    }
}

#[test]
fn own_certificates_are_mounted_beside_the_managed_ones() {
    let mut object = super::object(&json!({"tls": {"mode": "Secret", "secretName": "web-tls"}}));
    object.spec.instances = 3;
    let references = crate::view::References {
        tls_secret_keys: Some(["tls.crt", "tls.key", "ca.crt"].map(str::to_owned).to_vec()),
        ..crate::view::References::default()
    };
    let stored = crate::validate::Stored::default();
    let cluster =
        crate::validate::cluster(&object, &references, &stored, &crate::fixture::settings()).unwrap();
    let pod =
        json!(stateful_set(&cluster, &PodInputs::default(), 3, None))["spec"]["template"]["spec"].clone();
    let secrets: Vec<&Value> =
        pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["secret"]["secretName"]).collect();
    for name in ["shop-server", "web-tls"] {
        assert!(secrets.iter().any(|secret| **secret == name), "{name}");
    }
    let mounts = pod["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts
            .contains(&json!({"name": "client-tls", "mountPath": "/porpoise/client-tls", "readOnly": true}))
    );
}

#[test]
fn environment_begins_with_the_pods_identity() {
    let env =
        pod(&json!({"pod": {"env": [{"name": "TZ", "value": "UTC"}]}})).containers[0].env.clone().unwrap();
    let names: Vec<&str> = env.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["PORPOISE_TEMPLATE", "POD_NAME", "POD_NAMESPACE", "POD_UID", "TZ"]);
}

/// So that the time of an eviction is known whatever the API server's defaults are.
#[test]
fn h5_seconds_until_an_eviction_are_explicit() {
    let lasting = |key: &str| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    let both = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(lasting);
    for spec in specs() {
        assert_eq!(json!(pod(&spec).tolerations), json!(both), "{spec}");
    }
}

#[test]
fn the_users_placement_replaces_the_default() {
    let pod = pod(&json!({"pod": {
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"maxSkew": 2, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
        "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": 5}],
        "nodeSelector": {"disktype": "ssd"},
        "schedulerName": "mine",
        "priorityClassName": "high",
        "runtimeClassName": "kata",
    }}));
    assert_eq!(json!(pod.affinity), json!({"nodeAffinity": {}}));
    assert_eq!(pod.topology_spread_constraints.unwrap()[0].topology_key, "rack");
    let keys: Vec<_> =
        pod.tolerations.iter().flatten().filter_map(|toleration| toleration.key.as_deref()).collect();
    assert_eq!(keys, ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"]);
    assert_eq!(json!(pod.node_selector), json!({"disktype": "ssd"}));
    let passed = [pod.scheduler_name, pod.priority_class_name, pod.runtime_class_name];
    assert_eq!(passed, ["mine", "high", "kata"].map(|name| Some(name.to_owned())));
}

#[test]
fn members_stay_apart_if_they_can() {
    let pod = pod(&json!({}));
    assert_eq!(
        json!(pod.affinity),
        json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": {"labelSelector": {"matchLabels": selector()}, "topologyKey": "kubernetes.io/hostname"},
        }]}})
    );
    assert_eq!(json!(pod.topology_spread_constraints)[0]["whenUnsatisfiable"], "ScheduleAnyway");
}
