use super::super::*;
use super::{cluster, metadata, selector};
use crate::names;
use crate::protocol::AgentConfig;
use crate::validate::Cluster;
use serde_json::{Value, json};

#[test]
fn config_map_is_exactly_this() {
    let cluster = cluster(&json!({}));
    let found = json!(config_map(&cluster, &stateful_set(&cluster, &PodInputs::default(), 3, None)));
    let agent = "{\n  \"cluster\": \"c1a5ter\",\n  \"name\": \"shop\",\n  \"namespace\": \"prod\",\n  \
                 \"readyLagSeconds\": 10,\n  \"maxApplyLagMilliseconds\": 1000,\n  \
                 \"shutdownSeconds\": 280,\n  \"appDatabase\": \"app\",\n  \"template\": \"745308b85f5bfe60\"\n}";
    let my_cnf = format!("# template {}\n{}", template_hash(&cluster, &PodInputs::default()), cluster.my_cnf);
    assert_eq!(
        found,
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata("shop-config"),
            "data": {"my.cnf": my_cnf, "agent.json": agent},
        })
    );
}

#[test]
fn the_lag_of_reads_is_told_in_whole_seconds() {
    for (text, seconds) in [("1s", 1), ("2500ms", 2), ("5m", 300)] {
        let cluster = cluster(&json!({"services": {"replicas": {"maxLag": text}}}));
        assert_eq!(agent_config(&cluster).ready_lag_seconds, seconds, "{text}");
    }
}

#[test]
fn h18_components_reach_the_agents_without_a_restart() {
    let listed = cluster(&json!({"mysql": {"components": ["classic_hashing", "query_attributes"]}}));
    let data = config_map(&listed, &stateful_set(&listed, &PodInputs::default(), 3, None)).data.unwrap();
    let agent: AgentConfig = serde_json::from_str(&data["agent.json"]).unwrap();
    assert_eq!(agent.components, ["classic_hashing", "query_attributes"]);
    let hash = |cluster: &Cluster| template_hash(cluster, &PodInputs::default());
    assert_eq!(hash(&listed), hash(&cluster(&json!({}))));
}

/// What the hook and mysqld may take together is less than what the kubelet waits.
#[test]
fn c7_prestop_and_shutdown_fit_every_accepted_grace_period() {
    for (grace, want) in [(30, 10), (300, 280), (3600, 3580)] {
        let cluster = cluster(&json!({"pod": {"terminationGracePeriodSeconds": grace}}));
        let shutdown = agent_config(&cluster).shutdown_seconds;
        assert_eq!(shutdown, want, "{grace}");
        let shutdown = i64::try_from(shutdown).unwrap();
        assert!(shutdown >= names::SHORTEST_SHUTDOWN_SECONDS, "{grace}");
        assert!(names::PRESTOP_SECONDS + shutdown < grace, "{grace}");
    }
}

#[test]
fn disruption_budget_is_exactly_this() {
    assert_eq!(
        json!(disruption_budget(&cluster(&json!({})))),
        json!({
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": metadata("shop"),
            "spec": {"maxUnavailable": 1, "selector": {"matchLabels": selector()}},
        })
    );
}

#[test]
fn service_account_is_exactly_this() {
    let cluster = cluster(&json!({"pod": {
        "serviceAccountAnnotations": {"iam.example/role": "backup"},
        "imagePullSecrets": [{"name": "registry"}],
    }}));
    let mut metadata = metadata("shop-mysql");
    metadata["annotations"]["iam.example/role"] = json!("backup");
    assert_eq!(
        json!(service_account(&cluster)),
        json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": metadata,
            "automountServiceAccountToken": false,
            "imagePullSecrets": [{"name": "registry"}],
        })
    );
}

fn port(name: &str, port: u16) -> Value {
    json!({"name": name, "port": port, "protocol": "TCP", "targetPort": port})
}

#[test]
fn members_service_is_exactly_this() {
    assert_eq!(
        json!(members_service(&cluster(&json!({})))),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata("shop-members"),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "None",
                "publishNotReadyAddresses": true,
                "selector": selector(),
                "ports": [port("mysql", 3306), port("agent", 7306), port("probe", 7307)],
            },
        })
    );
}

#[test]
fn primary_service_has_no_selector() {
    assert_eq!(
        json!(primary_service(&cluster(&json!({})))),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata("shop"),
            "spec": {"type": "ClusterIP", "ports": [port("mysql", 3306)]},
        })
    );
}

