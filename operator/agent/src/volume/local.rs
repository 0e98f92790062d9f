//! A store for this process alone: what a Job does that has the claim mounted itself, and needs no Pod that serves it.

use super::answers::{Shelf, router};
use super::files::Files;
use super::{ADDRESS, VolumeError};
use porpoise_core::backup::TargetSecrets;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Serves on the loopback interface of this Pod until it is dropped.
pub struct Local {
    secrets: TargetSecrets,
    server: JoinHandle<()>,
}

impl Local {
    /// What it takes to use it.
    pub fn secrets(&self) -> &TargetSecrets {
        &self.secrets
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves the directory where `claim` is mounted.
///
/// # Errors
/// When the directory cannot be written to, or no port can be had.
pub async fn on_loopback(claim: &str, directory: &Path) -> Result<Local, VolumeError> {
    let files =
        Files::open(directory).map_err(|source| VolumeError::UseClaim { claim: claim.to_owned(), source })?;
    let listening = |source| VolumeError::Listen { port: 0, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let router = router(Shelf { claim: claim.to_owned(), files });
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::warn!(%error, "the store on the loopback interface ended");
        }
    });
    let credentials = BTreeMap::from([(ADDRESS.to_owned(), format!("http://{address}"))]);
    Ok(Local { secrets: TargetSecrets { credentials, ..TargetSecrets::default() }, server })
}
