//! The decisions, run against a small world whose members obey at once.

mod archive;
mod backups;
mod bad_states;
mod beginning;
mod clocks;
mod components;
mod cordon;
mod dumps;
mod failover;
mod final_backup;
mod found;
mod in_place;
mod in_place_edges;
mod lifecycle;
mod passwords;
mod protocol;
mod rehearsal;
mod rejoin;
mod releases;
mod restore;
mod rollout;
mod schedules;
mod snapshots;
mod update_gate;
mod variables;
mod world;
