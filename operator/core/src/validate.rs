//! From a `MySQLCluster` as people wrote it to a [`Cluster`] that cannot be wrong.
//!
//! Every problem is collected, not only the first. Each says where it is and what to change.

mod backup;
mod bootstrap;
mod components;
mod failover;
mod inherited;
mod keys;
mod mysqld;
mod naming;
mod network;
mod pod;
mod reads;
pub(crate) mod release;
mod removed;
pub(crate) mod resources;
mod storage;
mod target;
mod tls;
mod update;
mod warnings;

pub(crate) use backup::hours_or_days;
pub use failover::duration;
pub use removed::REMOVED_SETTINGS;
pub use warnings::ACCEPT_WARNINGS;

use crate::gate::FeatureGates;
use crate::line::{self, Line};
use crate::mycnf;
use crate::names::ClusterNames;
use crate::quantity;
use crate::runtime;
use crate::schedule::Schedule;
use crate::view::{ClaimView, ClusterView, References};
use porpoise_crds::{DeletionPolicy, DurabilityPolicy, MySQLCluster, MySQLClusterSpec, Quorum};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the operator process was configured with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Image of the operator itself; its agent is copied into the members.
    pub operator_image: String,
    /// Image for a release series; `{version}` is replaced, such as `mysql:{version}`.
    pub mysql_image: String,
    /// Namespace of the operator, which may reach the agents.
    pub operator_namespace: String,
    /// The feature gates that are open.
    pub feature_gates: FeatureGates,
}

/// A validated cluster: the type is the proof.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// Names of everything that belongs to it.
    pub names: ClusterNames,
    /// UID of the object.
    pub uid: String,
    /// The line of data that the members have or shall have.
    pub line: Line,
    /// Generation of the spec.
    pub generation: i64,
    /// Number of instances that are wanted.
    pub instances: u32,
    /// Image that runs mysqld.
    pub image: String,
    /// Release series, such as `(9, 7)`.
    pub series: (u32, u32),
    /// Size of each volume in bytes.
    pub storage_bytes: u64,
    /// What happens to the volumes on deletion.
    pub deletion_policy: DeletionPolicy,
    /// The user's settings of mysqld: normalised names, `configMapRef` and `config` merged.
    pub mysql_settings: BTreeMap<String, String>,
    /// How long a lost primary is waited for.
    pub failover_delay: Duration,
    /// How far replicas may fall behind.
    pub max_apply_lag: Duration,
    /// How far a replica may be behind and still be read from, in whole seconds.
    pub max_read_lag: Duration,
    /// How long the first member of a rollout must be ready before the next one restarts.
    pub soak: Duration,
    /// When backups are made, if there is a schedule.
    pub schedule: Option<Schedule>,
    /// When the newest stored backup is verified, if there is a schedule for that.
    pub verification_schedule: Option<Schedule>,
    /// How old the backup may be that an update asks for.
    pub backup_max_age: Duration,
    /// Rendered `my.cnf`.
    pub my_cnf: String,
    /// The rest of the spec, checked.
    pub spec: MySQLClusterSpec,
    /// Labels of the object that its children carry.
    pub inherited_labels: BTreeMap<String, String>,
    /// Annotations of the object that its children carry.
    pub inherited_annotations: BTreeMap<String, String>,
    /// What is allowed but worth a thought; empty when the object accepts warnings by annotation.
    pub warnings: Vec<Warning>,
    /// The operator's settings.
    pub settings: Settings,
}

impl Cluster {
    /// How many other members must have a transaction before it is acknowledged, once the cluster is complete:
    /// floor(N/2) (ha.md §1).
    pub fn wanted_k(&self) -> i32 {
        i32::try_from(self.instances / 2).unwrap_or(i32::MAX)
    }

    /// Whether the claim is as strong as the spec asks for.
    pub fn is_complete(&self, claim: &Quorum) -> bool {
        claim.k >= self.wanted_k()
    }

    /// The user's settings that members set while mysqld runs, by name.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.mysql_settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        all.filter(|(name, value)| runtime::is_settable(name, value))
    }

    /// Whether the claim may become weaker when members are lost.
    pub fn may_degrade(&self) -> bool {
        self.spec.durability.policy == DurabilityPolicy::Degradable
    }

    /// Whether clients may be let in under this claim.
    pub fn may_admit(&self, claim: &Quorum) -> bool {
        self.is_complete(claim) || self.may_degrade()
    }
}

/// Something in the spec that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the field, such as `spec.storage.size`.
    pub field: String,
    /// `PascalCase` reason, for conditions.
    pub reason: &'static str,
    /// What is wrong and what to change.
    pub message: String,
}

impl Problem {
    fn new(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), reason, message: message.into() }
    }
}

/// Something that works but that the user should know (B34).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// `PascalCase` reason.
    pub reason: &'static str,
    /// What to consider.
    pub message: String,
}

/// What exists already and limits what the spec may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stored {
    /// Size of the smallest volume claim in bytes, of those that were made as the spec says; absent: there is none.
    pub size_bytes: Option<u64>,
    /// The same of those that were made from a snapshot: as large as that, which the driver may have rounded up.
    pub restored_bytes: Option<u64>,
    /// `StorageClass` of the volume claims; absent: there is none, or it has none.
    pub storage_class: Option<String>,
    /// Release series that the data was last used with.
    pub series: Option<(u32, u32)>,
    /// The line of data that the members have or shall have; absent: the one that the status names.
    pub line: Option<Line>,
}

