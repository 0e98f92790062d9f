//! The plain manifest: what the chart installs with its defaults, for people without Helm.

use crate::rbac::rules;
use crate::{GenerateError, IMAGE, NAMESPACE, RELEASE, yaml};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, Namespace,
    ObjectFieldSelector, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec,
    Probe, ResourceRequirements, SeccompProfile, SecurityContext, Service, ServiceAccount, ServicePort,
    ServiceSpec, WeightedPodAffinityTerm,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use porpoise_crds::permissions::Reach;
use std::collections::BTreeMap;

const NAME: &str = "porpoise-operator";
/// Port of probes and metrics.
const PORT: i32 = 8080;

fn labels() -> BTreeMap<String, String> {
    let mut labels = selector();
    labels.insert("app.kubernetes.io/version".to_owned(), format!("v{RELEASE}"));
    labels.insert("app.kubernetes.io/managed-by".to_owned(), "crdgen".to_owned());
    labels.insert("app.kubernetes.io/part-of".to_owned(), "porpoise".to_owned());
    labels
}

fn selector() -> BTreeMap<String, String> {
    [("name", "porpoise"), ("instance", "porpoise"), ("component", "operator")]
        .into_iter()
        .map(|(key, value)| (format!("app.kubernetes.io/{key}"), value.to_owned()))
        .collect()
}

fn in_namespace(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(NAMESPACE.to_owned()),
        labels: Some(labels()),
        ..ObjectMeta::default()
    }
}

fn cluster_wide(name: &str) -> ObjectMeta {
    ObjectMeta { namespace: None, ..in_namespace(name) }
}

/// Image of the operator with its tag.
pub(crate) fn image() -> String {
    format!("{IMAGE}:v{RELEASE}")
}

/// The whole manifest.
pub(crate) fn manifest() -> Result<String, GenerateError> {
    let everywhere = [rules(Reach::Clusters), rules(Reach::Everywhere)].concat();
    let documents = [
        yaml::document("the namespace", &namespace())?,
        yaml::document(
            "the account",
            &ServiceAccount { metadata: in_namespace(NAME), ..ServiceAccount::default() },
        )?,
        yaml::document("the cluster role", &cluster_role(NAME, everywhere))?,
        yaml::document(
            "the cluster role binding",
            &ClusterRoleBinding {
                metadata: cluster_wide(NAME),
                role_ref: role_ref("ClusterRole"),
                subjects: Some(vec![subject()]),
            },
        )?,
        yaml::document(
            "the role",
            &Role { metadata: in_namespace(NAME), rules: Some(rules(Reach::Operator)) },
        )?,
        yaml::document(
            "the role binding",
            &RoleBinding {
                metadata: in_namespace(NAME),
                role_ref: role_ref("Role"),
                subjects: Some(vec![subject()]),
            },
        )?,
        yaml::document("the view role", &people("view", VIEW))?,
        yaml::document("the edit role", &people("edit", EDIT))?,
        yaml::document("the metrics service", &metrics_service())?,
        yaml::document("the budget", &budget())?,
        yaml::document(
            "the deployment",
            &Deployment { metadata: in_namespace(NAME), spec: Some(deployment("")), ..Deployment::default() },
        )?,
    ];
    Ok(yaml::stream(&documents))
}

/// What makes `kubectl apply -k` work, and the place to change the image.
pub(crate) fn kustomization() -> String {
    yaml::with_header(&format!(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- crds.yaml\n- operator.yaml\nimages:\n- name: \
         {IMAGE}\n  newTag: v{RELEASE}\n"
    ))
}

