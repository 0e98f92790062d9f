//! Reads everything one decision depends on. A missing thing is data; only the cluster itself must be readable.

mod archive;
mod backup;
mod beginning;
mod members;
mod named;
mod references;
mod rehearsal;
mod restore;
mod troubles;

pub use backup::backup;

use crate::cache::ClusterKey;
use crate::context::Context;
use crate::facts::{PodFacts, key_of};
use crate::kinds::OwnedKind;
use crate::kubernetes::{CallError, STRICT_LIMIT, existing, within};
use crate::observation::{Freshness, Observation};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Api, ResourceExt};
use porpoise_core::names::ClusterNames;
use porpoise_core::view::{Ages, ClusterView, NodeView};
use porpoise_crds::MySQLCluster;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a cluster could not be observed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ObserveError {
    /// The object itself cannot be read.
    #[error("read the MySQLCluster {name}")]
    ReadCluster {
        /// Its name.
        name: String,
        /// Cause.
        #[source]
        source: CallError,
    },
    /// Something that a backup depends on cannot be read.
    #[error("read {title}")]
    ReadObject {
        /// Kind and name.
        title: String,
        /// Cause.
        #[source]
        source: CallError,
    },
}

impl ObserveError {
    /// Stable word for events and metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// Observes one cluster; nothing if it no longer exists.
pub async fn cluster(context: &Context, object: &MySQLCluster) -> Result<Option<Observation>, ObserveError> {
    let uid = object.uid().unwrap_or_default();
    let needs_fresh_record = context.memories.of(&uid, |memory| memory.needs_fresh_record);
    // In the middle of an operation every pass gives orders or records something.
    let operates = object.status.as_ref().is_some_and(|status| status.operation.is_some());
    let freshness = if needs_fresh_record || operates { Freshness::Read } else { Freshness::Watched };
    let object = match freshness {
        Freshness::Watched => object.clone(),
        Freshness::Read => match read(context, object, &uid).await? {
            Some(object) => object,
            None => return Ok(None),
        },
    };
    let view = Box::pin(view(context, object)).await;
    Ok(Some(Observation { view, freshness }))
}

/// Asks the API server itself. A successor of the same name is another cluster.
async fn read(
    context: &Context,
    object: &MySQLCluster,
    uid: &str,
) -> Result<Option<MySQLCluster>, ObserveError> {
    let name = object.name_any();
    let api = Api::<MySQLCluster>::namespaced(
        context.clients.strict.clone(),
        &object.namespace().unwrap_or_default(),
    );
    let found = existing(within(STRICT_LIMIT, api.get(&name)).await);
    let found = found.map_err(|source| ObserveError::ReadCluster { name, source })?;
    Ok(found.filter(|object| object.uid().as_deref() == Some(uid)))
}

async fn view(context: &Context, object: MySQLCluster) -> ClusterView {
    let key = key_of(&object);
    let names = ClusterNames::new(&key.name, &key.namespace);
    let pods = context.caches.pods.all(&key);
    let claims = context.caches.claims.all(&key);
    let (members, references, troubles, namespace_terminating) = tokio::join!(
        members::look(context, &object, &names, &pods),
        references::look(context, &object),
        troubles::look(context, &object, &pods),
        troubles::namespace_terminating(context, &object, &pods),
    );
    let moments = Ages::moments(&object, pods.values().map(|pod| &pod.view));
    let ages = context.memories.of(&object.uid().unwrap_or_default(), |memory| memory.ages(&moments));
    ClusterView {
        now: Timestamp::now(),
        ages,
        operator: context.identity.clone(),
        namespace_terminating,
        stateful_set: stateful_set(context, &key),
        nodes: nodes(context, &pods),
        pods: pods.iter().map(|(name, pod)| (name.clone(), pod.view.clone())).collect(),
        claims: claims
            .iter()
            .map(|(name, claim)| (name.clone(), (**claim).clone()))
            .collect::<BTreeMap<_, _>>(),
        backups: context
            .caches
            .backups
            .all(&key)
            .iter()
            .map(|(name, backup)| (name.clone(), (**backup).clone()))
            .collect(),
        members,
        references,
        troubles,
        object,
    }
}

/// The nodes of these Pods, as far as they are known.
fn nodes(context: &Context, pods: &BTreeMap<String, Arc<PodFacts>>) -> BTreeMap<String, NodeView> {
    let names = pods.values().filter_map(|pod| pod.view.node.clone());
    names.filter_map(|name| Some((name.clone(), context.caches.nodes.get(&name)?))).collect()
}

/// The owned `StatefulSet`: one of the same name that belongs to somebody else does not count.
fn stateful_set(context: &Context, key: &ClusterKey) -> Option<StatefulSet> {
    let existing = context.caches.of(OwnedKind::StatefulSet).get(key, &key.name)?;
    serde_json::from_str(&existing.json)
        .inspect_err(|error| tracing::error!(%error, cluster = key.name, "cannot read a StatefulSet"))
        .ok()
}
