//! All watches of the operator.

use super::clusters::{ClusterStore, Guarded, key, reference};
use super::follow::{Follow, Listener};
use super::keep::{self, Kept};
use super::nodes::NodeWatch;
use super::slim;
use crate::board::Board;
use crate::cache::{Cache, ClusterKey};
use crate::facts::Caches;
use crate::kinds::{MANAGED_BY, MANAGER, OwnedKind};
use futures::{Stream, StreamExt, pin_mut};
use kube::core::ApiResource;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, Resource};
use porpoise_crds::MySQLCluster;
use std::fmt::Debug;
use std::sync::Arc;
use strum::IntoEnumIterator;
use tokio::sync::mpsc;

/// Which namespaces the operator looks after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    Everywhere,
    /// These; one watch of each kind per namespace.
    Namespaces(Vec<String>),
}

impl Scope {
    /// One entry per watch of a kind.
    pub fn namespaces(&self) -> Vec<Option<String>> {
        match self {
            Self::Everywhere => vec![None],
            Self::Namespaces(names) => names.iter().cloned().map(Some).collect(),
        }
    }
}

/// Has one cluster looked at, without anything about it having changed in Kubernetes.
#[derive(Clone)]
pub struct Touch {
    sender: mpsc::UnboundedSender<ObjectRef<Guarded>>,
    key: ClusterKey,
}

impl Touch {
    /// As soon as a pass is free.
    pub fn now(&self) {
        // Fails only while the process ends. The queue behind it holds each cluster once.
        let _ = self.sender.send(reference(&self.key));
    }
}

/// Makes [`Touch`]es.
#[derive(Clone)]
pub struct Touches(mpsc::UnboundedSender<ObjectRef<Guarded>>);

impl Touches {
    /// Touches that somebody else listens to.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<ObjectRef<Guarded>>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// For this cluster.
    pub fn of(&self, key: &ClusterKey) -> Touch {
        Touch { sender: self.0.clone(), key: key.clone() }
    }
}

/// The running watches. They run until the process ends.
pub struct Watches {
    /// The clusters.
    pub clusters: Arc<ClusterStore>,
    /// What belongs to them.
    pub caches: Arc<Caches>,
    board: Arc<Board>,
    sender: mpsc::UnboundedSender<ObjectRef<Guarded>>,
    triggers: mpsc::UnboundedReceiver<ObjectRef<Guarded>>,
}

impl Watches {
    /// Starts all of them.
    pub fn start(client: &Client, scope: &Scope, board: &Arc<Board>) -> Self {
        let (sender, triggers) = mpsc::unbounded_channel();
        let watches =
            Self { clusters: Arc::default(), caches: Arc::default(), board: board.clone(), sender, triggers };
        for namespace in scope.namespaces() {
            watches.follow_clusters(client, namespace.clone());
            watches.follow_owned(client, namespace.as_deref());
        }
        let nodes = NodeWatch { caches: watches.caches.clone(), touches: watches.touches() };
        tokio::spawn(nodes.run(client.clone()));
        watches
    }

    /// For those who have other reasons to look at a cluster.
    pub fn touches(&self) -> Touches {
        Touches(self.sender.clone())
    }

    /// Waits, as a standby, until `leading` ends, then until every watch has its first list. The caches stay fresh
    /// meanwhile; who was touched is forgotten, since a new leader looks at every cluster anyway.
    pub async fn stand_by(&mut self, leading: impl Future<Output = ()>) {
        pin_mut!(leading);
        loop {
            tokio::select! {
                () = &mut leading => break,
                _ = self.triggers.recv() => {}
            }
        }
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        while !self.board.notes().pending.is_empty() {
            tick.tick().await;
        }
        self.clusters.open();
    }

