//! The Jobs of a `MySQLBackup` (A32): one stores it, one verifies what is stored, one removes it. What they share with other Jobs
//! that work on a stored backup is here too.

use super::backup_store;
use super::metadata::texts;
use super::pod::{container, placement, security_context, volumes};
use super::stateful_set::claim_spec;
use super::volume_snapshot::from_snapshot;
use crate::backup::{
    AUTHORITY_ENTRY, AUTHORITY_PATH, BackupJob, CREDENTIALS_PATH, JOB_VARIABLE, KEYS_PATH, credential_entries,
};
use crate::names::{
    self, ACCOUNTS, AGENT_BIN_PATH, BACKUP_LABEL, BACKUPS_CLAIM_LABEL, ClusterNames, STAGING_VOLUME,
};
use crate::validate::Cluster;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EphemeralVolumeSource, PersistentVolumeClaimTemplate, PodSpec, PodTemplateSpec,
    ProjectedVolumeSource, ResourceRequirements, SecretProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use porpoise_crds::{BackupEncryption, MySQLBackup, Place};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pods of one Job that may fail, beside the first.
const RETRIES: i32 = 3;
/// A finished Job is kept this long, for its log. The record outlives it.
const KEPT: Duration = Duration::from_hours(24);
/// Longest time for storing, and for verifying: a volume of terabytes over a slow line.
const STORING: Duration = Duration::from_hours(24);
/// Longest time for removing.
const REMOVING: Duration = Duration::from_mins(10);

const CONTAINER: &str = "backup";
const CREDENTIALS: &str = "credentials";
const AUTHORITY: &str = "authority";
const KEYS: &str = "keys";

/// What a Job runs with that does not come from the backup.
#[derive(Clone, Copy, Debug)]
pub struct JobHome<'a> {
    /// The cluster, if it still exists: Pods go where its members may go.
    pub cluster: Option<&'a Cluster>,
    /// Image of the operator, which holds the agent.
    pub operator_image: &'a str,
    /// Image of MySQL.
    pub mysql_image: &'a str,
}

/// Labels by which Pods of backup Jobs of one cluster are told from everything else.
pub(super) fn selector_labels(cluster: &str) -> BTreeMap<String, String> {
    texts(&[("app.kubernetes.io/name", "mysql-backup"), ("app.kubernetes.io/instance", cluster)])
}

/// The recommended labels (K16).
pub(crate) fn labels(cluster: &str) -> BTreeMap<String, String> {
    let mut labels = selector_labels(cluster);
    labels.extend(texts(&[
        ("app.kubernetes.io/component", "backup"),
        ("app.kubernetes.io/managed-by", "porpoise"),
        ("app.kubernetes.io/part-of", "porpoise"),
    ]));
    labels
}

fn job_labels(backup: &MySQLBackup, home: &JobHome<'_>) -> BTreeMap<String, String> {
    let mut labels = labels(&backup.spec.cluster_ref.name);
    labels.insert(BACKUP_LABEL.to_owned(), backup.metadata.name.clone().unwrap_or_default());
    if let Some((major, minor)) = home.cluster.map(|cluster| cluster.series) {
        labels.insert("app.kubernetes.io/version".to_owned(), format!("{major}.{minor}"));
    }
    labels
}

