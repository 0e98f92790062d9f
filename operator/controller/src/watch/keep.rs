//! From a watched object to what is kept of it.

use super::slim::{Container, ContainerStatus, PodStatus, SlimClaim, SlimJob, SlimPod, Volume};
use crate::cache::ClusterKey;
use crate::facts::{ClaimFacts, Existing, Marks, PodFacts, cluster_of, ordinal_in};
use kube::ResourceExt;
use kube::core::{DynamicObject, ObjectMeta};
use porpoise_core::line::{self, Line};
use porpoise_core::names::{
    BACKUP_LABEL, CONTAINER, READS_LABEL, RESTORED_BY, RESTORED_FROM, RETAINED_BY, ROLE_LABEL,
};
use porpoise_core::quantity::Amount;
use porpoise_core::view::{ClaimView, PodView, TroubleKind};

/// Where an object belongs and what is kept of it.
pub(super) type Kept<T> = (ClusterKey, String, T);

/// Label that the `StatefulSet` controller puts on Pods.
const REVISION: &str = "controller-revision-hash";

pub(super) fn object(object: DynamicObject) -> Option<Kept<Existing>> {
    let key = cluster_of(&object.metadata)?;
    Some((key, object.name_any(), Existing::new(object)))
}

/// A backup's Job: kept under the name of the backup, which is looked at whenever something about the Job changes.
pub(super) fn job(job: SlimJob) -> Option<Kept<()>> {
    let metadata = job.metadata;
    let backup = metadata.labels?.remove(BACKUP_LABEL)?;
    Some((ClusterKey { namespace: metadata.namespace?, name: backup }, metadata.name?, ()))
}

pub(super) fn claim(claim: SlimClaim) -> Option<Kept<ClaimFacts>> {
    let key = cluster_of(&claim.metadata)?;
    let name = claim.name_any();
    // Only the members' own volumes: `data-shop-0`, `data-2-shop-0`.
    let (line, instance) = line::read_claim(&name, &key.name)?;
    let instance = instance.to_owned();
    let requested = claim.spec.resources.requests.get("storage");
    let view = ClaimView {
        uid: claim.metadata.uid.clone().unwrap_or_default(),
        bound: claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound")),
        terminating: claim.metadata.deletion_timestamp.is_some(),
        retained_by: claim.annotations().get(RETAINED_BY).cloned(),
        restored_by: claim.annotations().get(RESTORED_BY).cloned(),
        restored_from: claim.annotations().get(RESTORED_FROM).cloned(),
        size_bytes: requested.and_then(|text| Amount::parse(&text.0).ok()).map_or(0, |size| size.units()),
        storage_class: claim.spec.storage_class_name,
    };
    Some((key, name, ClaimFacts { line, instance, view }))
}

pub(super) fn pod(pod: SlimPod) -> Option<Kept<PodFacts>> {
    let key = cluster_of(&pod.metadata)?;
    let name = pod.name_any();
    // A backup Job's Pod carries the same label; members are named after the cluster and numbered.
    ordinal_in(&key.name, &name)?;
    let status = pod.status.unwrap_or_default();
    let readiness = status.conditions.iter().find(|condition| condition.type_ == "Ready");
    let trouble = trouble(&status);
    let view = PodView {
        uid: pod.metadata.uid.clone().unwrap_or_default(),
        address: status.pod_ip.clone().filter(|address| !address.is_empty()),
        image: image(pod.spec.containers),
        line: line_of(&pod.spec.volumes, &key.name),
        node: pod.spec.node_name,
        ready: readiness.is_some_and(|condition| condition.status == "True"),
        ready_changed: readiness
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map(|time| time.0),
        restarts: status.container_statuses.iter().map(|container| container.restart_count).sum(),
        held_up: trouble.as_ref().map(|(kind, _)| *kind),
        terminating: pod.metadata.deletion_timestamp.is_some(),
        revision: label(&pod.metadata, REVISION),
        role: label(&pod.metadata, ROLE_LABEL),
        reads: label(&pod.metadata, READS_LABEL).as_deref() == Some("true"),
    };
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    let facts = PodFacts {
        running: view.address.is_some() && !ended,
        labels: Marks::new(pod.metadata.labels.as_ref()),
        annotations: Marks::new(pod.metadata.annotations.as_ref()),
        trouble,
        view,
    };
    Some((key, name, facts))
}

