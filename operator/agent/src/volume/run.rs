//! The Pod that serves a volume claim to one cluster.

use super::LONGEST_PAUSE;
use super::answers::{Shelf, router};
use super::files::{FileError, Files};
use axum::extract::{Extension, Request};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use porpoise_core::names;
use porpoise_link::MEMBER_IDENTITY;
use porpoise_link::server::{self, Caller, Limits, ServeError, ServerTls};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// What the Pod is told.
#[derive(clap::Args, Clone, Debug)]
pub struct VolumeSettings {
    /// Name of the claim.
    #[arg(long)]
    pub claim: String,
    /// Where it is mounted.
    #[arg(long, default_value = names::BACKUPS_PATH)]
    pub directory: PathBuf,
    /// The members' certificate.
    #[arg(long, default_value = names::TLS_PATH)]
    pub tls_path: PathBuf,
    /// Address to listen on; all addresses without it.
    #[arg(long)]
    pub listen: Option<IpAddr>,
    /// Port of the store.
    #[arg(long, default_value_t = names::STORE_PORT)]
    pub port: u16,
    /// Seconds in which a caller may take nothing of what it asked for.
    #[arg(long, default_value_t = LONGEST_PAUSE.as_secs())]
    pub patience: u64,
}

/// What keeps a volume from being served.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum VolumeError {
    /// The volume cannot be used.
    #[error("use the volume claim {claim}: it must be a file system that user 999 or its group may write to")]
    UseClaim {
        /// Its name.
        claim: String,
        /// Cause.
        #[source]
        source: FileError,
    },
    /// The port cannot be had.
    #[error("listen on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("serve the volume")]
    Serve {
        /// Cause.
        #[source]
        source: ServeError,
    },
    /// Signals cannot be handled.
    #[error("handle signals")]
    HandleSignals {
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Serves until it is told to stop.
pub async fn run(settings: VolumeSettings) -> Result<(), VolumeError> {
    let signals = |source| VolumeError::HandleSignals { source };
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let stop = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let claim = settings.claim.clone();
    let files = Files::open(&settings.directory)
        .map_err(|source| VolumeError::UseClaim { claim: claim.clone(), source })?;
    let listener = listen(&settings).await?;
    let tls = ServerTls {
        cert: settings.tls_path.join("tls.crt"),
        key: settings.tls_path.join("tls.key"),
        ca: settings.tls_path.join("ca.crt"),
    };
    // What a client has under way is worth a moment: the next Pod takes longer to come.
    let limits = Limits {
        headers: Duration::from_mins(1),
        sending: Duration::from_secs(settings.patience),
        drain: Duration::from_secs(20),
        ..Limits::default()
    };
    let routes = router(Shelf { claim: claim.clone(), files }).layer(from_fn(only_members));
    tracing::info!(claim, port = settings.port, "serving a volume claim");
    let served = server::serve_within(limits, listener, tls, routes, stop).await;
    served.map_err(|source| VolumeError::Serve { source })
}

async fn listen(settings: &VolumeSettings) -> Result<TcpListener, VolumeError> {
    // One IPv6 socket serves both families where the kernel has IPv6 at all.
    let all = [IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    let addresses = settings.listen.map_or(all.to_vec(), |address| vec![address]);
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match TcpListener::bind((address, settings.port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(VolumeError::Listen { port: settings.port, source: failure })
}

/// Members and their Jobs show the members' certificate. The operator has no business with the data.
async fn only_members(
    Extension(Caller(caller)): Extension<Caller>,
    request: Request,
    next: Next,
) -> Result<Response, StatusCode> {
    if caller == MEMBER_IDENTITY {
        return Ok(next.run(request).await);
    }
    tracing::warn!(caller, "a call of somebody who is no member");
    Err(StatusCode::FORBIDDEN)
}
