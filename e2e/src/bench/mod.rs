//! Figures: each case is measured next to a floor of the same run and written to `docs/benchmarks/results.json`.

mod archive;
mod failover;
mod floor;
mod group;
mod page;
mod plot;
mod replication;
mod results;
mod simulation;
mod time_to_writable;
mod transactions;
mod trio;
mod write_cost;

pub use archive::{archive_delay, backup_and_restore, points_in_time};
pub use failover::{CASES, fault_cycles, under_faults};
pub use results::{Case, Floor, Peer, Samples, write};
pub use simulation::simulated_schedules;
pub use time_to_writable::time_to_writable;
pub use write_cost::write_cost;
