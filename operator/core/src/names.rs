//! Names, ports and paths that operator, agent and built objects must agree on.

use sha2::{Digest, Sha256};

/// Port of MySQL.
pub const MYSQL_PORT: u16 = 3306;
/// Port of the agent's orders and state, mutual TLS.
pub const AGENT_PORT: u16 = 7306;
/// Port of the agent's probes and metrics, plain HTTP.
pub const PROBE_PORT: u16 = 7307;
/// Port of the Pod that serves a volume claim with backups, mutual TLS.
pub const STORE_PORT: u16 = 7308;

/// Name of the mysql container.
pub const CONTAINER: &str = "mysql";
/// Name of the init container that copies the agent.
pub const INIT_CONTAINER: &str = "agent";

/// Where the volume claim is mounted.
pub const VOLUME_PATH: &str = "/var/lib/mysql";
/// mysqld's data directory, inside the volume.
pub const DATA_PATH: &str = "/var/lib/mysql/data";
/// The agent's own files (`identity.json`, `promise.json`, `intent.json`), inside the volume.
pub const AGENT_STATE_PATH: &str = "/var/lib/mysql/porpoise";
/// Directory of the agent binary (emptyDir).
pub const AGENT_BIN_PATH: &str = "/porpoise/bin";
/// Directory of the rendered configuration (`ConfigMap`): `my.cnf` and `agent.json`.
pub const CONFIG_PATH: &str = "/porpoise/config";
/// Directory of the managed certificate (Secret): `tls.crt`, `tls.key`, `ca.crt`.
pub const TLS_PATH: &str = "/porpoise/tls";
/// Directory of the certificate that clients see, with TLS mode `Secret`; otherwise absent.
pub const CLIENT_TLS_PATH: &str = "/porpoise/client-tls";
/// Directory of account passwords (Secret), one file per account of [`ACCOUNTS`].
pub const ACCOUNTS_PATH: &str = "/porpoise/accounts";
/// Directory of the application's account (Secret): files `username`, `password`, `database` are read.
pub const APP_ACCOUNT_PATH: &str = "/porpoise/app";
/// Directory of sockets and the pid file (emptyDir).
pub const RUN_PATH: &str = "/run/mysqld";
/// Where a Pod that serves or clears a volume claim with backups has it.
pub const BACKUPS_PATH: &str = "/porpoise/backups";

/// Variable of the mysql container: what its template was made from.
pub const TEMPLATE_VARIABLE: &str = "PORPOISE_TEMPLATE";
/// First line of the `my.cnf` for the Pods of a template.
pub fn template_line(template: &str) -> String {
    format!("# template {template}\n")
}

/// Accounts with a generated password in the Secret `NAME-accounts`, key = account name.
pub const ACCOUNTS: [&str; 5] = ["agent", "replication", "clone", "backup", "monitor"];
/// MySQL user of one of [`ACCOUNTS`], such as `porpoise_agent`.
pub fn account_user(account: &str) -> String {
    format!("porpoise_{account}")
}
/// The private schema, which holds the table `term`.
pub const PRIVATE_SCHEMA: &str = "porpoise";

/// Seconds that the preStop hook may take: the switch away from this member, then draining.
pub const PRESTOP_SECONDS: i64 = 15;
/// Seconds that mysqld has for stopping in order, however short the grace period is.
pub const SHORTEST_SHUTDOWN_SECONDS: i64 = 10;
/// Seconds kept back at the end of the grace period, so that the agent and not the kubelet ends mysqld.
pub const KILL_MARGIN_SECONDS: i64 = 5;

