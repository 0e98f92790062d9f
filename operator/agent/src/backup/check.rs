//! What a server that booted from the copy says about it. A copy that it does not find in order is no backup.

use super::BackupError;
use crate::mysql::{Connection, SqlError, statements};
use std::time::Duration;

const BRIEF: Duration = Duration::from_mins(1);
/// A table is read as a whole.
const TABLE: Duration = Duration::from_hours(24);

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// MySQL release.
    pub version: String,
    /// `@@gtid_executed`.
    pub gtid_set: String,
    /// Tables that were checked and are in order.
    pub tables: u64,
}

/// Checks every table with rows of its own.
pub async fn all(connection: &mut Connection) -> Result<Found, BackupError> {
    let asking = |source| BackupError::AskCopy { source };
    let (version, gtid_set) = identity(connection).await.map_err(asking)?;
    let mut tables = 0;
    for row in connection.rows(statements::all_tables(), BRIEF).await.map_err(asking)? {
        let schema = row.text("table_schema").map_err(asking)?.unwrap_or_default();
        let table = row.text("table_name").map_err(asking)?.unwrap_or_default();
        check(connection, &schema, &table).await?;
        tables += 1;
    }
    Ok(Found { version, gtid_set, tables })
}

/// Its release, and every transaction in it.
pub async fn identity(connection: &mut Connection) -> Result<(String, String), SqlError> {
    let rows = connection.rows(statements::copy_identity(), BRIEF).await?;
    let missing = SqlError::ReadColumn { step: "copy_identity", column: "version" };
    let row = rows.first().ok_or(missing)?;
    Ok((row.text("version")?.unwrap_or_default(), row.gtids("gtid_set")?))
}

/// `CHECK TABLE` answers with one row per finding; the last one is the verdict (MySQL manual, "CHECK TABLE Statement").
async fn check(connection: &mut Connection, schema: &str, table: &str) -> Result<(), BackupError> {
    let name = || format!("{schema}.{table}");
    let statement = statements::check_table(schema, table);
    let statement = statement.map_err(|source| BackupError::QuoteTable { table: name(), source })?;
    let asking = |source| BackupError::CheckTable { table: name(), source };
    let rows = connection.rows(statement, TABLE).await.map_err(asking)?;
    let mut verdict = String::new();
    for row in &rows {
        verdict = row.text("Msg_text").map_err(asking)?.unwrap_or_default();
    }
    if verdict == "OK" || verdict == "Table is already up to date" {
        return Ok(());
    }
    Err(BackupError::DamagedTable { table: name(), verdict })
}
