//! `porpoise-operator backup`: sees to it that a verified backup of one cluster stands, as a Helm hook before it changes or
//! deletes the cluster (D15). It may read the cluster, and make and read backups; everything else is the operator's.

use crate::arguments::BackupOptions;
use crate::facts::backup_seen;
use crate::kubernetes::{CallError, bounded, chain, existing};
use jiff::Timestamp;
use kube::api::{ListParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, ResourceExt};
use porpoise_core::names::ClusterNames;
use porpoise_core::validate::duration;
use porpoise_crds::{
    BackupDeletionPolicy, BackupPhase, LocalReference, MySQLBackup, MySQLBackupSpec, MySQLCluster, Phase,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between two looks: the hook may not watch, and a backup takes seconds at least.
const PAUSE: Duration = Duration::from_secs(2);
/// Backups of one namespace that are looked through at a time.
const PAGE: u32 = 200;
/// How to go on without a backup.
const SKIP: &str = "to go on without a backup, set backupHook.enabled: false, or give helm --no-hooks";

/// Why there is no backup. Nothing else was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupHookError {
    /// The cluster could not be read.
    #[error("read MySQLCluster {cluster}")]
    ReadCluster {
        /// Its name.
        cluster: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// In this state no backup of it can be made.
    #[error("back up MySQLCluster {cluster}: {reason}; {SKIP}")]
    BackUpCluster {
        /// Its name.
        cluster: String,
        /// What is in the way.
        reason: String,
    },
    /// The backups could not be read.
    #[error("list the MySQLBackups of MySQLCluster {cluster}")]
    ListBackups {
        /// Name of the cluster.
        cluster: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// The backup could not be made.
    #[error("make MySQLBackup {backup}")]
    MakeBackup {
        /// Its name.
        backup: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// It was made and is not good.
    #[error("complete MySQLBackup {backup}: {reason}; {SKIP}")]
    CompleteBackup {
        /// Its name.
        backup: String,
        /// What it says itself.
        reason: String,
    },
    /// It takes too long.
    #[error("await MySQLBackup {backup} for {limit:?}: {last}; give backupHook.timeout more time, or {SKIP}")]
    AwaitBackup {
        /// Its name.
        backup: String,
        /// The limit.
        limit: Duration,
        /// What was seen last.
        last: String,
    },
}

/// Sees to it that a verified backup stands; says how, in a sentence.
///
/// # Errors
/// When it failed, or the time is up. A MySQLBackup that was begun stays, and may still succeed.
pub async fn run(client: Client, options: &BackupOptions) -> Result<String, BackupHookError> {
    Hook { client, options, deadline: Instant::now() + options.timeout }.run().await
}

struct Hook<'a> {
    client: Client,
    options: &'a BackupOptions,
    deadline: Instant,
}

impl Hook<'_> {
    async fn run(&self) -> Result<String, BackupHookError> {
        let name = &self.options.cluster;
        let Some(cluster) = self.cluster().await? else {
            return Ok(format!("MySQLCluster {name} does not exist: there is nothing to back up"));
        };
        if let Some(nothing) = nothing_to_back_up(&cluster) {
            return Ok(format!("no backup of MySQLCluster {name} is made: {nothing}"));
        }
        if let Some(found) = self.fresh(&cluster).await? {
            return Ok(format!("MySQLBackup {found} is verified and young enough"));
        }
        if let Some(reason) = obstacle(&cluster) {
            return Err(BackupHookError::BackUpCluster { cluster: name.clone(), reason });
        }
        let backup = self.make().await?;
        self.until_verified(&backup).await?;
        Ok(format!("MySQLBackup {backup} is verified"))
    }

    fn backups(&self) -> Api<MySQLBackup> {
        Api::namespaced(self.client.clone(), &self.options.namespace)
    }

    async fn cluster(&self) -> Result<Option<MySQLCluster>, BackupHookError> {
        let api: Api<MySQLCluster> = Api::namespaced(self.client.clone(), &self.options.namespace);
        let name = &self.options.cluster;
        let found = self.persist(async || existing(bounded(api.get(name)).await)).await;
        found.map_err(|source| BackupHookError::ReadCluster { cluster: name.clone(), source })
    }

    /// Name of a backup that will do.
    async fn fresh(&self, cluster: &MySQLCluster) -> Result<Option<String>, BackupHookError> {
        // The schema refuses what is no duration.
        let usual = duration(&cluster.spec.update.backup_max_age).unwrap_or_default();
        let max_age = self.options.max_age.unwrap_or(usual);
        let will_do = |backup: &MySQLBackup| {
            backup.spec.cluster_ref.name == self.options.cluster
                && backup_seen(backup).is_fresh(cluster, max_age, Timestamp::now())
        };
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list =
                self.persist(async || bounded(self.backups().list(&page)).await).await.map_err(|source| {
                    BackupHookError::ListBackups { cluster: self.options.cluster.clone(), source }
                })?;
            if let Some(found) = list.items.iter().find(|backup| will_do(backup)) {
                return Ok(Some(found.name_any()));
            }
            match list.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(None),
            }
        }
    }

    /// Named after this run, so that a second try of the call makes no second backup.
    async fn make(&self) -> Result<String, BackupHookError> {
        let names = ClusterNames::new(&self.options.cluster, &self.options.namespace);
        let run: String = self.options.run.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        let name = names.backup(&format!("hook-{}", run.to_ascii_lowercase()));
        let wish = MySQLBackup {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            spec: MySQLBackupSpec {
                cluster_ref: LocalReference { name: self.options.cluster.clone() },
                deletion_policy: if self.options.retain {
                    BackupDeletionPolicy::Retain
                } else {
                    BackupDeletionPolicy::Delete
                },
                ..MySQLBackupSpec::default()
            },
            status: None,
        };
        let parameters = PostParams::default();
        let made = self.persist(async || match bounded(self.backups().create(&parameters, &wish)).await {
            Err(error) if error.is_conflict() => Ok(()),
            other => other.map(drop),
        });
        match made.await {
            Ok(()) => Ok(name),
            Err(source) => Err(BackupHookError::MakeBackup { backup: name, source }),
        }
    }

    async fn until_verified(&self, name: &str) -> Result<(), BackupHookError> {
        let fail = |reason: String| BackupHookError::CompleteBackup { backup: name.to_owned(), reason };
        let mut last = String::new();
        say(&mut last, &format!("MySQLBackup {name} is made"));
        loop {
            match existing(bounded(self.backups().get(name)).await) {
                Ok(None) => return Err(fail("somebody deleted it".to_owned())),
                Ok(Some(backup)) => {
                    let seen = backup_seen(&backup);
                    match seen.phase {
                        Some(BackupPhase::Succeeded) if seen.verified => return Ok(()),
                        Some(BackupPhase::Succeeded) => return Err(fail("it was not verified".to_owned())),
                        Some(BackupPhase::Failed) => return Err(fail(seen.message)),
                        Some(BackupPhase::Deleting) => return Err(fail("somebody deletes it".to_owned())),
                        Some(BackupPhase::Pending | BackupPhase::Running) => say(&mut last, &seen.message),
                        None => say(&mut last, "it waits for the operator; see that it runs"),
                    }
                }
                Err(error) => say(&mut last, &chain(&error)),
            }
            if Instant::now() >= self.deadline {
                let limit = self.options.timeout;
                return Err(BackupHookError::AwaitBackup { backup: name.to_owned(), limit, last });
            }
            sleep(PAUSE).await;
        }
    }

    /// Tries a call again until the deadline, unless the server refused it for a reason that lasts.
    async fn persist<T>(&self, call: impl AsyncFn() -> Result<T, CallError>) -> Result<T, CallError> {
        loop {
            match call().await {
                Err(error) if Instant::now() < self.deadline && is_passing(&error) => sleep(PAUSE).await,
                other => return other,
            }
        }
    }
}

