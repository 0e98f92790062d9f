//! What works but deserves a thought (B34).

use super::{Warning, release, resources};
use crate::quantity::Amount;
use porpoise_crds::{DeletionPolicy, MySQLCluster, MySQLClusterSpec, ServiceOptions, ServiceType};

/// Annotation of a `MySQLCluster`: `true` says that its warnings are known.
pub const ACCEPT_WARNINGS: &str = "mysql.porpoise.dev/accept-warnings";

pub(super) fn warnings(object: &MySQLCluster) -> Vec<Warning> {
    let annotations = object.metadata.annotations.as_ref();
    if annotations.and_then(|all| all.get(ACCEPT_WARNINGS)).is_some_and(|value| value == "true") {
        return Vec::new();
    }
    let spec = &object.spec;
    let services = [("primary", &spec.services.primary), ("replicas", &spec.services.replicas.options)];
    let exposed = services.into_iter().filter_map(|(name, options)| exposed(name, options));
    [instances(spec), image(spec), deletion(spec), memory(spec)]
        .into_iter()
        .flatten()
        .chain(exposed)
        .collect()
}

fn instances(spec: &MySQLClusterSpec) -> Option<Warning> {
    let (reason, message) = match spec.instances {
        1 => ("SingleInstance", "one instance: its loss stops reads and writes until it is back".to_owned()),
        2 => (
            "EvenInstances",
            "two instances: the loss of either stops writes; three survive one loss".to_owned(),
        ),
        count if count % 2 == 0 => {
            let odd = count - 1;
            ("EvenInstances", format!("{count} instances: writes survive no more losses than with {odd}"))
        }
        _ => return None,
    };
    Some(Warning { reason, message })
}

fn image(spec: &MySQLClusterSpec) -> Option<Warning> {
    let image = spec.image.as_deref().filter(|image| release::is_floating(image))?;
    Some(Warning {
        reason: "FloatingImage",
        message: format!(
            "image {image} may be another one tomorrow; name a tag other than latest, or a digest"
        ),
    })
}

fn deletion(spec: &MySQLClusterSpec) -> Option<Warning> {
    match spec.storage.deletion_policy {
        DeletionPolicy::Retain | DeletionPolicy::BackupThenDelete => None,
        DeletionPolicy::Delete => Some(Warning {
            reason: "DeletesData",
            message: "deleting this object deletes the volumes and the data on them".to_owned(),
        }),
    }
}

fn memory(spec: &MySQLClusterSpec) -> Option<Warning> {
    let given = &spec.resources;
    if !given.limits.contains_key("memory") && !given.requests.contains_key("memory") {
        let message = "no memory is set: members get 1Gi, which is little for most databases".to_owned();
        return Some(Warning { reason: "MemoryNotSet", message });
    }
    let effective = resources::effective(given);
    let request = effective.requests.get("memory").and_then(|request| Amount::parse(&request.0).ok())?;
    let message =
        "the memory request is below the limit: a full node may kill a member; set them equal".to_owned();
    (request.units() < effective.memory_bytes()).then_some(Warning { reason: "MemoryOvercommitted", message })
}

fn exposed(name: &str, options: &ServiceOptions) -> Option<Warning> {
    let kind = match options.type_ {
        ServiceType::ClusterIP => return None,
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    let message = format!(
        "the {name} Service is of type {kind} and can be reached from outside the Kubernetes cluster"
    );
    Some(Warning { reason: "Exposed", message })
}
