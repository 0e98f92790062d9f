//! Looking at a copy of the data.

use super::Statement;
use crate::mysql::quote::{self, QuoteError};

/// Which release it is, and every transaction in it.
pub fn copy_identity() -> Statement {
    Statement::new("copy_identity", "SELECT @@GLOBAL.version AS version, @@GLOBAL.gtid_executed AS gtid_set")
}

/// Every transaction that is committed, and those of them that are in no binlog file.
pub fn binlog_sets() -> Statement {
    Statement::new("binlog_sets", "SELECT @@GLOBAL.gtid_executed AS executed, @@GLOBAL.gtid_purged AS purged")
}

/// Begins a new binlog file.
pub fn begin_binlog() -> Statement {
    Statement::new("begin_binlog", "FLUSH BINARY LOGS")
}

/// Removes the binlog files before `file`: what is in none counts as purged (MySQL manual, "PURGE BINARY LOGS Statement").
pub fn drop_binlogs_before(file: &str) -> Result<Statement, QuoteError> {
    let file = quote::literal(file)?;
    Ok(Statement::new("drop_binlogs_before", format!("PURGE BINARY LOGS TO {file}")))
}

/// Makes files of the server's relay log, from `first` on, what is to be applied: a channel whose source is never asked.
pub fn apply_files(first: &str) -> Result<Statement, QuoteError> {
    let first = quote::literal(first)?;
    let sql = format!(
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'archive.invalid', RELAY_LOG_FILE = {first}, RELAY_LOG_POS = 4"
    );
    Ok(Statement::new("apply_files", sql))
}

/// What keeps the applier from going on; no row if nothing does.
pub fn applier_errors() -> Statement {
    Statement::new(
        "applier_errors",
        "SELECT LAST_ERROR_MESSAGE AS message FROM performance_schema.replication_applier_status_by_worker \
         WHERE LAST_ERROR_NUMBER <> 0 UNION ALL SELECT LAST_ERROR_MESSAGE FROM \
         performance_schema.replication_applier_status_by_coordinator WHERE LAST_ERROR_NUMBER <> 0",
    )
}

/// Tables with rows of their own, those of the server included. Its schemas of views and of counters have none.
pub fn all_tables() -> Statement {
    Statement::new(
        "all_tables",
        "SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name FROM information_schema.TABLES \
         WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('performance_schema', 'information_schema') \
         AND ENGINE IN ('InnoDB', 'MyISAM', 'ARCHIVE', 'CSV') ORDER BY 1, 2",
    )
}

/// Reads a table as a whole and compares its indexes.
pub fn check_table(schema: &str, table: &str) -> Result<Statement, QuoteError> {
    let (schema, table) = (quote::identifier(schema)?, quote::identifier(table)?);
    Ok(Statement::new("check_table", format!("CHECK TABLE {schema}.{table}")))
}
