//! Every statement the agent sends: the only place where SQL text is made (and the only one with `AssertSqlSafe`).
//!
//! Values come in through `quote` or are numbers. One statement per call.

mod accounts;
mod beginning;
mod clients;
mod comparing;
mod components;
mod copies;
mod dumping;
mod events;
mod private;
mod variables;

pub use accounts::*;
pub use beginning::*;
pub use clients::*;
pub use comparing::*;
pub use components::{component_urn, components, install_component, plugin_directory};
pub use copies::*;
pub use dumping::*;
pub use events::*;
pub use private::*;
pub use variables::*;

use super::quote::{self, QuoteError};
use porpoise_crds::RESERVED_DATABASES;
use sqlx::AssertSqlSafe;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// A statement and the name it goes by in logs, metrics and errors; its text is shown nowhere.
pub struct Statement {
    step: &'static str,
    sql: String,
}

impl Statement {
    pub(super) fn new(step: &'static str, sql: impl Into<String>) -> Self {
        Self { step, sql: sql.into() }
    }

    /// Its name.
    pub fn step(&self) -> &'static str {
        self.step
    }

    pub(super) fn into_query(self) -> sqlx::RawSql {
        sqlx::raw_sql(AssertSqlSafe(self.sql))
    }

    /// The text for a file that mysqld reads when it initialises.
    pub fn into_script_line(self) -> String {
        format!("{};\n", self.sql)
    }
}

/// The mode that `quote::literal` is made for, and bounds for what may block.
pub fn session_mode() -> Statement {
    Statement::new(
        "session_mode",
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO', lock_wait_timeout = 10, \
         innodb_lock_wait_timeout = 10, time_zone = '+00:00'",
    )
}

/// Cheapest question.
pub fn ping() -> Statement {
    Statement::new("ping", "SELECT 1")
}

/// What [`crate::observe`] reads in one go. The receiver's set is read before the executed one, so a transaction in
/// between makes the member look unsettled, never settled. So is what is under way: a commit is in one of both, or in both.
pub fn facts() -> Statement {
    Statement::new(
        "facts",
        "SELECT f.*, GTID_SUBTRACT(REGEXP_REPLACE(f.owners, '#[0-9]+', ''), '') AS owned, GTID_SUBTRACT(CONCAT(f.executed, ',', f.received), '') AS retrieved, \
         GTID_SUBSET(f.received, f.executed) AS applied_all FROM (SELECT \
         COALESCE((SELECT RECEIVED_TRANSACTION_SET FROM performance_schema.replication_connection_status \
           WHERE CHANNEL_NAME = ''), '') AS received, \
         COALESCE((SELECT SERVICE_STATE FROM performance_schema.replication_connection_status \
           WHERE CHANNEL_NAME = ''), 'NONE') AS receiver, \
         COALESCE((SELECT SERVICE_STATE FROM performance_schema.replication_applier_status \
           WHERE CHANNEL_NAME = ''), 'NONE') AS applier, \
         @@GLOBAL.gtid_owned AS owners, @@GLOBAL.gtid_executed AS executed, @@GLOBAL.gtid_purged AS purged, \
         @@GLOBAL.server_uuid AS server_uuid, @@GLOBAL.version AS version, \
         @@GLOBAL.super_read_only AS is_read_only, @@GLOBAL.offline_mode AS is_offline, \
         @@GLOBAL.rpl_semi_sync_source_enabled AS source_semi_sync, \
         @@GLOBAL.rpl_semi_sync_replica_enabled AS replica_semi_sync, \
         @@GLOBAL.rpl_semi_sync_source_wait_for_replica_count AS ack_count, \
         COALESCE((SELECT VARIABLE_VALUE FROM performance_schema.global_status \
           WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_wait_sessions'), 0) AS waiting, \
         COALESCE((SELECT VARIABLE_VALUE FROM performance_schema.global_status \
           WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_clients'), 0) AS clients, \
         COALESCE((SELECT VARIABLE_VALUE FROM performance_schema.global_status \
           WHERE VARIABLE_NAME = 'Rpl_semi_sync_source_yes_tx'), 0) AS acknowledged) AS f",
    )
}

