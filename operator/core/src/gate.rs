//! Feature gates: behaviour with a risk of its own, off until the operator is told to switch it on.

use std::collections::BTreeSet;

/// Behaviour that is off by default (`--feature-gates`).
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    strum::IntoStaticStr,
    strum::EnumIter,
    strum::EnumString,
)]
pub enum FeatureGate {
    /// The primary leaves a node that reports memory or disk pressure.
    MoveFromPressure,
}

/// The gates that are open.
pub type FeatureGates = BTreeSet<FeatureGate>;
