//! The ledger: the judge of I1 and I2 (ha.md §6), and the clock of every write gap.
//!
//! Clients insert unique rows through the rw Service and note of each whether the server acknowledged it, refused it, or
//! left them without an answer, and when. Afterwards every member is read and compared with what the clients were told.

mod clock;
mod entry;
mod gap;
mod judge;
mod members;
mod shift;
mod verdict;
mod writer;

pub use clock::{At, Clock};
pub use entry::{Entry, History, Outcome};
pub use gap::{Gap, longest_gap};
pub use judge::{Evidence, Reign, Table, Violation, broken_rows, judge};
pub use members::Ledger;
pub(crate) use members::{TABLE, on_each_member, pod_account, tables};
pub use shift::{Pace, Pulse, Shift};
pub use verdict::{Tally, Verdict};
