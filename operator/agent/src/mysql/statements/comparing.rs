//! Comparing a copy with the server that it was copied from.

use super::{Statement, databases_of_no_user};
use crate::mysql::quote::{self, QuoteError};
use std::time::Duration;

/// Where the binlog is (MySQL manual, "SHOW BINARY LOG STATUS Statement").
pub fn binlog_place() -> Statement {
    Statement::new("binlog_place", "SHOW BINARY LOG STATUS")
}

/// Tables of the users, column by column. Those of the server differ from server to server.
pub fn columns_of_tables() -> Statement {
    Statement::new("columns_of_tables", columns_that("TRUE"))
}

/// Those that a dump brings back byte by byte. JSON, and what is reckoned from other columns, may be printed in another way when
/// it is made anew.
pub fn columns_of_dumped_tables() -> Statement {
    let wanted = "DATA_TYPE <> 'json' AND GENERATION_EXPRESSION = ''";
    Statement::new("columns_of_dumped_tables", columns_that(wanted))
}

fn columns_that(wanted: &str) -> String {
    format!(
        "SELECT TABLE_SCHEMA AS table_schema, TABLE_NAME AS table_name, COLUMN_NAME AS column_name \
         FROM information_schema.COLUMNS JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME) \
         WHERE TABLE_TYPE = 'BASE TABLE' AND ENGINE = 'InnoDB' AND {wanted} AND TABLE_SCHEMA NOT IN ({}) \
         ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION",
        databases_of_no_user()
    )
}

/// Tables that change with another one: older servers do not write that to the binlog.
pub fn cascading_tables() -> Statement {
    Statement::new(
        "cascading_tables",
        "SELECT DISTINCT CONSTRAINT_SCHEMA AS table_schema, TABLE_NAME AS table_name \
         FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE DELETE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT') \
         OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT')",
    )
}

/// Counts and sums up all rows, in one consistent read without locks. With a limit the server ends it by itself, so that what
/// waits to change the table's definition waits no longer, even if nobody is left who would wait for the answer.
pub fn sum_of_table(
    schema: &str,
    table: &str,
    columns: &[String],
    limit: Option<Duration>,
) -> Result<Statement, QuoteError> {
    let (schema, table) = (quote::identifier(schema)?, quote::identifier(table)?);
    let mut values = Vec::new();
    let mut absent = Vec::new();
    for column in columns {
        let column = quote::identifier(column)?;
        values.push(format!("IFNULL(CAST({column} AS BINARY), '')"));
        absent.push(format!("ISNULL({column})"));
    }
    let hint = limit.map(|limit| format!("/*+ MAX_EXECUTION_TIME({}) */ ", limit.as_millis()));
    let hint = hint.unwrap_or_default();
    let (values, absent) = (values.join(", "), absent.join(", "));
    let sql = format!(
        "SELECT {hint}COUNT(*) AS row_count, CAST(COALESCE(SUM(CRC32(CONCAT_WS('#', {values}, CONCAT({absent})))), 0) AS CHAR) \
         AS sum FROM {schema}.{table}"
    );
    Ok(Statement::new("sum_of_table", sql))
}

/// Files of the binlog, the oldest first.
pub fn binlog_files() -> Statement {
    Statement::new("binlog_files", "SHOW BINARY LOGS")
}

/// What is in a file of the binlog from a place on, at most so many events.
pub fn binlog_events(file: &str, from: i64, count: usize) -> Result<Statement, QuoteError> {
    let file = quote::literal(file)?;
    let sql = format!("SHOW BINLOG EVENTS IN {file} FROM {from} LIMIT {count}");
    Ok(Statement::new("binlog_events", sql))
}
