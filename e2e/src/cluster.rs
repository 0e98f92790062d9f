//! Where scenarios run: on the rig, or on a cluster of the user's.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::rig::{Options, Rig};

/// A cluster for scenarios.
#[derive(Clone, Debug)]
pub enum Cluster {
    /// Our own, on which faults can be put.
    Rig(Rig),
    /// One that is given by its kubeconfig. Faults are skipped on it.
    Current {
        /// Its kubeconfig.
        kubeconfig: PathBuf,
    },
}

impl Cluster {
    /// The cluster that `CLUSTER` names: `current` stands for that of `KUBECONFIG`, nothing or `rig` for the rig.
    ///
    /// # Errors
    /// When it names no cluster or the rig does not start.
    pub async fn from_environment() -> Result<Self> {
        match std::env::var("CLUSTER").unwrap_or_default().as_str() {
            "" | "rig" => Ok(Self::Rig(Rig::up(Options::default()).await?)),
            "current" => {
                let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".kube/config"));
                let kubeconfig = std::env::var_os("KUBECONFIG").map(PathBuf::from).or_else(home);
                Ok(Self::Current { kubeconfig: kubeconfig.context("CLUSTER=current needs KUBECONFIG")? })
            }
            other => bail!("CLUSTER is `rig` or `current`, not {other:?}"),
        }
    }

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        match self {
            Self::Rig(rig) => rig.kubeconfig(),
            Self::Current { kubeconfig } => kubeconfig.clone(),
        }
    }

    /// A client with the rights of its kubeconfig.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<kube::Client> {
        client(&self.kubeconfig()).await
    }

    /// The rig, for faults; on another cluster says that `fault` is skipped.
    pub fn rig_for(&self, fault: &str) -> Option<&Rig> {
        match self {
            Self::Rig(rig) => Some(rig),
            Self::Current { .. } => {
                eprintln!("SKIPPED: {fault}: faults need the rig, and this is CLUSTER=current");
                None
            }
        }
    }
}

pub(crate) async fn client(kubeconfig: &Path) -> Result<kube::Client> {
    crate::install_crypto();
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}
