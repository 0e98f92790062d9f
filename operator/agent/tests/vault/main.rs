//! Backups in a real S3 server: there and back, damaged in every way, refused, cut off.

// Whatever fails in a test's helpers fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod clouds;
mod damage;
mod files;
mod image;
mod limits;
mod refusals;
mod round;
mod server;
mod speed;
mod tree;
mod volumes;
