//! The backups: kept in a store for their own controller, and by cluster for whoever asks what a cluster has.

use super::follow::Listener;
use super::source::{Told, Touches};
use super::store::{BackupStore, GuardedBackup};
use crate::cache::ClusterKey;
use crate::facts::{Caches, backup_seen};
use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client};
use porpoise_core::view::BackupSeen;
use porpoise_crds::{BackupPhase, MySQLBackup};
use std::sync::Arc;

/// One watch of backups.
pub(super) struct BackupWatch {
    /// The namespace it is limited to.
    pub(super) namespace: Option<String>,
    /// Where they are kept.
    pub(super) store: Arc<BackupStore>,
    /// Where they are kept by cluster.
    pub(super) caches: Arc<Caches>,
    /// Tells their controller.
    pub(super) backups: Told<MySQLBackup>,
    /// Tells the controller of clusters.
    pub(super) clusters: Touches,
}

impl BackupWatch {
    /// Runs until the process ends.
    pub(super) async fn run(self, client: Client) {
        let api: Api<GuardedBackup> = match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let events = watch(api, watcher::Config::default()).default_backoff();
        pin_mut!(events);
        let mut list = Vec::new();
        while let Some(event) = events.next().await {
            self.backups.state(event.as_ref().err());
            if let Ok(event) = event {
                self.take(event, &mut list);
            }
        }
    }

    fn take(&self, event: Event<GuardedBackup>, list: &mut Vec<GuardedBackup>) {
        match event {
            Event::Init => list.clear(),
            Event::InitApply(object) => list.push(object),
            Event::InitDone => self.replace(std::mem::take(list)),
            Event::Apply(object) => {
                let seen = seen(&object);
                if let Some((cluster, name, backup)) = &seen {
                    self.caches.backups.put(cluster, name, backup.clone());
                }
                if let Some(key) = self.store.apply(object) {
                    self.tell(&key, seen.map(|(cluster, ..)| cluster));
                }
            }
            Event::Delete(object) => {
                let seen = seen(&object);
                if let Some((cluster, name, _)) = &seen {
                    self.caches.backups.remove(cluster, name);
                }
                let key = self.store.delete(&object);
                self.tell(&key, seen.map(|(cluster, ..)| cluster));
            }
        }
    }

    fn replace(&self, list: Vec<GuardedBackup>) {
        let seen = list.iter().filter_map(seen).collect();
        for cluster in self.caches.backups.replace(self.namespace.as_deref(), seen) {
            self.clusters.of(&cluster).now();
        }
        for key in self.store.replace(self.namespace.as_deref(), list) {
            self.backups.touched(&key);
        }
        self.backups.ready();
    }

    /// The backup itself, its cluster, and those that may wait for it.
    fn tell(&self, key: &ClusterKey, cluster: Option<ClusterKey>) {
        self.backups.touched(key);
        let Some(cluster) = cluster else { return };
        let waiting = |backup: &BackupSeen| matches!(backup.phase, None | Some(BackupPhase::Pending));
        for (name, _) in self.caches.backups.all(&cluster).iter().filter(|(_, backup)| waiting(backup)) {
            if *name != key.name {
                self.backups.touched(&ClusterKey { namespace: key.namespace.clone(), name: name.clone() });
            }
        }
        self.clusters.of(&cluster).now();
    }
}

/// Cluster, name and what matters to others. One that cannot be read matters to nobody.
fn seen(object: &GuardedBackup) -> Option<(ClusterKey, String, BackupSeen)> {
    let backup = object.0.as_ref().ok()?;
    let namespace = backup.metadata.namespace.clone()?;
    let key = ClusterKey { namespace, name: backup.spec.cluster_ref.name.clone() };
    Some((key, backup.metadata.name.clone()?, backup_seen(backup)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::DeserializeGuard;
    use serde_json::json;

    #[test]
    fn a29_a_cluster_sees_what_its_backups_hold_and_where_they_are() {
        let location = json!({"target": {"s3": {"bucket": "safe"}}, "path": "prod/shop/u1/shop-a"});
        let object = serde_json::from_value(json!({
            "apiVersion": "mysql.porpoise.dev/v1alpha1", "kind": "MySQLBackup",
            "metadata": {"name": "shop-a", "namespace": "prod", "uid": "u2"},
            "spec": {"clusterRef": {"name": "shop"}},
            "status": {"phase": "Succeeded", "verified": true, "cluster": "u1", "location": location, "gtidSet": "x:1-5"},
        }));
        let (key, name, seen) = seen(&DeserializeGuard(Ok(object.unwrap()))).unwrap();
        assert_eq!((key.name.as_str(), name.as_str(), seen.uid.as_str()), ("shop", "shop-a", "u2"));
        assert_eq!((seen.cluster.as_deref(), seen.gtid_set.as_deref()), (Some("u1"), Some("x:1-5")));
        assert_eq!(seen.location.unwrap().path, "prod/shop/u1/shop-a");
        assert!(seen.verified && !seen.deleting);
    }
}
