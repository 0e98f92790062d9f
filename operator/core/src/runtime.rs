//! Which settings a running mysqld takes, so that a change of them restarts nothing (C12).
//!
//! Only settings with three properties are listed: `SET GLOBAL` takes them, they work from then on (at the latest for new
//! sessions), and `SET GLOBAL .. = DEFAULT` gives the value that mysqld starts with when nothing is said about them. Settings
//! of replication threads are not: these take most of them up only when they are started. `optimizer_switch` is not: a value
//! changes only the flags that it names.
//!
//! Source: MySQL 9.7 Reference Manual, "Dynamic System Variables"; an agent's server test sets each one on a real server.

/// Settings that are set while mysqld runs, in mysqld's spelling with underscores, sorted.
pub const RUNTIME_SETTINGS: &[&str] = &[
    "activate_all_roles_on_login",
    "binlog_cache_size",
    "binlog_expire_logs_auto_purge",
    "binlog_expire_logs_seconds",
    "binlog_row_image",
    "binlog_row_metadata",
    "binlog_rows_query_log_events",
    "binlog_stmt_cache_size",
    "binlog_transaction_compression",
    "binlog_transaction_compression_level_zstd",
    "character_set_filesystem",
    "character_set_server",
    "collation_server",
    "connect_timeout",
    "cte_max_recursion_depth",
    "div_precision_increment",
    "eq_range_index_dive_limit",
    "general_log",
    "group_concat_max_len",
    "host_cache_size",
    "information_schema_stats_expiry",
    "innodb_adaptive_flushing",
    "innodb_adaptive_flushing_lwm",
    "innodb_adaptive_hash_index",
    "innodb_adaptive_max_sleep_delay",
    "innodb_autoextend_increment",
    "innodb_buffer_pool_dump_at_shutdown",
    "innodb_buffer_pool_dump_pct",
    "innodb_buffer_pool_in_core_file",
    "innodb_buffer_pool_size",
    "innodb_change_buffer_max_size",
    "innodb_concurrency_tickets",
    "innodb_ddl_buffer_size",
    "innodb_ddl_threads",
    "innodb_deadlock_detect",
    "innodb_default_row_format",
    "innodb_file_per_table",
    "innodb_fill_factor",
    "innodb_flush_log_at_timeout",
    "innodb_flush_neighbors",
    "innodb_flush_sync",
    "innodb_flushing_avg_loops",
    "innodb_ft_enable_stopword",
    "innodb_ft_num_word_optimize",
    "innodb_ft_result_cache_limit",
    "innodb_idle_flush_pct",
    "innodb_io_capacity",
    "innodb_io_capacity_max",
    "innodb_lock_wait_timeout",
    "innodb_log_buffer_size",
    "innodb_log_compressed_pages",
    "innodb_log_spin_cpu_abs_lwm",
    "innodb_log_spin_cpu_pct_hwm",
    "innodb_log_wait_for_flush_spin_hwm",
    "innodb_lru_scan_depth",
    "innodb_max_dirty_pages_pct",
    "innodb_max_dirty_pages_pct_lwm",
    "innodb_max_purge_lag",
    "innodb_max_purge_lag_delay",
    "innodb_max_undo_log_size",
    "innodb_old_blocks_pct",
    "innodb_old_blocks_time",
    "innodb_online_alter_log_max_size",
    "innodb_parallel_read_threads",
    "innodb_print_all_deadlocks",
    "innodb_purge_batch_size",
    "innodb_purge_rseg_truncate_frequency",
    "innodb_random_read_ahead",
    "innodb_read_ahead_threshold",
    "innodb_redo_log_capacity",
    "innodb_spin_wait_delay",
    "innodb_spin_wait_pause_multiplier",
    "innodb_stats_auto_recalc",
    "innodb_stats_persistent",
    "innodb_stats_persistent_sample_pages",
    "innodb_strict_mode",
    "innodb_sync_spin_loops",
    "innodb_table_locks",
    "innodb_thread_concurrency",
    "innodb_thread_sleep_delay",
    "innodb_undo_log_truncate",
    "interactive_timeout",
    "join_buffer_size",
    "local_infile",
    "lock_wait_timeout",
    "log_bin_trust_function_creators",
    "log_error_verbosity",
    "log_output",
    "log_queries_not_using_indexes",
    "log_slow_admin_statements",
    "log_slow_extra",
    "log_throttle_queries_not_using_indexes",
    "log_timestamps",
    "long_query_time",
    "max_allowed_packet",
    "max_binlog_cache_size",
    "max_binlog_size",
    "max_connect_errors",
    "max_connections",
    "max_error_count",
    "max_execution_time",
    "max_heap_table_size",
    "max_join_size",
    "max_prepared_stmt_count",
    "max_seeks_for_key",
    "max_sort_length",
    "max_sp_recursion_depth",
    "max_user_connections",
    "min_examined_row_limit",
    "net_buffer_length",
    "net_read_timeout",
    "net_write_timeout",
    "optimizer_max_subgraph_pairs",
    "optimizer_prune_level",
    "optimizer_search_depth",
    "range_optimizer_max_mem_size",
    "read_buffer_size",
    "read_rnd_buffer_size",
    "schema_definition_cache",
    "slow_launch_time",
    "slow_query_log",
    "sort_buffer_size",
    "sql_generate_invisible_primary_key",
    "sql_mode",
    "sql_require_primary_key",
    "stored_program_cache",
    "stored_program_definition_cache",
    "table_definition_cache",
    "table_open_cache",
    "table_open_cache_triggers",
    "tablespace_definition_cache",
    "temptable_max_mmap",
    "temptable_max_ram",
    "thread_cache_size",
    "tmp_table_size",
    "transaction_isolation",
    "wait_timeout",
];

