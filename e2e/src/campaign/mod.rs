//! Fault cycles under the ledger: a Healthy cluster, clients that write, one fault, and the way back to Healthy.
//!
//! What can be done to a cluster is a table ([`Fault`]), what goes on meanwhile is another ([`Load`]); a campaign is any
//! number of their combinations ([`Mix`]).

mod cycle;
mod fault;
mod load;
mod mix;
mod scene;
mod timeline;

pub(crate) use cycle::WRITERS;
pub use cycle::{Cycle, Measured};
pub use fault::Fault;
pub use load::Load;
pub(crate) use load::RATE;
pub use mix::Mix;
pub use scene::Scene;
pub use timeline::Steps;
