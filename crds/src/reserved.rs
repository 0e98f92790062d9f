//! Settings of mysqld that people cannot change, because losslessness, identity or the agent depends on them.

use kube::core::{Message, Rule};

/// Names of refused settings in mysqld's spelling with underscores. A name that ends with `*` is a prefix.
pub const RESERVED_SETTINGS: &[&str] = &[
    // who and where the server is
    "basedir",
    "bind_address",
    "chroot",
    "create_admin_listener_thread",
    "daemonize",
    "datadir",
    "defaults_*",
    "init_file",
    "initialize*",
    "mysqlx*",
    "name_resolve",
    "networking",
    "no_defaults",
    "persisted_globals_load",
    "pid_file",
    "port",
    "report_*",
    "secure_file_priv",
    "server_id*",
    "socket",
    "tmpdir",
    "user",
    // what makes an acknowledged write durable and complete
    "binlog_do_db",
    "binlog_error_action",
    "binlog_format",
    "binlog_group_commit_sync_*",
    "binlog_ignore_db",
    "binlog_order_commits",
    "enforce_gtid_consistency",
    "innodb_data_home_dir",
    "innodb_directories",
    "innodb_doublewrite*",
    "innodb_flush_log_at_trx_commit",
    "innodb_force_recovery",
    "innodb_log_group_home_dir",
    "innodb_read_only",
    "innodb_undo_directory",
    "log_bin",
    "log_bin_index",
    "log_replica_updates",
    "log_slave_updates",
    // how members follow the primary
    "group_replication*",
    "offline_mode",
    "read_only",
    "replica_exec_mode",
    "replica_preserve_commit_order",
    "replica_skip_errors",
    "replica_start",
    "replicate_*",
    "rpl_semi_sync*",
    "slave_exec_mode",
    "slave_preserve_commit_order",
    "slave_skip_errors",
    "slave_start",
    "sql_log_bin",
    "super_read_only",
    // what the agent needs to see and to log in
    "early_plugin_load",
    "grant_tables",
    "log_error",
    "performance_schema",
    "require_secure_transport",
    "ssl*",
    // the agent's own sessions
    "authentication_*",
    "autocommit",
    "caching_sha2_password_*",
    "default_authentication_plugin",
    "terminology_use_previous",
    "transaction_read_only",
    // durability
    "gtid_*",
    "innodb_checksum_algorithm",
    "innodb_flush_method",
    "innodb_log_checksums",
    "log_tc*",
    "relay_log*",
    "sync_*",
    "tc_heuristic_recover",
    "xa_detach_on_prepare",
    // files outside the volume, or elsewhere in it
    "character_sets_dir",
    "general_log_file",
    "innodb_data_file_path",
    "innodb_redo_log_archive_dirs",
    "innodb_temp_tablespaces_dir",
    "innodb_tmpdir",
    "lc_messages_dir",
    "log_error_services",
    "replica_load_tmpdir",
    "replica_net_timeout",
    "slave_load_tmpdir",
    "slave_net_timeout",
    "slow_query_log_file",
    // what mysqld loads and how it starts
    "admin_*",
    "auto_generate_certs",
    "clone_*",
    "console",
    "gdb",
    "help",
    "init_replica",
    "init_slave",
    "keyring_migration*",
    "plugin_*",
    "port_open_timeout",
    "print_defaults",
    "tls_*",
    "upgrade",
    "validate_config",
    "verbose",
    "version",
    // sizes itself by the node, not by the container
    "innodb_dedicated_server",
];

/// Prefixes that mysqld accepts before any setting.
const MODIFIERS: [&str; 5] = ["loose_", "skip_", "disable_", "enable_", "maximum_"];

/// The entry of [`RESERVED_SETTINGS`] that refuses `key`, in whichever spelling mysqld would accept it.
pub fn reserved_setting(key: &str) -> Option<&'static str> {
    let spelled = key.trim().to_ascii_lowercase().replace('-', "_");
    let mut bare = spelled.as_str();
    while let Some(rest) = MODIFIERS.iter().find_map(|modifier| bare.strip_prefix(modifier)) {
        bare = rest;
    }
    RESERVED_SETTINGS
        .iter()
        .find(|entry| match entry.strip_suffix('*') {
            Some(prefix) => bare.starts_with(prefix),
            None => bare == **entry,
        })
        .copied()
}

/// The same as one regular expression over a key with underscores.
fn pattern() -> String {
    let names: Vec<String> = RESERVED_SETTINGS.iter().map(|name| name.replace('*', ".*")).collect();
    format!("^({})*({})$", MODIFIERS.join("|"), names.join("|"))
}

/// Schema rule over a map of settings: no reserved key; the message names the refused ones.
pub(crate) fn no_reserved_settings() -> Rule {
    let hit = format!("k.replace('-', '_').matches('{}')", pattern());
    Rule::new(format!("self.all(k, !{hit})")).message(Message::Expression(format!(
        "self.filter(k, {hit})[0] + ' is set by Porpoise and cannot be changed; remove it'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_refused() {
        for (key, entry) in [
            ("server_id", "server_id*"),
            ("server-id", "server_id*"),
            ("Server-Id", "server_id*"),
            ("loose-gtid_mode", "gtid_*"),
            ("skip-log-bin", "log_bin"),
            ("disable_log_bin", "log_bin"),
            ("loose_skip_log_bin", "log_bin"),
            ("rpl_semi_sync_source_timeout", "rpl_semi_sync*"),
            ("skip-grant-tables", "grant_tables"),
            ("skip_networking", "networking"),
            ("skip-replica-start", "replica_start"),
            ("skip_name_resolve", "name_resolve"),
        ] {
            assert_eq!(reserved_setting(key), Some(entry), "{key}");
        }
    }

    #[test]
    fn ordinary_settings_pass() {
        for key in [
            "max_connections",
            "innodb_buffer_pool_size",
            "sql_mode",
            "log_bin_trust_function_creators",
            "replica_parallel_workers",
            "binlog_expire_logs_seconds",
            "log_error_verbosity",
        ] {
            assert_eq!(reserved_setting(key), None, "{key}");
        }
    }

    #[test]
    fn entries_are_spelled_as_they_are_compared() {
        for entry in RESERVED_SETTINGS {
            let bare = entry.trim_end_matches('*');
            assert!(
                bare.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
                "{entry}"
            );
            assert!(!MODIFIERS.iter().any(|modifier| bare.starts_with(modifier)), "{entry}");
        }
    }
}
