//! The agent with real servers: layer 4 of the tests (testing.md).

// Whatever fails in a test's helpers fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod alone;
mod archive;
mod backup;
mod backup_faults;
mod bad_states;
mod beginning;
mod components;
mod dumps;
mod ending;
mod fence;
mod governor;
mod hazards;
mod imports;
mod leaving;
mod member;
mod passwords;
mod programs;
mod rehearsal;
mod rejoin;
mod snapshots;
mod speed;
mod sql;
#[path = "../vault/server.rs"]
#[allow(dead_code, reason = "the tests of the vault use the rest")]
mod store;
mod strays;
mod together;
mod transactions;
mod variables;
mod verification;
mod world;
