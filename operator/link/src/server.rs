//! The agent's server: TLS 1.3, a client certificate of the cluster's CA, bounded in every direction.

use crate::certificates;
use crate::patient::Patient;
use crate::tls::{self, Material, TlsError};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Who calls: the first DNS name of the caller's verified certificate, else its common name. A request extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub String);

/// Files of the server's certificate. They are read again when their content changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// Certificate, PEM.
    pub cert: PathBuf,
    /// Key, PEM.
    pub key: PathBuf,
    /// The CA that callers must be of, PEM.
    pub ca: PathBuf,
}

/// Bounds of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at the same time; more wait in the kernel's queue.
    pub connections: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the head of a request, also the longest idle time of a kept connection.
    pub headers: Duration,
    /// Time in which a caller takes nothing of its answer.
    pub sending: Duration,
    /// How often the certificate files are looked at.
    pub reload: Duration,
    /// Time that open requests have after shutdown.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            handshake: Duration::from_secs(3),
            headers: Duration::from_secs(10),
            sending: Duration::from_secs(10),
            reload: Duration::from_secs(5),
            drain: Duration::from_secs(3),
        }
    }
}

/// What can go wrong with the server.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ServeError {
    /// A certificate file cannot be read.
    #[error("read {path}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The certificate files are unusable.
    #[error("use the certificate files")]
    UseFiles {
        /// Cause.
        #[source]
        source: TlsError,
    },
}

impl ServeError {
    /// Stable word for events and metrics.
    pub fn category(&self) -> &'static str {
        self.into()
    }
}

/// Serves until `shutdown` ends; then lets open requests finish for a moment. Fails only when the certificate files are
/// unusable at the start: later trouble with them is logged and the last good ones are kept.
pub async fn serve(
    listener: TcpListener,
    tls: ServerTls,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve_within(Limits::default(), listener, tls, router, shutdown).await
}

/// [`serve`] with other bounds.
pub async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    tls: ServerTls,
    router: Router,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let mut certificate = Certificate::load(tls).await?;
    let (stop, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let mut reload = tokio::time::interval(limits.reload);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            _ = reload.tick() => certificate.reload().await,
            Some(_) = connections.join_next() => {}
            (stream, place) = accept(&listener, &places) => {
                let connection = Connection {
                    acceptor: certificate.acceptor.clone(),
                    router: router.clone(),
                    stopped: stopped.clone(),
                    limits,
                    _place: place,
                };
                connections.spawn(connection.run(stream));
            }
        }
    }
    // Nobody listens any more: the next caller is refused at once instead of waiting.
    drop(listener);
    let _ = stop.send(true);
    let drained =
        tokio::time::timeout(limits.drain, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // Such as too many open files: wait, or this loop would take a whole core.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    router: Router,
    stopped: watch::Receiver<bool>,
    limits: Limits,
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let stream = Patient::new(stream, self.limits.sending);
        let handshake = tokio::time::timeout(self.limits.handshake, self.acceptor.accept(stream)).await;
        let stream = match handshake {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "refused a connection"),
            Err(_) => return tracing::debug!("a connection did not finish its handshake in time"),
        };
        let Some(caller) = stream.get_ref().1.peer_certificates().and_then(|chain| caller(chain.first()?))
        else {
            return tracing::debug!("refused a caller without an identity");
        };
        let service = TowerToHyperService::new(self.router.clone().layer(Extension(caller)));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.headers)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop(&mut self.stopped) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended badly");
        }
    }
}

async fn stop(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

fn caller(certificate: &[u8]) -> Option<Caller> {
    certificates::identity(certificate).map(Caller)
}

/// The certificate in use and the texts it was made from.
struct Certificate {
    files: ServerTls,
    texts: [String; 3],
    acceptor: TlsAcceptor,
}

impl Certificate {
    async fn load(files: ServerTls) -> Result<Self, ServeError> {
        let texts = read(&files).await?;
        let acceptor = acceptor(&texts)?;
        Ok(Self { files, texts, acceptor })
    }

    async fn reload(&mut self) {
        let reloaded = match read(&self.files).await {
            Ok(texts) if texts == self.texts => return,
            Ok(texts) => acceptor(&texts).map(|acceptor| (texts, acceptor)),
            Err(error) => Err(error),
        };
        match reloaded {
            Ok((texts, acceptor)) => {
                (self.texts, self.acceptor) = (texts, acceptor);
                tracing::info!("certificate reloaded");
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "kept the old certificate");
            }
        }
    }
}

async fn read(files: &ServerTls) -> Result<[String; 3], ServeError> {
    Ok([text(&files.ca).await?, text(&files.cert).await?, text(&files.key).await?])
}

async fn text(path: &Path) -> Result<String, ServeError> {
    let text = tokio::fs::read_to_string(path).await;
    text.map_err(|source| ServeError::ReadFile { path: path.to_owned(), source })
}

fn acceptor([ca, cert, key]: &[String; 3]) -> Result<TlsAcceptor, ServeError> {
    let config =
        tls::server(&Material { ca, cert, key }).map_err(|source| ServeError::UseFiles { source })?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
