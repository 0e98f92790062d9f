//! What serves a volume claim with backups to one cluster (A29): a Pod, its Service and its `NetworkPolicy`.
//!
//! Members and Jobs reach the claim over the network, so that no Pod of theirs changes because of it, and that a claim for
//! one node is enough. A `StatefulSet` keeps it at one Pod, also when a node is lost.

use super::backup_job::Part;
use super::metadata::{object_meta, texts};
use super::pod::{container, placement, security_context, volumes};
use crate::names::{BACKUPS_CLAIM_LABEL, BACKUPS_PATH, STORE_PORT, TLS_PATH};
use crate::quantity;
use crate::validate::Cluster;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, ContainerPort, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeClaimVolumeSource, PodAffinity, PodAffinityTerm, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, Service, ServicePort, ServiceSpec, TCPSocketAction, Volume,
    VolumeResourceRequirements,
};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use porpoise_crds::{NetworkPolicyMode, VolumeTarget};
use std::collections::BTreeMap;

const CONTAINER: &str = "store";
const VOLUME: &str = "backups";
/// Uploads that are under way are finished within it.
const GRACE_SECONDS: i64 = 30;

/// A claim that is served, and what serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupStore {
    /// Name of `StatefulSet`, Service and `NetworkPolicy`.
    pub name: String,
    /// Name of the claim.
    pub claim: String,
}

impl BackupStore {
    fn labels(&self, cluster: &Cluster) -> BTreeMap<String, String> {
        texts(&[
            ("app.kubernetes.io/name", "mysql-backup-store"),
            ("app.kubernetes.io/instance", cluster.names.cluster()),
            ("app.kubernetes.io/component", &self.name),
        ])
    }

    fn pod_labels(&self, cluster: &Cluster) -> BTreeMap<String, String> {
        let mut labels = self.labels(cluster);
        labels
            .extend(texts(&[(BACKUPS_CLAIM_LABEL, &self.claim), ("app.kubernetes.io/part-of", "porpoise")]));
        labels
    }

    fn selector(&self, cluster: &Cluster) -> LabelSelector {
        LabelSelector { match_labels: Some(self.labels(cluster)), match_expressions: None }
    }

    /// The Pod that serves. None while the cluster rests.
    pub fn stateful_set(&self, cluster: &Cluster) -> StatefulSet {
        StatefulSet {
            metadata: object_meta(cluster, self.name.clone()),
            spec: Some(StatefulSetSpec {
                replicas: Some(i32::from(!cluster.spec.hibernated)),
                selector: self.selector(cluster),
                service_name: Some(self.name.clone()),
                // In order, a Pod that never got ready would hold up the template that mends it.
                pod_management_policy: Some("Parallel".to_owned()),
                template: PodTemplateSpec {
                    metadata: Some(ObjectMeta {
                        labels: Some(self.pod_labels(cluster)),
                        ..ObjectMeta::default()
                    }),
                    spec: Some(self.pod_spec(cluster)),
                },
                ..StatefulSetSpec::default()
            }),
            status: None,
        }
    }