fn namespace() -> Namespace {
    let mut labels = labels();
    labels.insert("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned());
    Namespace {
        metadata: ObjectMeta {
            name: Some(NAMESPACE.to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

fn cluster_role(name: &str, rules: Vec<PolicyRule>) -> ClusterRole {
    ClusterRole { metadata: cluster_wide(name), rules: Some(rules), ..ClusterRole::default() }
}

const VIEW: &[(&str, &[&str])] =
    &[("mysqlclusters", &["get", "list", "watch"]), ("mysqlbackups", &["get", "list", "watch"])];

const EDIT: &[(&str, &[&str])] = &[
    ("mysqlclusters", &["create", "delete", "deletecollection", "patch", "update"]),
    ("mysqlclusters/scale", &["get", "patch", "update"]),
    ("mysqlbackups", &["create", "delete", "deletecollection", "patch", "update"]),
];

/// A role for people, taken in by Kubernetes' own `view` and `edit` roles. No Secret is in it.
fn people(kind: &str, rules: &[(&str, &[&str])]) -> ClusterRole {
    let rules = rules.iter().map(|(resource, verbs)| PolicyRule {
        api_groups: Some(vec![porpoise_crds::GROUP.to_owned()]),
        resources: Some(vec![(*resource).to_owned()]),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    });
    let mut role = cluster_role(&format!("porpoise-{kind}"), rules.collect());
    let aggregates: &[&str] = if kind == "view" { &["view", "edit", "admin"] } else { &["edit", "admin"] };
    let labels = role.metadata.labels.get_or_insert_default();
    for aggregate in aggregates {
        labels.insert(format!("rbac.authorization.k8s.io/aggregate-to-{aggregate}"), "true".to_owned());
    }
    role
}

fn role_ref(kind: &str) -> RoleRef {
    RoleRef {
        api_group: "rbac.authorization.k8s.io".to_owned(),
        kind: kind.to_owned(),
        name: NAME.to_owned(),
    }
}

fn subject() -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: NAME.to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        api_group: None,
    }
}

fn metrics_service() -> Service {
    Service {
        metadata: in_namespace("porpoise-metrics"),
        spec: Some(ServiceSpec {
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: PORT,
                target_port: Some(IntOrString::String("http".to_owned())),
                ..ServicePort::default()
            }]),
            selector: Some(selector()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn budget() -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: in_namespace(NAME),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(label_selector()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

fn label_selector() -> LabelSelector {
    LabelSelector { match_labels: Some(selector()), ..LabelSelector::default() }
}

/// The operator's Pods. `namespaces` is the value of `--namespaces`; empty for all.
pub(crate) fn deployment(namespaces: &str) -> DeploymentSpec {
    DeploymentSpec {
        replicas: Some(2),
        selector: label_selector(),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta { labels: Some(labels()), ..ObjectMeta::default() }),
            spec: Some(PodSpec {
                service_account_name: Some(NAME.to_owned()),
                security_context: Some(PodSecurityContext {
                    run_as_non_root: Some(true),
                    run_as_user: Some(65532),
                    run_as_group: Some(65532),
                    seccomp_profile: Some(SeccompProfile {
                        type_: "RuntimeDefault".to_owned(),
                        localhost_profile: None,
                    }),
                    ..PodSecurityContext::default()
                }),
                affinity: Some(spread()),
                containers: vec![container(namespaces)],
                termination_grace_period_seconds: Some(30),
                ..PodSpec::default()
            }),
        },
        ..DeploymentSpec::default()
    }
}

fn spread() -> Affinity {
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: PodAffinityTerm {
                    label_selector: Some(label_selector()),
                    topology_key: "kubernetes.io/hostname".to_owned(),
                    ..PodAffinityTerm::default()
                },
            }]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn container(namespaces: &str) -> Container {
    let mut args = vec![
        format!("--operator-image={}", image()),
        "--mysql-image=mysql:{version}".to_owned(),
        "--operator-namespace=$(POD_NAMESPACE)".to_owned(),
        "--lease-name=porpoise-operator".to_owned(),
    ];
    if !namespaces.is_empty() {
        args.push(format!("--namespaces={namespaces}"));
    }
    Container {
        name: "operator".to_owned(),
        image: Some(image()),
        args: Some(args),
        command: Some(vec!["/porpoise-operator".to_owned()]),
        env: Some(vec![
            from_field("POD_NAME", "metadata.name"),
            from_field("POD_NAMESPACE", "metadata.namespace"),
            from_field("POD_IP", "status.podIP"),
        ]),
        ports: Some(vec![ContainerPort {
            name: Some("http".to_owned()),
            container_port: PORT,
            ..ContainerPort::default()
        }]),
        liveness_probe: Some(probe("/livez", 10)),
        readiness_probe: Some(probe("/readyz", 5)),
        resources: Some(ResourceRequirements {
            requests: Some(amounts(&[("cpu", "100m"), ("memory", "64Mi")])),
            limits: Some(amounts(&[("cpu", "1"), ("memory", "256Mi")])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// An environment variable from the Pod's own fields.
pub(crate) fn from_field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { field_path: path.to_owned(), api_version: None }),
            ..EnvVarSource::default()
        }),
        value: None,
    }
}

fn probe(path: &str, period: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        ..Probe::default()
    }
}

fn amounts(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    pairs.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
}
