//! The mysql container, and the init container that brings the agent.

use super::INPUTS_ANNOTATION;
use super::volumes;
use crate::names::{self, AGENT_BIN_PATH, AGENT_PORT, MYSQL_PORT, PROBE_PORT};
use crate::validate::{Cluster, resources};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, ExecAction, HTTPGetAction, Lifecycle,
    LifecycleHandler, ObjectFieldSelector, Probe, ResourceRequirements, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// Copies the agent out of the operator image, so that the stock MySQL image runs unchanged.
pub(in crate::build) fn init(operator_image: &str) -> Container {
    Container {
        name: names::INIT_CONTAINER.to_owned(),
        image: Some(operator_image.to_owned()),
        command: Some(words(&["/porpoise-agent", "copy", AGENT_BIN_PATH])),
        resources: Some(equal_resources("100m", "64Mi")),
        security_context: Some(security_context()),
        volume_mounts: Some(vec![volumes::mount(volumes::AGENT, AGENT_BIN_PATH)]),
        ..Container::default()
    }
}

/// mysqld under its agent, PID 1.
pub(super) fn mysql(cluster: &Cluster) -> Container {
    let agent = format!("{AGENT_BIN_PATH}/porpoise-agent");
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(cluster.image.clone()),
        command: Some(words(&[&agent, "run"])),
        env: Some(member_environment(&cluster.spec.pod.env)),
        ports: Some(vec![port("mysql", MYSQL_PORT), port("agent", AGENT_PORT), port("probe", PROBE_PORT)]),
        // An agent that answers is alive, however long mysqld recovers or clones.
        startup_probe: Some(probe("/livez", 1, 2, 600)),
        liveness_probe: Some(probe("/livez", 10, 5, 6)),
        readiness_probe: Some(probe("/readyz", 2, 2, 2)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                exec: Some(ExecAction { command: Some(words(&[&agent, "prestop"])) }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        resources: Some(member_resources(cluster)),
        security_context: Some(security_context()),
        volume_mounts: Some(volumes::mounts(cluster)),
        // The last lines of the log say why mysqld ended.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// What mysqld has, and what a copy of its data needs to boot.
pub(in crate::build) fn member_resources(cluster: &Cluster) -> ResourceRequirements {
    let resources = resources::effective(&cluster.spec.resources);
    ResourceRequirements { requests: Some(resources.requests), limits: Some(resources.limits), claims: None }
}

/// The same with the template that the Pod was made from, by which the agent knows its `my.cnf`.
fn member_environment(users: &[EnvVar]) -> Vec<EnvVar> {
    let path = format!("metadata.annotations['{INPUTS_ANNOTATION}']");
    std::iter::once(field((names::TEMPLATE_VARIABLE, &path))).chain(environment(users)).collect()
}

fn field((name, path): (&str, &str)) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        value: None,
    }
}

/// Who the Pod is, by downward API (B30), then the user's variables.
pub(in crate::build) fn environment(users: &[EnvVar]) -> Vec<EnvVar> {
    let own =
        [("POD_NAME", "metadata.name"), ("POD_NAMESPACE", "metadata.namespace"), ("POD_UID", "metadata.uid")];
    own.into_iter().map(field).chain(users.iter().cloned()).collect()
}

/// Requests equal to limits, so that the Pod stays Guaranteed and a `LimitRange` never reaches it (E8, H7, H10).
pub(in crate::build) fn equal_resources(cpu: &str, memory: &str) -> ResourceRequirements {
    let amounts = BTreeMap::from([
        ("cpu".to_owned(), Quantity(cpu.to_owned())),
        ("memory".to_owned(), Quantity(memory.to_owned())),
    ]);
    ResourceRequirements { requests: Some(amounts.clone()), limits: Some(amounts), claims: None }
}

/// What Pod Security *restricted* asks of a container (J2, J4).
pub(in crate::build) fn security_context() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { add: None, drop: Some(words(&["ALL"])) }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        ..SecurityContext::default()
    }
}

fn probe(path: &str, period_seconds: i32, timeout_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("probe".to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(timeout_seconds),
        success_threshold: Some(1),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

pub(in crate::build) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