/// Makes Kubernetes delete what belongs to a backup with it.
pub(super) fn owner_of(backup: &MySQLBackup) -> OwnerReference {
    OwnerReference {
        api_version: format!("{}/{}", porpoise_crds::GROUP, porpoise_crds::VERSION),
        kind: "MySQLBackup".to_owned(),
        name: backup.metadata.name.clone().unwrap_or_default(),
        uid: backup.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Copies a member into a volume of its own, boots it there with the image of `cluster`, and stores it.
pub fn store_job(
    backup: &MySQLBackup,
    cluster: &Cluster,
    work: &BackupJob,
    encryption: Option<&BackupEncryption>,
) -> Job {
    data_job(names::store_job(&name(backup)), backup, cluster, &cluster.image, work, encryption)
}

/// Fetches what is stored into a volume of its own, boots it there with `mysql_image`, and checks it.
pub fn verify_job(
    backup: &MySQLBackup,
    cluster: &Cluster,
    mysql_image: &str,
    work: &BackupJob,
    encryption: Option<&BackupEncryption>,
) -> Job {
    data_job(names::verify_job(&name(backup)), backup, cluster, mysql_image, work, encryption)
}

/// A Job with a volume of its own for a member's data, which goes with its Pod.
pub(super) fn data_job(
    name: String,
    backup: &MySQLBackup,
    cluster: &Cluster,
    mysql_image: &str,
    work: &BackupJob,
    encryption: Option<&BackupEncryption>,
) -> Job {
    let operator_image = &cluster.settings.operator_image;
    let home = JobHome { cluster: Some(cluster), operator_image, mysql_image };
    let mut parts = target_parts(work);
    parts.extend(store_parts(cluster, work, encryption));
    let pod = pod_spec(backup, &home, work, parts, container::member_resources(cluster));
    job(backup, &home, name, pod, STORING)
}

/// Removes what is stored. It needs no volume and no configuration, and no cluster. What is stored on a volume is removed
/// there, beside the Pod that serves it, if there is one.
pub fn remove_job(backup: &MySQLBackup, home: &JobHome<'_>, work: &BackupJob) -> Job {
    let resources = container::equal_resources("100m", "128Mi");
    let mut parts = target_parts(work);
    parts.extend(claimed(work).map(backup_store::claim_part));
    let pod = pod_spec(backup, home, work, parts, resources);
    let pod = PodSpec { affinity: claimed(work).map(backup_store::beside), ..pod };
    let mut job = job(backup, home, names::remove_job(&name(backup)), pod, REMOVING);
    if let (Some(claim), Some(spec)) = (claimed(work), &mut job.spec) {
        let meta = spec.template.metadata.get_or_insert_default();
        meta.labels.get_or_insert_default().insert(BACKUPS_CLAIM_LABEL.to_owned(), claim.to_owned());
    }
    job
}

/// The volume claim that a Job removes something from.
fn claimed(work: &BackupJob) -> Option<&str> {
    work.location()?.target.volume.as_ref()?.claim_name.as_deref()
}

fn name(backup: &MySQLBackup) -> String {
    backup.metadata.name.clone().unwrap_or_default()
}

fn job(backup: &MySQLBackup, home: &JobHome<'_>, name: String, pod: PodSpec, longest: Duration) -> Job {
    let labels = job_labels(backup, home);
    Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: backup.metadata.namespace.clone(),
            labels: Some(labels.clone()),
            owner_references: Some(vec![owner_of(backup)]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(RETRIES),
            ttl_seconds_after_finished: i32::try_from(KEPT.as_secs()).ok(),
            active_deadline_seconds: i64::try_from(longest.as_secs()).ok(),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// A volume and where it is mounted.
pub(super) type Part = (Volume, VolumeMount);

fn pod_spec(
    backup: &MySQLBackup,
    home: &JobHome<'_>,
    work: &BackupJob,
    parts: Vec<Part>,
    resources: ResourceRequirements,
) -> PodSpec {
    let (mut all, mut mounts): (Vec<_>, Vec<_>) = common_parts().into_iter().unzip();
    let (more, more_mounts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    all.extend(more);
    mounts.extend(more_mounts);
    let names = ClusterNames::new(&backup.spec.cluster_ref.name, "");
    let pod = home.cluster.map(|cluster| &cluster.spec.pod);
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        init_containers: Some(vec![container::init(home.operator_image)]),
        containers: vec![main_container(home, work, mounts, resources)],
        volumes: Some(all),
        service_account_name: Some(names.backup_account()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security_context()),
        // Where members may run a backup may; but it pushes nobody aside, so it has no priority.
        tolerations: home.cluster.map(placement::tolerations),
        node_selector: pod.and_then(|pod| super::metadata::some(pod.node_selector.clone())),
        scheduler_name: pod.and_then(|pod| pod.scheduler_name.clone()),
        runtime_class_name: pod.and_then(|pod| pod.runtime_class_name.clone()),
        ..PodSpec::default()
    }
}

fn main_container(
    home: &JobHome<'_>,
    work: &BackupJob,
    mounts: Vec<VolumeMount>,
    resources: ResourceRequirements,
) -> Container {
    let users = home.cluster.map(|cluster| cluster.spec.pod.env.as_slice()).unwrap_or_default();
    let mut env = container::environment(users);
    // Plain texts and numbers: this cannot fail.
    let text = serde_json::to_string(work).unwrap_or_default();
    env.push(EnvVar { name: JOB_VARIABLE.to_owned(), value: Some(literal(&text)), value_from: None });
    Container {
        name: CONTAINER.to_owned(),
        image: Some(home.mysql_image.to_owned()),
        command: Some(container::words(&[&format!("{AGENT_BIN_PATH}/porpoise-agent"), "backup"])),
        env: Some(env),
        resources: Some(resources),
        security_context: Some(container::security_context()),
        volume_mounts: Some(mounts),
        // An agent that ends without a report leaves the last lines of its log.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// Kubernetes replaces `$(NAME)` in values; a doubled dollar sign stays what it is.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

fn common_parts() -> Vec<Part> {
    vec![
        (volumes::scratch(volumes::AGENT), volumes::read_only(volumes::AGENT, AGENT_BIN_PATH)),
        (volumes::scratch(volumes::TEMPORARY), volumes::mount(volumes::TEMPORARY, "/tmp")),
    ]
}

/// What it takes to copy a member and to boot the copy.
fn store_parts(cluster: &Cluster, work: &BackupJob, encryption: Option<&BackupEncryption>) -> Vec<Part> {
    let own = &cluster.names;
    let mut parts = vec![
        (staging(cluster, work), volumes::mount(STAGING_VOLUME, names::VOLUME_PATH)),
        (volumes::scratch(volumes::RUN), volumes::mount(volumes::RUN, names::RUN_PATH)),
        (volumes::config(own.config()), volumes::read_only(volumes::CONFIG, names::CONFIG_PATH)),
        (
            volumes::secret(volumes::TLS, own.server_secret(), &volumes::CERTIFICATE),
            volumes::read_only(volumes::TLS, names::TLS_PATH),
        ),
        (
            volumes::secret(volumes::ACCOUNT_FILES, own.accounts_secret(), &ACCOUNTS),
            volumes::read_only(volumes::ACCOUNT_FILES, names::ACCOUNTS_PATH),
        ),
    ];
    if let Some(encryption) = encryption {
        let name = encryption.key_secret_ref.name.clone();
        // Only the key that is used: the others open older backups.
        let keys = volumes::secret(KEYS, name, &[&encryption.key_name]);
        parts.push((keys, volumes::read_only(KEYS, KEYS_PATH)));
    }
    parts
}

/// What it takes to reach the store.
fn target_parts(work: &BackupJob) -> Vec<Part> {
    let place = work.location().and_then(|location| location.target.place());
    place.iter().flat_map(place_parts).collect()
}

fn place_parts(place: &Place<'_>) -> Vec<Part> {
    let credentials = place.credentials.map(|secret| {
        let volume = credentials(&secret.name, credential_entries(place.field));
        (volume, volumes::read_only(CREDENTIALS, CREDENTIALS_PATH))
    });
    let authority = place.authority.map(|secret| {
        let volume = volumes::secret(AUTHORITY, secret.name.clone(), &[AUTHORITY_ENTRY]);
        (volume, volumes::read_only(AUTHORITY, AUTHORITY_PATH))
    });
    credentials.into_iter().chain(authority).collect()
}

/// Every entry by name, and only the one that may be absent is optional (G7).
fn credentials(secret: &str, (needed, allowed): (&[&str], &[&str])) -> Volume {
    let entries = |entries: &[&str], optional: Option<bool>| VolumeProjection {
        secret: Some(SecretProjection {
            name: secret.to_owned(),
            items: Some(volumes::items(entries)),
            optional,
        }),
        ..VolumeProjection::default()
    };
    let mut sources = vec![entries(needed, None)];
    sources.extend((!allowed.is_empty()).then(|| entries(allowed, Some(true))));
    Volume {
        name: CREDENTIALS.to_owned(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(volumes::MODE), sources: Some(sources) }),
        ..Volume::default()
    }
}

/// Room for a copy: a volume like a member's, which goes with the Pod. What a snapshot holds is in it already.
fn staging(cluster: &Cluster, work: &BackupJob) -> Volume {
    let spec = match work.snapshot() {
        Some((snapshot, bytes)) => from_snapshot(cluster, snapshot, bytes),
        None => claim_spec(cluster),
    };
    Volume {
        name: STAGING_VOLUME.to_owned(),
        ephemeral: Some(EphemeralVolumeSource {
            volume_claim_template: Some(PersistentVolumeClaimTemplate {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(cluster.names.cluster())),
                    ..ObjectMeta::default()
                }),
                spec,
            }),
        }),
        ..Volume::default()
    }
}
