//! The product as people use it: Helm, kubectl, Services, on the rig or on the cluster of KUBECONFIG (`CLUSTER=current`).
//!
//! Each scenario has a namespace of its own that enforces Pod Security *restricted*, and prints a report when it fails.

mod adoption;
mod blackbox;
mod certificates;
mod drift;
mod life;
mod maintenance;
mod nodes;
mod permissions;
mod reading;
mod refusals;
mod scaling;
mod sizes;

/// Held by scenarios that need every node to take Pods, and by those that cordon one.
static NODES: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
