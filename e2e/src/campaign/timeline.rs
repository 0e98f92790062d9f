//! What Kubernetes showed during a cycle, and when.

use crate::ledger::{At, Clock, Gap, Reign};
use crate::scenario::Database;
use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use porpoise_crds::{InstanceRole, MySQLClusterStatus, OperationKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// One change of an object.
#[derive(Clone, Debug)]
enum News {
    Status(Box<MySQLClusterStatus>),
    Route(Vec<String>),
}

type Notes = Arc<Mutex<Vec<(At, News)>>>;

/// Watches the status and the rw Service's endpoint; the time of a note is that of its arrival here.
pub(super) struct Timeline {
    notes: Notes,
    tasks: [JoinHandle<()>; 2],
}

/// When the steps of a failover were done, after the fault. What was not seen is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// A higher term is recorded: the fault is noticed, the members are being sealed.
    pub detected: Option<Duration>,
    /// Enough are sealed: the new primary is chosen.
    pub sealed: Option<Duration>,
    /// The new primary writes its term record.
    pub promoted: Option<Duration>,
    /// The rw Service leads to it.
    pub published: Option<Duration>,
    /// A client's write is acknowledged again.
    pub first_write: Option<Duration>,
    /// The struck primary is a ready replica again.
    pub rejoined: Option<Duration>,
}

impl Timeline {
    /// Begins to watch.
    pub(super) fn watch(database: &Database<'_>, clock: Clock) -> Self {
        let notes = Notes::default();
        let config = watcher::Config::default().fields(&format!("metadata.name={}", database.name));
        let status = watcher(database.api(), config).applied_objects();
        let status = status.map_ok(|object| News::Status(Box::new(object.status.unwrap_or_default())));
        let slices: Api<EndpointSlice> =
            Api::namespaced(database.namespace.client(), database.namespace.name());
        let service = format!("kubernetes.io/service-name={}", database.name);
        let route = watcher(slices, watcher::Config::default().labels(&service)).applied_objects();
        let route = route.map_ok(|slice| News::Route(addresses(slice)));
        let tasks = [
            tokio::spawn(note(status, clock, Arc::clone(&notes))),
            tokio::spawn(note(route, clock, Arc::clone(&notes))),
        ];
        Self { notes, tasks }
    }

    /// What happened after `fault` to a cluster that had this status before.
    pub(super) fn steps(&self, before: &MySQLClusterStatus, fault: At, gap: Gap, reigns: &[Reign]) -> Steps {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        steps(&notes, before, fault, gap, reigns)
    }

    /// Whether a member's data was replaced by a copy after `fault`.
    pub(super) fn saw_clone(&self, fault: At) -> bool {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.iter().any(|(at, news)| match news {
            News::Status(status) if *at > fault => {
                status.instances.iter().any(|one| one.role == InstanceRole::Joining)
            }
            News::Status(_) | News::Route(_) => false,
        })
    }
}

