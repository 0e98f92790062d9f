//! Looking at a copy of the data.

use super::Statement;
use crate::mysql::quote::{self, QuoteError};

/// Which release it is, and every transaction in it.
pub fn copy_identity() -> Statement {
    Statement::new("copy_identity", "SELECT @@GLOBAL.version AS version, @@GLOBAL.gtid_executed AS gtid_set")
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
