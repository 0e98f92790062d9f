//! The decisions, run against a small world whose members obey at once.

mod cordon;
mod bad_states;
mod failover;
mod found;
mod lifecycle;
mod protocol;
mod rejoin;
mod schedules;
mod world;