#[test]
fn replicas_service_is_exactly_this() {
    let cluster = cluster(&json!({"services": {"replicas": {
        "type": "LoadBalancer",
        "annotations": {"lb.example/internal": "true"},
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    }}}));
    let mut metadata = metadata("shop-ro");
    metadata["annotations"]["lb.example/internal"] = json!("true");
    let mut selector = selector();
    selector["mysql.porpoise.dev/reads"] = json!("true");
    assert_eq!(
        json!(replicas_service(&cluster)),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "type": "LoadBalancer",
                "selector": selector,
                "ports": [port("mysql", 3306)],
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
            },
        })
    );
}

fn ingress(clients: &Value) -> Value {
    let ports =
        |ports: &[u16]| ports.iter().map(|port| json!({"port": port, "protocol": "TCP"})).collect::<Vec<_>>();
    json!([
        {"from": clients, "ports": ports(&[3306])},
        {"from": [{"podSelector": {"matchLabels": selector()}}], "ports": ports(&[3306, 7306])},
        {
            "from": [
                {"podSelector": {"matchLabels": {
                    "app.kubernetes.io/instance": "shop", "app.kubernetes.io/name": "mysql-backup",
                }}},
                {"podSelector": {"matchLabels": {"mysql.porpoise.dev/copies": "shop"}}},
            ],
            "ports": ports(&[3306]),
        },
        {
            "from": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "porpoise-system"}},
                "podSelector": {"matchLabels": {"app.kubernetes.io/name": "porpoise"}},
            }],
            "ports": ports(&[7306]),
        },
        {"ports": ports(&[7307])},
    ])
}

#[test]
fn network_policy_is_exactly_this() {
    assert_eq!(
        json!(network_policy(&cluster(&json!({})))),
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata("shop"),
            "spec": {
                "podSelector": {"matchLabels": selector()},
                "policyTypes": ["Ingress"],
                "ingress": ingress(&json!([{"podSelector": {}}])),
            },
        })
    );
}

#[test]
fn network_policy_lets_in_whom_the_spec_names() {
    let clients = json!([{"ipBlock": {"cidr": "10.0.0.0/8"}}]);
    let found = network_policy(&cluster(&json!({"networkPolicy": {"allowFrom": clients}})));
    assert_eq!(json!(found)["spec"]["ingress"], ingress(&clients));
}

#[test]
fn network_policy_can_be_switched_off() {
    assert_eq!(network_policy(&cluster(&json!({"networkPolicy": {"mode": "Disabled"}}))), None);
}

fn slice(address_type: &str, endpoints: &Value) -> Value {
    let mut metadata = metadata("shop-primary");
    metadata["labels"]["kubernetes.io/service-name"] = json!("shop");
    metadata["labels"]["endpointslice.kubernetes.io/managed-by"] = json!("porpoise");
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": address_type,
        "endpoints": endpoints,
        "ports": [{"name": "mysql", "port": 3306, "protocol": "TCP"}],
    })
}

fn endpoint(address: &str) -> Value {
    json!({
        "addresses": [address],
        "conditions": {"ready": true},
        "targetRef": {"kind": "Pod", "name": "shop-2", "namespace": "prod"},
    })
}

#[test]
fn primary_slice_names_the_primary_or_nobody() {
    let cluster = cluster(&json!({}));
    let mut on_a_node = endpoint("10.1.2.3");
    on_a_node["nodeName"] = json!("worker-7");
    for (target, want) in [
        (None, slice("IPv4", &json!([]))),
        (Some(("shop-2", "10.1.2.3", Some("worker-7"))), slice("IPv4", &json!([on_a_node]))),
        (Some(("shop-2", "10.1.2.3", None)), slice("IPv4", &json!([endpoint("10.1.2.3")]))),
        (Some(("shop-2", "fd00::7", None)), slice("IPv6", &json!([endpoint("fd00::7")]))),
    ] {
        assert_eq!(json!(primary_slice(&cluster, target)), want);
    }
}

#[test]
fn nothing_is_there_instead_of_empty() {
    let cluster = crate::fixture::cluster();
    for object in [
        json!(config_map(&cluster, &stateful_set(&cluster, &PodInputs::default(), 3, None))),
        json!(service_account(&cluster)),
        json!(primary_service(&cluster)),
        json!(stateful_set(&cluster, &PodInputs::default(), 3, None)),
    ] {
        assert_eq!(object["metadata"].get("annotations"), None, "{}", object["kind"]);
    }
}