impl Drop for Timeline {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn steps(notes: &[(At, News)], before: &MySQLClusterStatus, fault: At, gap: Gap, reigns: &[Reign]) -> Steps {
    let first = |wanted: &dyn Fn(&News) -> bool| {
        let found = notes.iter().find(|(at, news)| *at > fault && wanted(news));
        found.map(|(at, _)| at.saturating_sub(fault))
    };
    let status = |wanted: fn(&MySQLClusterStatus, &MySQLClusterStatus) -> bool| {
        first(&|news| matches!(news, News::Status(status) if wanted(before, status)))
    };
    let mut routes = notes.iter().filter_map(|(at, news)| match news {
        News::Route(addresses) if *at <= fault => Some(addresses),
        News::Route(_) | News::Status(_) => None,
    });
    let old = routes.next_back().cloned().unwrap_or_default();
    Steps {
        detected: status(is_detected),
        sealed: status(is_sealed),
        promoted: reigns
            .iter()
            .find(|reign| reign.since > fault)
            .map(|reign| reign.since.saturating_sub(fault)),
        published: first(&|news| matches!(news, News::Route(new) if !new.is_empty() && *new != old)),
        first_write: Some(gap.to.saturating_sub(fault)),
        rejoined: status(has_rejoined),
    }
}

fn addresses(slice: EndpointSlice) -> Vec<String> {
    slice.endpoints.into_iter().flat_map(|endpoint| endpoint.addresses).collect()
}

fn is_detected(before: &MySQLClusterStatus, now: &MySQLClusterStatus) -> bool {
    now.term > before.term
}

fn is_sealed(before: &MySQLClusterStatus, now: &MySQLClusterStatus) -> bool {
    let promoting =
        now.operation.as_ref().is_some_and(|operation| operation.kind == OperationKind::Promoting);
    is_detected(before, now) && promoting
}

fn has_rejoined(before: &MySQLClusterStatus, now: &MySQLClusterStatus) -> bool {
    let is_back = |name: &String| {
        let instance = now.instances.iter().find(|one| one.name == *name);
        instance.is_some_and(|one| one.ready && one.role == InstanceRole::Replica)
    };
    is_detected(before, now) && before.primary.as_ref().is_some_and(is_back)
}

/// A watch that breaks is begun anew by the watcher.
async fn note(news: impl futures::Stream<Item = Result<News, watcher::Error>>, clock: Clock, notes: Notes) {
    let mut news = std::pin::pin!(news);
    while let Some(one) = news.next().await {
        if let Ok(one) = one {
            notes.lock().unwrap_or_else(PoisonError::into_inner).push((clock.now(), one));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const FAULT: u64 = 1000;

    fn told(at: u64, status: Value) -> (At, News) {
        (At::from_millis(at), News::Status(Box::new(serde_json::from_value(status).unwrap())))
    }

    fn routed(at: u64, addresses: &[&str]) -> (At, News) {
        (At::from_millis(at), News::Route(addresses.iter().map(|one| (*one).to_owned()).collect()))
    }

    fn reign(term: i64, at: u64) -> Reign {
        Reign { term, instance: "b".to_owned(), since: At::from_millis(at) }
    }

    fn read(notes: &[(At, News)]) -> Steps {
        let before = serde_json::from_value(json!({"term": 3, "primary": "a"})).unwrap();
        let gap = Gap { from: At::from_millis(999), to: At::from_millis(1600) };
        steps(notes, &before, At::from_millis(FAULT), gap, &[reign(3, 50), reign(4, 1300)])
    }

    #[test]
    fn each_step_is_the_first_sight_of_it_after_the_fault() {
        let operation = |kind: &str| json!({"kind": kind, "startedAt": "2026-01-01T00:00:00Z"});
        let instances = |ready: bool| json!([{"name": "a", "role": "Replica", "ready": ready}]);
        let steps = read(&[
            routed(10, &["10.0.0.1"]),
            told(20, json!({"term": 3, "primary": "a"})),
            told(1100, json!({"term": 3, "primary": "a"})),
            told(1150, json!({"term": 4, "operation": operation("Sealing")})),
            told(1200, json!({"term": 4, "operation": operation("Promoting")})),
            told(1210, json!({"term": 4, "operation": operation("Promoting")})),
            routed(1400, &[]),
            routed(1500, &["10.0.0.2"]),
            told(1800, json!({"term": 4, "instances": instances(false)})),
            told(1900, json!({"term": 4, "instances": instances(true)})),
        ]);
        let after = |at: u64| Some(Duration::from_millis(at - FAULT));
        let wanted = Steps {
            detected: after(1150),
            sealed: after(1200),
            promoted: after(1300),
            published: after(1500),
            first_write: after(1600),
            rejoined: after(1900),
        };
        assert_eq!(steps, wanted);
    }

    #[test]
    fn a_primary_that_is_opened_again_in_place_needs_no_new_route() {
        let steps = read(&[routed(10, &["10.0.0.1"]), routed(1500, &["10.0.0.1"])]);
        assert_eq!(steps.published, None);
        assert_eq!(steps.detected, None, "no higher term was seen");
    }
}
