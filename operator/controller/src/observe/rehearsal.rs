//! The Job that tries an update on a copy. It is asked for by name, and only while the status says that it runs.

use super::backup::{MOST_PODS, last_words, state, trouble};
use crate::context::Context;
use crate::facts::owner;
use crate::kubernetes::{CallError, bounded, chain, existing};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use porpoise_core::backup::JobView;
use porpoise_crds::{MySQLCluster, RehearsalOutcome, RehearsalStatus};
use std::time::Duration;
use tokio::time::Instant;

/// Answers are good for this long: a cluster that is busy is looked at several times a second, and a rehearsal is slow.
const FRESH: Duration = Duration::from_secs(2);
/// Label that Kubernetes puts on the Pods of a Job.
const JOB_LABEL: &str = "batch.kubernetes.io/job-name";

/// One that cannot be read now counts as absent: it is then made under the same name, which changes nothing if it is there.
pub(super) async fn look(context: &Context, object: &MySQLCluster) -> Option<JobView> {
    let rehearsal = object.status.as_ref()?.rehearsal.as_ref()?;
    if rehearsal.outcome != RehearsalOutcome::Running {
        return None;
    }
    let (uid, namespace) = (object.uid().unwrap_or_default(), object.namespace().unwrap_or_default());
    let known = context.memories.of(&uid, |memory| memory.rehearsal.clone());
    let known = known.filter(|(when, job)| when.elapsed() < FRESH && job.name == rehearsal.job);
    if let Some((_, job)) = known {
        return Some(job);
    }
    match read(context, &namespace, rehearsal).await {
        Ok(found) => {
            let seen = found.clone().map(|job| (Instant::now(), job));
            context.memories.of(&uid, |memory| memory.rehearsal = seen);
            found
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), job = rehearsal.job, namespace, "cannot read a Job");
            None
        }
    }
}

async fn read(
    context: &Context,
    namespace: &str,
    rehearsal: &RehearsalStatus,
) -> Result<Option<JobView>, CallError> {
    let jobs: Api<Job> = Api::namespaced(context.clients.general.clone(), namespace);
    let Some(job) = existing(bounded(jobs.get(&rehearsal.job)).await)? else { return Ok(None) };
    let pods: Api<Pod> = Api::namespaced(context.clients.general.clone(), namespace);
    let selector = format!("{JOB_LABEL}={}", rehearsal.job);
    let found = bounded(pods.list(&ListParams::default().labels(&selector).limit(MOST_PODS))).await?;
    let pods: Vec<Pod> =
        found.items.into_iter().filter(|pod| owner(&pod.metadata) == job.metadata.uid).collect();
    Ok(Some(JobView {
        name: rehearsal.job.clone(),
        uid: job.uid().unwrap_or_default(),
        owned: owner(&job.metadata).as_deref() == Some(rehearsal.backup_uid.as_str()),
        terminating: job.metadata.deletion_timestamp.is_some(),
        state: state(&job),
        words: last_words(&pods),
        trouble: pods.iter().find_map(trouble),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, cluster, context, refusal, server};
    use porpoise_core::backup::{JobReport, JobState};
    use serde_json::{Value, json};

    fn trying(outcome: &str) -> MySQLCluster {
        let mut cluster = cluster();
        cluster.status.get_or_insert_default().rehearsal = serde_json::from_value(json!({
            "image": "mysql:9.7.5", "digest": "d", "backup": "shop-a", "backupUid": "bac4up", "job": "shop-try", "attempt": 1,
            "outcome": outcome, "startedAt": "2026-11-21T03:00:00Z",
        }))
        .unwrap();
        cluster
    }

    fn answer(call: &Call) -> (u16, Value) {
        let owner = json!([{"apiVersion": "v", "kind": "MySQLBackup", "name": "shop-a", "uid": "bac4up", "controller": true}]);
        if call.path.contains("/jobs/") {
            let meta = json!({"name": "shop-try", "uid": "j0b", "ownerReferences": owner});
            return (
                200,
                json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "status": {"active": 1}}),
            );
        }
        let of_job = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "shop-try", "uid": "j0b", "controller": true}]);
        let words = json!({"outcome": "rehearsed", "version": "9.7.5", "tables": 7}).to_string();
        let ended = json!({"name": "backup", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "finishedAt": "2026-11-21T03:00:09Z", "message": words}}});
        let pod = json!({"metadata": {"name": "shop-try-1", "ownerReferences": of_job}, "status": {"containerStatuses": [ended]}});
        (200, json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod]}))
    }

    #[tokio::test]
    async fn d15_a_rehearsal_is_looked_at_while_it_runs_and_only_then() {
        let (client, calls) = server(|call| Some(answer(call)));
        let (context, _until) = context(&client);
        assert_eq!(look(&context, &cluster()).await, None);
        assert_eq!(look(&context, &trying("Failed")).await, None);
        assert!(calls.lines().is_empty());
        let job = look(&context, &trying("Running")).await.unwrap();
        assert!(job.owned && job.state == JobState::Active);
        assert_eq!(job.report(), Some(JobReport::Rehearsed { version: "9.7.5".to_owned(), tables: 7 }));
        look(&context, &trying("Running")).await.unwrap();
        assert_eq!(calls.lines().len(), 2, "not in every pass");
    }

    #[tokio::test]
    async fn one_that_cannot_be_read_is_not_there() {
        let (client, _) = server(|_| Some(refusal(403, "Forbidden")));
        let (context, _until) = context(&client);
        assert_eq!(look(&context, &trying("Running")).await, None);
    }
}
