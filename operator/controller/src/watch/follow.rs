//! One watch of one kind: events in, cache changed, clusters touched.

use super::keep::Kept;
use crate::cache::{Cache, ClusterKey};
use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Resource};
use std::fmt::Debug;
use std::sync::Arc;

/// What became of a watch, as its owner is told.
pub(super) trait Listener: Send + Sync + 'static {
    /// The cluster's objects changed.
    fn touched(&self, key: &ClusterKey);
    /// The first complete list is in the cache.
    fn ready(&self);
    /// The watch works (none) or fails and is retried.
    fn state(&self, error: Option<&watcher::Error>);
}

/// Follows a kind until the process ends.
pub(super) struct Follow<T, L> {
    /// The namespace that this watch is limited to.
    pub(super) namespace: Option<String>,
    /// Where to keep what is seen.
    pub(super) cache: Arc<Cache<T>>,
    /// Whom to tell.
    pub(super) listener: L,
}

impl<T, L: Listener> Follow<T, L> {
    /// Runs the watch. `keep` says where an object belongs; what belongs to no cluster is dropped.
    pub(super) async fn run<K>(
        self,
        api: Api<K>,
        config: watcher::Config,
        keep: impl Fn(K) -> Option<Kept<T>>,
    ) where
        K: Resource + Clone + serde::de::DeserializeOwned + Debug + Send + 'static,
    {
        let events = watch(api, config).default_backoff();
        pin_mut!(events);
        let mut list = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    self.listener.state(None);
                    self.take(event, &mut list, &keep);
                }
                Err(error) => self.listener.state(Some(&error)),
            }
        }
    }

    fn take<K>(&self, event: Event<K>, list: &mut Vec<Kept<T>>, keep: &impl Fn(K) -> Option<Kept<T>>) {
        match event {
            Event::Init => list.clear(),
            Event::InitApply(object) => list.extend(keep(object)),
            Event::InitDone => {
                let touched = self.cache.replace(self.namespace.as_deref(), std::mem::take(list));
                for key in &touched {
                    self.listener.touched(key);
                }
                self.listener.ready();
            }
            Event::Apply(object) => {
                if let Some((key, name, value)) = keep(object) {
                    self.cache.put(&key, &name, value);
                    self.listener.touched(&key);
                }
            }
            Event::Delete(object) => {
                if let Some((key, name, _)) = keep(object) {
                    self.cache.remove(&key, &name);
                    self.listener.touched(&key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Listener for Arc<Heard> {
        fn touched(&self, key: &ClusterKey) {
            self.0.lock().unwrap().push(key.name.clone());
        }
        fn ready(&self) {
            self.0.lock().unwrap().push("ready".to_owned());
        }
        fn state(&self, _: Option<&watcher::Error>) {}
    }

    fn keep((cluster, value): (&'static str, u32)) -> Option<Kept<u32>> {
        let key = ClusterKey { namespace: "prod".to_owned(), name: cluster.to_owned() };
        (!cluster.is_empty()).then(|| (key, "x".to_owned(), value))
    }

    #[test]
    fn a_new_list_replaces_the_old_one_only_when_it_is_complete() {
        let heard = Arc::new(Heard::default());
        let follow = Follow { namespace: None, cache: Arc::<Cache<u32>>::default(), listener: heard.clone() };
        let shop = keep(("shop", 0)).unwrap().0;
        let mut list = Vec::new();
        for event in [Event::Init, Event::InitApply(("shop", 1)), Event::InitApply(("", 9)), Event::InitDone]
        {
            follow.take(event, &mut list, &keep);
        }
        follow.take(Event::Init, &mut list, &keep);
        assert_eq!(follow.cache.get(&shop, "x").as_deref(), Some(&1), "half a list must not empty the cache");
        follow.take(Event::InitDone, &mut list, &keep);
        assert!(follow.cache.get(&shop, "x").is_none());
        assert_eq!(*heard.0.lock().unwrap(), ["shop", "ready", "shop", "ready"]);
    }
}
