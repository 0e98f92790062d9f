use super::*;

#[test]
fn settings_are_refused_by_name() {
    for name in [
        "server_id",
        "server-id",
        "SERVER_ID",
        "loose_server_id",
        "loose-skip-log-bin",
        "skip-log-bin",
        "log_bin",
        "skip_slave_start",
        "skip_replica_start",
        "datadir",
        "socket",
        "port",
        "pid_file",
        "ssl_ca",
        "tls_version",
        "tls_ciphersuites",
        "plugin_load",
        "plugin_load_add",
        "plugin-dir",
        "early_plugin_load",
        "log_error",
        "init_file",
        "report_host",
        "report_port",
        "relay_log",
        "relay_log_recovery",
        "relay_log_space_limit",
        "super_read_only",
        "read_only",
        "offline_mode",
        "skip_networking",
        "bind_address",
        "admin_address",
        "admin_port",
        "secure_file_priv",
        "user",
        "tmpdir",
        "gtid_mode",
        "gtid_executed_compression_period",
        "enforce_gtid_consistency",
        "rpl_semi_sync_source_timeout",
        "rpl_semi_sync_replica_enabled",
        "loose_rpl_semi_sync_source_wait_no_replica",
        "replica_preserve_commit_order",
        "slave_preserve_commit_order",
        "sync_binlog",
        "sync_relay_log",
        "sync_source_info",
        "innodb_flush_log_at_trx_commit",
        "innodb_doublewrite",
        "skip_innodb_doublewrite",
        "innodb_flush_method",
        "log_replica_updates",
        "log_slave_updates",
        "replicate_do_db",
        "replicate_ignore_table",
        "binlog_do_db",
        "binlog_ignore_db",
        "binlog_format",
        "default_authentication_plugin",
        "authentication_policy",
        "skip_grant_tables",
        "clone_valid_donor_list",
        "mysqlx",
        "mysqlx_port",
        "skip_mysqlx",
        "persisted_globals_load",
        "skip_name_resolve",
        "require_secure_transport",
        "performance_schema",
        "replica_skip_errors",
        "autocommit",
        "innodb_dedicated_server",
        "maximum_sync_binlog",
        "skip-persisted-globals-load",
        "binlog_error_action",
        "innodb_force_recovery",
        "chroot",
    ] {
        let found = problems(&object(&json!({"mysql": {"config": {name: "1"}}})));
        let field: &'static str = Box::leak(format!("spec.mysql.config[{name:?}]").into_boxed_str());
        assert_refused(&found, (field, "ReservedSetting", "remove it"), name);
        assert!(found[0].message.contains(name), "{name}");
    }
}

#[test]
fn everything_that_porpoise_writes_last_is_refused() {
    let text = fixture::cluster().my_cnf;
    let (_, decided) = text.split_once("# decided by porpoise\n").unwrap();
    for name in decided.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name) {
        let found = problems(&object(&json!({"mysql": {"config": {name: "1"}}})));
        assert_eq!(found.first().map(|problem| problem.reason), Some("ReservedSetting"), "{name}");
    }
}

#[test]
fn settings_that_would_break_the_file_are_refused() {
    for (name, value) in [
        ("", "1"),
        ("[client]", "1"),
        ("!include /etc/x", "1"),
        ("#x", "1"),
        ("a b", "1"),
        ("a=b", "1"),
        ("max_connections\nsync_binlog", "0"),
        ("max_connections", "1\nsync_binlog=0"),
        ("max_connections", "1\r0"),
        ("sql_mode", "a\0b"),
    ] {
        let found = problems(&object(&json!({"mysql": {"config": {name: value}}})));
        assert_eq!(found.len(), 1, "{name:?}");
        assert_eq!(found[0].reason, "InvalidSetting", "{name:?}");
        assert!(!found[0].message.contains('\n') && !found[0].field.contains('\n'), "{name:?}");
    }
}

#[test]
fn settings_of_the_config_map_are_checked_too() {
    let object = object(&json!({"mysql": {"configMapRef": {"name": "extra"}}}));
    let references = References {
        config_map: Some(BTreeMap::from([("sync-binlog".to_owned(), "0".to_owned())])),
        ..References::default()
    };
    let found = check(&object, &references, &Stored::default()).unwrap_err();
    assert_refused(
        &found,
        ("spec.mysql.configMapRef[\"sync-binlog\"]", "ReservedSetting", "sync-binlog"),
        "",
    );
}

#[test]
fn two_spellings_of_one_setting_are_refused() {
    let found = problems(&object(
        &json!({"mysql": {"config": {"max-connections": "100", "max_connections": "200"}}}),
    ));
    assert_refused(&found, ("spec.mysql.config[\"max_connections\"]", "DuplicateSetting", "keep one"), "");
}

#[test]
fn config_wins_over_the_config_map() {
    let object =
        object(&json!({"mysql": {"configMapRef": {"name": "extra"}, "config": {"Max-Connections": "70"}}}));
    let map = [("max_connections", "50"), ("long_query_time", " 2 ")];
    let references = References {
        config_map: Some(map.map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
        ..References::default()
    };
    let cluster = check(&object, &references, &Stored::default()).unwrap();
    let want = [("long_query_time", "2"), ("max_connections", "70")];
    assert_eq!(cluster.mysql_settings, want.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    assert!(cluster.my_cnf.contains("\nmax_connections=70\n"));
    assert_eq!(cluster.my_cnf.matches("max_connections").count(), 1);
}

/// Before anything is touched: the problem keeps the whole spec from being carried out.
#[test]
fn d15_settings_that_the_wanted_release_does_not_know_are_refused() {
    let config = json!({"innodb-log-file-size": "1G", "max_connections": "300"});
    for (spec, is_refused) in [
        (json!({"version": "9.7"}), true),
        (json!({"version": "8.4"}), false),
        (json!({"version": "8.4", "image": "registry.example/mysql:9.7.4"}), true),
        (json!({"version": "9.7", "image": "registry.example/mysql:8.4.6"}), false),
        // It may be anything.
        (json!({"version": "9.7", "image": "registry.example/ours:12"}), false),
    ] {
        let mut wish = spec.clone();
        wish["mysql"] = json!({"config": config});
        let found = problems(&object(&wish));
        let field = "spec.mysql.config[\"innodb-log-file-size\"]";
        if is_refused {
            assert_refused(&found, (field, "RemovedSetting", "set innodb_redo_log_capacity instead"), "");
        }
        assert_eq!(!found.is_empty(), is_refused, "{spec}: {found:?}");
    }
}

#[test]
fn removed_settings_are_spelled_as_they_are_compared_and_not_reserved() {
    assert!(REMOVED_SETTINGS.is_sorted());
    for (name, _) in REMOVED_SETTINGS {
        assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{name}");
        assert_eq!(porpoise_crds::reserved_setting(name), None, "{name}");
    }
}

/// The agent could not log in to raise it.
#[test]
fn c12_too_few_connections_are_refused() {
    for value in ["0", "-1", " 19 "] {
        let found = problems(&object(&json!({"mysql": {"config": {"max-connections": value}}})));
        let field = "spec.mysql.config[\"max-connections\"]";
        assert_refused(&found, (field, "TooFewConnections", "set at least 20"), value);
    }
    for value in ["20", "many", "1K"] {
        assert!(problems(&object(&json!({"mysql": {"config": {"max_connections": value}}}))).is_empty());
    }
}
