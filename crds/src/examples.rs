//! Typed example clusters: the documentation, the OLM bundle and the tests show these and no others.

use crate::{
    Backup, BackupDeletionPolicy, BackupEncryption, BackupLocation, BackupMethod, BackupSource, BackupTarget,
    BackupVerification, BinlogArchive, Bootstrap, CloneFrom, DeletionPolicy, DumpFile, EntryReference,
    Import, InPlaceRestore, LocalReference, MySQLBackup, MySQLBackupSpec, MySQLCluster, MySQLClusterSpec,
    Mysql, NetworkPolicy, Pod, PointInTime, Resources, Restore, Retention, S3Target, SqlReference, Storage,
    Tls, TlsMode,
};
use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm, PodAntiAffinity, Toleration};
use k8s_openapi::api::networking::v1::NetworkPolicyPeer;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::collections::BTreeMap;

/// One example.
#[derive(Clone, Debug)]
pub struct Example {
    /// File name without its ending.
    pub file: &'static str,
    /// What it shows, in a sentence.
    pub shows: &'static str,
    /// The object.
    pub cluster: MySQLCluster,
}

/// Every example, the smallest first.
pub fn examples() -> Vec<Example> {
    let example =
        |file, shows, name: &str, spec| Example { file, shows, cluster: MySQLCluster::new(name, spec) };
    vec![
        example(
            "minimal",
            "Three members with every default; only the size of the volumes has none.",
            "shop",
            sized("20Gi"),
        ),
        example("production", "Five members on a fast class, with room to work.", "orders", production()),
        example(
            "development",
            "One small member whose data goes when the object goes.",
            "playground",
            development(),
        ),
        example(
            "configuration",
            "Settings of mysqld, also from a ConfigMap, and MD5() in MySQL 9.7.",
            "tuned",
            configuration(),
        ),
        example("tls", "A certificate of your own, and no client without TLS.", "ledger", tls()),
        example(
            "placement",
            "Members on a dedicated pool of nodes, never two on one node.",
            "dedicated",
            placement(),
        ),
        example("backup", "A backup every night, encrypted, to a store of your own.", "vault", backup()),
        example(
            "restore",
            "A new cluster that begins with a stored backup and all that was archived after it.",
            "vault-again",
            MySQLClusterSpec { bootstrap: Some(restore()), ..sized("20Gi") },
        ),
        example(
            "restore-in-place",
            "A cluster that goes back to the moment before an accident; its old volumes stay.",
            "vault",
            MySQLClusterSpec { restore: Some(in_place()), ..sized("20Gi") },
        ),
        example(
            "init-sql",
            "A new cluster with a schema of its own and a reader, from the spec and from a Secret.",
            "library",
            MySQLClusterSpec { bootstrap: Some(init_sql()), ..sized("20Gi") },
        ),
        example(
            "clone",
            "A new cluster that begins with a copy of another one.",
            "vault-trial",
            MySQLClusterSpec { bootstrap: Some(cloning()), ..sized("20Gi") },
        ),
        example(
            "import",
            "A new cluster that begins with a dump.",
            "vault-moved",
            MySQLClusterSpec { bootstrap: Some(importing()), ..sized("20Gi") },
        ),
        example(
            "import-file",
            "A new cluster that begins with what mysqldump wrote elsewhere.",
            "shop",
            MySQLClusterSpec { bootstrap: Some(importing_file()), ..sized("20Gi") },
        ),
    ]
}

/// File name of [`example_backup`], without its ending.
pub const BACKUP_FILE: &str = "on-demand-backup";

/// One backup on demand.
pub fn example_backup() -> MySQLBackup {
    let spec = MySQLBackupSpec {
        cluster_ref: reference("vault"),
        deletion_policy: BackupDeletionPolicy::Retain,
        ..MySQLBackupSpec::default()
    };
    MySQLBackup::new("vault-before-migration", spec)
}

fn backup() -> MySQLClusterSpec {
    let backup = Backup {
        target: target(),
        schedule: Some("30 2 * * *".to_owned()),
        method: BackupMethod::Physical,
        volume_snapshot_class_name: None,
        time_zone: "Europe/Berlin".to_owned(),
        on_demand: None,
        binlog_archive: BinlogArchive::default(),
        retention: Retention { keep_last: 14, window: Some("30d".to_owned()) },
        encryption: Some(BackupEncryption {
            key_secret_ref: reference("vault-backup-keys"),
            key_name: "2026-11".to_owned(),
        }),
        verify: BackupVerification::default(),
        from: BackupSource::PreferReplica,
        max_bytes_per_second: None,
    };
    MySQLClusterSpec { backup: Some(backup), ..sized("20Gi") }
}

fn restore() -> Bootstrap {
    let location =
        BackupLocation { target: target(), path: "prod/orders/vault/UID/vault-202611210130".to_owned() };
    Bootstrap {
        restore: Some(Restore {
            backup_ref: None,
            location: Some(location),
            key_secret_ref: Some(reference("vault-backup-keys")),
            point_in_time: Some(PointInTime {
                latest: Some(true),
                time: None,
                gtid: None,
                before_gtid: None,
            }),
        }),
        ..Bootstrap::default()
    }
}

fn in_place() -> InPlaceRestore {
    InPlaceRestore {
        request_id: "dropped-orders".to_owned(),
        backup_ref: Some(reference("vault-202611210130")),
        location: None,
        key_secret_ref: None,
        point_in_time: Some(PointInTime {
            latest: None,
            time: None,
            gtid: None,
            before_gtid: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:7041".to_owned()),
        }),
    }
}

