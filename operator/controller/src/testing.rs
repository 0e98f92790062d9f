//! For tests: an API server that is a function, and a context around it.

use crate::agents::Agents;
use crate::board::Board;
use crate::context::Context;
use crate::facts::Caches;
use crate::kubernetes::Clients;
use crate::lease::Leadership;
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::news::News;
use crate::requeue::Requeue;
use crate::watch::Touches;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kube::runtime::events::{Recorder, Reporter};
use porpoise_core::validate::Settings;
use porpoise_crds::MySQLCluster;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// One call: method, path and body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

impl Call {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// All calls so far.
#[derive(Clone, Default)]
pub(crate) struct Calls(Arc<Mutex<Vec<Call>>>);

impl Calls {
    pub(crate) fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.all().iter().map(Call::line).collect()
    }
}

/// A client whose server is `answer`; no answer means that the call hangs.
pub(crate) fn server(
    answer: impl Fn(&Call) -> Option<(u16, Value)> + Send + Sync + 'static,
) -> (Client, Calls) {
    let (calls, answer) = (Calls::default(), Arc::new(answer));
    let seen = calls.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (seen, answer) = (seen.clone(), answer.clone());
        async move {
            let call = read(request).await;
            seen.0.lock().unwrap().push(call.clone());
            match answer(&call) {
                Some((status, body)) => Ok::<_, Infallible>(respond(status, &body)),
                None => std::future::pending().await,
            }
        }
    });
    (Client::new(service, "default"), calls)
}

async fn read(request: Request<Body>) -> Call {
    let (parts, body) = request.into_parts();
    let bytes = body.collect_bytes().await.unwrap();
    Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    }
}

fn respond(status: u16, body: &Value) -> Response<Body> {
    Response::builder().status(status).body(Body::from(body.to_string().into_bytes())).unwrap()
}

/// An error as the API server sends it.
pub(crate) fn refusal(code: u16, reason: &str) -> (u16, Value) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": reason, "reason": reason, "code": code,
    });
    (code, status)
}

/// The cluster `shop` in `prod`, with UID `c1a5ter` and resourceVersion 41.
pub(crate) fn cluster() -> MySQLCluster {
    serde_json::from_value(json!({
        "apiVersion": "mysql.porpoise.dev/v1alpha1",
        "kind": "MySQLCluster",
        "metadata": {
            "name": "shop", "namespace": "prod", "uid": "c1a5ter", "generation": 4, "resourceVersion": "41",
        },
        "spec": { "instances": 3, "storage": { "size": "20Gi" } },
    }))
    .unwrap()
}

/// A context that leads, and the sender that can end that.
pub(crate) fn context(client: &Client) -> (Context, watch::Sender<Option<Instant>>) {
    let (until, leadership) = Leadership::channel();
    until.send_replace(Some(Instant::now() + Duration::from_hours(1)));
    let reporter = Reporter { controller: "test".to_owned(), instance: None };
    let context = Context {
        clients: Clients { general: client.clone(), strict: client.clone() },
        settings: Settings {
            operator_image: "porpoise:1".to_owned(),
            mysql_image: "mysql:{version}".to_owned(),
            operator_namespace: "porpoise".to_owned(),
            feature_gates: BTreeSet::new(),
        },
        identity: "operator-0".to_owned(),
        caches: Arc::<Caches>::default(),
        agents: Agents::default(),
        news: News::default(),
        touches: Touches::channel().0,
        memories: Memories::default(),
        backup_memories: Memories::default(),
        leadership,
        requeue: Requeue::without_jitter(),
        recorder: Recorder::new(client.clone(), reporter),
        metrics: Metrics::default(),
        board: Arc::<Board>::default(),
    };
    (context, until)
}
