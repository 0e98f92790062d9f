//! A volume claim as a small object store: the part of S3 that the vault uses, over a directory.
//!
//! `files` are the objects: whole and on disk before anybody is told so. `answers` are the calls to them. `run` serves them
//! to the members and Jobs of one cluster, over mutual TLS; `local` to this process alone. `member` is the other end: what
//! a member needs to use such a store.

mod answers;
mod files;
mod local;
mod member;
mod run;

pub(crate) use answers::NO_ROOM;
pub use files::{FileError, Files};
pub use local::{Local, on_loopback};
pub(crate) use member::{ADDRESS, MemberConnector};
pub use member::{CERTIFICATE, KEY, Role, equipped};
pub use run::{VolumeError, VolumeSettings, run};

use std::time::Duration;

/// Longest object. The vault's chunks are of 16 MiB, and the manifest of a backup of terabytes is shorter.
const LONGEST_OBJECT: u64 = 64 * 1024 * 1024;
/// Longest pause in what a client sends, and in what it takes.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Longest time for one object, as the client itself has it.
const LONGEST_TRANSFER: Duration = Duration::from_mins(3);