/// Label of the role, `primary` or `replica`, on Pods.
pub const ROLE_LABEL: &str = "mysql.porpoise.dev/role";
/// Label that puts a Pod into the ro Service, value `true`.
pub const READS_LABEL: &str = "mysql.porpoise.dev/reads";
/// Label on the Pod that copies a member of another cluster, with that cluster's name: its `NetworkPolicy` lets it in.
pub const COPIES_LABEL: &str = "mysql.porpoise.dev/copies";
/// Annotation on a retained claim: UID of the cluster that left it.
pub const RETAINED_BY: &str = "mysql.porpoise.dev/retained-by";
/// Annotation on a claim that was made from a snapshot for a new cluster: the wish that it was made for.
pub const RESTORED_BY: &str = "mysql.porpoise.dev/restored-by";
/// Annotation beside it: UID of the cluster whose data the snapshot holds.
pub const RESTORED_FROM: &str = "mysql.porpoise.dev/restored-from";

/// Label with the name of the `MySQLBackup`, on its Jobs and their Pods.
pub const BACKUP_LABEL: &str = "mysql.porpoise.dev/backup";
/// Label with the name of a volume claim for backups, on the Pods that mount it: they run on one node.
pub const BACKUPS_CLAIM_LABEL: &str = "mysql.porpoise.dev/backups-claim";
/// Label on a `MySQLBackup` that says why the operator made it: `schedule`, `request`, `update` or `deletion`.
pub const ORIGIN_LABEL: &str = "mysql.porpoise.dev/origin";
/// Name of the volume of a backup's Job, mounted where a member has its own.
pub const STAGING_VOLUME: &str = "staging";
/// Longest name of a `MySQLBackup`, so that its Jobs and their Pods still can be named after it.
pub const LONGEST_BACKUP: usize = 52;

/// The Job that stores a backup.
pub fn store_job(backup: &str) -> String {
    format!("{backup}-store")
}

/// The Job that verifies a stored backup.
pub fn verify_job(backup: &str) -> String {
    format!("{backup}-verify")
}

/// The Job that removes what a backup stored.
pub fn remove_job(backup: &str) -> String {
    format!("{backup}-remove")
}

/// Names of everything that belongs to one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterNames {
    name: String,
    namespace: String,
}

