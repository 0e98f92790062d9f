//! Settings that do not depend on the size of a member.

use super::Setting;
use crate::names;
use porpoise_crds::{MySQLClusterSpec, Tls, TlsMode};

/// Defaults that users may change.
pub(super) fn defaults() -> Vec<Setting> {
    owned(&[
        ("character_set_server", "utf8mb4"),
        ("collation_server", "utf8mb4_0900_ai_ci"),
        // Three days: a member that was away that long is cloned anyway, and small volumes do not fill up.
        ("binlog_expire_logs_seconds", "259200"),
        // mbind is not allowed in a container without CAP_SYS_NICE; builds without NUMA do not know the setting.
        ("loose_innodb_numa_interleave", "OFF"),
    ])
}

/// Settings that losslessness, addressing or the agent depend on (ha.md §1). The agent repeats the critical ones on the
/// command line, and adds what needs no file: `binlog_format`, which is deprecated, and the plugins.
pub(super) fn settings(spec: &MySQLClusterSpec) -> Vec<Setting> {
    let mut all = owned(FILES);
    all.extend(owned(NETWORK));
    all.extend(certificates(&spec.tls));
    all.extend(owned(LOSSLESS));
    all.extend(owned(SEMI_SYNC));
    all
}

fn owned(settings: &[(&'static str, &str)]) -> Vec<Setting> {
    settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

const FILES: &[(&str, &str)] = &[
    ("datadir", names::DATA_PATH),
    ("socket", "/run/mysqld/mysqld.sock"),
    ("pid_file", "/run/mysqld/mysqld.pid"),
    ("tmpdir", "/tmp"),
    ("secure_file_priv", "NULL"),
    // No log_error: without it mysqld writes to standard error; `stderr` would be taken for a file name.
    // Names without the host name, so that a volume fits any member.
    ("log_bin", "binlog"),
    ("relay_log", "relay"),
    // SET PERSIST would outrank every line here, the command line included.
    ("persisted_globals_load", "OFF"),
];

const NETWORK: &[(&str, &str)] = &[
    ("port", "3306"),
    ("bind_address", "*"),
    ("mysqlx", "OFF"),
    // A slow or dead resolver must not hold up a login; accounts name no hosts.
    ("skip_name_resolve", "ON"),
];

const LOSSLESS: &[(&str, &str)] = &[
    ("gtid_mode", "ON"),
    ("enforce_gtid_consistency", "ON"),
    ("sync_binlog", "1"),
    ("innodb_flush_log_at_trx_commit", "1"),
    ("innodb_doublewrite", "ON"),
    ("log_replica_updates", "ON"),
    // Only the agent, holding the current term, opens writes.
    ("super_read_only", "ON"),
    ("skip_replica_start", "ON"),
    // H10: recovery throws away what was received and acknowledged.
    ("relay_log_recovery", "OFF"),
    ("sync_relay_log", "1"),
    ("replica_preserve_commit_order", "ON"),
    // The agent reads the replication tables.
    ("performance_schema", "ON"),
];

/// `loose_`: the agent loads the plugins by the command line, and not while it makes a data directory. Loading them here
/// too would log an error for each at every start (9.7.4).
const SEMI_SYNC: &[(&str, &str)] = &[
    ("loose_rpl_semi_sync_source_enabled", "OFF"),
    ("loose_rpl_semi_sync_replica_enabled", "OFF"),
    ("loose_rpl_semi_sync_source_wait_point", "AFTER_SYNC"),
    ("loose_rpl_semi_sync_source_wait_no_replica", "ON"),
    // The longest there is, 49 days: semi-sync never degrades by itself.
    ("loose_rpl_semi_sync_source_timeout", "4294967295"),
];

fn certificates(tls: &Tls) -> Vec<Setting> {
    let folder = match tls.mode {
        TlsMode::Managed => names::TLS_PATH,
        TlsMode::Secret => names::CLIENT_TLS_PATH,
    };
    let required = if tls.require_clients { "ON" } else { "OFF" };
    vec![
        ("ssl_ca", format!("{folder}/ca.crt")),
        ("ssl_cert", format!("{folder}/tls.crt")),
        ("ssl_key", format!("{folder}/tls.key")),
        ("tls_version", "TLSv1.2,TLSv1.3".to_owned()),
        ("require_secure_transport", required.to_owned()),
    ]
}