/// A value as `SET` understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Digits, written as they are.
    Number(String),
    /// Anything else, to be quoted.
    Text(String),
}

/// Whether a change of this setting, to or from this value, needs no restart. `name` has underscores and lower case.
///
/// Quotes, backslashes and `#` mean something else in an option file than in SQL: such values are left to mysqld's start.
pub fn is_settable(name: &str, value: &str) -> bool {
    let is_plain = !value.contains(['\'', '"', '\\', '#']);
    is_plain && RUNTIME_SETTINGS.binary_search(&name).is_ok()
}

/// A value of an option file in SQL: `SET` knows no suffixes, and `TRUE` and `FALSE` only as words of its own.
pub fn value(text: &str) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Text("ON".to_owned());
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Text("OFF".to_owned());
    }
    if is_number(text) {
        return Value::Number(text.to_owned());
    }
    match suffixed(text) {
        Some(number) => Value::Number(number.to_string()),
        None => Value::Text(text.to_owned()),
    }
}

/// An optional minus, digits, and perhaps a point and more digits.
fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let bare = text.strip_prefix('-').unwrap_or(text);
    match bare.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(bare),
    }
}

/// A whole number with one of the suffixes of option files, each a power of 1024.
fn suffixed(text: &str) -> Option<u64> {
    let suffix = text.chars().last()?.to_ascii_uppercase();
    let power = u32::try_from("KMGTPE".find(suffix)?).ok()? + 1;
    let number: u64 = text.get(..text.len() - 1)?.parse().ok()?;
    number.checked_mul(1_u64.checked_shl(10 * power)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use porpoise_crds::reserved_setting;

    #[test]
    fn c12_the_table_is_sorted_and_lists_nothing_that_is_reserved() {
        assert!(RUNTIME_SETTINGS.is_sorted());
        for name in RUNTIME_SETTINGS {
            assert_eq!(reserved_setting(name), None, "{name}");
        }
    }

    #[test]
    fn c12_settable_table() {
        for (name, value, want) in [
            ("max_connections", "500", true),
            ("sql_mode", "", true),
            ("innodb_buffer_pool_size", "1G", true),
            // Static, unknown, in another spelling, or of a replication thread.
            ("innodb_page_size", "16K", false),
            ("no_such_setting", "1", false),
            ("loose_max_connections", "500", false),
            ("replica_parallel_workers", "8", false),
            // An option file reads these in its own way.
            ("sql_mode", "'ANSI'", false),
            ("max_connections", "500 # many", false),
        ] {
            assert_eq!(is_settable(name, value), want, "{name}={value}");
        }
    }

    #[test]
    fn c12_values_table() {
        let number = |text: &str| Value::Number(text.to_owned());
        let words = |text: &str| Value::Text(text.to_owned());
        for (text, want) in [
            ("500", number("500")),
            ("-1", number("-1")),
            ("0.5", number("0.5")),
            ("16M", number("16777216")),
            ("2g", number("2147483648")),
            ("1.5G", words("1.5G")),
            ("99999999999E", words("99999999999E")),
            ("M", words("M")),
            ("", words("")),
            ("1.", words("1.")),
            ("ON", words("ON")),
            ("true", words("ON")),
            ("False", words("OFF")),
            ("ü", words("ü")),
            ("1; DROP TABLE t", words("1; DROP TABLE t")),
        ] {
            assert_eq!(value(text), want, "{text}");
        }
    }
}
