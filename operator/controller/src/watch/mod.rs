//! Watches: they keep the caches fresh and say which cluster to look at.
//!
//! Each watch is its own task, so a kind that cannot be read (a missing CRD, a missing permission) stops nothing else.

mod clusters;
mod follow;
mod keep;
mod nodes;
mod slim;
mod source;

pub use clusters::{ClusterStore, Guarded};
pub use source::{Scope, Touch, Touches, Watches};
