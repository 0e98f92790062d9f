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
use crate::facts::{ClaimFacts, PodFacts, key_of};
use crate::kinds::OwnedKind;
use crate::kubernetes::{CallError, STRICT_LIMIT, existing, within};
use crate::observation::{Freshness, Observation};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Api, ResourceExt};
use porpoise_core::line::{self, FIRST, Line};
use porpoise_core::names::ClusterNames;
use porpoise_core::view::{Ages, ClaimView, ClusterView, NodeView};
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

async fn view(context: &Context, mut object: MySQLCluster) -> ClusterView {
    let key = key_of(&object);
    let names = ClusterNames::new(&key.name, &key.namespace);
    let pods = context.caches.pods.all(&key);
    let stateful_set = stateful_set(context, &key);
    let found = context.caches.claims.all(&key);
    let lines = found.values().map(|claim| (claim.line, &claim.view));
    let line = line::current(&object, stateful_set.as_ref(), lines);
    if let Some(status) = object.status.as_mut().filter(|_| line > FIRST) {
        // An operator that knew no lines may have left it out.
        status.line = Some(line);
    }
    let (claims, other_claims) = claims(&found, line);
    let asked = of_line(&pods, line);
    let (members, references, troubles, namespace_terminating) = tokio::join!(
        members::look(context, &object, &names, &asked),
        references::look(context, &object),
        troubles::look(context, &object, &pods),
        troubles::namespace_terminating(context, &object, &pods),
    );
    let backups = context.caches.backups.all(&key);
    let backups = backups.iter().map(|(name, backup)| (name.clone(), (**backup).clone())).collect();
    let moments = Ages::moments(&object, pods.values().map(|pod| &pod.view), &backups);
    let ages = context.memories.of(&object.uid().unwrap_or_default(), |memory| memory.ages(&moments));
    ClusterView {
        now: Timestamp::now(),
        ages,
        operator: context.identity.clone(),
        namespace_terminating,
        stateful_set,
        nodes: nodes(context, &pods),
        pods: pods.iter().map(|(name, pod)| (name.clone(), pod.view.clone())).collect(),
        line,
        claims,
        other_claims,
        backups,
        members,
        references,
        troubles,
        object,
    }
}

/// The Pods that are asked: one of another line speaks for other data.
fn of_line(pods: &BTreeMap<String, Arc<PodFacts>>, line: Line) -> BTreeMap<String, Arc<PodFacts>> {
    let ours = pods.iter().filter(|(_, pod)| pod.view.line.is_none_or(|of| of == line));
    ours.map(|(name, pod)| (name.clone(), Arc::clone(pod))).collect()
}

type Claims = BTreeMap<String, ClaimView>;

/// The claims of this line by instance, and those of the others by their own name.
fn claims(found: &BTreeMap<String, Arc<ClaimFacts>>, line: Line) -> (Claims, Claims) {
    let (mut ours, mut others) = (Claims::new(), Claims::new());
    for (name, claim) in found {
        if claim.line == line {
            ours.insert(claim.instance.clone(), claim.view.clone());
        } else {
            others.insert(name.clone(), claim.view.clone());
        }
    }
    (ours, others)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a30_pods_and_claims_of_another_line_are_kept_apart() {
        let pod = |line| {
            let mut facts = PodFacts::default();
            facts.view.line = line;
            Arc::new(facts)
        };
        let pods = BTreeMap::from([("shop-0", Some(2)), ("shop-1", Some(1)), ("shop-2", None)]);
        let pods = pods.into_iter().map(|(name, line)| (name.to_owned(), pod(line))).collect();
        let asked: Vec<String> = of_line(&pods, 2).into_keys().collect();
        assert_eq!(asked, ["shop-0", "shop-2"], "a Pod of which nothing is known yet may be ours");
        let claim = |line: Line| {
            let instance = "shop-0".to_owned();
            Arc::new(ClaimFacts { line, instance, view: ClaimView::default() })
        };
        let found = BTreeMap::from([1, 2].map(|line| (line::claim(line, "shop-0"), claim(line))));
        let (ours, others) = claims(&found, 2);
        assert_eq!(
            (ours.into_keys().collect(), others.into_keys().collect()),
            (vec!["shop-0".to_owned()], vec!["data-shop-0".to_owned()])
        );
    }
}