    /// Clusters to look at: all that exist, then whatever is touched.
    pub fn into_triggers(mut self) -> impl Stream<Item = ObjectRef<Guarded>> + Send + 'static {
        let all = self.clusters.reader().state();
        let first: Vec<_> = all.iter().map(|object| reference(&key(object))).collect();
        futures::stream::iter(first)
            .chain(futures::stream::poll_fn(move |context| self.triggers.poll_recv(context)))
    }

    fn follow_clusters(&self, client: &Client, namespace: Option<String>) {
        let listener = self.listener("MySQLCluster", namespace.as_deref(), true);
        let api: Api<Guarded> = match &namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        tokio::spawn(follow_clusters(api, namespace, self.clusters.clone(), listener));
    }

    fn follow_owned(&self, client: &Client, namespace: Option<&str>) {
        for kind in OwnedKind::iter() {
            let cache = self.caches.of(kind).clone();
            self.follow(client, namespace, &kind.resource(), cache, keep::object);
        }
        self.follow(client, namespace, &slim::pod_resource(), self.caches.pods.clone(), keep::pod);
        self.follow(client, namespace, &slim::claim_resource(), self.caches.claims.clone(), keep::claim);
    }

    fn follow<K, T>(
        &self,
        client: &Client,
        namespace: Option<&str>,
        resource: &ApiResource,
        cache: Arc<Cache<T>>,
        keep: impl Fn(K) -> Option<Kept<T>> + Send + Sync + 'static,
    ) where
        K: Resource<DynamicType = ApiResource, Scope = kube::core::DynamicResourceScope>
            + Clone
            + serde::de::DeserializeOwned
            + Debug
            + Send
            + 'static,
        T: Send + Sync + 'static,
    {
        let api: Api<K> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
            None => Api::all_with(client.clone(), resource),
        };
        let listener = self.listener(&resource.kind, namespace, false);
        let follow = Follow { namespace: namespace.map(str::to_owned), cache, listener };
        tokio::spawn(follow.run(api, ours(), keep));
    }

    fn listener(&self, kind: &str, namespace: Option<&str>, is_crd: bool) -> Told {
        let name = namespace.map_or_else(|| kind.to_owned(), |namespace| format!("{kind} in {namespace}"));
        self.board.note(|notes| notes.pending.insert(name.clone()));
        Told { name, is_crd, board: self.board.clone(), sender: self.sender.clone() }
    }
}

/// Owned objects only. `EndpointSlice`s of Kubernetes' own controller inherit our label from the Service.
fn ours() -> watcher::Config {
    watcher::Config::default().labels(&format!(
        "{MANAGED_BY}={MANAGER},endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io"
    ))
}

async fn follow_clusters(
    api: Api<Guarded>,
    namespace: Option<String>,
    store: Arc<ClusterStore>,
    listener: Told,
) {
    let events = watch(api, watcher::Config::default()).default_backoff();
    pin_mut!(events);
    let mut list = Vec::new();
    while let Some(event) = events.next().await {
        listener.state(event.as_ref().err());
        match event {
            Ok(Event::Init) => list.clear(),
            Ok(Event::InitApply(object)) => list.push(object),
            Ok(Event::InitDone) => {
                let changed = store.replace(namespace.as_deref(), std::mem::take(&mut list));
                for key in &changed {
                    listener.touched(key);
                }
                listener.ready();
            }
            Ok(Event::Apply(object)) => {
                if let Some(key) = store.apply(object) {
                    listener.touched(&key);
                }
            }
            Ok(Event::Delete(object)) => listener.touched(&store.delete(&object)),
            Err(_) => {}
        }
    }
}

/// Tells the board about a watch and the controller about clusters.
struct Told {
    name: String,
    is_crd: bool,
    board: Arc<Board>,
    sender: mpsc::UnboundedSender<ObjectRef<Guarded>>,
}

impl Listener for Told {
    fn touched(&self, key: &ClusterKey) {
        // Fails only while the process ends.
        let _ = self.sender.send(reference(key));
    }

    fn ready(&self) {
        self.board.note(|notes| notes.pending.remove(&self.name));
    }

    fn state(&self, error: Option<&watcher::Error>) {
        let missing = self.is_crd && error.is_some_and(is_missing);
        self.board.note(|notes| {
            match error {
                Some(_) if missing => notes.missing_crds.insert(crd_name()),
                _ => self.is_crd && notes.missing_crds.remove(&crd_name()),
            };
            match error {
                Some(error) if !missing => {
                    notes.failing.insert(self.name.clone(), crate::kubernetes::chain(error))
                }
                _ => notes.failing.remove(&self.name),
            };
        });
        if let Some(error) = error {
            tracing::warn!(
                watch = self.name,
                error = crate::kubernetes::chain(error),
                "watch failed, trying again"
            );
        }
    }
}

fn crd_name() -> String {
    format!("{}.{}", MySQLCluster::plural(&()), porpoise_crds::GROUP)
}

/// The kind is unknown to the API server.
fn is_missing(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}
