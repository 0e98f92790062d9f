//! The private schema: term records, heartbeats, what the accounts are, and which events run.

use super::Statement;
use crate::mysql::quote::{self, QuoteError};
use porpoise_core::names::PRIVATE_SCHEMA;
use porpoise_core::protocol::Term;

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
        "events_state" => "id INT NOT NULL PRIMARY KEY, enabled LONGTEXT NOT NULL, at TIMESTAMP(6) NOT NULL",
        _ => "id INT NOT NULL PRIMARY KEY, digest CHAR(64) NOT NULL, at TIMESTAMP(6) NOT NULL",
    };
    Statement::new(
        "create_table",
        format!("CREATE TABLE IF NOT EXISTS {PRIVATE_SCHEMA}.{name} ({columns}) ENGINE = InnoDB"),
    )
}

/// The private tables.
pub const PRIVATE_TABLES: [&str; 4] = ["term", "heartbeat", "accounts_state", "events_state"];

/// The term record: returns when enough members have it. It holds what its writer had before, and since when it has reigned;
/// when the same instance writes it again, both stay. The time moves by its smallest step all the same: an update that changes
/// nothing is in no binlog, and nobody would acknowledge it.
pub fn record_term(term: Term, instance: &str) -> Result<Statement, QuoteError> {
    let instance = quote::literal(instance)?;
    Ok(Statement::new(
        "record_term",
        format!(
            "INSERT INTO {PRIVATE_SCHEMA}.term (term, instance, server, base, at) \
             VALUES ({term}, {instance}, @@GLOBAL.server_uuid, @@GLOBAL.gtid_executed, NOW(6)) \
             ON DUPLICATE KEY UPDATE at = IF(instance = {instance}, at + INTERVAL 1 MICROSECOND, NOW(6)), \
             instance = {instance}"
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
