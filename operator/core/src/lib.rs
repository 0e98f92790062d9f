//! The pure part of Porpoise: views, validation, decisions, desired objects, protocol types, GTID algebra.
//!
//! Nothing here reads a clock, an environment, a file or a socket; whatever is random or comes from outside is an input.

pub mod backup;
pub mod beginning;
pub mod build;
pub mod condition;
pub mod decide;
pub mod event;
#[cfg(any(test, feature = "test-support"))]
pub mod fixture;
pub mod gate;
pub mod gtid;
pub mod line;
pub mod member;
pub mod mycnf;
pub mod names;
pub mod plan;
pub mod protocol;
pub mod quantity;
pub mod runtime;
pub mod schedule;
#[cfg(any(test, feature = "test-support"))]
pub mod simulation;
pub mod validate;
pub mod view;
