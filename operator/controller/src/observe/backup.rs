//! Reads everything one decision about a backup depends on. Backups are few that something happens to, and slow: what they
//! depend on is asked for by name, so that no decision hangs on an old answer.

use super::{ObserveError, troubles};
use crate::cache::ClusterKey;
use crate::context::Context;
use crate::facts::owner;
use crate::kubernetes::{CallError, bounded, chain, existing};
use crate::snapshots::Snapshots;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, Secret};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use porpoise_core::backup::{BackupView, JobState, JobView, Rival, SecretNeed, SnapshotLook, is_snapshot};
use porpoise_core::decide::backup::{is_to_be_verified, needs};
use porpoise_core::names::{self, BACKUP_LABEL};
use porpoise_crds::{BackupPhase, MySQLBackup, MySQLCluster};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

/// More Pods than a Job ever has.
pub(super) const MOST_PODS: u32 = 50;

/// Observes one backup.
pub async fn backup(context: &Context, object: &MySQLBackup) -> Result<BackupView, ObserveError> {
    let look = Look { context, object, namespace: object.namespace().unwrap_or_default() };
    let is_deleted = object.metadata.deletion_timestamp.is_some();
    let mut view = look.bare();
    let is_verified = is_to_be_verified(object);
    if look.is_over() && !is_deleted && !is_verified {
        return Ok(view);
    }
    view.namespace_terminating = troubles::is_terminating(context, &look.namespace).await;
    view.cluster = look.get::<MySQLCluster>(&object.spec.cluster_ref.name).await?;
    view.snapshot = look.snapshot().await;
    view.store = look.job(&names::store_job(&object.name_any())).await?;
    if is_deleted {
        view.removal = look.job(&names::remove_job(&object.name_any())).await?;
    }
    if is_verified {
        view.verify = look.job(&names::verify_job(&object.name_any())).await?;
    }
    // A Job that exists has its Secrets, or its Pod says what is wrong with them.
    let next = match (is_deleted, is_verified) {
        (true, _) => &view.removal,
        (false, true) => &view.verify,
        (false, false) => &view.store,
    };
    let begins = next.is_none();
    if begins {
        view.secrets = look.secrets(&needs(object, view.cluster.as_ref())).await?;
    }
    Ok(view)
}

struct Look<'a> {
    context: &'a Context,
    object: &'a MySQLBackup,
    namespace: String,
}

impl Look<'_> {
    fn is_over(&self) -> bool {
        self.object.status.as_ref().and_then(|status| status.phase).is_some_and(BackupPhase::is_over)
    }

    /// What is known without asking.
    fn bare(&self) -> BackupView {
        let [deleted_for, begun_for] = self.ages();
        BackupView {
            now: Timestamp::now(),
            deleted_for,
            begun_for,
            object: self.object.clone(),
            cluster: None,
            namespace_terminating: false,
            others: self.others(),
            images: self.images(),
            store: None,
            snapshot: SnapshotLook::Unasked,
            verify: None,
            removal: None,
            secrets: BTreeMap::new(),
        }
    }

    /// How long its deletion and its beginning have been known; zero for what was not.
    fn ages(&self) -> [Duration; 2] {
        let deleted = self.object.metadata.deletion_timestamp.as_ref();
        let begun = self.object.status.as_ref().and_then(|status| status.started_at.as_ref());
        let moments = [deleted, begun].map(|time| time.map(|time| time.0));
        let known: Vec<Timestamp> = moments.iter().flatten().copied().collect();
        let uid = self.object.uid().unwrap_or_default();
        let ages = self.context.backup_memories.of(&uid, |memory| memory.ages(&known));
        moments.map(|moment| moment.map(|moment| ages.of(moment)).unwrap_or_default())
    }

    /// The snapshot that it is, or is to be: that has its name.
    async fn snapshot(&self) -> SnapshotLook {
        if !is_snapshot(self.object) {
            return SnapshotLook::Unasked;
        }
        let recorded = self.object.status.as_ref().and_then(|status| status.snapshot.as_ref());
        let name = recorded.map_or_else(|| self.object.name_any(), |snapshot| snapshot.name.clone());
        let found = Snapshots::of(&self.context.clients.general, &self.namespace).look(&name).await;
        // Whatever has a deadline ends also where nobody may look.
        found.unwrap_or_else(|error| {
            let why = chain(&error);
            tracing::warn!(snapshot = name, error = why, "cannot read a snapshot");
            SnapshotLook::Unread(why)
        })
    }

    fn cluster(&self) -> ClusterKey {
        ClusterKey { namespace: self.namespace.clone(), name: self.object.spec.cluster_ref.name.clone() }
    }

    fn images(&self) -> BTreeMap<String, String> {
        let pods = self.context.caches.pods.all(&self.cluster()).into_iter();
        pods.filter_map(|(instance, pod)| Some((instance, pod.view.image.clone()?))).collect()
    }

    fn others(&self) -> Vec<Rival> {
        let all = self.context.caches.backups.all(&self.cluster()).into_iter();
        let others = all.filter(|(name, _)| *name != self.object.name_any());
        others
            .map(|(name, other)| Rival {
                name,
                created: other.created,
                phase: other.phase,
                deleting: other.deleting,
                method: other.method,
                jobs: other.jobs,
            })
            .collect()
    }

    async fn get<K>(&self, name: &str) -> Result<Option<K>, ObserveError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.context.clients.general.clone(), &self.namespace);
        existing(bounded(api.get(name)).await).map_err(|source| unread::<K>(name, source))
    }

    async fn job(&self, name: &str) -> Result<Option<JobView>, ObserveError> {
        let Some(job) = self.get::<Job>(name).await? else { return Ok(None) };
        let pods = self.pods(&job).await?;
        Ok(Some(JobView {
            name: name.to_owned(),
            uid: job.uid().unwrap_or_default(),
            owned: owner(&job.metadata) == self.object.uid(),
            terminating: job.metadata.deletion_timestamp.is_some(),
            state: state(&job),
            words: last_words(&pods),
            trouble: pods.iter().find_map(trouble),
        }))
    }

    async fn pods(&self, job: &Job) -> Result<Vec<Pod>, ObserveError> {
        let api: Api<Pod> = Api::namespaced(self.context.clients.general.clone(), &self.namespace);
        let selector = format!("{BACKUP_LABEL}={}", self.object.name_any());
        let parameters = ListParams::default().labels(&selector).limit(MOST_PODS);
        let found = bounded(api.list(&parameters)).await;
        let found = found.map_err(|source| unread::<Pod>(&job.name_any(), source))?;
        Ok(found.items.into_iter().filter(|pod| owner(&pod.metadata) == job.uid()).collect())
    }

    /// Only which entries there are: what they hold is the business of the Job's Pod.
    async fn secrets(
        &self,
        needs: &[SecretNeed],
    ) -> Result<BTreeMap<String, BTreeSet<String>>, ObserveError> {
        let mut found = BTreeMap::new();
        for name in needs.iter().map(|need| &need.name).collect::<BTreeSet<_>>() {
            if let Some(secret) = self.get::<Secret>(name).await? {
                found.insert(name.clone(), secret.data.unwrap_or_default().into_keys().collect());
            }
        }
        Ok(found)
    }
}

