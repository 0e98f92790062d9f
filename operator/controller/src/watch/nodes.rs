//! The nodes, where they may be read. Everything works without them: the primary then moves when its Pod has to go, not
//! before. So this watch holds up nothing, and a refusal is neither a failure nor an obstacle.

use super::slim::{self, SlimNode};
use super::source::Touches;
use crate::facts::Caches;
use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, Client, ResourceExt};
use porpoise_core::view::NodeView;
use std::sync::Arc;
use std::time::Duration;

/// Whether nodes may be read by now is asked this often.
const ASK_AGAIN: Duration = Duration::from_mins(10);

/// Where nodes are kept, and whom they concern.
pub(super) struct NodeWatch {
    /// Nodes, and the Pods that say which cluster runs where.
    pub(super) caches: Arc<Caches>,
    /// Has clusters looked at.
    pub(super) touches: Touches,
}

impl NodeWatch {
    /// Runs until the process ends.
    pub(super) async fn run(self, client: Client) {
        let api: Api<SlimNode> = Api::all_with(client, &slim::node_resource());
        let mut told = false;
        loop {
            let refusal = self.until_refused(&api).await;
            // What was known before the right was taken away says nothing about now.
            self.caches.nodes.replace(Vec::new());
            if !std::mem::replace(&mut told, true) {
                tracing::info!(
                    reason = refusal,
                    "nodes may not be read: a primary leaves a cordoned node when its Pod has to go, not before; grant list \
                     and watch on nodes (chart value rbac.nodes) to change that"
                );
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Follows the nodes until that is forbidden, which it may be from the beginning. Says how.
    async fn until_refused(&self, api: &Api<SlimNode>) -> String {
        let events = watch(api.clone(), watcher::Config::default()).default_backoff();
        pin_mut!(events);
        let mut list = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event, &mut list),
                Err(error) if is_forbidden(&error) => return crate::kubernetes::chain(&error),
                Err(error) => tracing::warn!(
                    error = crate::kubernetes::chain(&error),
                    "watch of nodes failed, trying again"
                ),
            }
        }
        "the watch ended".to_owned()
    }

    fn take(&self, event: Event<SlimNode>, list: &mut Vec<(String, NodeView)>) {
        let nodes = &self.caches.nodes;
        match event {
            Event::Init => list.clear(),
            Event::InitApply(node) => list.push((node.name_any(), view(&node))),
            Event::InitDone => {
                for name in nodes.replace(std::mem::take(list)) {
                    self.touch(&name);
                }
            }
            Event::Apply(node) => {
                if nodes.put(&node.name_any(), view(&node)) {
                    self.touch(&node.name_any());
                }
            }
            Event::Delete(node) => nodes.remove(&node.name_any()),
        }
    }

    /// Has every cluster with a Pod on this node looked at.
    fn touch(&self, node: &str) {
        for key in self.caches.pods.holding(|pod| pod.view.node.as_deref() == Some(node)) {
            self.touches.of(&key).now();
        }
    }
}

fn view(node: &SlimNode) -> NodeView {
    let conditions = node.status.iter().flat_map(|status| &status.conditions);
    let holds = |type_: &str| {
        conditions.clone().any(|condition| condition.type_ == type_ && condition.status == "True")
    };
    NodeView {
        cordoned: node.spec.unschedulable,
        memory_pressure: holds("MemoryPressure"),
        disk_pressure: holds("DiskPressure"),
    }
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.code == 403,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::ClusterKey;
    use crate::facts::PodFacts;
    use crate::testing::{refusal, server};
    use serde_json::{Value, json};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn node(name: &str, spec: &Value, pressure: &str) -> Value {
        json!({
            "metadata": { "name": name, "resourceVersion": "7" },
            "spec": spec,
            "status": { "conditions": [
                { "type": pressure, "status": "True" }, { "type": "PIDPressure", "status": "True" },
                { "type": "DiskPressure", "status": "Unknown" },
            ] },
        })
    }

    fn caches() -> Arc<Caches> {
        let caches = Arc::<Caches>::default();
        for (cluster, node) in [("shop", "worker-1"), ("till", "worker-2")] {
            let key = ClusterKey { namespace: "prod".to_owned(), name: cluster.to_owned() };
            let mut pod = PodFacts::default();
            pod.view.node = Some(node.to_owned());
            caches.pods.put(&key, &format!("{cluster}-0"), pod);
        }
        caches
    }

    #[tokio::test(start_paused = true)]
    async fn c4_a_cordon_touches_the_clusters_with_pods_on_the_node() {
        let nodes = json!({
            "kind": "NodeList", "apiVersion": "v1", "metadata": { "resourceVersion": "9" },
            "items": [node("worker-1", &json!({ "unschedulable": true }), "Ready"), node("worker-2", &json!({}), "Ready")],
        });
        let calls = AtomicUsize::new(0);
        let (client, _) = server(move |_| {
            // The list; the watch after it hangs.
            (calls.fetch_add(1, Ordering::Relaxed) == 0).then(|| (200, nodes.clone()))
        });
        let (touches, mut looked_at) = Touches::channel();
        let caches = caches();
        let running = tokio::spawn(NodeWatch { caches: caches.clone(), touches }.run(client));
        assert_eq!(looked_at.recv().await.unwrap().name, "shop");
        assert!(looked_at.try_recv().is_err(), "nothing changed for whoever is elsewhere");
        let cordoned = |name: &str| caches.nodes.get(name).map(|node| node.cordoned);
        assert_eq!((cordoned("worker-1"), cordoned("worker-2")), (Some(true), Some(false)));
        running.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn g12_a_refusal_is_asked_about_again_only_every_ten_minutes() {
        let (client, calls) = server(|_| Some(refusal(403, "Forbidden")));
        let watch = NodeWatch { caches: caches(), touches: Touches::channel().0 };
        let hour = tokio::time::timeout(Duration::from_mins(59), watch.run(client)).await;
        assert!(hour.is_err());
        assert_eq!(calls.lines(), ["GET /api/v1/nodes"; 6]);
    }

    #[test]
    fn h18_only_a_condition_that_is_true_is_pressure() {
        let read = |json: Value| view(&serde_json::from_value(json).unwrap());
        let tight = read(node("worker-1", &json!({}), "MemoryPressure"));
        assert_eq!(tight, NodeView { memory_pressure: true, ..NodeView::default() });
        let full = read(node("worker-1", &json!({}), "DiskPressure"));
        assert_eq!(full, NodeView { disk_pressure: true, ..NodeView::default() });
        assert_eq!(read(json!({ "metadata": { "name": "worker-1" }, "spec": {} })), NodeView::default());
    }
}