/// Errors and lag of the channel.
pub fn replication() -> Statement {
    Statement::new(
        "replication",
        "SELECT c.HOST AS host, s.LAST_ERROR_NUMBER AS receiver_errno, s.LAST_ERROR_MESSAGE AS receiver_error, \
         (SELECT LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_coordinator \
           WHERE CHANNEL_NAME = '' AND LAST_ERROR_NUMBER <> 0 LIMIT 1) AS coordinator_error, \
         (SELECT LAST_ERROR_MESSAGE FROM performance_schema.replication_applier_status_by_worker \
           WHERE CHANNEL_NAME = '' AND LAST_ERROR_NUMBER <> 0 LIMIT 1) AS worker_error, \
         (SELECT TIMESTAMPDIFF(SECOND, MIN(APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP), NOW(6)) \
           FROM performance_schema.replication_applier_status_by_worker \
           WHERE CHANNEL_NAME = '' AND APPLYING_TRANSACTION <> '' \
           AND APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP > '1970-01-02') AS applying_age, \
         (SELECT TIMESTAMPDIFF(SECOND, MAX(LAST_APPLIED_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP), NOW(6)) \
           FROM performance_schema.replication_applier_status_by_worker \
           WHERE CHANNEL_NAME = '' AND LAST_APPLIED_TRANSACTION <> '' \
           AND LAST_APPLIED_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP > '1970-01-02') AS applied_age \
         FROM performance_schema.replication_connection_configuration AS c \
         JOIN performance_schema.replication_connection_status AS s USING (CHANNEL_NAME) WHERE CHANNEL_NAME = ''",
    )
}

/// What moves whenever something of the source arrives: a whole transaction, the beginning of one, or a heartbeat.
pub fn pulse() -> Statement {
    Statement::new(
        "pulse",
        "SELECT COUNT_RECEIVED_HEARTBEATS AS heartbeats, LAST_QUEUED_TRANSACTION AS queued, \
         QUEUEING_TRANSACTION AS queueing FROM performance_schema.replication_connection_status \
         WHERE CHANNEL_NAME = ''",
    )
}

/// Where the receiver is in the source's log; moves in the middle of a large transaction too.
pub fn receiver_position() -> Statement {
    Statement::new("receiver_position", "SHOW REPLICA STATUS")
}

/// Turns clients away, or lets them in. The agent and the replicas stay: they have `CONNECTION_ADMIN`.
pub fn set_offline(is_offline: bool) -> Statement {
    Statement::new("set_offline", format!("SET GLOBAL offline_mode = {}", switch(is_offline)))
}

/// Closes or opens writes. Turning `super_read_only` on turns `read_only` on, and `read_only` off turns both off.
pub fn set_read_only(is_read_only: bool) -> Statement {
    let sql = if is_read_only { "SET GLOBAL super_read_only = ON" } else { "SET GLOBAL read_only = OFF" };
    Statement::new("set_read_only", sql)
}

/// Lets the agent's own account write; others stay out by `read_only`.
pub fn lift_super_read_only() -> Statement {
    Statement::new("lift_super_read_only", "SET GLOBAL super_read_only = OFF")
}

/// The applier's coordinator.
pub fn applier_session() -> Statement {
    Statement::new(
        "applier_session",
        "SELECT t.PROCESSLIST_ID AS id FROM performance_schema.replication_applier_status_by_coordinator AS c \
         JOIN performance_schema.threads AS t USING (THREAD_ID) WHERE c.CHANNEL_NAME = ''",
    )
}