fn init_sql() -> Bootstrap {
    let statements = [
        "CREATE TABLE books (id INT PRIMARY KEY AUTO_INCREMENT, title VARCHAR(200) NOT NULL)",
        "INSERT INTO books (title) VALUES ('The Waves'), ('Kokoro')",
    ];
    let secret = EntryReference { name: "library-init".to_owned(), key: "reader.sql".to_owned() };
    Bootstrap {
        init_sql: statements.map(str::to_owned).to_vec(),
        init_sql_from: vec![SqlReference { secret_key_ref: Some(secret), config_map_key_ref: None }],
        ..Bootstrap::default()
    }
}

fn cloning() -> Bootstrap {
    Bootstrap { clone: Some(CloneFrom { cluster_ref: reference("vault") }), ..Bootstrap::default() }
}

fn importing() -> Bootstrap {
    let import = Import { backup_ref: Some(reference("vault-dump")), ..Import::default() };
    Bootstrap { import: Some(Box::new(import)), ..Bootstrap::default() }
}

fn importing_file() -> Bootstrap {
    let path = "exports/shop.sql.gz".to_owned();
    let file = DumpFile { target: target(), path, database: Some("shop".to_owned()) };
    let import = Import { file: Some(file), ..Import::default() };
    Bootstrap { import: Some(Box::new(import)), ..Bootstrap::default() }
}

fn target() -> BackupTarget {
    let s3 = S3Target {
        bucket: "backups".to_owned(),
        prefix: "prod".to_owned(),
        endpoint: Some("https://minio.storage.example:9000".to_owned()),
        region: "us-east-1".to_owned(),
        credentials_secret_ref: Some(reference("vault-backup-credentials")),
        authority_secret_ref: Some(reference("store-authority")),
        force_path_style: true,
    };
    BackupTarget { s3: Some(s3), ..BackupTarget::default() }
}

fn reference(name: &str) -> LocalReference {
    LocalReference { name: name.to_owned() }
}

fn sized(size: &str) -> MySQLClusterSpec {
    MySQLClusterSpec {
        storage: Storage { size: Quantity(size.to_owned()), ..Storage::default() },
        ..MySQLClusterSpec::default()
    }
}

fn production() -> MySQLClusterSpec {
    let mut spec = sized("200Gi");
    spec.instances = 5;
    spec.storage.storage_class_name = Some("fast".to_owned());
    spec.resources = limits("4", "16Gi");
    spec.pod.priority_class_name = Some("databases".to_owned());
    spec.pod.labels = map(&[("example.com/team", "orders")]);
    spec.network_policy = NetworkPolicy {
        allow_from: vec![NetworkPolicyPeer {
            namespace_selector: Some(LabelSelector {
                match_labels: Some(map(&[("kubernetes.io/metadata.name", "orders")])),
                ..LabelSelector::default()
            }),
            ..NetworkPolicyPeer::default()
        }],
        ..NetworkPolicy::default()
    };
    spec
}

fn development() -> MySQLClusterSpec {
    let mut spec = sized("2Gi");
    spec.instances = 1;
    spec.storage.deletion_policy = DeletionPolicy::Delete;
    spec.resources = limits("500m", "768Mi");
    spec
}

fn configuration() -> MySQLClusterSpec {
    MySQLClusterSpec {
        mysql: Mysql {
            config: map(&[
                ("max_connections", "500"),
                ("innodb_lock_wait_timeout", "20"),
                ("sql_mode", "ANSI_QUOTES,STRICT_TRANS_TABLES"),
            ]),
            config_map_ref: Some(LocalReference { name: "mysql-house-rules".to_owned() }),
            components: vec!["classic_hashing".to_owned()],
        },
        ..sized("20Gi")
    }
}

fn tls() -> MySQLClusterSpec {
    MySQLClusterSpec {
        tls: Tls {
            mode: TlsMode::Secret,
            secret_name: Some("ledger-certificate".to_owned()),
            require_clients: true,
        },
        ..sized("20Gi")
    }
}

fn placement() -> MySQLClusterSpec {
    MySQLClusterSpec {
        pod: Pod {
            node_selector: map(&[("disktype", "ssd")]),
            tolerations: vec![Toleration {
                key: Some("dedicated".to_owned()),
                operator: Some("Equal".to_owned()),
                value: Some("databases".to_owned()),
                effect: Some("NoSchedule".to_owned()),
                toleration_seconds: None,
            }],
            affinity: Some(Affinity {
                pod_anti_affinity: Some(PodAntiAffinity {
                    required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
                        label_selector: Some(LabelSelector {
                            // Members only: Pods of backup Jobs carry the same instance, and may run beside them.
                            match_labels: Some(map(&[
                                ("app.kubernetes.io/instance", "dedicated"),
                                ("app.kubernetes.io/name", "mysql"),
                            ])),
                            ..LabelSelector::default()
                        }),
                        topology_key: "kubernetes.io/hostname".to_owned(),
                        ..PodAffinityTerm::default()
                    }]),
                    ..PodAntiAffinity::default()
                }),
                ..Affinity::default()
            }),
            ..Pod::default()
        },
        ..sized("20Gi")
    }
}

fn limits(cpu: &str, memory: &str) -> Resources {
    Resources {
        requests: BTreeMap::new(),
        limits: BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ]),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