/// Whether the same call may succeed later.
fn is_passing(error: &CallError) -> bool {
    error.code().is_none_or(|code| code == 429 || code >= 500)
}

/// Tells what is new, for whoever follows the log of the Job.
#[allow(clippy::print_stdout, reason = "printing is how a command answers")]
fn say(last: &mut String, words: &str) {
    if last != words {
        println!("{words}");
        words.clone_into(last);
    }
}

/// Why there is nothing that a backup could hold, or nowhere to put it.
fn nothing_to_back_up(cluster: &MySQLCluster) -> Option<&'static str> {
    if cluster.spec.backup.is_none() {
        return Some("it has no spec.backup");
    }
    let founded = cluster.status.as_ref().is_some_and(|status| status.quorum.is_some());
    (!founded).then_some("it never had data")
}

/// Why a backup would wait in vain.
fn obstacle(cluster: &MySQLCluster) -> Option<String> {
    if cluster.spec.hibernated {
        return Some("it is hibernated and has no member to copy; wake it first".to_owned());
    }
    let phase = cluster.status.as_ref().and_then(|status| status.phase)?;
    (phase == Phase::Invalid).then(|| {
        "its spec is Invalid, as its condition ConfigurationValid says, and nothing is done for it".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Call, Calls, cluster, refusal, server};
    use serde_json::{Value, json};

    fn options() -> BackupOptions {
        BackupOptions {
            cluster: "shop".to_owned(),
            namespace: "prod".to_owned(),
            max_age: None,
            timeout: Duration::from_mins(1),
            retain: true,
            run: "7F3a-90bc-de12".to_owned(),
        }
    }

    /// The cluster `shop` with data and a target, changed by `change`.
    fn shop(change: &Value) -> Value {
        let mut object = serde_json::to_value(cluster()).unwrap();
        object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
        object["spec"]["backup"] = json!({"target": {"s3": {"bucket": "safe"}}});
        object["status"] = json!({"quorum": {"members": [], "k": 1, "version": 1}, "phase": "Healthy"});
        for (path, value) in change.as_object().unwrap() {
            *object.pointer_mut(path).unwrap() = value.clone();
        }
        object
    }

    fn backup(name: &str, of: &str, status: &Value) -> Value {
        json!({
            "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup",
            "metadata": {"name": name, "namespace": "prod", "creationTimestamp": "2026-02-01T00:00:00Z"},
            "spec": {"clusterRef": {"name": of}}, "status": status,
        })
    }

    fn good(minutes_ago: i64) -> Value {
        let then = Timestamp::now() - jiff::SignedDuration::from_mins(minutes_ago);
        json!({"phase": "Succeeded", "verified": true, "completedAt": then.to_string()})
    }

    /// A server with this cluster, these backups, and a new one that becomes this.
    async fn hooked(
        cluster: Option<Value>,
        present: Vec<Value>,
        becomes: Value,
    ) -> (Result<String, String>, Calls) {
        let (client, calls) = server(move |call: &Call| {
            match (call.method.as_str(), call.path.rsplit('/').next()) {
                ("POST", _) => Some((201, backup("shop-hook-7f3a90bc", "shop", &json!({})))),
                (_, Some("shop")) => {
                    Some(cluster.clone().map_or_else(|| refusal(404, "NotFound"), |one| (200, one)))
                }
                (_, Some("mysqlbackups")) => Some((
                    200,
                    json!({
                        "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackupList", "metadata": {},
                        "items": present.clone(),
                    }),
                )),
                _ => Some((200, backup("shop-hook-7f3a90bc", "shop", &becomes))),
            }
        });
        let ended = run(client, &options()).await;
        (ended.map_err(|error| chain(&error)), calls)
    }

    fn made(calls: &Calls) -> Vec<Value> {
        calls.all().into_iter().filter(|call| call.method == "POST").map(|call| call.body).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn d15_a_backup_is_made_and_awaited() {
        let old = vec![backup("old", "shop", &good(11)), backup("other", "books", &good(1))];
        let (said, calls) = hooked(Some(shop(&json!({}))), old, good(0)).await;
        assert_eq!(said.unwrap(), "MySQLBackup shop-hook-7f3a90bc is verified");
        let made = made(&calls);
        assert_eq!(made.len(), 1);
        assert_eq!(made[0]["metadata"]["name"], "shop-hook-7f3a90bc");
        assert_eq!(
            made[0]["spec"],
            json!({"clusterRef": {"name": "shop"}, "deletionPolicy": "Retain", "method": "Physical"})
        );
    }

    #[tokio::test(start_paused = true)]
    async fn d15_a_young_verified_one_will_do() {
        let young = vec![backup("young", "shop", &good(9))];
        let (said, calls) = hooked(Some(shop(&json!({}))), young, json!({})).await;
        assert!(said.unwrap().contains("young") && made(&calls).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn d15_what_has_no_data_or_no_target_holds_up_nobody() {
        for (cluster, want) in [
            (None, "does not exist"),
            (Some(shop(&json!({"/spec/backup": null}))), "no spec.backup"),
            (Some(shop(&json!({"/status": {}}))), "never had data"),
        ] {
            let (said, calls) = hooked(cluster, Vec::new(), json!({})).await;
            let said = said.unwrap();
            assert!(said.contains(want) && made(&calls).is_empty(), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn d15_no_backup_ends_in_a_sentence_that_says_what_to_do() {
        let healthy = || shop(&json!({}));
        for (cluster, becomes, want) in [
            (healthy(), json!({"phase": "Failed", "message": "the bucket is full"}), "the bucket is full"),
            (healthy(), json!({"phase": "Succeeded", "verified": false}), "not verified"),
            (healthy(), json!({"phase": "Running", "message": "it copies"}), "for 60s: it copies"),
            (healthy(), json!({}), "see that it runs"),
            (shop(&json!({"/status/phase": "Invalid"})), json!({}), "Invalid"),
            (shop(&json!({"/spec/hibernated": true})), json!({}), "wake it first"),
        ] {
            let (said, _) = hooked(Some(cluster), Vec::new(), becomes).await;
            let said = said.unwrap_err();
            assert!(said.contains(want) && said.contains("--no-hooks"), "{said}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
        for (code, least) in [(503, 2), (403, 1)] {
            let (client, calls) = server(move |_| Some(refusal(code, "no")));
            let said = chain(&run(client, &options()).await.unwrap_err());
            assert!(said.contains("read MySQLCluster shop"), "{said}");
            let asked = calls.all().len();
            assert!(asked >= least && (code == 503 || asked == 1), "{code}: asked {asked} times");
        }
    }
}
