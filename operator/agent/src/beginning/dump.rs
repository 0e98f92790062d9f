//! A stored dump, loaded by a server that serves nobody: a backup of ours, or a file of statements that others stored.
//!
//! Cut off in the middle, all of it begins anew: nobody was promised anything. The accounts that this cluster needs are set when
//! the data is booted again, whatever the dump said of them.

use super::{BeginError, Scene, close, open};
use crate::goal::accounts;
use crate::load;
use crate::vault::{Vault, VaultError, pass};
use crate::volume::{Role, equipped};
use porpoise_core::backup::RestoreSource;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc::Receiver;

/// Progress is told in steps of this size, in percent: each one is written to the cluster's status.
const STEP: u64 = 5;

/// A backup of the method `Logical`.
pub(super) async fn load(scene: &Scene<'_>, source: &RestoreSource) -> Result<(), BeginError> {
    let path = &source.location.path;
    let vault = vault(scene, source)?;
    // Asked before anything is made, it also tells of a backup that is none.
    let manifest = vault.manifest(path).await.map_err(|source| BeginError::FetchDump { source })?;
    (scene.say)(&format!("importing the dump {path}"));
    let (next, coming) = pass();
    take_in(scene, None, vault.send_on(&manifest, path, next), coming).await
}

/// A file of others. What names no database goes to `database`, or to the application's.
pub(super) async fn load_file(
    scene: &Scene<'_>,
    source: &RestoreSource,
    database: Option<&str>,
) -> Result<(), BeginError> {
    let path = &source.location.path;
    let vault = vault(scene, source)?;
    let making = |source| BeginError::MakeAccounts { source: Box::new(source) };
    let database = match database {
        Some(database) => Some(database.to_owned()),
        None => accounts::first(scene.settings, scene.config).map_err(making)?.database,
    };
    (scene.say)(&format!("importing the dump {path}"));
    let told = AtomicU64::new(0);
    let progress = |percent: u64| {
        let step = percent / STEP * STEP;
        if told.fetch_max(step, Ordering::Relaxed) < step {
            (scene.say)(&format!("importing the dump {path}: {step} % is read"));
        }
    };
    let (next, coming) = pass();
    let reading = Box::pin(vault.send_file(path, next, &progress));
    take_in(scene, database.as_deref(), reading, coming).await
}

fn vault(scene: &Scene<'_>, source: &RestoreSource) -> Result<Vault, BeginError> {
    let target = &source.location.target;
    let secrets = equipped(scene.settings, target, &source.secrets, Role::Source)
        .map_err(|source| BeginError::ReadSettings { source })?;
    Vault::open(target, &secrets).map_err(|source| BeginError::FetchDump { source })
}

/// A server on blank data takes in what `reading` sends.
async fn take_in(
    scene: &Scene<'_>,
    database: Option<&str>,
    reading: impl Future<Output = Result<(), VaultError>>,
    coming: Receiver<Vec<u8>>,
) -> Result<(), BeginError> {
    let (server, mut agent) = open(scene).await?;
    let reading = async { reading.await.map_err(|source| BeginError::FetchDump { source }) };
    let loading = async {
        let loaded = load::into(scene.settings, scene.reaper, (&server, database), &mut agent, coming).await;
        loaded.map_err(|source| BeginError::LoadDump { source })
    };
    tokio::try_join!(reading, loading)?;
    close(server, agent).await
}