/// Switches the source's waiting for acknowledgements.
pub fn set_source_semi_sync(is_on: bool) -> Statement {
    Statement::new(
        "set_source_semi_sync",
        format!("SET GLOBAL rpl_semi_sync_source_enabled = {}", switch(is_on)),
    )
}

/// Switches the replica's acknowledging; the receiver takes it up when it starts.
pub fn set_replica_semi_sync(is_on: bool) -> Statement {
    Statement::new(
        "set_replica_semi_sync",
        format!("SET GLOBAL rpl_semi_sync_replica_enabled = {}", switch(is_on)),
    )
}

/// How many acknowledgements a commit waits for.
pub fn set_ack_count(k: i32) -> Statement {
    Statement::new("set_ack_count", format!("SET GLOBAL rpl_semi_sync_source_wait_for_replica_count = {k}"))
}

/// Holds commits back, so that replicas come after.
pub fn set_commit_delay(delay: Duration) -> Statement {
    Statement::new(
        "set_commit_delay",
        format!("SET GLOBAL binlog_group_commit_sync_delay = {}", delay.as_micros()),
    )
}

/// Where the connected replicas are.
pub fn replicas() -> Statement {
    Statement::new(
        "replicas",
        "SELECT DISTINCT PROCESSLIST_HOST AS address FROM performance_schema.threads \
         WHERE PROCESSLIST_COMMAND LIKE 'Binlog Dump%'",
    )
}

/// What the workers apply now: when it was committed at the source, and since when it is applied, in microseconds.
pub fn applying() -> Statement {
    Statement::new(
        "applying",
        "SELECT CAST(UNIX_TIMESTAMP(APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP) * 1000000 AS SIGNED) AS committed, \
         TIMESTAMPDIFF(MICROSECOND, APPLYING_TRANSACTION_START_APPLY_TIMESTAMP, NOW(6)) AS applied_for \
         FROM performance_schema.replication_applier_status_by_worker WHERE CHANNEL_NAME = '' \
         AND APPLYING_TRANSACTION <> '' AND APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP > '1970-01-02'",
    )
}

/// Stops the receiver.
pub fn stop_receiver() -> Statement {
    Statement::new("stop_receiver", "STOP REPLICA IO_THREAD")
}

/// Stops the applier.
pub fn stop_applier() -> Statement {
    Statement::new("stop_applier", "STOP REPLICA SQL_THREAD")
}

/// Stops receiver and applier.
pub fn stop_replica() -> Statement {
    Statement::new("stop_replica", "STOP REPLICA")
}

/// Starts the applier.
pub fn start_applier() -> Statement {
    Statement::new("start_applier", "START REPLICA SQL_THREAD")
}

/// Starts the receiver. The password is given here, so that it is not stored in the data.
pub fn start_receiver(user: &str, password: &str) -> Result<Statement, QuoteError> {
    let (user, password) = (quote::literal(user)?, quote::literal(password)?);
    Ok(Statement::new(
        "start_receiver",
        format!("START REPLICA IO_THREAD USER = {user} PASSWORD = {password}"),
    ))
}

/// Forgets the channel and its relay logs: only when all of them is applied (ha.md H10).
pub fn forget_source() -> Statement {
    Statement::new("forget_source", "RESET REPLICA ALL")
}

/// The channel's parameters as far as the agent sets them.
pub fn channel() -> Statement {
    Statement::new(
        "channel",
        "SELECT HOST AS host, PORT AS port, AUTO_POSITION AS auto_position, SSL_ALLOWED AS ssl_allowed, \
         SSL_CA_FILE AS ssl_ca, SSL_VERIFY_SERVER_CERTIFICATE AS ssl_verify, TLS_VERSION AS tls_version, \
         HEARTBEAT_INTERVAL AS heartbeat \
         FROM performance_schema.replication_connection_configuration WHERE CHANNEL_NAME = ''",
    )
}

