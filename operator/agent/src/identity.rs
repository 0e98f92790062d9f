//! Whose volume this is.

use crate::files::{self, FileError};
use crate::intent;
use crate::settings::Settings;
use porpoise_core::member::Identity;
use porpoise_core::protocol::AgentConfig;
use std::fs;
use std::io;
use std::path::PathBuf;

/// What a volume turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Ours, perhaps just now.
    Ours(Identity),
    /// Another cluster's.
    Foreign(Identity),
}

/// What can go wrong while the owner is found out.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum IdentityError {
    /// The file is there but unusable.
    #[error("read the volume's identity")]
    ReadIdentity {
        /// Cause.
        #[source]
        source: FileError,
    },
    /// The file cannot be written.
    #[error("write the volume's identity")]
    WriteIdentity {
        /// Cause.
        #[source]
        source: FileError,
    },
    /// What a former owner noted cannot be removed.
    #[error("remove {path}")]
    ForgetFormer {
        /// What is left.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// There is data whose owner nobody knows.
    #[error("{data} holds data, but the volume has no identity")]
    FindOwner {
        /// The data directory.
        data: PathBuf,
    },
    /// The volume is of another instance of this cluster.
    #[error("the volume belongs to instance {found}")]
    MatchInstance {
        /// The owner.
        found: String,
    },
}

/// Name of the file with the identity.
const FILE: &str = "identity.json";

fn path(settings: &Settings) -> PathBuf {
    settings.state_path.join(FILE)
}

/// Whose volume it says it is; nothing on a blank one.
pub fn found(settings: &Settings) -> Result<Option<Identity>, IdentityError> {
    files::read_json::<Identity>(&path(settings)).map_err(|source| IdentityError::ReadIdentity { source })
}

/// Reads the identity, or gives one to a blank volume. A volume with data but no identity is nobody's to guess about.
pub fn establish(
    settings: &Settings,
    config: &AgentConfig,
    server_id: u32,
    fresh: impl FnOnce() -> String,
) -> Result<Ownership, IdentityError> {
    let Some(found) = found(settings)? else {
        if settings.data_path.exists() {
            let data = settings.data_path.clone();
            return Err(IdentityError::FindOwner { data });
        }
        let identity = new(settings, config, server_id, fresh());
        write(settings, &identity)?;
        return Ok(Ownership::Ours(identity));
    };
    if found.cluster != config.cluster {
        return Ok(Ownership::Foreign(found));
    }
    if found.instance != settings.instance {
        return Err(IdentityError::MatchInstance { found: found.instance });
    }
    Ok(Ownership::Ours(found))
}

/// Makes a former cluster's volume ours; it keeps its own identity.
pub fn adopt(
    settings: &Settings,
    config: &AgentConfig,
    former: &Identity,
) -> Result<Identity, IdentityError> {
    let identity = Identity { cluster: config.cluster.clone(), ..former.clone() };
    write(settings, &identity)?;
    Ok(identity)
}

fn new(settings: &Settings, config: &AgentConfig, server_id: u32, volume: String) -> Identity {
    Identity {
        cluster: config.cluster.clone(),
        owner: owner(config),
        instance: settings.instance.clone(),
        volume,
        server_id,
    }
}

/// Makes a copied volume ours, as that of a new server whose data was made by the wish `request`. Nothing counts that its
/// former member promised or noted: that is still true of the original. The identity comes last, so what was interrupted is
/// begun again.
pub fn take_over(
    settings: &Settings,
    config: &AgentConfig,
    server_id: u32,
    request: &str,
) -> Result<Identity, IdentityError> {
    forget_former(settings)?;
    let writing = |source| IdentityError::WriteIdentity { source };
    intent::finish(settings, request).map_err(writing)?;
    let identity = new(settings, config, server_id, uuid::Uuid::new_v4().to_string());
    write(settings, &identity)?;
    Ok(identity)
}

fn forget_former(settings: &Settings) -> Result<(), IdentityError> {
    let failed = |path: PathBuf| move |source| IdentityError::ForgetFormer { path, source };
    let folder = &settings.state_path;
    for entry in fs::read_dir(folder).map_err(failed(folder.clone()))? {
        let entry = entry.map_err(failed(folder.clone()))?;
        if entry.file_name() == FILE {
            continue;
        }
        let is_folder = entry.file_type().is_ok_and(|sort| sort.is_dir());
        let removed =
            if is_folder { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        removed.map_err(failed(entry.path()))?;
    }
    files::sync_parent(&path(settings)).map_err(failed(folder.clone()))
}

/// `NAMESPACE/NAME` of the cluster.
pub fn owner(config: &AgentConfig) -> String {
    format!("{}/{}", config.namespace, config.name)
}

fn write(settings: &Settings, identity: &Identity) -> Result<(), IdentityError> {
    files::write_json(&path(settings), identity).map_err(|source| IdentityError::WriteIdentity { source })
}
