//! What members are told about the archive: last of all, since it moves nothing. What came of it is seen in the next look.

use super::Pass;
use crate::agents::{self, AgentError, Member};
use futures::future::join_all;
use porpoise_core::backup::ArchiveOrder;
use porpoise_core::plan::Plan;
use porpoise_core::protocol::OrderAnswer;
use porpoise_link::{AgentClient, LinkError};
use std::time::Duration;
use tokio::time::Instant;

/// Name in metrics.
const ARCHIVE: &str = "Archive";
/// A member that did not take it is told again after this time: passes follow each other faster than that.
const AGAIN: Duration = Duration::from_secs(5);

impl Pass<'_> {
    /// Never fails a pass: the cluster serves without an archive, and the condition `BackupReady` says how it stands.
    pub(super) async fn tell_archive(&self, plan: &Plan) {
        if plan.archive.is_empty() || self.was_refused_just_now() || !self.context.leadership.is_held() {
            return;
        }
        let client = self.context.agents.client(&self.context.clients.general, &self.uid, &self.names).await;
        let told = match &client {
            Ok(client) => join_all(plan.archive.iter().map(|order| self.tell(client, order))).await,
            Err(error) => {
                tracing::warn!(
                    cluster = self.names.cluster(),
                    namespace = self.names.namespace(),
                    error = agents::reason(error),
                    "cannot tell anybody about the archive"
                );
                return;
            }
        };
        let refusal = told.into_iter().flatten().next();
        let refusal = refusal.map(|reason| (Instant::now(), reason));
        self.context.memories.of(&self.uid, |memory| memory.archive_refusal = refusal);
    }

    fn was_refused_just_now(&self) -> bool {
        let refused = |(when, _): &(Instant, String)| when.elapsed() < AGAIN;
        self.context.memories.of(&self.uid, |memory| memory.archive_refusal.as_ref().is_some_and(refused))
    }

    /// Why it was not taken, if so.
    async fn tell(&self, client: &AgentClient, order: &ArchiveOrder) -> Option<String> {
        let instance = &order.instance;
        let pod = self.observation.view.pods.get(instance);
        let address = pod.and_then(|pod| pod.address.as_deref()).unwrap_or_default();
        let answer = agents::archive(client, &self.names, Member { instance, address }, order).await;
        self.context.metrics.ordered(ARCHIVE, super::orders::result(&answer));
        let refusal = refusal(answer);
        let (cluster, namespace, on) =
            (self.names.cluster(), self.names.namespace(), order.settings.is_some());
        match &refusal {
            None => tracing::info!(cluster, namespace, instance, on, "told about the archive"),
            Some(reason) => {
                tracing::warn!(cluster, namespace, instance, on, reason, "not told about the archive");
            }
        }
        refusal
    }
}

