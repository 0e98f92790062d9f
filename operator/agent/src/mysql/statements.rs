//! Every statement the agent sends: the only place where SQL text is made (and the only one with `AssertSqlSafe`).
//!
//! Values come in through `quote` or are numbers. One statement per call.

mod components;

pub use components::{component_urn, components, install_component, plugin_directory};

use super::quote::{self, QuoteError, Quoted};
use porpoise_core::names::PRIVATE_SCHEMA;
use porpoise_core::protocol::Term;
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

/// Highest term recorded in the data, who wrote the record, and what is executed that the writer did not have then.
pub fn history() -> Statement {
    Statement::new(
        "history",
        format!(
            "SELECT term, server, GTID_SUBTRACT(@@GLOBAL.gtid_executed, base) AS beyond FROM {PRIVATE_SCHEMA}.term \
             ORDER BY term DESC LIMIT 1"
        ),
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

/// Sessions of clients. The agent's own, the server's threads and replicas are left out: one that is just connecting would
/// try again only after a second.
pub fn client_sessions(agent: &str, replication: &str) -> Result<Statement, QuoteError> {
    Ok(Statement::new(
        "client_sessions",
        format!(
            "SELECT PROCESSLIST_ID AS id FROM performance_schema.threads WHERE TYPE = 'FOREGROUND' \
             AND PROCESSLIST_ID IS NOT NULL AND PROCESSLIST_USER IS NOT NULL \
             AND PROCESSLIST_USER NOT IN ('system user', 'event_scheduler', 'unauthenticated user', {}, {}) \
             AND COALESCE(PROCESSLIST_COMMAND, '') NOT LIKE 'Binlog Dump%'",
            quote::literal(agent)?,
            quote::literal(replication)?
        ),
    ))
}

/// Transactions of clients that have written and have been open for over a second, the oldest first; no more than a
/// hundred. What is prepared for `XA COMMIT` stays where it is when its session ends.
pub fn long_transactions(agent: &str) -> Result<Statement, QuoteError> {
    Ok(Statement::new(
        "long_transactions",
        format!(
            "SELECT x.trx_mysql_thread_id AS id, e.TIMER_WAIT DIV 1000000000000 AS age \
             FROM information_schema.INNODB_TRX AS x \
             JOIN performance_schema.threads AS t ON t.PROCESSLIST_ID = x.trx_mysql_thread_id \
             JOIN performance_schema.events_transactions_current AS e ON e.THREAD_ID = t.THREAD_ID \
             WHERE x.trx_rows_modified > 0 AND e.STATE = 'ACTIVE' AND e.TIMER_WAIT > 1000000000000 \
             AND t.PROCESSLIST_USER NOT IN ('system user', {}) AND COALESCE(e.XA_STATE, '') <> 'PREPARED' \
             ORDER BY e.TIMER_WAIT DESC LIMIT 100",
            quote::literal(agent)?
        ),
    ))
}

/// How many clients run a statement or have a transaction open. The operator's own accounts do not count: a clone or a
/// backup may take hours, and whoever wants it comes again.
pub fn busy_clients(own: &[String]) -> Result<Statement, QuoteError> {
    let own: Vec<String> = own
        .iter()
        .map(|user| quote::literal(user).map(|quoted| quoted.to_string()))
        .collect::<Result<_, _>>()?;
    Ok(Statement::new(
        "busy_clients",
        format!(
            "SELECT COUNT(*) AS busy FROM performance_schema.threads AS t WHERE t.TYPE = 'FOREGROUND' \
             AND t.PROCESSLIST_USER NOT IN ('system user', 'event_scheduler', 'unauthenticated user', {}) \
             AND (COALESCE(t.PROCESSLIST_COMMAND, 'Sleep') <> 'Sleep' OR t.PROCESSLIST_ID IN \
             (SELECT trx_mysql_thread_id FROM information_schema.innodb_trx))",
            own.join(", ")
        ),
    ))
}

/// The applier's coordinator.
pub fn applier_session() -> Statement {
    Statement::new(
        "applier_session",
        "SELECT t.PROCESSLIST_ID AS id FROM performance_schema.replication_applier_status_by_coordinator AS c \
         JOIN performance_schema.threads AS t USING (THREAD_ID) WHERE c.CHANNEL_NAME = ''",
    )
}

/// Ends a session.
pub fn kill(id: i64) -> Statement {
    Statement::new("kill", format!("KILL {id}"))
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

/// Tables of the private schema that are there.
pub fn private_tables() -> Statement {
    Statement::new(
        "private_tables",
        format!(
            "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{PRIVATE_SCHEMA}'"
        ),
    )
}

/// Makes the private schema.
pub fn create_schema() -> Statement {
    Statement::new("create_schema", format!("CREATE SCHEMA IF NOT EXISTS {PRIVATE_SCHEMA}"))
}

/// Makes one of the private tables.
pub fn create_table(name: &'static str) -> Statement {
    let columns = match name {
        "term" => {
            "term BIGINT NOT NULL PRIMARY KEY, instance VARCHAR(255) NOT NULL, server CHAR(36) NOT NULL, \
             base LONGTEXT NOT NULL, at TIMESTAMP(6) NOT NULL"
        }
        "heartbeat" => "id INT NOT NULL PRIMARY KEY, beat BIGINT NOT NULL, at TIMESTAMP(6) NOT NULL",
        _ => "id INT NOT NULL PRIMARY KEY, digest CHAR(64) NOT NULL, at TIMESTAMP(6) NOT NULL",
    };
    Statement::new(
        "create_table",
        format!("CREATE TABLE IF NOT EXISTS {PRIVATE_SCHEMA}.{name} ({columns}) ENGINE = InnoDB"),
    )
}

/// The private tables.
pub const PRIVATE_TABLES: [&str; 3] = ["term", "heartbeat", "accounts_state"];

/// The term record: returns when enough members have it. It holds what its writer had before; when it is written again, that
/// stays.
pub fn record_term(term: Term, instance: &str) -> Result<Statement, QuoteError> {
    let instance = quote::literal(instance)?;
    Ok(Statement::new(
        "record_term",
        format!(
            "INSERT INTO {PRIVATE_SCHEMA}.term (term, instance, server, base, at) \
             VALUES ({term}, {instance}, @@GLOBAL.server_uuid, @@GLOBAL.gtid_executed, NOW(6)) \
             ON DUPLICATE KEY UPDATE instance = {instance}, at = NOW(6)"
        ),
    ))
}

/// A write whose only purpose is to be acknowledged. Each `lane` has its own row, so that beats never wait for each
/// other's row lock.
pub fn beat(lane: u32) -> Statement {
    Statement::new(
        "beat",
        format!(
            "INSERT INTO {PRIVATE_SCHEMA}.heartbeat (id, beat, at) VALUES ({lane}, 1, NOW(6)) \
             ON DUPLICATE KEY UPDATE beat = beat + 1, at = NOW(6)"
        ),
    )
}

/// The fingerprint of the accounts as they were last written.
pub fn accounts_digest() -> Statement {
    Statement::new(
        "accounts_digest",
        format!("SELECT digest FROM {PRIVATE_SCHEMA}.accounts_state WHERE id = 1"),
    )
}

/// Remembers the fingerprint.
pub fn store_accounts_digest(digest: &str) -> Result<Statement, QuoteError> {
    let digest = quote::literal(digest)?;
    Ok(Statement::new(
        "store_accounts_digest",
        format!(
            "INSERT INTO {PRIVATE_SCHEMA}.accounts_state (id, digest, at) VALUES (1, {digest}, NOW(6)) \
             ON DUPLICATE KEY UPDATE digest = {digest}, at = NOW(6)"
        ),
    ))
}

/// Makes an account if it is not there.
pub fn create_user(account: &Quoted, password: &Quoted, needs_tls: bool) -> Statement {
    let require = if needs_tls { "SSL" } else { "NONE" };
    Statement::new(
        "create_user",
        format!(
            "CREATE USER IF NOT EXISTS {account} IDENTIFIED WITH caching_sha2_password BY {password} REQUIRE {require}"
        ),
    )
}

/// Gives an account its password.
pub fn alter_user(account: &Quoted, password: &Quoted, needs_tls: bool) -> Statement {
    let require = if needs_tls { "SSL" } else { "NONE" };
    Statement::new(
        "alter_user",
        format!("ALTER USER {account} IDENTIFIED WITH caching_sha2_password BY {password} REQUIRE {require}"),
    )
}

/// Grants privileges on everything (`*.*`) or on one schema.
pub fn grant(privileges: &'static str, schema: Option<&Quoted>, account: &Quoted) -> Statement {
    let place = schema.map_or_else(|| "*.*".to_owned(), |schema| format!("{schema}.*"));
    Statement::new("grant", format!("GRANT {privileges} ON {place} TO {account}"))
}

/// Makes the application's database.
pub fn create_database(name: &Quoted) -> Statement {
    Statement::new("create_database", format!("CREATE DATABASE IF NOT EXISTS {name}"))
}

/// The agent's own account, all there is, because it makes accounts and gives them what they need.
pub fn grant_agent(account: &Quoted) -> Statement {
    Statement::new("grant_agent", format!("GRANT ALL ON *.* TO {account} WITH GRANT OPTION"))
}

/// Nobody logs in as root: its password would be empty.
pub fn lock_root() -> Statement {
    Statement::new("lock_root", "ALTER USER 'root'@'localhost' ACCOUNT LOCK")
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

/// Whether a clone has begun to remove what was here.
pub fn clone_dropped() -> Statement {
    Statement::new(
        "clone_dropped",
        "SELECT COUNT(*) AS stages FROM performance_schema.clone_progress \
         WHERE STAGE = 'DROP DATA' AND STATE <> 'Not Started'",
    )
}

/// Makes mysqld read its certificate files again.
pub fn reload_tls() -> Statement {
    Statement::new("reload_tls", "ALTER INSTANCE RELOAD TLS")
}

fn switch(is_on: bool) -> &'static str {
    if is_on { "ON" } else { "OFF" }
}
