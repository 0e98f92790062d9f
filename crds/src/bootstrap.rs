//! How a new cluster comes by its first data.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::backup::named_volume;
use crate::{BackupLocation, BackupTarget, LocalReference, Restore};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest text of all statements together, in bytes: they travel to the first member in one order.
pub const MOST_INIT_SQL: usize = 512 << 10;

/// How a new cluster comes by its first data: one way. Only at creation.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.restore), has(self.clone), has(self.__import__), has(self.initSql) || has(self.initSqlFrom)].exists_one(named, named)")
    .message("name one way to begin: restore, clone, import, or initSql with initSqlFrom"))]
pub struct Bootstrap {
    /// From a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// From a cluster that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone: Option<CloneFrom>,
    /// From a dump: a backup of the method `Logical`, or a file of statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Box<Import>>,
    /// With these statements, in this order: up to 64 texts of up to 32768 characters. They run once, as `root@localhost`, in the
    /// application's database, before any client is let in. A text may hold several statements, each with a semicolon between;
    /// it needs no `DELIMITER`. If one fails, the cluster begins anew with a blank database, and these may be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 32768)))]
    pub init_sql: Vec<String>,
    /// More of them, after `initSql`: up to 16 entries of Secrets or `ConfigMaps`. At most 512 KiB in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub init_sql_from: Vec<SqlReference>,
}

/// The dump that a new cluster begins with. If a statement of it fails, the cluster begins anew with a blank database, and
/// another dump may be named here.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.backupRef), has(self.location), has(self.file)].exists_one(named, named)")
    .message("name one dump: by backupRef, a MySQLBackup of this namespace, by location, where a backup is stored, or by file, statements in a store"))]
#[x_kube(validation = Rule::new("!has(self.file) || !has(self.keySecretRef)")
    .message("a file is read as it is: store it decrypted, and leave keySecretRef out").field_path(".keySecretRef"))]
pub struct Import {
    /// A `MySQLBackup` of this namespace, of the method `Logical`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_ref: Option<LocalReference>,
    /// Where such a backup is stored, if there is no `MySQLBackup` of it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<BackupLocation>,
    /// A file of statements that somebody else made, such as the output of `mysqldump`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<DumpFile>,
    /// Secret of this namespace with the key of an encrypted backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<LocalReference>,
}

/// A file of statements in a store: plain text, or compressed by gzip or zstd.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = named_volume())]
pub struct DumpFile {
    /// The store.
    pub target: BackupTarget,
    /// The whole name of the file in it, such as `exports/shop.sql.gz`; `prefix` of the target is not put before it. What
    /// the file begins with tells how it is compressed.
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^[^/\x00-\x1f\x7f]+(/[^/\x00-\x1f\x7f]+)*$"))]
    pub path: String,
    /// Where the statements go that name no database. It is made if it is missing. Absent: the application's database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("!(self.lowerAscii() in ['information_schema', 'mysql', 'performance_schema', 'porpoise', 'sys'])")
        .message("this database is the server's or Porpoise's; name one of users"))]
    pub database: Option<String>,
}

/// The cluster that a new one is copied from.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CloneFrom {
    /// A `MySQLCluster` of this namespace, of the same release series. A replica is copied if there is one.
    pub cluster_ref: LocalReference,
}

/// An entry that holds statements: of a Secret or of a `ConfigMap` of this namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, KubeSchema, Default)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)")
    .message("name either secretKeyRef or configMapKeyRef"))]
pub struct SqlReference {
    /// An entry of a Secret. What MySQL says about its statements is not shown, since it may quote them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<EntryReference>,
    /// An entry of a `ConfigMap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<EntryReference>,
}

/// An entry of an object of the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, JsonSchema, Default)]
#[serde(rename_all = "camelCase")]
pub struct EntryReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Name of the entry.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}
