//! The API types of Porpoise and nothing else.
//!
//! `MySQLCluster` (`mysql.porpoise.dev/v1alpha1`) stands for one replicated MySQL service, `MySQLBackup` for one backup
//! of it. Stateless rules are part of
//! the schema as CEL; the operator checks them again, so an object that reached storage some other way is never trusted.

mod backup;
mod bootstrap;
mod cluster;
mod components;
mod definition;
pub mod examples;
mod fields;
mod in_place;
mod method;
pub mod permissions;
mod reserved;
mod schema;
mod status;
mod target;
mod update;
mod verification;

pub use backup::*;
pub use bootstrap::*;
pub use cluster::{MySQLCluster, MySQLClusterSpec, VERSIONS};
pub use components::{LONGEST_COMPONENT, MOST_COMPONENTS, RESERVED_COMPONENTS, reserved_component};
pub use definition::{backup_definition, definition, definitions};
pub use fields::*;
pub use in_place::*;
pub use method::*;
pub use reserved::{RESERVED_SETTINGS, reserved_setting};
pub use status::*;
pub use target::*;
pub use update::*;
pub use verification::*;

/// API group of every kind.
pub const GROUP: &str = "mysql.porpoise.dev";
/// The one served version.
pub const VERSION: &str = "v1alpha1";
/// Finalizer that guards the deletion of a `MySQLCluster`.
pub const FINALIZER: &str = "mysql.porpoise.dev/cluster";
/// Annotation that lets a `MySQLCluster` go at once, without any cleanup.
pub const SKIP_CLEANUP: &str = "mysql.porpoise.dev/skip-cleanup";
