//! What scenarios need: a cluster with the operator on it, a namespace of their own, conditions to wait for, SQL.

mod audit;
mod crashing;
mod mysql;
mod namespace;
mod operator;
mod probe;
mod stage;
mod store;
mod wait;

pub use audit::AuditLog;
pub use crashing::{CrashProxy, Moment};
pub(crate) use mysql::PORT;
pub use mysql::{Account, Client};
pub use namespace::Namespace;
pub use operator::OperatorProcess;
pub(crate) use probe::OWN_NETWORK;
pub use probe::{connect, first_write, in_network, joined, service_address};
pub use stage::{OPERATOR_NAMESPACE, RELEASE, Stage};
pub use store::Store;
pub use wait::{Seen, until};

use anyhow::{Context, Result};
use kube::Api;
use kube::api::{Patch, PatchParams};
use porpoise_crds::{MySQLCluster, MySQLClusterStatus, Phase};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a cluster of this machine may take to become Healthy: generous, since two cores serve everything.
pub const HEALTHY_WITHIN: Duration = Duration::from_mins(4);

/// A `MySQLCluster` in a scenario's namespace.
pub struct Database<'a> {
    /// Where it lives.
    pub namespace: &'a Namespace,
    /// Its name.
    pub name: String,
}

/// The manifest of a small cluster: what tests and demo use where the spec does not matter.
pub fn small(name: &str, instances: i32) -> Value {
    json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1",
        "kind": "MySQLCluster",
        "metadata": {"name": name},
        "spec": {
            "instances": instances,
            "storage": {"size": "1Gi", "deletionPolicy": "Delete"},
            "resources": {"limits": {"cpu": "1", "memory": "768Mi"}, "requests": {"cpu": "50m", "memory": "512Mi"}},
            // Kubernetes waits for half of it before it looks at a namespace that goes again.
            "pod": {"terminationGracePeriodSeconds": 30},
        },
    })
}

impl<'a> Database<'a> {
    /// Applies the manifest, as `kubectl apply --server-side` does.
    pub async fn apply(namespace: &'a Namespace, manifest: &Value) -> Result<Self> {
        let name = manifest["metadata"]["name"].as_str().context("a manifest has a name")?.to_owned();
        let database = Self { namespace, name };
        database
            .api()
            .patch(&database.name, &PatchParams::apply("scenario").force(), &Patch::Apply(manifest))
            .await
            .with_context(|| format!("apply {}", database.name))?;
        Ok(database)
    }

    /// The API for the kind in this namespace.
    pub fn api(&self) -> Api<MySQLCluster> {
        Api::namespaced(self.namespace.client(), self.namespace.name())
    }

    /// Changes the spec by a merge patch.
    pub async fn patch_spec(&self, spec: Value) -> Result<()> {
        self.api().patch(&self.name, &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await?;
        Ok(())
    }

    /// The status now.
    pub async fn status(&self) -> Result<MySQLClusterStatus> {
        Ok(self.api().get(&self.name).await?.status.unwrap_or_default())
    }

    /// Waits until the phase answers the present generation of the spec.
    pub async fn until_phase(&self, phase: Phase) -> Result<MySQLClusterStatus> {
        until(&format!("{} is {}", self.name, phase.word()), HEALTHY_WITHIN, async || {
            let object = self.api().get(&self.name).await?;
            let status = object.status.clone().unwrap_or_default();
            let answered = status.observed_generation == object.metadata.generation;
            if answered && status.phase == Some(phase) {
                Ok(Seen::Done(status))
            } else {
                Ok(Seen::Not(brief(&status)))
            }
        })
        .await
    }

    /// Waits until a condition has this status and reason; answers its message.
    pub async fn until_condition(&self, type_: &str, status: &str, reason: &str) -> Result<String> {
        until(&format!("{} has {type_}={status} because {reason}", self.name), HEALTHY_WITHIN, async || {
            let seen = self.status().await?;
            let found = seen.conditions.iter().find(|one| one.type_ == type_);
            match found {
                Some(one) if one.status == status && one.reason == reason => {
                    Ok(Seen::Done(one.message.clone()))
                }
                other => Ok(Seen::Not(format!("{other:?}; {}", brief(&seen)))),
            }
        })
        .await
    }

    /// Waits until the condition `Ready` or a message of an instance holds these words.
    pub async fn until_message(&self, words: &str) -> Result<()> {
        until(&format!("{} says {words:?}", self.name), HEALTHY_WITHIN, async || {
            let said = brief(&self.status().await?);
            if said.contains(words) { Ok(Seen::Done(())) } else { Ok(Seen::Not(said)) }
        })
        .await
    }

    /// Deletes the object and waits until it is gone.
    pub async fn delete(&self) -> Result<()> {
        self.api().delete(&self.name, &kube::api::DeleteParams::default()).await?;
        self.until_gone().await
    }

    /// Waits until the object is gone.
    pub async fn until_gone(&self) -> Result<()> {
        until(&format!("{} is gone", self.name), HEALTHY_WITHIN, async || {
            match self.api().get_opt(&self.name).await? {
                None => Ok(Seen::Done(())),
                Some(object) => Ok(Seen::Not(brief(&object.status.unwrap_or_default()))),
            }
        })
        .await
    }
}

/// A status in one line.
pub fn brief(status: &MySQLClusterStatus) -> String {
    let instances: Vec<String> = status
        .instances
        .iter()
        .map(|one| format!("{} {:?} ready={} {}", one.name, one.role, one.ready, one.message))
        .collect();
    let ready = status.conditions.iter().find(|one| one.type_ == "Ready").map(|one| one.message.clone());
    format!(
        "phase {:?}, primary {:?}, term {:?}, quorum {:?}, {}; {}",
        status.phase,
        status.primary,
        status.term,
        status.quorum.as_ref().map(|claim| (claim.members.len(), claim.k, claim.version)),
        instances.join(", "),
        ready.unwrap_or_default()
    )
}