/// As the Pod was made with it: what the node says of it may be another name of the same image.
fn image(containers: Vec<Container>) -> Option<String> {
    containers.into_iter().find(|container| container.name == CONTAINER)?.image
}

/// By the claim it mounts, which nobody can change.
fn line_of(volumes: &[Volume], cluster: &str) -> Option<Line> {
    let mut claims = volumes.iter().filter_map(|volume| volume.persistent_volume_claim.as_ref());
    claims.find_map(|claim| line::read_claim(&claim.claim_name, cluster)).map(|(line, _)| line)
}

fn label(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.labels.as_ref()?.get(name).cloned()
}

/// What holds a Pod up. One trouble is enough: people solve them one by one, first things first.
fn trouble(status: &PodStatus) -> Option<(TroubleKind, String)> {
    unscheduled(status).or_else(|| {
        let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses);
        containers.find_map(waiting)
    })
}

fn unscheduled(status: &PodStatus) -> Option<(TroubleKind, String)> {
    let scheduled = status.conditions.iter().find(|condition| condition.type_ == "PodScheduled")?;
    (scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable"))
        .then(|| (TroubleKind::Unschedulable, scheduled.message.clone().unwrap_or_default()))
}

fn waiting(container: &ContainerStatus) -> Option<(TroubleKind, String)> {
    let waiting = container.state.waiting.as_ref()?;
    let kind = match waiting.reason.as_deref()? {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
            TroubleKind::ImageUnavailable
        }
        "CrashLoopBackOff" | "RunContainerError" | "CreateContainerError" => TroubleKind::CrashLooping,
        "CreateContainerConfigError" => TroubleKind::VolumeUnavailable,
        _ => return None,
    };
    let words = waiting.message.clone().or_else(|| waiting.reason.clone()).unwrap_or_default();
    Some((kind, format!("container {}: {words}", container.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read_pod(name: &str, status: &Value) -> Option<Kept<PodFacts>> {
        pod(serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name, "namespace": "prod", "uid": "p0d",
                "labels": {
                    "app.kubernetes.io/instance": "shop", "controller-revision-hash": "shop-5c", "mysql.porpoise.dev/role": "primary",
                },
                // A Pod's controller is the StatefulSet, so the label counts.
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "shop", "uid": "s", "controller": true }],
            },
            "spec": { "nodeName": "n1", "volumes": [{ "name": "tmp" }, { "name": "data-2", "persistentVolumeClaim": { "claimName": "data-2-shop-0" } }], "containers": [{ "name": "mysql", "image": "mysql:9.7" }] },
            "status": status,
        }))
        .unwrap())
    }

    #[test]
    fn a_pod_is_kept_as_the_instance_of_its_cluster() {
        let running = json!({
            "phase": "Running", "podIP": "10.0.0.7",
            "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T10:00:00Z" }],
            "containerStatuses": [{ "name": "mysql", "restartCount": 2, "state": { "running": {} } }],
        });
        let (key, name, facts) = read_pod("shop-0", &running).unwrap();
        assert_eq!((key.namespace.as_str(), key.name.as_str(), name.as_str()), ("prod", "shop", "shop-0"));
        assert!(facts.running && facts.labels.agree("mysql.porpoise.dev/role", Some("primary")));
        let want = PodView {
            uid: "p0d".to_owned(),
            address: Some("10.0.0.7".to_owned()),
            node: Some("n1".to_owned()),
            ready: true,
            ready_changed: Some("2026-11-21T10:00:00Z".parse().unwrap()),
            restarts: 2,
            held_up: None,
            terminating: false,
            revision: Some("shop-5c".to_owned()),
            role: Some("primary".to_owned()),
            reads: false,
            image: Some("mysql:9.7".to_owned()),
            line: Some(2),
        };
        assert_eq!(facts.view, want);
    }

    #[test]
    fn a_job_of_the_cluster_is_no_member() {
        assert!(read_pod("shop-backup-x7k2p", &json!({})).is_none());
        assert!(read_pod("shop-api-0", &json!({})).is_none());
    }

    #[test]
    fn a_job_is_kept_under_its_backup() {
        let read = |labels: &Value| {
            let metadata = json!({ "name": "shop-a-store", "namespace": "prod", "labels": labels });
            let json = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": { "template": {} } });
            job(serde_json::from_value(json).unwrap()).map(|(key, name, ())| (key.name, name))
        };
        let label = json!({ "mysql.porpoise.dev/backup": "shop-a", "app.kubernetes.io/instance": "shop" });
        assert_eq!(read(&label), Some(("shop-a".to_owned(), "shop-a-store".to_owned())));
        assert_eq!(read(&json!({ "app.kubernetes.io/instance": "shop" })), None);
    }

    #[test]
    fn what_holds_a_pod_up_is_told_in_kubernetes_words() {
        let waiting = |reason: &str| json!({ "containerStatuses": [{ "name": "mysql", "state": { "waiting": { "reason": reason, "message": "words" } } }] });
        let unscheduled = json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes" },
        ] });
        for (status, want) in [
            (waiting("ImagePullBackOff"), Some((TroubleKind::ImageUnavailable, "container mysql: words"))),
            (waiting("CrashLoopBackOff"), Some((TroubleKind::CrashLooping, "container mysql: words"))),
            (waiting("ContainerCreating"), None),
            (unscheduled, Some((TroubleKind::Unschedulable, "0/3 nodes"))),
            (json!({}), None),
        ] {
            let (_, _, facts) = read_pod("shop-0", &status).unwrap();
            assert_eq!(facts.trouble, want.map(|(kind, words)| (kind, words.to_owned())));
        }
    }

    #[test]
    fn an_owned_object_belongs_to_its_controller_whatever_its_label_says() {
        let kept = object(serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": "x", "namespace": "prod", "uid": "u", "resourceVersion": "9",
                "labels": { "app.kubernetes.io/instance": "other" },
                "ownerReferences": [{
                    "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLCluster", "name": "shop", "uid": "c", "controller": true,
                }],
                "managedFields": [{ "manager": "porpoise" }],
            },
        }))
        .unwrap());
        let (key, _, existing) = kept.unwrap();
        assert_eq!((key.name.as_str(), existing.owner.as_deref()), ("shop", Some("c")));
        assert!(!existing.json.contains("managedFields"));
    }

    #[test]
    fn a_claim_is_kept_with_its_instance_and_line() {
        let read = |name: &str| {
            claim(serde_json::from_value(json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": name, "namespace": "prod", "uid": "v", "labels": { "app.kubernetes.io/instance": "shop" },
                    "annotations": {
                        "mysql.porpoise.dev/retained-by": "former",
                        "mysql.porpoise.dev/restored-by": "restore-u1d", "mysql.porpoise.dev/restored-from": "0ther",
                    },
                },
                "spec": { "storageClassName": "fast", "resources": { "requests": { "storage": "20Gi" } } },
                "status": { "phase": "Bound" },
            }))
            .unwrap())
        };
        let (_, name, facts) = read("data-shop-0").unwrap();
        let want = ClaimView {
            uid: "v".to_owned(),
            bound: true,
            terminating: false,
            retained_by: Some("former".to_owned()),
            restored_by: Some("restore-u1d".to_owned()),
            restored_from: Some("0ther".to_owned()),
            size_bytes: 20 << 30,
            storage_class: Some("fast".to_owned()),
        };
        let want = ClaimFacts { line: 1, instance: "shop-0".to_owned(), view: want };
        assert_eq!((name.as_str(), &facts), ("data-shop-0", &want));
        let (_, name, facts) = read("data-12-shop-1").unwrap();
        assert_eq!((name.as_str(), facts.line, facts.instance.as_str()), ("data-12-shop-1", 12, "shop-1"));
        assert!(read("data-x-shop-0").is_none() && read("data-1-shop-0").is_none());
        assert!(read("backup-shop-0").is_none());
        assert!(read("data-store-x7k2p-staging").is_none(), "the staging area of a cluster called data");
    }
}
