//! Watches: they keep the caches fresh and say which cluster to look at.
//!
//! Each watch is its own task, so a kind that cannot be read (a missing CRD, a missing permission) stops nothing else.

mod backups;
mod follow;
mod keep;
mod nodes;
mod slim;
mod source;
mod store;

pub use source::{Scope, Touch, Touches, Watches};
pub use store::{BackupStore, ClusterStore, Guarded, GuardedBackup, ObjectStore, Watched};