/// Points the channel at a source; connections come from the address that the agent listens on, if it is only one. Deletes
/// relay logs: only when all of them is applied.
pub fn change_source(
    host: &str,
    port: u16,
    ca: &Path,
    from: Option<IpAddr>,
) -> Result<Statement, QuoteError> {
    let (host, ca) = (quote::literal(host)?, quote::literal(&ca.to_string_lossy())?);
    let from = from.map(|address| address.to_string()).unwrap_or_default();
    Ok(Statement::new(
        "change_source",
        format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = {host}, SOURCE_PORT = {port}, SOURCE_BIND = '{from}', SOURCE_AUTO_POSITION = 1, \
             SOURCE_SSL = 1, SOURCE_SSL_CA = {ca}, SOURCE_SSL_VERIFY_SERVER_CERT = 1, \
             SOURCE_TLS_VERSION = 'TLSv1.3', SOURCE_HEARTBEAT_PERIOD = 0.25, SOURCE_CONNECT_RETRY = 1, \
             SOURCE_RETRY_COUNT = 1000000000, GET_SOURCE_PUBLIC_KEY = 0"
        ),
    ))
}

/// Says whom this server may be copied from.
pub fn set_donor(host: &str, port: u16) -> Result<Statement, QuoteError> {
    let donor = quote::literal(&format!("{host}:{port}"))?;
    Ok(Statement::new("set_donor", format!("SET GLOBAL clone_valid_donor_list = {donor}")))
}

/// Replaces all data by the donor's.
pub fn clone_from(user: &str, host: &str, port: u16, password: &str) -> Result<Statement, QuoteError> {
    let (user, host, password) = (quote::literal(user)?, quote::literal(host)?, quote::literal(password)?);
    Ok(Statement::new(
        "clone_from",
        format!("CLONE INSTANCE FROM {user}@{host}:{port} IDENTIFIED BY {password} REQUIRE SSL"),
    ))
}

/// The same into a new directory beside the server's data, which stays as it is (MySQL manual, "Cloning to a Named Directory").
pub fn clone_into(
    user: &str,
    host: &str,
    port: u16,
    password: &str,
    into: &Path,
) -> Result<Statement, QuoteError> {
    let (user, host, password) = (quote::literal(user)?, quote::literal(host)?, quote::literal(password)?);
    let into = quote::literal(&into.to_string_lossy())?;
    Ok(Statement::new(
        "clone_into",
        format!(
            "CLONE INSTANCE FROM {user}@{host}:{port} IDENTIFIED BY {password} DATA DIRECTORY = {into} REQUIRE SSL"
        ),
    ))
}

/// Whether a clone has begun to remove what was here.
pub fn clone_dropped() -> Statement {
    Statement::new(
        "clone_dropped",
        "SELECT COUNT(*) AS stages FROM performance_schema.clone_progress \
         WHERE STAGE = 'DROP DATA' AND STATE <> 'Not Started'",
    )
}

/// How far a clone on this server is: bytes so far, and whether a stage is under way that takes none.
pub fn clone_progress() -> Statement {
    Statement::new(
        "clone_progress",
        "SELECT CAST(SUM(DATA + NETWORK) AS SIGNED) AS arrived, \
         CAST(SUM(STATE = 'In Progress' AND STAGE IN ('DROP DATA', 'FILE SYNC', 'RESTART', 'RECOVERY')) AS SIGNED) AS local_stages \
         FROM performance_schema.clone_progress",
    )
}

/// Makes mysqld read its certificate files again.
pub fn reload_tls() -> Statement {
    Statement::new("reload_tls", "ALTER INSTANCE RELOAD TLS")
}

/// Those of the server and of Porpoise, as a list of literals.
fn databases_of_no_user() -> String {
    RESERVED_DATABASES.map(|name| format!("'{name}'")).join(", ")
}

fn switch(is_on: bool) -> &'static str {
    if is_on { "ON" } else { "OFF" }
}
