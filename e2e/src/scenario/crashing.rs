//! A fault layer under the operator's kube client: a proxy that kills the operator before or after a chosen write.
//!
//! The operator runs as a process of this machine with a kubeconfig that leads here; everything is passed on to the API
//! server. Nothing of this is in the product.

use anyhow::{Context, Result};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// When the operator dies relative to the write that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The API server never sees the write.
    Before,
    /// The write is done, and the operator never learns.
    After,
}

/// The proxy. Writes are counted from the last [`CrashProxy::arm`]; Lease and Event writes do not count.
pub struct CrashProxy {
    shared: Arc<Shared>,
    port: u16,
    task: JoinHandle<()>,
}

struct Shared {
    client: kube::Client,
    process: AtomicI32,
    remaining: AtomicI64,
    before: AtomicBool,
    kills: AtomicU64,
    writes: AtomicU64,
}

impl CrashProxy {
    /// Listens on a free port of the loopback address.
    pub async fn start(client: kube::Client) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listen on loopback")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            client,
            process: AtomicI32::new(0),
            remaining: AtomicI64::new(i64::MAX),
            before: AtomicBool::new(false),
            kills: AtomicU64::new(0),
            writes: AtomicU64::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { shared, port, task })
    }

    /// Writes a kubeconfig that leads to this proxy.
    pub fn kubeconfig(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("through-the-proxy.kubeconfig");
        let server = format!("http://127.0.0.1:{}", self.port);
        let text = serde_json::to_string(&serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": server}}],
            "users": [{"name": "proxy", "user": {}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }))?;
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Lets `allowed` writes of process `pid` pass and kills it at the next one.
    pub fn arm(&self, pid: u32, allowed: u32, moment: Moment) -> Result<()> {
        self.shared.process.store(i32::try_from(pid)?, Ordering::SeqCst);
        self.shared.before.store(moment == Moment::Before, Ordering::SeqCst);
        self.shared.remaining.store(i64::from(allowed), Ordering::SeqCst);
        Ok(())
    }

    /// Kills nobody from now on.
    pub fn disarm(&self) {
        self.shared.remaining.store(i64::MAX, Ordering::SeqCst);
    }

    /// How often the operator was killed.
    pub fn kills(&self) -> u64 {
        self.shared.kills.load(Ordering::SeqCst)
    }

    /// How many writes were passed on.
    pub fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::SeqCst)
    }
}

impl Drop for CrashProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| pass(Arc::clone(&shared), request));
            // The operator's death closes connections; that is no news.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn counts(request: &Request<Incoming>) -> bool {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let about_itself =
        path.contains("/leases") || path.contains("/events") || path.contains("selfsubjectaccessreviews");
    !reads && !about_itself
}

async fn pass(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let chosen = counts(&request) && shared.remaining.fetch_sub(1, Ordering::SeqCst) == 0;
    if chosen && shared.before.load(Ordering::SeqCst) {
        shared.kill();
        return Ok(gone());
    }
    if counts(&request) {
        shared.writes.fetch_add(1, Ordering::SeqCst);
    }
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(gone()) };
    let answer = shared.client.send(Request::from_parts(head, Body::from(body.to_bytes().to_vec()))).await;
    if chosen {
        shared.kill();
        return Ok(gone());
    }
    Ok(answer.unwrap_or_else(|error| {
        let mut response = Response::new(Body::from(error.to_string().into_bytes()));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    }))
}

fn gone() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

impl Shared {
    fn kill(&self) {
        let process = self.process.load(Ordering::SeqCst);
        if process > 0 && kill(Pid::from_raw(process), Signal::SIGKILL).is_ok() {
            self.kills.fetch_add(1, Ordering::SeqCst);
        }
    }
}
