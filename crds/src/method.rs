//! How backups are made.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a backup is made.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema, Default)]
pub enum BackupMethod {
    /// A copy of a member's files: the fastest way back, and the base for any point in time.
    #[default]
    Physical,
    /// A dump, as statements: for another release of MySQL, for single databases, or to leave. The way back is
    /// `spec.bootstrap.import`, to what the dump holds and no further.
    Logical,
    /// A snapshot of a member's volume, taken by the storage driver. It stays in the storage, so it does not insure against
    /// the loss of that. It needs the API `snapshot.storage.k8s.io/v1`.
    VolumeSnapshot,
}

impl BackupMethod {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Physical, Self::Logical, Self::VolumeSnapshot];
}

/// Databases that belong to the server or to Porpoise: no dump has them.
pub const RESERVED_DATABASES: [&str; 5] =
    ["mysql", "sys", "information_schema", "performance_schema", "porpoise"];

/// The snapshot that a backup is.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// Name of the `VolumeSnapshot` of this namespace.
    pub name: String,
    /// The volume claim that it was taken of.
    pub claim: String,
}
