//! A stored dump, loaded by a server that serves nobody.
//!
//! Cut off in the middle, all of it begins anew: nobody was promised anything. The accounts that this cluster needs are set when
//! the data is booted again, whatever the dump said of them.

use super::{BeginError, Scene, close, open};
use crate::load;
use crate::vault::{Vault, pass};
use crate::volume::{Role, equipped};
use porpoise_core::backup::RestoreSource;

pub(super) async fn load(scene: &Scene<'_>, source: &RestoreSource) -> Result<(), BeginError> {
    let fetching = |source| BeginError::FetchDump { source };
    let path = &source.location.path;
    let secrets = equipped(scene.settings, &source.location.target, &source.secrets, Role::Source)
        .map_err(|source| BeginError::ReadSettings { source })?;
    let vault = Vault::open(&source.location.target, &secrets).map_err(fetching)?;
    // Asked before anything is made, it also tells of a backup that is none.
    let manifest = vault.manifest(path).await.map_err(fetching)?;
    (scene.say)(&format!("importing the dump {path}"));
    let (server, mut agent) = open(scene).await?;
    let (next, coming) = pass();
    let reading = async { vault.send_on(&manifest, path, next).await.map_err(fetching) };
    let loading = async {
        let loaded = load::into(scene.settings, scene.reaper, &server, &mut agent, coming).await;
        loaded.map_err(|source| BeginError::LoadDump { source })
    };
    tokio::try_join!(reading, loading)?;
    close(server, agent).await
}
