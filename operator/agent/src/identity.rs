//! Whose volume this is.

use crate::files::{self, FileError};
use crate::settings::Settings;
use porpoise_core::member::Identity;
use porpoise_core::protocol::AgentConfig;
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

fn path(settings: &Settings) -> PathBuf {
    settings.state_path.join("identity.json")
}

/// Reads the identity, or gives one to a blank volume. A volume with data but no identity is nobody's to guess about.
pub fn establish(
    settings: &Settings,
    config: &AgentConfig,
    server_id: u32,
    fresh: impl FnOnce() -> String,
) -> Result<Ownership, IdentityError> {
    let found = files::read_json::<Identity>(&path(settings))
        .map_err(|source| IdentityError::ReadIdentity { source })?;
    let Some(found) = found else {
        if settings.data_path.exists() {
            let data = settings.data_path.clone();
            return Err(IdentityError::FindOwner { data });
        }
        let identity = Identity {
            cluster: config.cluster.clone(),
            owner: owner(config),
            instance: settings.instance.clone(),
            volume: fresh(),
            server_id,
        };
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

/// `NAMESPACE/NAME` of the cluster.
pub fn owner(config: &AgentConfig) -> String {
    format!("{}/{}", config.namespace, config.name)
}

fn write(settings: &Settings, identity: &Identity) -> Result<(), IdentityError> {
    files::write_json(&path(settings), identity).map_err(|source| IdentityError::WriteIdentity { source })
}