impl Stored {
    /// What a view tells.
    pub fn of(view: &ClusterView) -> Self {
        let mut claims = view.claims.clone();
        claims.extend(former_claims(view));
        Self { line: Some(view.line), ..Self::new(&view.object, &claims) }
    }

    /// What status and volume claims tell.
    fn new(object: &MySQLCluster, claims: &BTreeMap<String, ClaimView>) -> Self {
        let status = object.status.as_ref();
        let current = status.and_then(|status| status.version.as_ref()?.current.as_deref());
        let smallest = |is_restored: bool| {
            let of = claims.values().filter(|claim| claim.restored_by.is_some() == is_restored);
            of.map(|claim| claim.size_bytes).min()
        };
        Self {
            size_bytes: smallest(false),
            restored_bytes: smallest(true),
            storage_class: claims.values().find_map(|claim| claim.storage_class.clone()),
            series: current.and_then(release::series_of),
            line: None,
        }
    }
}

/// Claims that a restore in place that is withdrawn goes back to: the spec must go on to fit them.
fn former_claims(view: &ClusterView) -> BTreeMap<String, ClaimView> {
    let restore = line::under_way(&view.object);
    let Some(former) = restore.and_then(|restore| restore.former.as_ref()) else { return BTreeMap::new() };
    let names = names(&view.object);
    let is_former =
        |name: &str| line::read_claim(name, names.cluster()).is_some_and(|(line, _)| line == former.line);
    let found = view.other_claims.iter().filter(|(name, _)| is_former(name));
    found.map(|(name, claim)| (name.clone(), claim.clone())).collect()
}

/// Checks everything that can be checked without writing.
///
/// # Errors
/// Every problem that was found, in the order of the spec.
pub fn cluster(
    object: &MySQLCluster,
    references: &References,
    stored: &Stored,
    settings: &Settings,
) -> Result<Cluster, Vec<Problem>> {
    let spec = &object.spec;
    let mut problems = naming::problems(object, references);
    problems.extend(release::problems(spec, stored));
    problems.extend(storage::problems(&spec.storage, references, stored));
    problems.extend(resources::problems(&spec.resources));
    problems.extend(mysqld::problems(spec, references));
    problems.extend(components::problems(&spec.mysql.components));
    problems.extend(tls::problems(&spec.tls, &names(object), references));
    problems.extend(network::problems(spec));
    problems.extend(pod::problems(&spec.pod));
    problems.extend(failover::problems(&spec.failover));
    problems.extend(reads::problems(&spec.services.replicas));
    problems.extend(update::problems(&spec.update));
    problems.extend(backup::problems(spec, names(object).cluster()));
    problems.extend(bootstrap::problems(spec));
    if problems.is_empty() { Ok(assemble(object, references, stored, settings)) } else { Err(problems) }
}

/// The validated cluster; nothing in here can fail any more.
fn assemble(object: &MySQLCluster, references: &References, stored: &Stored, settings: &Settings) -> Cluster {
    let meta = &object.metadata;
    let mut spec = object.spec.clone();
    // An empty class would mean "no dynamic volumes" in a claim; people mean the default (A7).
    spec.storage.storage_class_name = spec.storage.storage_class_name.filter(|class| !class.is_empty());
    spec.bootstrap = line::bootstrap(object);
    let storage_bytes = quantity::bytes(&spec.storage.size).unwrap_or_default();
    let mysql_settings = mysqld::merged(&spec.mysql, references);
    Cluster {
        names: names(object),
        uid: meta.uid.clone().unwrap_or_default(),
        line: stored.line.unwrap_or_else(|| line::recorded(object)),
        generation: meta.generation.unwrap_or_default(),
        instances: u32::try_from(spec.instances).unwrap_or_default(),
        image: release::image(&spec, settings),
        series: release::series_of(&spec.version).unwrap_or_default(),
        storage_bytes,
        deletion_policy: spec.storage.deletion_policy,
        failover_delay: failover::duration(&spec.failover.delay).unwrap_or_default(),
        max_apply_lag: failover::duration(&spec.failover.max_apply_lag).unwrap_or_default(),
        max_read_lag: reads::max_lag(&spec.services.replicas),
        soak: failover::duration(&spec.update.soak).unwrap_or_default(),
        schedule: backup::schedule(&spec),
        verification_schedule: backup::verification_schedule(&spec),
        backup_max_age: failover::duration(&spec.update.backup_max_age).unwrap_or_default(),
        my_cnf: my_cnf(&spec, &mysql_settings, storage_bytes),
        mysql_settings,
        inherited_labels: inherited::labels(meta),
        inherited_annotations: inherited::annotations(meta),
        warnings: warnings::warnings(object),
        spec,
        settings: settings.clone(),
    }
}

fn names(object: &MySQLCluster) -> ClusterNames {
    let meta = &object.metadata;
    ClusterNames::new(meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default())
}

fn my_cnf(spec: &MySQLClusterSpec, settings: &BTreeMap<String, String>, storage_bytes: u64) -> String {
    let resources = resources::effective(&spec.resources);
    mycnf::render(&mycnf::Inputs {
        spec,
        settings,
        memory_bytes: resources.memory_bytes(),
        cpu_millis: resources.cpu_millis(),
        storage_bytes,
    })
}

#[cfg(test)]
mod tests;
