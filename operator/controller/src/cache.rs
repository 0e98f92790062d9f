//! What the watches have seen, by cluster. `watch` fills it; the other steps read it.
//!
//! kube's own store has no index: finding the Pods of one cluster would walk over the Pods of all clusters.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// Which cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

type Entries<T> = HashMap<ClusterKey, BTreeMap<String, Arc<T>>>;

/// Objects of one kind, by cluster and name.
pub struct Cache<T> {
    entries: RwLock<Entries<T>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self { entries: RwLock::default() }
    }
}

impl<T> Cache<T> {
    /// One object.
    pub fn get(&self, key: &ClusterKey, name: &str) -> Option<Arc<T>> {
        self.read(|entries| entries.get(key)?.get(name).cloned())
    }

    /// All objects of a cluster.
    pub fn all(&self, key: &ClusterKey) -> BTreeMap<String, Arc<T>> {
        self.read(|entries| entries.get(key).cloned().unwrap_or_default())
    }

    /// Clusters with an object that is `wanted`. Walks over all of them.
    pub fn holding(&self, wanted: impl Fn(&T) -> bool) -> Vec<ClusterKey> {
        self.read(|entries| {
            let holding = entries.iter().filter(|(_, objects)| objects.values().any(|object| wanted(object)));
            holding.map(|(key, _)| key.clone()).collect()
        })
    }

    /// Stores an object.
    pub fn put(&self, key: &ClusterKey, name: &str, value: T) {
        let value = Arc::new(value);
        self.write(|entries| {
            entries.entry(key.clone()).or_default().insert(name.to_owned(), value);
        });
    }

    /// Stores what became of `known` by a write of ours, unless the watch has told of something else meanwhile: that may be newer
    /// already, and nothing more may come for long.
    pub fn put_after(&self, known: Option<&Arc<T>>, key: &ClusterKey, name: &str, value: T) {
        self.write(|entries| {
            let objects = entries.entry(key.clone()).or_default();
            let is_known = match (objects.get(name), known) {
                (Some(present), Some(known)) => Arc::ptr_eq(present, known),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            };
            if is_known {
                objects.insert(name.to_owned(), Arc::new(value));
            }
            if objects.is_empty() {
                entries.remove(key);
            }
        });
    }

    /// Forgets an object.
    pub fn remove(&self, key: &ClusterKey, name: &str) {
        self.write(|entries| {
            if let Some(objects) = entries.get_mut(key) {
                objects.remove(name);
                if objects.is_empty() {
                    entries.remove(key);
                }
            }
        });
    }

    /// Replaces all objects of one namespace, or of all. Gives the clusters that had or have one.
    pub fn replace(&self, namespace: Option<&str>, fresh: Vec<(ClusterKey, String, T)>) -> Vec<ClusterKey> {
        self.write(|entries| {
            let within = |key: &ClusterKey| namespace.is_none_or(|namespace| key.namespace == namespace);
            let mut touched: Vec<ClusterKey> = entries.keys().filter(|key| within(key)).cloned().collect();
            entries.retain(|key, _| !within(key));
            for (key, name, value) in fresh {
                touched.push(key.clone());
                entries.entry(key).or_default().insert(name, Arc::new(value));
            }
            touched.sort_unstable();
            touched.dedup();
            touched
        })
    }

    fn read<A>(&self, look: impl FnOnce(&Entries<T>) -> A) -> A {
        look(&self.entries.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<A>(&self, change: impl FnOnce(&mut Entries<T>) -> A) -> A {
        change(&mut self.entries.write().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ClusterKey {
        ClusterKey { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn replacing_one_namespace_leaves_the_others_and_names_all_touched() {
        let cache = Cache::default();
        cache.put(&key("a", "old"), "x", 1);
        cache.put(&key("b", "other"), "x", 2);
        let touched = cache.replace(Some("a"), vec![(key("a", "new"), "y".to_owned(), 3)]);
        assert_eq!(touched, [key("a", "new"), key("a", "old")]);
        assert!(cache.get(&key("a", "old"), "x").is_none());
        assert_eq!(cache.get(&key("b", "other"), "x").as_deref(), Some(&2));
        assert_eq!(cache.get(&key("a", "new"), "y").as_deref(), Some(&3));
    }

    #[test]
    fn the_answer_to_a_write_never_takes_the_place_of_news() {
        let (cache, shop) = (Cache::default(), key("a", "shop"));
        cache.put_after(None, &shop, "x", 1);
        let known = cache.get(&shop, "x");
        cache.put_after(known.as_ref(), &shop, "x", 2);
        assert_eq!(cache.get(&shop, "x").as_deref(), Some(&2));
        cache.put(&shop, "x", 3);
        cache.put_after(known.as_ref(), &shop, "x", 2);
        cache.put_after(None, &shop, "x", 2);
        assert_eq!(cache.get(&shop, "x").as_deref(), Some(&3), "the watch told of it meanwhile");
        cache.remove(&shop, "x");
        cache.put_after(known.as_ref(), &shop, "x", 2);
        assert!(cache.read(HashMap::is_empty), "deleted meanwhile");
    }

    #[test]
    fn an_empty_cluster_leaves_no_entry() {
        let cache = Cache::default();
        cache.put(&key("a", "shop"), "x", 1);
        cache.remove(&key("a", "shop"), "x");
        assert!(cache.read(HashMap::is_empty));
    }
}
