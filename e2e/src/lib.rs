//! The rig (a real Kubernetes on one Linux machine), the faults that can be put on it, and the scenarios that run there.

pub mod bench;
pub mod campaign;
pub mod cluster;
pub mod fault;
pub mod ledger;
pub mod programs;
pub mod rig;
pub mod scenario;

/// Makes ring the TLS provider of this process, unless one is chosen already.
pub fn install_crypto() {
    rustls::crypto::ring::default_provider().install_default().ok();
}
