//! The `MySQLCluster`s, and the `MySQLBackup`s: one store for each kind, fed by one watch per namespace.

use crate::cache::ClusterKey;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use porpoise_crds::{BackupPhase, MySQLBackup, MySQLCluster};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// An object that may be unreadable: one bad object must not hide all others.
pub type Maybe<K> = DeserializeGuard<K>;
/// A `MySQLCluster` that may be unreadable.
pub type Guarded = Maybe<MySQLCluster>;
/// A `MySQLBackup` that may be unreadable.
pub type GuardedBackup = Maybe<MySQLBackup>;

/// A kind whose objects are looked after.
pub trait Watched: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static {
    /// What of the status concerns others than the one who writes it.
    fn standing(&self) -> Option<BackupPhase>;
}

impl Watched for MySQLCluster {
    fn standing(&self) -> Option<BackupPhase> {
        None
    }
}

impl Watched for MySQLBackup {
    /// Another backup of the cluster may wait for the end of this one, and the cluster tells of it.
    fn standing(&self) -> Option<BackupPhase> {
        self.status.as_ref()?.phase
    }
}

/// The clusters that exist.
pub type ClusterStore = ObjectStore<MySQLCluster>;
/// The backups that exist.
pub type BackupStore = ObjectStore<MySQLBackup>;

/// The objects of one kind that exist.
pub struct ObjectStore<K: Watched> {
    reader: Store<Maybe<K>>,
    inner: Mutex<Inner<K>>,
}

struct Inner<K: Watched> {
    writer: reflector::store::Writer<Maybe<K>>,
    /// Digest of what people and we ourselves can change in an object, except the rest of the status.
    seen: HashMap<ClusterKey, u64>,
}

impl<K: Watched> Default for ObjectStore<K> {
    fn default() -> Self {
        let (reader, writer) = reflector::store();
        Self { reader, inner: Mutex::new(Inner { writer, seen: HashMap::new() }) }
    }
}

impl<K: Watched> ObjectStore<K> {
    /// The store that the controller reads.
    pub fn reader(&self) -> Store<Maybe<K>> {
        self.reader.clone()
    }

    /// UIDs of all objects that exist.
    pub fn uids(&self) -> HashSet<String> {
        self.reader.state().iter().filter_map(|object| object.uid()).collect()
    }

    /// Lets readers in: every watch has its first complete list.
    pub(super) fn open(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // kube's store opens at the end of a list, and a list replaces what was there: so what is there is listed again.
        let all = self.reader.state();
        inner.writer.apply_watcher_event(&Event::Init);
        for object in all {
            inner.writer.apply_watcher_event(&Event::InitApply((*object).clone()));
        }
        inner.writer.apply_watcher_event(&Event::InitDone);
    }

    /// Takes over a complete list of one namespace, or of all. Gives the objects to look at.
    pub(super) fn replace(&self, namespace: Option<&str>, list: Vec<Maybe<K>>) -> Vec<ClusterKey> {
        let listed: HashSet<ClusterKey> = list.iter().map(key).collect();
        let gone = self.reader.state_filter(|object| {
            let key = key(object);
            namespace.is_none_or(|namespace| key.namespace == namespace) && !listed.contains(&key)
        });
        let removed: Vec<ClusterKey> = gone.iter().map(|object| self.delete(object)).collect();
        let changed = list.into_iter().filter_map(|object| self.apply(object));
        changed.chain(removed).collect()
    }

    /// Takes over one object. Gives its key if something else than the status changed.
    pub(super) fn apply(&self, mut object: Maybe<K>) -> Option<ClusterKey> {
        object.meta_mut().managed_fields = None;
        let (key, digest) = (key(&object), digest(&object));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.writer.apply_watcher_event(&Event::Apply(object));
        (inner.seen.insert(key.clone(), digest) != Some(digest)).then_some(key)
    }

    /// Forgets one object.
    pub(super) fn delete(&self, object: &Maybe<K>) -> ClusterKey {
        let key = key(object);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seen.remove(&key);
        inner.writer.apply_watcher_event(&Event::Delete(object.clone()));
        key
    }
}

/// How kube's queue calls an object.
pub(super) fn reference<K: Watched>(key: &ClusterKey) -> ObjectRef<Maybe<K>> {
    ObjectRef::new(&key.name).within(&key.namespace)
}

pub(super) fn key<K: Watched>(object: &Maybe<K>) -> ClusterKey {
    ClusterKey { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// Generation alone would hide that a finalizer, an annotation or a label was changed.
fn digest<K: Watched>(object: &Maybe<K>) -> u64 {
    let metadata = object.meta();
    let mut hasher = DefaultHasher::new();
    metadata.uid.hash(&mut hasher);
    metadata.generation.hash(&mut hasher);
    metadata.finalizers.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.labels.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    object.0.as_ref().ok().and_then(Watched::standing).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(namespace: &str, name: &str, generation: i64) -> Guarded {
        let mut object = MySQLCluster::new(name, porpoise_crds::MySQLClusterSpec::default());
        object.metadata.namespace = Some(namespace.to_owned());
        object.metadata.generation = Some(generation);
        DeserializeGuard(Ok(object))
    }

    fn names(store: &ClusterStore) -> Vec<String> {
        let mut names: Vec<String> = store.reader().state().iter().map(|object| object.name_any()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_change_of_status_alone_triggers_nothing() {
        let store = ClusterStore::default();
        assert!(store.apply(cluster("prod", "shop", 1)).is_some());
        assert!(store.apply(cluster("prod", "shop", 1)).is_none());
        assert!(store.apply(cluster("prod", "shop", 2)).is_some());
    }

    #[test]
    fn a_backup_that_is_over_is_news_for_others() {
        let store = BackupStore::default();
        let backup = |phase| {
            let mut object: MySQLBackup = serde_json::from_value(serde_json::json!({
                "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup",
                "metadata": {"name": "shop-a", "namespace": "prod"}, "spec": {"clusterRef": {"name": "shop"}},
            }))
            .unwrap();
            object.status.get_or_insert_default().phase = phase;
            DeserializeGuard(Ok(object))
        };
        assert!(store.apply(backup(None)).is_some());
        assert!(store.apply(backup(Some(BackupPhase::Running))).is_some());
        assert!(store.apply(backup(Some(BackupPhase::Running))).is_none());
        assert!(store.apply(backup(Some(BackupPhase::Succeeded))).is_some());
    }

    #[test]
    fn a_list_of_one_namespace_removes_only_there() {
        let store = ClusterStore::default();
        for (namespace, name) in [("prod", "shop"), ("prod", "gone"), ("test", "other")] {
            store.apply(cluster(namespace, name, 1));
        }
        store.open();
        let touched = store.replace(Some("prod"), vec![cluster("prod", "shop", 1)]);
        assert_eq!(touched.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["gone"]);
        assert_eq!(names(&store), ["other", "shop"]);
    }

    #[tokio::test]
    async fn opening_keeps_what_was_seen() {
        let store = ClusterStore::default();
        store.apply(cluster("prod", "shop", 1));
        store.open();
        store.reader().wait_until_ready().await.unwrap();
        assert_eq!(names(&store), ["shop"]);
    }
}
