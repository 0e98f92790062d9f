//! The `ClusterServiceVersion`: what the Operator Lifecycle Manager installs and shows.

use crate::install::{deployment, from_field, image};
use crate::rbac::rules;
use crate::{RELEASE, examples};
use base64::Engine;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use porpoise_crds::permissions::Reach;
use porpoise_crds::{GROUP, VERSION, VERSIONS, backup_definition, definition};
use serde_json::{Value, json};

const ICON: &str = include_str!("../../../charts/olm/icon.svg");
const ACCOUNT: &str = "porpoise-operator";

/// Fields of the form, with the kind of input that consoles show.
const SPEC_DESCRIPTORS: [Descriptor; 22] = [
    ("instances", "Instances", "podCount"),
    ("version", "Version", "text"),
    ("image", "Image", "text"),
    ("storage.size", "Volume size", "text"),
    ("storage.storageClassName", "Storage class", "io.kubernetes:StorageClass"),
    ("storage.deletionPolicy", "When the cluster is deleted", "text"),
    ("resources", "Resources", "resourceRequirements"),
    ("mysql.configMapRef.name", "ConfigMap with settings", "io.kubernetes:ConfigMap"),
    ("tls.mode", "Certificate", "text"),
    ("tls.secretName", "Secret with the certificate", "io.kubernetes:Secret"),
    ("tls.requireClients", "Refuse clients without TLS", "booleanSwitch"),
    ("networkPolicy.mode", "Network policy", "text"),
    ("failover.mode", "Failover", "text"),
    ("failover.delay", "Wait for a lost primary", "text"),
    ("failover.maxApplyLag", "Replicas may be behind by", "text"),
    ("services.replicas.maxLag", "Replicas are read up to a lag of", "text"),
    ("durability.policy", "When too few members are left", "text"),
    ("pod.terminationGracePeriodSeconds", "Seconds for an orderly end", "number"),
    ("backup.schedule", "Backup schedule", "text"),
    ("backup.retention.keepLast", "Scheduled backups to keep", "number"),
    ("hibernated", "Hibernated", "booleanSwitch"),
    ("paused", "Paused", "booleanSwitch"),
];

const STATUS_DESCRIPTORS: [Descriptor; 7] = [
    ("phase", "Phase", "io.kubernetes.phase"),
    ("primary", "Primary", "text"),
    ("readyInstances", "Ready", "text"),
    ("version.current", "Version", "text"),
    ("endpoints.primary", "Address of the primary", "text"),
    ("endpoints.replicas", "Address of the replicas", "text"),
    ("conditions", "Conditions", "io.kubernetes.conditions"),
];

const BACKUP_SPEC_DESCRIPTORS: [Descriptor; 2] =
    [("clusterRef.name", "Cluster", "text"), ("deletionPolicy", "When the backup is deleted", "text")];

const BACKUP_STATUS_DESCRIPTORS: [Descriptor; 5] = [
    ("phase", "Phase", "io.kubernetes.phase"),
    ("verified", "Verified", "text"),
    ("completedAt", "Completed", "text"),
    ("location.path", "Folder in the target", "text"),
    ("message", "Message", "text"),
];

/// The whole object.
pub(crate) fn service_version() -> Value {
    let install_modes = ["OwnNamespace", "SingleNamespace", "MultiNamespace", "AllNamespaces"]
        .map(|mode| json!({"type": mode, "supported": true}));
    json!({
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "ClusterServiceVersion",
        "metadata": {
            "name": format!("porpoise.v{RELEASE}"),
            "namespace": "placeholder",
            "annotations": annotations(),
        },
        "spec": {
            "displayName": "Porpoise for MySQL",
            "description": DESCRIPTION,
            "version": RELEASE,
            "minKubeVersion": "1.33.0",
            "maturity": "alpha",
            "keywords": ["mysql", "database", "sql", "replication", "failover"],
            "maintainers": [{"name": "The Porpoise maintainers", "email": "maintainers@porpoise.dev"}],
            "provider": {"name": "The Porpoise project"},
            "links": [{"name": "Porpoise", "url": "https://porpoise.dev"}],
            "icon": [{
                "base64data": base64::engine::general_purpose::STANDARD.encode(ICON),
                "mediatype": "image/svg+xml",
            }],
            "installModes": install_modes,
            "install": install(),
            "customresourcedefinitions": {"owned": [owned_cluster(), owned_backup()]},
            "relatedImages": related_images(),
        },
    })
}

const DESCRIPTION: &str = "\
Porpoise runs MySQL on Kubernetes. One `MySQLCluster` stands for one replicated MySQL service: a writable primary, replicas \
that acknowledge every write before the client sees it, and Services that lead to the right member.

- A write that was acknowledged is on a majority of the members before the client hears of it.
- The stock MySQL image runs unchanged; a small agent beside mysqld acts on the operator's orders.
- No webhooks, no privileged Pods, no list of Secrets.

Give it a size and it makes three members:

    apiVersion: mysql.porpoise.dev/v1alpha1
    kind: MySQLCluster
    metadata: {name: shop}
    spec: {storage: {size: 20Gi}}
";

fn annotations() -> Value {
    json!({
        "alm-examples": alm_examples(),
        "capabilities": "Basic Install",
        "categories": "Database",
        "certified": "false",
        "containerImage": image(),
        "createdAt": "2026-11-21T00:00:00Z",
        "description": "Replicated MySQL that keeps every acknowledged write",
        "operatorframework.io/suggested-namespace": crate::NAMESPACE,
        "support": "The Porpoise project",
    })
}

