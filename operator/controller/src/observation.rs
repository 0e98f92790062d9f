//! What `observe` gives to the steps after it.

use porpoise_core::view::ClusterView;

/// How old the record in a view may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// From the watch: good enough to see that nothing is to be done, and for anything guarded by its resourceVersion.
    Watched,
    /// Read from the API server in this pass: orders may be given.
    Read,
}

/// A view and how fresh its record is.
pub struct Observation {
    /// What was seen.
    pub view: ClusterView,
    /// How old the record may be.
    pub freshness: Freshness,
}
