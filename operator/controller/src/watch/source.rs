//! All watches of the operator.

use super::backups::BackupWatch;
use super::follow::{Follow, Listener};
use super::keep::{self, Kept};
use super::nodes::NodeWatch;
use super::slim;
use super::store::{
    BackupStore, ClusterStore, Guarded, GuardedBackup, Maybe, ObjectStore, Watched, key, reference,
};
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
use porpoise_crds::{MySQLBackup, MySQLCluster};
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
    /// The backups.
    pub backups: Arc<BackupStore>,
    board: Arc<Board>,
    sender: mpsc::UnboundedSender<ObjectRef<Guarded>>,
    triggers: mpsc::UnboundedReceiver<ObjectRef<Guarded>>,
    backup_sender: mpsc::UnboundedSender<ObjectRef<GuardedBackup>>,
    backup_triggers: mpsc::UnboundedReceiver<ObjectRef<GuardedBackup>>,
}

/// References to look at.
pub(super) type Sender<K> = mpsc::UnboundedSender<ObjectRef<Maybe<K>>>;

/// All objects of a store, then whatever is touched.
fn triggers<K: Watched>(
    store: &ObjectStore<K>,
    mut touched: mpsc::UnboundedReceiver<ObjectRef<Maybe<K>>>,
) -> impl Stream<Item = ObjectRef<Maybe<K>>> + Send + use<K> {
    let all = store.reader().state();
    let first: Vec<_> = all.iter().map(|object| reference(&key(object))).collect();
    futures::stream::iter(first).chain(futures::stream::poll_fn(move |context| touched.poll_recv(context)))
}

impl Watches {
    /// Starts all of them.
    pub fn start(client: &Client, scope: &Scope, board: &Arc<Board>) -> Self {
        let (sender, triggers) = mpsc::unbounded_channel();
        let (backup_sender, backup_triggers) = mpsc::unbounded_channel();
        let watches = Self {
            clusters: Arc::default(),
            caches: Arc::default(),
            backups: Arc::default(),
            board: board.clone(),
            sender,
            triggers,
            backup_sender,
            backup_triggers,
        };
        for namespace in scope.namespaces() {
            watches.follow_clusters(client, namespace.clone());
            watches.follow_backups(client, namespace.as_deref());
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
                _ = self.backup_triggers.recv() => {}
            }
        }
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(50));
        while !self.board.notes().pending.is_empty() {
            tick.tick().await;
        }
        self.clusters.open();
        self.backups.open();
    }

    /// Clusters and backups to look at: all that exist, then whatever is touched.
    pub fn into_triggers(
        self,
    ) -> (
        impl Stream<Item = ObjectRef<Guarded>> + Send + 'static,
        impl Stream<Item = ObjectRef<GuardedBackup>> + Send + 'static,
    ) {
        (triggers(&self.clusters, self.triggers), triggers(&self.backups, self.backup_triggers))
    }

    fn follow_backups(&self, client: &Client, namespace: Option<&str>) {
        let watch = BackupWatch {
            namespace: namespace.map(str::to_owned),
            store: self.backups.clone(),
            caches: self.caches.clone(),
            backups: self.told("MySQLBackup", namespace, self.backup_sender.clone()),
            clusters: self.touches(),
        };
        tokio::spawn(watch.run(client.clone()));
        let listener = self.told("Job", namespace, self.backup_sender.clone());
        follow_with(client, namespace, &slim::job_resource(), Arc::default(), keep::job, listener);
    }

    fn follow_clusters(&self, client: &Client, namespace: Option<String>) {
        let listener = self.listener("MySQLCluster", namespace.as_deref());
        let api: Api<Guarded> = match &namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        tokio::spawn(follow_clusters(api, namespace, self.clusters.clone(), listener));
    }

    fn follow_owned(&self, client: &Client, namespace: Option<&str>) {
        for kind in OwnedKind::iter() {
            let (resource, cache) = (kind.resource(), self.caches.of(kind).clone());
            let listener = self.listener(&resource.kind, namespace);
            follow_with(client, namespace, &resource, cache, keep::object, listener);
        }
        let (pods, claims) = (slim::pod_resource(), slim::claim_resource());
        let listener = self.listener(&pods.kind, namespace);
        follow_with(client, namespace, &pods, self.caches.pods.clone(), keep::pod, listener);
        let listener = self.listener(&claims.kind, namespace);
        follow_with(client, namespace, &claims, self.caches.claims.clone(), keep::claim, listener);
    }

    fn listener(&self, kind: &str, namespace: Option<&str>) -> Told<MySQLCluster> {
        self.told(kind, namespace, self.sender.clone())
    }

    fn told<K: Watched>(&self, kind: &str, namespace: Option<&str>, sender: Sender<K>) -> Told<K> {
        let name = namespace.map_or_else(|| kind.to_owned(), |namespace| format!("{kind} in {namespace}"));
        self.board.note(|notes| notes.pending.insert(name.clone()));
        let crd = [
            (MySQLCluster::kind(&()), MySQLCluster::plural(&())),
            (MySQLBackup::kind(&()), MySQLBackup::plural(&())),
        ];
        let crd = crd.into_iter().find(|(ours, _)| *ours == kind);
        let crd = crd.map(|(_, plural)| format!("{plural}.{}", porpoise_crds::GROUP));
        Told { name, crd, board: self.board.clone(), sender }
    }
}

/// Follows one kind in a task of its own.
fn follow_with<K, T>(
    client: &Client,
    namespace: Option<&str>,
    resource: &ApiResource,
    cache: Arc<Cache<T>>,
    keep: impl Fn(K) -> Option<Kept<T>> + Send + Sync + 'static,
    listener: impl Listener,
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
    let follow = Follow { namespace: namespace.map(str::to_owned), cache, listener };
    tokio::spawn(follow.run(api, ours(), keep));
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
    listener: Told<MySQLCluster>,
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

/// Tells the board about a watch and a controller about objects.
pub(super) struct Told<K: Watched> {
    name: String,
    /// The definition that is missing when the kind is unknown to the API server.
    crd: Option<String>,
    board: Arc<Board>,
    sender: Sender<K>,
}

impl<K: Watched> Listener for Told<K> {
    fn touched(&self, key: &ClusterKey) {
        // Fails only while the process ends.
        let _ = self.sender.send(reference(key));
    }

    fn ready(&self) {
        self.board.note(|notes| notes.pending.remove(&self.name));
    }

    fn state(&self, error: Option<&watcher::Error>) {
        let missing = self.crd.is_some() && error.is_some_and(is_missing);
        self.board.note(|notes| {
            match &self.crd {
                Some(crd) if missing => notes.missing_crds.insert(crd.clone()),
                Some(crd) => notes.missing_crds.remove(crd),
                None => false,
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

/// The kind is unknown to the API server.
fn is_missing(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}
