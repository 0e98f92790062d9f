//! Faults on real servers, judged by the ledger (ha.md §3, I1, I2, I8). They need the rig, and one scenario at a time:
//! each of them may take a node or the operator away.

mod cycles;
mod disks;

/// Held by the scenario that runs.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
