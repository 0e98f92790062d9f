//! Settings that MySQL had and has no more: mysqld does not start with one, so an update waits until it is gone (D15).
//!
//! Source: MySQL 8.4 and 9.7 Reference Manuals, "Server and Status Variables and Options Added, Deprecated, or Removed"; an
//! agent's server test asks a real 9.7 for each.

use super::release;
use porpoise_crds::MySQLClusterSpec;

/// The first series of [`porpoise_crds::VERSIONS`] that knows none of [`REMOVED_SETTINGS`].
const SINCE: (u32, u32) = (9, 7);

/// Settings that 9.7 does not know and earlier servers did, with what to do instead.
pub const REMOVED_SETTINGS: &[(&str, &str)] = &[
    ("avoid_temporal_upgrade", REMOVE),
    ("binlog_transaction_dependency_tracking", REMOVE),
    ("character_set_client_handshake", REMOVE),
    ("expire_logs_days", "set binlog_expire_logs_seconds instead"),
    ("innodb_log_file_size", "set innodb_redo_log_capacity instead"),
    ("innodb_log_files_in_group", "set innodb_redo_log_capacity instead"),
    ("innodb_undo_tablespaces", "use CREATE UNDO TABLESPACE, and remove it"),
    ("log_bin_use_v1_row_events", REMOVE),
    ("master_info_repository", REMOVE),
    ("myisam_repair_threads", REMOVE),
    ("mysql_native_password", NATIVE),
    ("mysql_native_password_proxy_users", NATIVE),
    ("new", REMOVE),
    ("old", REMOVE),
    ("old_style_user_limits", REMOVE),
    ("query_cache_size", REMOVE),
    ("query_cache_type", REMOVE),
    ("replica_parallel_type", "transactions are always applied in parallel as by LOGICAL_CLOCK: remove it"),
    ("show_old_temporals", REMOVE),
    ("skip_host_cache", "set host_cache_size to 0 instead"),
    ("slave_parallel_type", "transactions are always applied in parallel as by LOGICAL_CLOCK: remove it"),
    ("slave_rows_search_algorithms", REMOVE),
    ("temptable_use_mmap", "set temptable_max_mmap instead; 0 means OFF"),
    ("transaction_write_set_extraction", REMOVE),
    ("tx_isolation", "set transaction_isolation instead"),
    ("tx_read_only", "set it in the sessions that need it"),
];

const REMOVE: &str = "remove it";
const NATIVE: &str = "let accounts log in by caching_sha2_password while they still can both, then remove it";

/// What to do instead of a setting that the members' mysqld would not know.
pub(super) fn remedy(name: &str, series: (u32, u32)) -> Option<&'static str> {
    Some(series).filter(|series| *series >= SINCE)?;
    REMOVED_SETTINGS.iter().find(|(removed, _)| *removed == name).map(|(_, remedy)| *remedy)
}

/// Release series that the members are to run, if it can be told: an image of one's own may be any.
pub(super) fn series(spec: &MySQLClusterSpec) -> Option<(u32, u32)> {
    match spec.image.as_deref() {
        Some(image) => release::series_of_image(image),
        None => release::series_of(&spec.version),
    }
}