/// Why it was not taken, in a sentence.
fn refusal(answer: Result<OrderAnswer, AgentError>) -> Option<String> {
    match answer {
        Ok(OrderAnswer::Accepted) => None,
        Ok(OrderAnswer::Refused { reason, .. }) => Some(reason),
        Err(error @ AgentError::CallAgent { source: LinkError::RefuseRequest { .. }, .. }) => Some(format!(
            "{}; an agent of an older release cannot archive: it can once its Pod has restarted",
            agents::reason(&error)
        )),
        Err(error) => Some(format!("{}; tried again", agents::reason(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::{Freshness, Observation};
    use crate::testing::{cluster, context, server};
    use axum::extract::Json;
    use axum::routing::post;
    use http::StatusCode;
    use jiff::Timestamp;
    use porpoise_core::names::AGENT_PORT;
    use porpoise_core::view::{Ages, ClusterView, PodView, References};
    use porpoise_link::certificates::Validity;
    use porpoise_link::{ARCHIVE_PATH, Authority, MEMBER_IDENTITY, ServerTls, serve};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex};
    use tempfile::TempDir;
    use tokio::net::TcpListener;

    /// An address of this machine that no other test uses.
    const ADDRESS: &str = "127.0.0.93";

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = OrderAnswer::Refused { promised: 0, reason: "another cluster".to_owned() };
        let call = |source| AgentError::CallAgent { instance: "shop-0".to_owned(), source };
        let old = LinkError::RefuseRequest { status: StatusCode::NOT_FOUND, text: "no such path".to_owned() };
        let late = LinkError::AwaitAnswer { limit: Duration::from_secs(2) };
        for (answer, words) in [
            (Ok(refused), "another cluster"),
            (Err(call(old)), "once its Pod has restarted"),
            (Err(call(late)), "tried again"),
        ] {
            let reason = refusal(answer).unwrap();
            assert!(reason.contains(words), "{reason}");
        }
        assert_eq!(refusal(Ok(OrderAnswer::Accepted)), None);
    }

    /// What an agent was told, and whether it takes it.
    #[derive(Clone, Default)]
    struct Agent {
        told: Arc<Mutex<Vec<ArchiveOrder>>>,
        takes: Arc<AtomicBool>,
    }

    impl Agent {
        /// Serves under a certificate of this authority until the test ends.
        async fn serve(&self, authority: &Authority) -> TempDir {
            let validity = Validity { now: Timestamp::now(), lifetime: Duration::from_hours(1) };
            let names = ["*.shop-members.prod.svc".to_owned()];
            let issued = authority.issue_server(&names, &[], MEMBER_IDENTITY, validity).unwrap();
            let folder = TempDir::new().unwrap();
            let file = |name: &str, text: &str| {
                std::fs::write(folder.path().join(name), text).unwrap();
                folder.path().join(name)
            };
            let tls = ServerTls {
                cert: file("tls.crt", &issued.cert_pem),
                key: file("tls.key", &issued.key_pem),
                ca: file("ca.crt", &issued.ca_pem),
            };
            let listener = TcpListener::bind((ADDRESS, AGENT_PORT)).await.unwrap();
            let agent = self.clone();
            let answer = move |Json(order): Json<ArchiveOrder>| async move {
                agent.told.lock().unwrap().push(order);
                let reason = "this is another cluster".to_owned();
                let refusal = OrderAnswer::Refused { promised: 0, reason };
                Json(if agent.takes.load(Ordering::SeqCst) { OrderAnswer::Accepted } else { refusal })
            };
            let router = axum::Router::new().route(ARCHIVE_PATH, post(answer));
            tokio::spawn(serve(listener, tls, router, std::future::pending()));
            folder
        }
    }

    fn observation() -> Observation {
        let pod = PodView { address: Some(ADDRESS.to_owned()), ..PodView::default() };
        let view = ClusterView {
            now: Timestamp::now(),
            ages: Ages::default(),
            operator: "operator-0".to_owned(),
            object: cluster(),
            namespace_terminating: false,
            stateful_set: None,
            pods: BTreeMap::from([("shop-0".to_owned(), pod)]),
            nodes: BTreeMap::new(),
            line: porpoise_core::line::FIRST,
            other_claims: BTreeMap::new(),
            claims: BTreeMap::new(),
            members: BTreeMap::new(),
            references: References::default(),
            backups: BTreeMap::new(),
            troubles: Vec::new(),
        };
        Observation { view, freshness: Freshness::Watched }
    }

    #[tokio::test]
    async fn a29_what_an_agent_refuses_is_remembered_until_one_takes_it() {
        let authority = Authority::generate("shop prod", Timestamp::now(), Duration::from_hours(2)).unwrap();
        let agent = Agent::default();
        let _folder = agent.serve(&authority).await;
        let ca = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shop-ca"},
            "data": {
                "ca.crt": k8s_openapi::ByteString(authority.certificate_pem().into()),
                "ca.key": k8s_openapi::ByteString(authority.key_pem().into()),
            },
        });
        let (client, _) = server(move |_| Some((200, ca.clone())));
        let (context, _until) = context(&client);
        let order = ArchiveOrder {
            cluster: "c1a5ter".to_owned(),
            instance: "shop-0".to_owned(),
            settings: None,
            needless: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-7".to_owned()),
        };
        let plan = Plan { archive: vec![order.clone()], ..Plan::default() };
        let reason = || {
            context
                .memories
                .of("c1a5ter", |memory| memory.archive_refusal.as_ref().map(|(_, reason)| reason.clone()))
        };
        let outcome = crate::act::on(&context, &observation(), &plan).await;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        assert_eq!(reason().as_deref(), Some("this is another cluster"));
        agent.takes.store(true, Ordering::SeqCst);
        // As if some time had passed.
        context.memories.of("c1a5ter", |memory| {
            let (when, _) = memory.archive_refusal.as_mut().unwrap();
            *when -= AGAIN;
        });
        crate::act::on(&context, &observation(), &plan).await;
        assert_eq!(reason(), None);
        assert_eq!(*agent.told.lock().unwrap(), [order.clone(), order]);
        let told = context.metrics.text(&context.board);
        for result in ["Accepted", "Refused"] {
            let line = format!("porpoise_orders_total{{order=\"Archive\",result=\"{result}\"}} 1");
            assert!(told.contains(&line), "{told}");
        }
    }
}
