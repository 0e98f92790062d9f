//! The operator: watch, observe, decide, act, report.
//!
//! [`reconcile`] is the table of contents of one pass over a cluster, [`reconcile_backup`] of one over a backup. The steps
//! (`watch`, `observe`, `act`, `report`) do not import each other; what passes between them has its own small modules (`cache`,
//! `facts`, `observation`, `outcome`).

pub mod act;
pub mod agents;
pub mod arguments;
pub mod backup_hook;
pub mod board;
pub mod cache;
pub mod certificate;
pub mod context;
pub mod facts;
pub mod gates;
pub mod invalid;
pub mod kinds;
pub mod kubernetes;
pub mod lease;
pub mod memory;
pub mod metrics;
pub mod news;
pub mod next;
pub mod nodes;
pub mod observation;
pub mod observe;
pub mod outcome;
pub mod permissions;
pub mod reconcile;
pub mod reconcile_backup;
pub mod report;
pub mod requeue;
pub mod run;
pub mod snapshots;
pub mod status;
#[cfg(test)]
mod testing;
pub mod watch;
