//! The `MySQLCluster` kind.

// The schema derive repeats each struct inside a function.
#![allow(unreachable_pub)]

use crate::backup::Backup;
use crate::bootstrap::Bootstrap;
use crate::fields::{
    Durability, Failover, Mysql, NetworkPolicy, Pod, Resources, Services, Storage, Switchover, Tls,
};
use crate::in_place::InPlaceRestore;
use crate::status::MySQLClusterStatus;
use crate::update::Update;
use kube::core::Rule;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// One replicated MySQL service: its members, storage, configuration and entry points.
///
/// The name must be a DNS label of at most 50 characters that begins with a letter, since Services and Pods are named
/// after it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "mysql.porpoise.dev",
    version = "v1alpha1",
    kind = "MySQLCluster",
    plural = "mysqlclusters",
    singular = "mysqlcluster",
    shortname = "myc",
    category = "all",
    category = "porpoise",
    namespaced,
    status = "MySQLClusterStatus",
    derive = "PartialEq",
    derive = "Default",
    scale(
        spec_replicas_path = ".spec.instances",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Primary", type_ = "string", json_path = ".status.primary"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.readyInstances"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version.current"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 50")
        .message("the name may have at most 50 characters, since Services and Pods are named after it"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name must begin with a letter and hold only lower case letters, digits and dashes, since Services are named after it"),
    validation = Rule::new("!self.metadata.name.endsWith('-ro') && !self.metadata.name.endsWith('-members')")
        .message("the name must not end with -ro or -members, like a Service of another cluster"),
    validation = Rule::new(
        "!has(self.spec.switchover) || !has(self.spec.switchover.target) || self.spec.switchover.target.startsWith(self.metadata.name + '-')"
    )
    .message("spec.switchover.target must be an instance of this cluster, such as NAME-1"),
    validation = bootstrap_is_kept()
)]
#[x_kube(
    validation = no_downgrade(),
    validation = Rule::new("!has(self.storage.deletionPolicy) || self.storage.deletionPolicy != 'BackupThenDelete' || has(self.backup)")
        .message("BackupThenDelete needs spec.backup: name a target there, or choose Retain or Delete")
        .field_path(".storage.deletionPolicy"),
    validation = Rule::new("!has(self.update) || !has(self.update.backupBefore) || self.update.backupBefore != 'Required' || has(self.backup)")
        .message("backupBefore: Required needs spec.backup: name a target there, or choose IfConfigured or Skip")
        .field_path(".update.backupBefore"),
    validation = Rule::new("!has(self.update) || !has(self.update.rehearsal) || self.update.rehearsal != 'Required' || (has(self.backup) && (!has(self.update.backupBefore) || self.update.backupBefore != 'Skip'))")
        .message("rehearsal: Required needs a backup to rehearse on: name a target in spec.backup and choose backupBefore: IfConfigured or Required, or choose rehearsal: IfConfigured or Skip")
        .field_path(".update.rehearsal")
)]
pub struct MySQLClusterSpec {
    /// Number of MySQL instances, 1 to 9. Default 3. A change adds or removes one member at a time.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 9))]
    pub instances: i32,

    /// MySQL release series: `8.4` or `9.7`. Default 9.7. A newer series restarts the members one by one; an older one is
    /// refused.
    #[serde(default = "default_version")]
    #[schemars(length(max = 16), extend("enum" = VERSIONS))]
    pub version: String,

    /// Image that runs mysqld, instead of the operator's image for `version`. Name a tag or a digest: an image without
    /// one, or with `latest`, raises a warning. A change restarts the members one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^\S+$"))]
    pub image: Option<String>,

    /// The volume of every member.
    pub storage: Storage,

    /// CPU and memory of every member. Defaults to one core and 1Gi, requests equal to limits.
    #[serde(default)]
    pub resources: Resources,

    /// Settings of mysqld.
    #[serde(default)]
    pub mysql: Mysql,

    /// Certificates of the server.
    #[serde(default)]
    pub tls: Tls,

    /// The Services that clients use.
    #[serde(default)]
    pub services: Services,

    /// Who may reach the members.
    #[serde(default)]
    pub network_policy: NetworkPolicy,

    /// What the Pods look like beyond what Porpoise decides.
    #[serde(default)]
    pub pod: Pod,

    /// What happens when the primary is lost.
    #[serde(default)]
    pub failover: Failover,

    /// What an acknowledged write is worth when members are lost.
    #[serde(default)]
    pub durability: Durability,

    /// Moves the primary once, for every new `requestId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switchover: Option<Switchover>,

    /// How changes that need a restart reach the members.
    #[serde(default)]
    pub update: Update,

    /// Backups. Absent: none are made, and nothing but the members' volumes holds the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,

    /// How a new cluster comes by its first data. Absent: it begins empty. Only at creation; it may be removed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<Bootstrap>,

    /// Goes back to a backup in place, once for every new `requestId`: the members get new volumes, and the old ones stay as
    /// they are. Removing it before the restored data is open goes back to the old ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<InPlaceRestore>,

    /// Stops all Pods and keeps the data. Setting it back to false starts them again.
    #[serde(default)]
    pub hibernated: bool,

    /// Stops reconciling this cluster. The members keep serving and keep their fences.
    #[serde(default)]
    pub paused: bool,
}

/// Release series that Porpoise knows, oldest first.
pub const VERSIONS: [&str; 2] = ["8.4", "9.7"];

/// No series may follow a newer one. Spelled out, since versions have no order that a rule could use at little cost.
fn no_downgrade() -> Rule {
    let steps: Vec<String> = (1..VERSIONS.len())
        .map(|newer| {
            format!("!(oldSelf.version == '{}' && self.version in {:?})", VERSIONS[newer], &VERSIONS[..newer])
        })
        .collect();
    Rule::new(format!("!has(oldSelf.version) || !has(self.version) || ({})", steps.join(" && ")))
        .message(
            "MySQL cannot go back to an older release series; restore a backup into a new cluster instead",
        )
        .field_path(".version")
}

/// What a cluster began with stays, or goes. Until the first claim is recorded nobody was promised anything: statements that
/// fail may be corrected, and a clone may be taken from another cluster.
fn bootstrap_is_kept() -> Rule {
    let same = "self.spec.bootstrap == oldSelf.spec.bootstrap";
    let founded = "has(oldSelf.status) && has(oldSelf.status.quorum)";
    let restores = "has(self.spec.bootstrap.restore) || has(oldSelf.spec.bootstrap.restore)";
    Rule::new(format!(
        "!has(self.spec.bootstrap) || (has(oldSelf.spec.bootstrap) && ({same} || !(({founded}) || {restores})))"
    ))
    .message("bootstrap counts only when a cluster is made; make a new cluster to begin in another way")
    .field_path(".spec.bootstrap")
}

impl Default for MySQLClusterSpec {
    /// What the schema fills in; the size stays empty, since only people know it.
    fn default() -> Self {
        Self {
            instances: three(),
            version: default_version(),
            image: None,
            storage: Storage::default(),
            resources: Resources::default(),
            mysql: Mysql::default(),
            tls: Tls::default(),
            services: Services::default(),
            network_policy: NetworkPolicy::default(),
            pod: Pod::default(),
            failover: Failover::default(),
            durability: Durability::default(),
            switchover: None,
            backup: None,
            update: Update::default(),
            bootstrap: None,
            restore: None,
            hibernated: false,
            paused: false,
        }
    }
}

fn three() -> i32 {
    3
}

fn default_version() -> String {
    "9.7".to_owned()
}
