//! What makes a Pod template new: its inputs, and the operator that made it.

use crate::runtime;
use crate::validate::Cluster;
use crate::validate::resources;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use porpoise_crds::{MySQLCluster, Pod};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Annotation of the Pod template: hash of every input that calls for a restart.
pub const INPUTS_ANNOTATION: &str = "mysql.porpoise.dev/inputs";
/// Annotation of the Pod template: the same without the settings that a running mysqld takes.
pub const STATIC_INPUTS_ANNOTATION: &str = "mysql.porpoise.dev/static-inputs";
/// Annotation of the Pod template: the operator revision that made it.
pub const REVISION_ANNOTATION: &str = "mysql.porpoise.dev/revision";
/// Annotation of a `MySQLCluster`: a new value restarts the members one by one.
pub const RESTART_ANNOTATION: &str = "mysql.porpoise.dev/restart";

/// What the Pod template depends on beyond the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodInputs {
    /// Value of the annotation `mysql.porpoise.dev/restart` of the `MySQLCluster`.
    pub restart: Option<String>,
}

impl PodInputs {
    /// Reads the inputs from the object.
    pub fn of(object: &MySQLCluster) -> Self {
        let annotations = object.metadata.annotations.as_ref();
        Self { restart: annotations.and_then(|all| all.get(RESTART_ANNOTATION)).cloned() }
    }
}

/// Hash of every input of the template: what calls for a restart, and the settings that a running mysqld takes.
///
/// It covers what the user wrote, not what the operator makes of it. So it stays the same when a new operator
/// renders the same wish in another way, and the Pods keep running (see [`super::super::stateful_set`]). For the
/// same reason it must not change from release to release: a test pins it.
pub fn template_hash(cluster: &Cluster, inputs: &PodInputs) -> String {
    hash(cluster, inputs, &cluster.mysql_settings)
}

/// Hash of every input that calls for a restart, and of nothing else (C12).
///
/// A setting that a running mysqld takes may come, change and go: agents see to it. When a new operator lists more of them
/// this hash changes and [`template_hash`] does not: either is enough to keep a template.
pub fn static_hash(cluster: &Cluster, inputs: &PodInputs) -> String {
    let settings = &cluster.mysql_settings;
    let fixed = settings.iter().filter(|(name, value)| !runtime::is_settable(name, value));
    hash(cluster, inputs, &fixed.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn hash(cluster: &Cluster, inputs: &PodInputs, settings: &BTreeMap<String, String>) -> String {
    let spec = &cluster.spec;
    let resources = resources::effective(&spec.resources);
    let mut wish = json!({
        "version": spec.version,
        "image": spec.image,
        "requests": resources.requests,
        "limits": resources.limits,
        "settings": settings,
        "tls": [json!(spec.tls.mode), json!(spec.tls.secret_name), json!(spec.tls.require_clients)],
        "pod": pod(&spec.pod),
    });
    if let Some(restart) = &inputs.restart {
        wish["restart"] = json!(restart);
    }
    digest(&sorted(&wish))
}

/// JSON with sorted keys, whichever map `serde_json` was built with.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", sorted(value))).collect();
            entries.sort();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(all) => format!("[{}]", all.iter().map(sorted).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// No `..`: a new field is either an input of the template or named here as none.
fn pod(pod: &Pod) -> Value {
    let Pod {
        labels: _,
        annotations: _,
        affinity,
        tolerations,
        node_selector,
        topology_spread_constraints,
        priority_class_name,
        scheduler_name,
        runtime_class_name,
        image_pull_secrets: _,
        service_account_annotations: _,
        termination_grace_period_seconds,
        env,
    } = pod;
    json!({
        "affinity": affinity,
        "tolerations": tolerations,
        "nodeSelector": node_selector,
        "topologySpreadConstraints": topology_spread_constraints,
        "priorityClassName": priority_class_name,
        "schedulerName": scheduler_name,
        "runtimeClassName": runtime_class_name,
        "terminationGracePeriodSeconds": termination_grace_period_seconds,
        "env": env,
    })
}

/// Names what the operator itself brings into a template: its own image and its default MySQL image.
pub fn revision(cluster: &Cluster) -> String {
    digest(&format!("{}\n{}", cluster.settings.operator_image, cluster.settings.mysql_image))
}

/// Whether `stored` was made from these very inputs.
pub(crate) fn is_exactly(stored: &PodTemplateSpec, cluster: &Cluster, inputs: &PodInputs) -> bool {
    annotation(stored, INPUTS_ANNOTATION) == Some(&template_hash(cluster, inputs))
}

/// Whether Pods of `stored` need no restart to become what this wish asks for: it was made from the same inputs, or from
/// others that differ only in settings that a running mysqld takes. A template without the second annotation is from before
/// agents could set these.
pub(crate) fn is_made_from(stored: &PodTemplateSpec, cluster: &Cluster, inputs: &PodInputs) -> bool {
    is_exactly(stored, cluster, inputs)
        || annotation(stored, STATIC_INPUTS_ANNOTATION) == Some(&static_hash(cluster, inputs))
}

/// What becomes of `stored` when it needs no restart. That of another operator stays as it is, since only its own operator
/// knows how it looked. That of this one is made anew, which sets back what was changed by hand, and keeps its name.
pub(in super::super) fn kept(
    stored: &PodTemplateSpec,
    fresh: &PodTemplateSpec,
    cluster: &Cluster,
    inputs: &PodInputs,
) -> Option<PodTemplateSpec> {
    if !is_made_from(stored, cluster, inputs) {
        return None;
    }
    if annotation(stored, REVISION_ANNOTATION) != annotation(fresh, REVISION_ANNOTATION) {
        return Some(stored.clone());
    }
    let mut again = fresh.clone();
    let annotations = again.metadata.as_mut()?.annotations.as_mut()?;
    annotations.insert(INPUTS_ANNOTATION.to_owned(), annotation(stored, INPUTS_ANNOTATION)?.clone());
    Some(again)
}

fn annotation<'a>(template: &'a PodTemplateSpec, name: &str) -> Option<&'a String> {
    template.metadata.as_ref()?.annotations.as_ref()?.get(name)
}

/// 64 bits in hex: enough to tell one cluster's templates apart.
fn digest(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter().take(8).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
