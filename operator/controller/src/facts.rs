//! What is kept of watched objects: as little as the decisions need.

use crate::cache::{Cache, ClusterKey};
use crate::kinds::{INSTANCE, OwnedKind};
use crate::nodes::Nodes;
use kube::core::{DynamicObject, ObjectMeta};
use porpoise_core::line::Line;
use porpoise_core::names::ORIGIN_LABEL;
use porpoise_core::view::{BackupOrigin, BackupSeen, ClaimView, PodView, TroubleKind};
use porpoise_crds::{MySQLBackup, MySQLCluster, VERIFY_DUE, VerificationPhase};
use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use strum::IntoEnumIterator;

/// An owned object as it exists. Kept as JSON text: a tree of it would take several times the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Existing {
    /// UID.
    pub uid: String,
    /// Version that was seen.
    pub resource_version: String,
    /// UID of the controller that owns it.
    pub owner: Option<String>,
    /// The object without managed fields.
    pub json: Box<str>,
}

impl Existing {
    /// From what the API server sent.
    pub fn new(mut object: DynamicObject) -> Self {
        object.metadata.managed_fields = None;
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
            owner: owner(&object.metadata),
            json: serde_json::to_string(&object).unwrap_or_default().into(),
        }
    }
}

/// UID of the controller that owns an object.
pub fn owner(metadata: &ObjectMeta) -> Option<String> {
    let owners = metadata.owner_references.as_ref()?;
    owners.iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.clone())
}

/// Which cluster an object belongs to: its controller, if that is a cluster, else the label.
pub fn cluster_of(metadata: &ObjectMeta) -> Option<ClusterKey> {
    let owners = metadata.owner_references.iter().flatten();
    let by_owner = owners
        .filter(|owner| owner.kind == "MySQLCluster" && owner.api_version.starts_with(porpoise_crds::GROUP))
        .map(|owner| owner.name.clone())
        .next();
    let by_label = || metadata.labels.as_ref()?.get(INSTANCE).cloned();
    Some(ClusterKey { namespace: metadata.namespace.clone()?, name: by_owner.or_else(by_label)? })
}

/// Which cluster this object is.
pub fn key_of(object: &MySQLCluster) -> ClusterKey {
    ClusterKey {
        namespace: object.metadata.namespace.clone().unwrap_or_default(),
        name: object.metadata.name.clone().unwrap_or_default(),
    }
}

/// What matters of a backup to its cluster.
pub fn backup_seen(backup: &MySQLBackup) -> BackupSeen {
    let (metadata, status) = (&backup.metadata, backup.status.as_ref());
    let origin = metadata.labels.as_ref().and_then(|labels| labels.get(ORIGIN_LABEL));
    let due = metadata.annotations.as_ref().and_then(|annotations| annotations.get(VERIFY_DUE));
    let verification = status.and_then(|status| status.verification.as_ref());
    BackupSeen {
        uid: metadata.uid.clone().unwrap_or_default(),
        created: metadata.creation_timestamp.as_ref().map(|time| time.0),
        origin: BackupOrigin::of_label(origin.map(String::as_str)),
        method: backup.spec.method,
        partial: !backup.spec.databases.is_empty(),
        phase: status.and_then(|status| status.phase),
        completed: status.and_then(|status| status.completed_at.as_ref()).map(|time| time.0),
        verified: status.is_some_and(|status| status.verified == Some(true)),
        verify_due: due.and_then(|due| due.parse().ok()),
        damage: verification
            .filter(|one| one.phase == VerificationPhase::Damaged)
            .map(|one| one.message.clone()),
        message: status.map(|status| status.message.clone()).unwrap_or_default(),
        jobs: status.and_then(|status| status.jobs).unwrap_or_default(),
        deleting: metadata.deletion_timestamp.is_some(),
        cluster: status.and_then(|status| status.cluster.clone()),
        location: status.and_then(|status| status.location.clone()),
        gtid_set: status.and_then(|status| status.gtid_set.clone()),
        encryption: status.and_then(|status| status.encryption.clone()),
    }
}

/// What is kept of a volume claim of a member.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClaimFacts {
    /// The line of data that it is for.
    pub line: Line,
    /// The instance that it is for.
    pub instance: String,
    /// What decisions see.
    pub view: ClaimView,
}

/// What is kept of a Pod.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PodFacts {
    /// What decisions see.
    pub view: PodView,
    /// The agent may be asked: the Pod has an address and has not ended.
    pub running: bool,
    /// Labels it has.
    pub labels: Marks,
    /// Annotations it has.
    pub annotations: Marks,
    /// What holds it up, in Kubernetes' words.
    pub trouble: Option<(TroubleKind, String)>,
}

/// Labels or annotations, kept as digests: they are only ever compared.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Marks(Box<[(u64, u64)]>);

impl Marks {
    /// From an object's metadata.
    pub fn new(texts: Option<&BTreeMap<String, String>>) -> Self {
        let pairs = texts.into_iter().flatten();
        Self(pairs.map(|(key, value)| (digest(key), digest(value))).collect())
    }

    /// Whether `key` has this value, or is absent for none.
    pub fn agree(&self, key: &str, value: Option<&str>) -> bool {
        let key = digest(key);
        let found = self.0.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
        found == value.map(digest)
    }
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Everything the watches have seen, except the clusters themselves.
pub struct Caches {
    objects: HashMap<OwnedKind, Arc<Cache<Existing>>>,
    /// Pods by name.
    pub pods: Arc<Cache<PodFacts>>,
    /// Volume claims by name.
    pub claims: Arc<Cache<ClaimFacts>>,
    /// Backups by name.
    pub backups: Arc<Cache<BackupSeen>>,
    /// Nodes by name.
    pub nodes: Nodes,
    nothing: Arc<Cache<Existing>>,
}

impl Default for Caches {
    fn default() -> Self {
        Self {
            objects: OwnedKind::iter().map(|kind| (kind, Arc::default())).collect(),
            pods: Arc::default(),
            claims: Arc::default(),
            backups: Arc::default(),
            nodes: Nodes::default(),
            nothing: Arc::default(),
        }
    }
}

impl Caches {
    /// The cache of one owned kind.
    pub fn of(&self, kind: OwnedKind) -> &Arc<Cache<Existing>> {
        self.objects.get(&kind).unwrap_or(&self.nothing)
    }
}

/// The ordinal, if `name` is an instance of `cluster`: `shop-2`, but not `shop-api-2`.
pub fn ordinal_in(cluster: &str, name: &str) -> Option<u32> {
    name.strip_prefix(cluster)?.strip_prefix('-')?.parse().ok()
}

/// Whether an object without an owner carries our labels for this cluster.
pub fn is_labelled(metadata: &ObjectMeta, cluster: &str) -> bool {
    let label = |name: &str| metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    label(crate::kinds::MANAGED_BY) == Some(crate::kinds::MANAGER) && label(INSTANCE) == Some(cluster)
}