impl ClusterNames {
    /// Names for the cluster `name` in `namespace`; both were validated before.
    pub fn new(name: &str, namespace: &str) -> Self {
        Self { name: name.to_owned(), namespace: namespace.to_owned() }
    }
    /// The cluster's own name: also of its `StatefulSet`, rw Service, `PodDisruptionBudget` and `NetworkPolicy`.
    pub fn cluster(&self) -> &str {
        &self.name
    }
    /// Namespace of everything.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }
    /// The headless Service.
    pub fn members_service(&self) -> String {
        format!("{}-members", self.name)
    }
    /// The Service that leads to the replicas.
    pub fn replicas_service(&self) -> String {
        format!("{}-ro", self.name)
    }
    /// What serves the volume claim that the cluster's backups go to: `StatefulSet`, Service and `NetworkPolicy`.
    pub fn store(&self) -> String {
        format!("{}-backups", self.name)
    }
    /// What serves the volume claim that the cluster's first data comes from, as long as that takes.
    pub fn source(&self) -> String {
        format!("{}-restore", self.name)
    }
    /// DNS name of a Service of this namespace.
    pub fn service_host(&self, service: &str) -> String {
        format!("{service}.{}.svc", self.namespace)
    }
    /// The `EndpointSlice` of the rw Service.
    pub fn primary_slice(&self) -> String {
        format!("{}-primary", self.name)
    }
    /// The `ConfigMap` with `my.cnf` and `agent.json`.
    pub fn config(&self) -> String {
        format!("{}-config", self.name)
    }
    /// The Secret with the CA; only the operator reads its key.
    pub fn authority_secret(&self) -> String {
        format!("{}-ca", self.name)
    }
    /// The Secret with the certificate of members.
    pub fn server_secret(&self) -> String {
        format!("{}-server", self.name)
    }
    /// The Secret with the passwords of [`ACCOUNTS`].
    pub fn accounts_secret(&self) -> String {
        format!("{}-accounts", self.name)
    }
    /// The Secret for applications.
    pub fn app_secret(&self) -> String {
        format!("{}-app", self.name)
    }
    /// The `ServiceAccount` of the Pods.
    pub fn service_account(&self) -> String {
        format!("{}-mysql", self.name)
    }
    /// The `ServiceAccount` of the Pods of backup Jobs.
    pub fn backup_account(&self) -> String {
        format!("{}-backup", self.name)
    }
    /// A backup `NAME-SUFFIX`. Of a name that would make it too long, only the beginning and a digest are taken.
    pub fn backup(&self, suffix: &str) -> String {
        let whole = format!("{}-{suffix}", self.name);
        if whole.len() <= LONGEST_BACKUP {
            return whole;
        }
        let digest = Sha256::digest(self.name.as_bytes());
        let digest = digest.iter().take(3).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let room = LONGEST_BACKUP.saturating_sub(suffix.len() + digest.len() + 2);
        let beginning: String = self.name.chars().take(room).collect();
        format!("{}-{digest}-{suffix}", beginning.trim_end_matches('-'))
    }
    /// The backup that is made before the volumes of the cluster with this UID are deleted.
    pub fn final_backup(&self, uid: &str) -> String {
        let short: String = uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        self.backup(&format!("final-{}", short.to_ascii_lowercase()))
    }
    /// The backup that is made before members get `image`: the first, or a later one when that is too old.
    pub fn backup_before(&self, image: &str, attempt: usize) -> String {
        let digest = Sha256::digest(image.as_bytes());
        let digest = digest.iter().take(4).fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        match attempt {
            0 | 1 => self.backup(&format!("before-{digest}")),
            later => self.backup(&format!("before-{digest}-{later}")),
        }
    }
    /// The Job that tries an update on a copy. `digest` tells updates apart, `attempt` counts from 1 on.
    pub fn rehearsal_job(&self, digest: &str, attempt: i32) -> String {
        let short: String = digest.chars().take(8).collect();
        self.backup(&format!("rehearsal-{short}-{attempt}"))
    }
    /// Instance (and Pod) with this ordinal.
    pub fn instance(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.name)
    }
    /// Stable DNS name of an instance, resolved through the Pod's search domains.
    pub fn host(&self, instance: &str) -> String {
        format!("{instance}.{}.{}.svc", self.members_service(), self.namespace)
    }
    /// Name in the operator's client certificate.
    pub fn operator_identity() -> &'static str {
        "operator.porpoise"
    }
}

/// Ordinal in an instance name such as `shop-2`.
pub fn ordinal(instance: &str) -> Option<u32> {
    instance.rsplit_once('-').and_then(|(_, tail)| tail.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a29_no_dump_has_the_private_schema() {
        assert!(porpoise_crds::RESERVED_DATABASES.contains(&PRIVATE_SCHEMA));
    }

    #[test]
    fn the_last_backup_is_named_after_one_cluster_of_the_name() {
        let names = ClusterNames::new("shop", "prod");
        let name = names.final_backup("1f0c2d3e-aaaa-bbbb-cccc-0123456789ab");
        assert_eq!(name, "shop-final-1f0c2d3e");
        assert_ne!(name, names.final_backup("2f0c2d3e-aaaa-bbbb-cccc-0123456789ab"));
    }

    #[test]
    fn a_backup_is_named_after_its_cluster_and_always_fits() {
        assert_eq!(ClusterNames::new("shop", "prod").backup("202611210300"), "shop-202611210300");
        let long = |last: &str| ClusterNames::new(&format!("{}{last}", "a".repeat(49)), "prod");
        for suffix in ["202611210300", &"b".repeat(20)] {
            let (one, other) = (long("x").backup(suffix), long("y").backup(suffix));
            assert!(one.len() <= LONGEST_BACKUP && one.ends_with(suffix), "{one}");
            assert_ne!(one, other, "clusters whose names begin alike share no backup");
            assert!(store_job(&one).len() <= 63 && remove_job(&one).len() <= 63);
        }
    }
}