    fn pod_spec(&self, cluster: &Cluster) -> PodSpec {
        let pod = &cluster.spec.pod;
        let (claim, claim_mount) = claim_part(&self.claim);
        let certificate = volumes::secret(volumes::TLS, cluster.names.server_secret(), &volumes::CERTIFICATE);
        PodSpec {
            containers: vec![Container {
                name: CONTAINER.to_owned(),
                image: Some(cluster.settings.operator_image.clone()),
                command: Some(container::words(&["/porpoise-agent", "volume", "--claim", &self.claim])),
                ports: Some(vec![ContainerPort {
                    name: Some(CONTAINER.to_owned()),
                    container_port: i32::from(STORE_PORT),
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                }]),
                readiness_probe: Some(probe(5, 2)),
                liveness_probe: Some(probe(20, 6)),
                resources: Some(resources()),
                security_context: Some(container::security_context()),
                volume_mounts: Some(vec![claim_mount, volumes::read_only(volumes::TLS, TLS_PATH)]),
                termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
                ..Container::default()
            }],
            volumes: Some(vec![claim, certificate]),
            affinity: Some(beside(&self.claim)),
            service_account_name: Some(cluster.names.service_account()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(GRACE_SECONDS),
            security_context: Some(security_context()),
            tolerations: Some(placement::tolerations(cluster)),
            node_selector: super::metadata::some(pod.node_selector.clone()),
            priority_class_name: pod.priority_class_name.clone(),
            scheduler_name: pod.scheduler_name.clone(),
            runtime_class_name: pod.runtime_class_name.clone(),
            ..PodSpec::default()
        }
    }

    /// The name by which it is found.
    pub fn service(&self, cluster: &Cluster) -> Service {
        Service {
            metadata: object_meta(cluster, self.name.clone()),
            spec: Some(ServiceSpec {
                type_: Some("ClusterIP".to_owned()),
                selector: Some(self.labels(cluster)),
                ports: Some(vec![ServicePort {
                    name: Some(CONTAINER.to_owned()),
                    port: i32::from(STORE_PORT),
                    protocol: Some("TCP".to_owned()),
                    target_port: Some(IntOrString::Int(i32::from(STORE_PORT))),
                    ..ServicePort::default()
                }]),
                ..ServiceSpec::default()
            }),
            status: None,
        }
    }

    /// Only members and backup Jobs reach it; `None` when the spec switches policies off.
    pub fn network_policy(&self, cluster: &Cluster) -> Option<NetworkPolicy> {
        let peer = |labels| NetworkPolicyPeer {
            pod_selector: Some(LabelSelector { match_labels: Some(labels), match_expressions: None }),
            ..NetworkPolicyPeer::default()
        };
        let members = peer(super::metadata::selector_labels(cluster));
        let jobs = peer(super::backup_job::selector_labels(cluster.names.cluster()));
        (cluster.spec.network_policy.mode == NetworkPolicyMode::Enabled).then(|| NetworkPolicy {
            metadata: object_meta(cluster, self.name.clone()),
            spec: Some(NetworkPolicySpec {
                pod_selector: Some(self.selector(cluster)),
                policy_types: Some(vec!["Ingress".to_owned()]),
                ingress: Some(vec![NetworkPolicyIngressRule {
                    from: Some(vec![members, jobs]),
                    ports: Some(vec![NetworkPolicyPort {
                        port: Some(IntOrString::Int(i32::from(STORE_PORT))),
                        protocol: Some("TCP".to_owned()),
                        end_port: None,
                    }]),
                }]),
                egress: None,
            }),
        })
    }
}

/// Pods that mount the claim run on one node: most volumes can be on one only.
pub(super) fn beside(claim: &str) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(texts(&[(BACKUPS_CLAIM_LABEL, claim)])),
            match_expressions: None,
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![term]),
            ..PodAffinity::default()
        }),
        ..Affinity::default()
    }
}

/// The claim, mounted.
pub(super) fn claim_part(claim: &str) -> Part {
    let volume = Volume {
        name: VOLUME.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            read_only: None,
        }),
        ..Volume::default()
    };
    (volume, volumes::mount(VOLUME, BACKUPS_PATH))
}

/// The claim that is made for a cluster. It has no owner, and is not labelled as something that the operator manages: what
/// is stored outlives the cluster, and only people delete it.
pub fn backups_claim(cluster: &Cluster, volume: &VolumeTarget) -> Option<PersistentVolumeClaim> {
    let size = volume.size.as_ref()?;
    let name = volume.claim(cluster.names.cluster());
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(cluster.names.namespace().to_owned()),
            labels: Some(texts(&[
                ("app.kubernetes.io/name", "mysql-backup-store"),
                ("app.kubernetes.io/instance", cluster.names.cluster()),
                ("app.kubernetes.io/part-of", "porpoise"),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: volume.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), quantity::canonical(size))])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}

fn probe(period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::String(CONTAINER.to_owned()),
            ..TCPSocketAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(3),
        success_threshold: Some(1),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

/// It streams: memory hardly depends on what is stored. Most of the time it does nothing.
fn resources() -> ResourceRequirements {
    let amounts = |cpu: &str, memory: &str| {
        BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ])
    };
    ResourceRequirements {
        requests: Some(amounts("50m", "64Mi")),
        limits: Some(amounts("1", "256Mi")),
        claims: None,
    }
}