/// The typed examples as the JSON list that consoles offer.
fn alm_examples() -> String {
    let mut examples: Vec<Value> = porpoise_crds::examples::examples()
        .iter()
        .map(|example| serde_json::to_value(examples::brief(&example.cluster)).unwrap_or_default())
        .collect();
    examples.push(serde_json::to_value(porpoise_crds::examples::example_backup()).unwrap_or_default());
    serde_json::to_string_pretty(&examples).unwrap_or_default()
}

/// Deployment and rights. The manager turns `permissions` into cluster roles when all namespaces are watched, and into
/// roles of the watched namespaces otherwise.
fn install() -> Value {
    let mut pods = deployment("$(WATCH_NAMESPACE)");
    for container in pods.template.spec.iter_mut().flat_map(|spec| &mut spec.containers) {
        container
            .env
            .get_or_insert_default()
            .push(from_field("WATCH_NAMESPACE", "metadata.annotations['olm.targetNamespaces']"));
    }
    let labels = pods.selector.match_labels.clone();
    let namespaced = [rules(Reach::Clusters), rules(Reach::Operator)].concat();
    json!({
        "strategy": "deployment",
        "spec": {
            "deployments": [{"name": ACCOUNT, "label": labels, "spec": pods}],
            "permissions": [{
                "serviceAccountName": ACCOUNT,
                "rules": namespaced,
            }],
            "clusterPermissions": [{"serviceAccountName": ACCOUNT, "rules": rules(Reach::Everywhere)}],
        },
    })
}

fn owned_cluster() -> Value {
    owned(&Owned {
        definition: definition(),
        title: "MySQL cluster",
        description: "One replicated MySQL service: its members, storage, configuration and entry points.",
        resources: json!([
            {"version": "v1", "kind": "StatefulSet"}, {"version": "v1", "kind": "Pod"},
            {"version": "v1", "kind": "Service"}, {"version": "v1", "kind": "PersistentVolumeClaim"},
            {"version": "v1", "kind": "ConfigMap"}, {"version": "v1", "kind": "Secret"},
            {"version": "v1", "kind": "ServiceAccount"}, {"version": "v1", "kind": "EndpointSlice"},
            {"version": "v1", "kind": "NetworkPolicy"}, {"version": "v1", "kind": "PodDisruptionBudget"},
            {"version": VERSION, "kind": "MySQLBackup"},
        ]),
        spec: &SPEC_DESCRIPTORS,
        status: &STATUS_DESCRIPTORS,
    })
}

fn owned_backup() -> Value {
    owned(&Owned {
        definition: backup_definition(),
        title: "MySQL backup",
        description: "One backup of a MySQL cluster: the wish for it, and what became of it.",
        resources: json!([{"version": "v1", "kind": "Job"}]),
        spec: &BACKUP_SPEC_DESCRIPTORS,
        status: &BACKUP_STATUS_DESCRIPTORS,
    })
}

/// Path, title and kind of input.
type Descriptor = (&'static str, &'static str, &'static str);

/// One kind as consoles show it.
struct Owned<'a> {
    definition: CustomResourceDefinition,
    title: &'a str,
    description: &'a str,
    resources: Value,
    spec: &'a [Descriptor],
    status: &'a [Descriptor],
}

fn owned(kind: &Owned<'_>) -> Value {
    let version = kind.definition.spec.versions.first();
    let root = version
        .and_then(|version| version.schema.as_ref())
        .and_then(|schema| schema.open_api_v3_schema.as_ref());
    let descriptors = |part: &str, list: &[Descriptor]| -> Vec<Value> {
        let schema = root.and_then(|root| find(root, part));
        list.iter().map(|one| descriptor(schema, one)).collect()
    };
    json!({
        "name": format!("{}.{GROUP}", kind.definition.spec.names.plural),
        "version": VERSION,
        "kind": kind.definition.spec.names.kind,
        "displayName": kind.title,
        "description": kind.description,
        "resources": kind.resources,
        "specDescriptors": descriptors("spec", kind.spec),
        "statusDescriptors": descriptors("status", kind.status),
    })
}

fn descriptor(schema: Option<&JSONSchemaProps>, (path, title, input): &Descriptor) -> Value {
    let field = schema.and_then(|schema| find(schema, path));
    let kind = if input.starts_with("io.kubernetes") { "" } else { "com.tectonic.ui:" };
    json!({
        "path": path,
        "displayName": title,
        "description": field.and_then(|field| field.description.clone()).unwrap_or_default(),
        "x-descriptors": [format!("urn:alm:descriptor:{kind}{input}")],
    })
}

/// The schema at a path of names with dots.
fn find<'a>(schema: &'a JSONSchemaProps, path: &str) -> Option<&'a JSONSchemaProps> {
    path.split('.').try_fold(schema, |schema, name| schema.properties.as_ref()?.get(name))
}

fn related_images() -> Vec<Value> {
    let operator = json!({"name": "operator", "image": image()});
    let servers = VERSIONS
        .iter()
        .map(|version| json!({"name": format!("mysql-{version}"), "image": format!("mysql:{version}")}));
    std::iter::once(operator).chain(servers).collect()
}