fn unread<K: Resource<DynamicType = ()>>(name: &str, source: CallError) -> ObserveError {
    ObserveError::ReadObject { title: format!("{} {name}", K::kind(&())), source }
}

pub(super) fn state(job: &Job) -> JobState {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    for condition in conditions.filter(|condition| condition.status == "True") {
        match condition.type_.as_str() {
            "Complete" => return JobState::Complete,
            "Failed" => {
                let message = condition.message.clone().or_else(|| condition.reason.clone());
                return JobState::Failed { message: message.unwrap_or_else(|| "its Job failed".to_owned()) };
            }
            _ => {}
        }
    }
    JobState::Active
}

/// The termination message of the Pod that ended last.
pub(super) fn last_words(pods: &[Pod]) -> String {
    let ended = pods.iter().flat_map(containers).filter_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        Some((ended.finished_at.as_ref().map(|time| time.0), ended.message.clone().unwrap_or_default()))
    });
    ended.max_by_key(|(when, _)| *when).map(|(_, words)| words).unwrap_or_default()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// What holds a Pod up: no node takes it, or a container waits for something that is wrong.
pub(super) fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        return condition.message.clone();
    }
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone().filter(|reason| !reason.starts_with("PodInitializing"))?;
        let is_wrong = reason != "ContainerCreating";
        is_wrong.then(|| format!("{reason}: {}", waiting.message.clone().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pods(statuses: &[Value]) -> Vec<Pod> {
        let pod =
            |status: &Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": status});
        statuses.iter().map(|status| serde_json::from_value(pod(status)).unwrap()).collect()
    }

    fn ended(at: &str, words: &str) -> Value {
        let terminated = json!({"exitCode": 1, "finishedAt": at, "message": words});
        json!({"containerStatuses": [{
            "name": "backup", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": terminated},
        }]})
    }

    fn waiting(reason: &str) -> Value {
        json!({"initContainerStatuses": [{
            "name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": reason, "message": "words"}},
        }]})
    }

    #[test]
    fn the_newest_ended_pod_has_the_last_word() {
        let all = pods(&[
            ended("2026-11-21T03:00:09Z", "later"),
            ended("2026-11-21T03:00:01Z", "earlier"),
            json!({}),
        ]);
        assert_eq!(last_words(&all), "later");
        assert_eq!(last_words(&pods(&[waiting("ImagePullBackOff")])), "");
    }

    #[test]
    fn what_holds_a_pod_up_is_told_and_what_is_ordinary_is_not() {
        let unscheduled = json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"},
        ]});
        for (status, want) in [
            (unscheduled, Some("0/3 nodes")),
            (waiting("ImagePullBackOff"), Some("ImagePullBackOff: words")),
            (waiting("CreateContainerConfigError"), Some("CreateContainerConfigError: words")),
            (waiting("ContainerCreating"), None),
            (waiting("PodInitializing"), None),
            (json!({}), None),
        ] {
            assert_eq!(trouble(&pods(&[status])[0]).as_deref(), want);
        }
    }

    #[test]
    fn a_job_is_over_only_when_kubernetes_says_so() {
        let job = |status: Value| -> Job {
            serde_json::from_value(
                json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {}, "status": status}),
            )
            .unwrap()
        };
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]});
        for (status, want) in [
            (json!({"active": 1}), JobState::Active),
            (json!({"succeeded": 1}), JobState::Active),
            (json!({"conditions": [{"type": "Complete", "status": "False"}]}), JobState::Active),
            (json!({"conditions": [{"type": "Complete", "status": "True"}]}), JobState::Complete),
            (failed, JobState::Failed { message: "m".to_owned() }),
        ] {
            assert_eq!(state(&job(status)), want);
        }
    }
}
