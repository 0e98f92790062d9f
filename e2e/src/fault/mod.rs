//! Faults, to be put on a rig by tests. Each is a method of [`Rig`](crate::rig::Rig) and takes well under a second, but
//! for booting a node. [`Rig::repair`](crate::rig::Rig::repair) takes them all back.

mod disk;
mod network;
mod node;
mod process;

pub use network::Cut;
pub use nix::sys::signal::Signal;
pub use process::Container;
