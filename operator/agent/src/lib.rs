//! The agent: process 1 of the mysql container and parent of mysqld.
//!
//! `run` is the table of contents. Orders come in through `serve` and are judged by `porpoise_core::member`; `promise` makes them
//! durable; `goal` works towards them; `supervise` keeps mysqld; `observe` looks; `member` tells what is known.

pub mod archive;
pub mod backup;
pub mod beginning;
pub mod blackbox;
pub mod disk;
pub mod drain;
pub mod files;
pub mod goal;
pub mod governor;
pub mod identity;
pub mod install;
pub mod intent;
pub mod load;
pub mod local;
pub mod logging;
pub mod member;
pub mod metrics;
pub mod mysql;
pub mod observe;
pub mod occupancy;
pub mod probe;
pub mod promise;
pub mod pulse;
pub mod room;
pub mod run;
pub mod serve;
pub mod settings;
pub mod supervise;
pub mod tail;
pub mod transactions;
pub mod vault;
pub mod volume;
