//! The operator itself: killed at every point, and left alone. These scenarios stop the installed operator for a while,
//! so they are a program of their own and run one after the other.

mod absent;
mod idle;
mod isolation;
mod kills;

/// Held by the scenario that runs: each of them needs the operator to itself.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
