//! The product as people use it: Helm, kubectl, Services, on the rig or on the cluster of KUBECONFIG (`CLUSTER=current`).
//!
//! Each scenario has a namespace of its own that enforces Pod Security *restricted*, and prints a report when it fails.

mod adoption;
mod backups;
mod blackbox;
mod certificates;
mod drift;
mod guest_book;
mod in_place;
mod life;
mod maintenance;
mod nodes;
mod permissions;
mod points;
mod reading;
mod refusals;
mod rollout;
mod scaling;
mod sizes;
mod snapshots;
mod updates;
mod volumes;

use anyhow::Result;
use porpoise_e2e::scenario::Namespace;
use tokio::sync::RwLock;

/// Shared by scenarios whose members may be anywhere and stay there; held alone by those that cordon a node, as that moves
/// every primary from it (C4).
static NODES: RwLock<()> = RwLock::const_new(());

/// A scenario that shares the nodes with others.
async fn beside_others(prefix: &str, body: impl AsyncFnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let _shared = NODES.read().await;
    Namespace::scenario(prefix, body).await
}

/// A scenario that cordons nodes or needs them all.
async fn alone(prefix: &str, body: impl AsyncFnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let _alone = NODES.write().await;
    Namespace::scenario(prefix, body).await
}
