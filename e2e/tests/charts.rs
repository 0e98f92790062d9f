//! The charts as Helm renders them: lint, what they grant under every shape of values, what they refuse (D18, G12, K10).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use porpoise_crds::permissions::{PERMISSIONS, Reach};
use porpoise_e2e::cluster::Cluster;
use porpoise_e2e::rig::tools;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tokio::sync::OnceCell;

/// Shapes of values that the assertions hold for.
const SHAPES: [&[&str]; 5] = [
    &[],
    &["--values=charts/porpoise/values-dev.yaml"],
    &["--set=watch.namespaces={team-a,team-b}"],
    &["--set=watch.namespaces={team-a},rbac.clusterResources=false,rbac.aggregate=false"],
    &[
        "--api-versions=monitoring.coreos.com/v1/PodMonitor",
        "--api-versions=monitoring.coreos.com/v1/ServiceMonitor",
        "--api-versions=monitoring.coreos.com/v1/PrometheusRule",
        "--set=metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true",
        "--set=metrics.memberMonitor.enabled=true,metrics.prometheusRule.enabled=true",
    ],
];

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// Brings up the cluster, and with it the tools.
async fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(async || Cluster::from_environment().await.expect("a cluster")).await
}

fn run(program: &str, kubeconfig: &Path, arguments: &[&str]) -> Output {
    let path = format!("{}:{}", tools::bin().display(), std::env::var("PATH").unwrap_or_default());
    Command::new(program)
        .args(arguments)
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."))
        .env("PATH", path)
        .env("KUBECONFIG", kubeconfig)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the operator's chart renders with these values.
async fn rendered(values: &[&str]) -> Vec<Value> {
    let arguments =
        ["template", "porpoise", "charts/porpoise", "--namespace=porpoise-system", "--kube-version=1.33.0"];
    let output = run("helm", &cluster().await.kubeconfig(), &[&arguments, values].concat());
    assert!(output.status.success(), "{values:?}: {}", text(&output));
    documents(&output)
}

/// What the chart of a cluster renders with these values.
async fn rendered_cluster(values: &[&str]) -> Vec<Value> {
    let arguments = ["template", "shop", "charts/mysql-cluster", "--namespace=prod", "--kube-version=1.33.0"];
    let output = run("helm", &cluster().await.kubeconfig(), &[&arguments, values].concat());
    assert!(output.status.success(), "{values:?}: {}", text(&output));
    documents(&output)
}

fn documents(output: &Output) -> Vec<Value> {
    let documents = String::from_utf8_lossy(&output.stdout).into_owned();
    serde_norway::Deserializer::from_str(&documents)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

const BACKED_UP: &str = "--set=spec.backup.target.s3.bucket=safe,spec.update.backupMaxAge=30m";

fn hooks(objects: &[Value]) -> Vec<&Value> {
    let hooks = objects.iter().filter(|one| one["metadata"]["labels"].to_string().contains("backup-hook"));
    hooks.collect()
}

#[tokio::test]
async fn d15_the_backup_hook_is_there_when_there_is_a_target_or_by_wish() {
    for (values, want) in [
        (vec![], 0),
        (vec![BACKED_UP], 4),
        (vec![BACKED_UP, "--set=backupHook.enabled=false"], 0),
        (vec!["--set=backupHook.enabled=true"], 4),
    ] {
        assert_eq!(hooks(&rendered_cluster(&values).await).len(), want, "{values:?}");
    }
}

#[tokio::test]
async fn d15_j2_the_backup_hook_runs_once_restricted_and_before_anything_changes() {
    let objects = rendered_cluster(&[BACKED_UP, "--set=backupHook.timeout=20m"]).await;
    for hook in hooks(&objects) {
        let annotations = &hook["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/hook"], "pre-upgrade,pre-rollback,pre-delete");
        assert_eq!(annotations["helm.sh/hook-delete-policy"], "before-hook-creation,hook-succeeded");
        let weight: i32 = annotations["helm.sh/hook-weight"].as_str().unwrap().parse().unwrap();
        assert_eq!(weight < 0, hook["kind"] != "Job", "{}", hook["kind"]);
    }
    let job = &hooks(&objects).into_iter().find(|one| one["kind"] == "Job").unwrap()["spec"];
    assert_eq!((&job["backoffLimit"], &job["activeDeadlineSeconds"]), (&json!(0), &json!(20 * 60 + 60)));
    assert!(job["ttlSecondsAfterFinished"].is_number());
    let pod = &job["template"]["spec"];
    assert_eq!(
        (&pod["restartPolicy"], &pod["serviceAccountName"]),
        (&json!("Never"), &json!("shop-backup-hook"))
    );
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    let container = &pod["containers"][0];
    let restricted = json!({
        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
    });
    assert_eq!(container["securityContext"], restricted);
    assert_eq!(container["command"], json!(["/porpoise-operator", "backup"]));
    let arguments = json!(["--cluster=shop", "--max-age=30m", "--timeout=20m", "--retain"]);
    assert_eq!(container["args"], arguments);
    assert!(container["resources"]["limits"]["memory"].is_string());
}

#[tokio::test]
async fn d15_g12_the_backup_hook_may_make_backups_and_no_more() {
    let objects = rendered_cluster(&[BACKED_UP]).await;
    let role = hooks(&objects).into_iter().find(|one| one["kind"] == "Role").unwrap();
    let grant = |resource: &str, verb: &str| ("mysql.porpoise.dev".into(), resource.into(), verb.into());
    let want: Grants = [
        grant("mysqlbackups", "get"),
        grant("mysqlbackups", "list"),
        grant("mysqlbackups", "create"),
        grant("mysqlclusters", "get"),
    ]
    .into();
    assert_eq!(grants(role), want);
    assert_eq!(role["rules"][1]["resourceNames"], json!(["shop"]));
}

type Grants = BTreeSet<(String, String, String)>;

fn table(reaches: &[Reach]) -> Grants {
    let wanted = PERMISSIONS.iter().filter(|permission| reaches.contains(&permission.reach));
    wanted
        .flat_map(|one| one.verbs.iter().map(|verb| (one.group.into(), one.resource.into(), (*verb).into())))
        .collect()
}

fn grants(role: &Value) -> Grants {
    let mut grants = Grants::new();
    let words = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
    for rule in role["rules"].as_array().unwrap() {
        for group in words(&rule["apiGroups"]) {
            for resource in words(&rule["resources"]) {
                for verb in words(&rule["verbs"]) {
                    grants.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    grants
}

/// Roles of the operator, without those for people.
fn roles<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let for_people = |object: &Value| object["metadata"]["labels"].to_string().contains("aggregate-to-");
    objects.iter().filter(|object| object["kind"] == kind && !for_people(object)).collect()
}

#[tokio::test]
async fn d18_charts_pass_lint() {
    let kubeconfig = cluster().await.kubeconfig();
    for arguments in [
        vec!["lint", "--strict", "charts/porpoise-crds"],
        vec!["lint", "--strict", "charts/porpoise"],
        vec!["lint", "--strict", "charts/porpoise", "--values=charts/porpoise/values-dev.yaml"],
        vec!["lint", "--strict", "charts/mysql-cluster"],
        vec!["lint", "--strict", "charts/mysql-cluster", "--set=probe.enabled=true"],
        vec!["lint", "--strict", "charts/mysql-cluster", BACKED_UP],
        vec!["lint", "--strict", "charts/mysql-cluster", "--values=charts/mysql-cluster/values-dev.yaml"],
        vec!["lint", "--strict", "charts/mysql-cluster", "--values=charts/mysql-cluster/values-staging.yaml"],
        vec![
            "lint",
            "--strict",
            "charts/mysql-cluster",
            "--values=charts/mysql-cluster/values-production.yaml",
        ],
    ] {
        let output = run("helm", &kubeconfig, &arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    }
}

#[tokio::test]
async fn g12_cluster_wide_the_chart_grants_exactly_the_table() {
    let objects = rendered(&[]).await;
    let everywhere: Grants = roles(&objects, "ClusterRole").into_iter().flat_map(grants).collect();
    assert_eq!(everywhere, table(&[Reach::Clusters, Reach::Everywhere]));
    let own = roles(&objects, "Role");
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["metadata"]["namespace"], "porpoise-system");
    assert_eq!(grants(own[0]), table(&[Reach::Operator]));
}

#[tokio::test]
async fn e4_g17_with_namespaces_the_rights_end_there() {
    let objects = rendered(SHAPES[2]).await;
    let everywhere: Grants = roles(&objects, "ClusterRole").into_iter().flat_map(grants).collect();
    assert_eq!(everywhere, table(&[Reach::Everywhere]));
    for namespace in ["team-a", "team-b"] {
        let role =
            roles(&objects, "Role").into_iter().find(|role| role["metadata"]["namespace"] == namespace);
        assert_eq!(grants(role.unwrap()), table(&[Reach::Clusters]), "{namespace}");
    }
    let without_nodes = rendered(&["--set=rbac.nodes=false"]).await;
    let everywhere: Grants = roles(&without_nodes, "ClusterRole").into_iter().flat_map(grants).collect();
    let mut want = table(&[Reach::Clusters, Reach::Everywhere]);
    want.retain(|(_, resource, _)| resource != "nodes");
    assert_eq!(everywhere, want);
    let objects = rendered(SHAPES[3]).await;
    assert!(!objects.iter().any(|object| object["kind"].as_str().unwrap().starts_with("ClusterRole")));
}

/// As Prometheus' operator gets them: whole alerts, and series with the labels that they ask for.
#[tokio::test]
async fn f21_alerts_and_monitors_render_where_their_api_is_known() {
    let objects = rendered(SHAPES[4]).await;
    let of_kind = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).collect::<Vec<_>>();
    let rules = of_kind("PrometheusRule")[0]["spec"]["groups"][0]["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), 11);
    for rule in rules {
        let summary = rule["annotations"]["summary"].as_str().unwrap();
        assert!(!summary.contains('`') && rule["expr"].is_string() && rule["for"].is_string(), "{rule}");
        let is_about_a_cluster = rule["labels"]["part"] == "cluster";
        assert_eq!(summary.contains("{{ $labels.namespace }}/{{ $labels."), is_about_a_cluster, "{rule}");
        let is_overdue = rule["alert"] == "PorpoiseBackupOverdue";
        assert_eq!(rule["expr"].as_str().unwrap().contains("> 21600"), is_overdue, "six hours: {rule}");
    }
    let monitors = of_kind("PodMonitor");
    let ends: Vec<&Value> = monitors.iter().map(|one| &one["spec"]["podMetricsEndpoints"][0]).collect();
    assert!(ends.iter().any(|end| end["port"] == "http" && end["honorLabels"] == true), "{ends:?}");
    assert!(
        ends.iter().any(|end| end["port"] == "probe" && end["relabelings"][0]["targetLabel"] == "name"),
        "{ends:?}"
    );
    let quiet = rendered(&SHAPES[4][3..]).await;
    assert!(!quiet.iter().any(|object| object["apiVersion"] == "monitoring.coreos.com/v1"));
}

#[tokio::test]
async fn d37_feature_gates_are_passed_on_by_name() {
    let objects = rendered(&["--set=featureGates.MoveFromPressure=true"]).await;
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    assert!(arguments.to_string().contains("--feature-gates=MoveFromPressure=true"), "{arguments}");
}

#[tokio::test]
async fn k10_no_values_render_a_webhook_or_a_daemon_set() {
    for shape in SHAPES {
        for object in rendered(shape).await {
            let kind = object["kind"].as_str().unwrap();
            assert!(!kind.contains("Webhook") && kind != "DaemonSet", "{shape:?}: {kind}");
        }
    }
}

#[tokio::test]
async fn k16_everything_rendered_carries_the_common_labels() {
    for shape in SHAPES {
        for object in rendered(shape).await {
            for label in ["name", "instance", "component", "version", "managed-by", "part-of"] {
                let labels = &object["metadata"]["labels"];
                assert!(
                    labels[format!("app.kubernetes.io/{label}")].is_string(),
                    "{} {}: {label}",
                    object["kind"],
                    object["metadata"]["name"]
                );
            }
        }
    }
}

#[tokio::test]
async fn d18_wrong_values_are_refused_by_name() {
    let kubeconfig = cluster().await.kubeconfig();
    for (value, why) in [
        ("image.tag=latest", "/image/tag"),
        ("image.digest=abc", "/image/digest"),
        ("replicas=-1", "/replicas"),
        ("replica=2", "replica"),
        ("watch.namespaces={Team_A}", "/watch/namespaces/0"),
        ("featureGates.MoveFromPresure=true", "MoveFromPresure"),
    ] {
        let value = format!("--set={value}");
        let arguments = ["template", "porpoise", "charts/porpoise", "--kube-version=1.33.0", value.as_str()];
        let output = run("helm", &kubeconfig, &arguments);
        assert!(!output.status.success() && text(&output).contains(why), "{value}: {}", text(&output));
    }
}

#[tokio::test]
async fn d19_the_plain_manifest_is_accepted_by_kustomize_and_the_api_server() {
    let kubeconfig = cluster().await.kubeconfig();
    let output = run("kubectl", &kubeconfig, &["kustomize", "charts/install"]);
    assert!(output.status.success(), "{}", text(&output));
    let known: Vec<Value> = serde_norway::Deserializer::from_str(&String::from_utf8_lossy(&output.stdout))
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    assert!(known.iter().any(|object| object["kind"] == "CustomResourceDefinition"));
    assert!(known.iter().any(|object| object["kind"] == "Deployment"));
    // A dry run creates no namespace for what follows; one that exists already is as good.
    run("kubectl", &kubeconfig, &["create", "namespace", "porpoise-system"]);
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "-k",
        "charts/install",
    ];
    let output = run("kubectl", &kubeconfig, &arguments);
    assert!(output.status.success(), "{}", text(&output));
}
