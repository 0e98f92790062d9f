//! Statements of the probe (F2). It is one application among others: the table is in the application's database.

use super::quote::{self, QuoteError, Quoted};
use super::statements::Statement;

/// One row, which every round writes anew.
const TABLE: &str = "porpoise_probe";

/// The probe's table.
pub struct Ground {
    database: Quoted,
}

impl Ground {
    /// In the application's database.
    pub fn new(database: &str) -> Result<Self, QuoteError> {
        Ok(Self { database: quote::identifier(database)? })
    }

    /// Makes the table.
    pub fn prepare(&self) -> Statement {
        let database = &self.database;
        let columns = "id TINYINT PRIMARY KEY, at TIMESTAMP(6) NOT NULL";
        Statement::new("prepare", format!("CREATE TABLE IF NOT EXISTS {database}.{TABLE} ({columns})"))
    }

    /// Writes the row; the server's answer means that it is on a majority of the members.
    pub fn write(&self) -> Statement {
        let database = &self.database;
        let sql = format!("REPLACE INTO {database}.{TABLE} VALUES (1, NOW(6))");
        Statement::new("write", sql)
    }

    /// Reads the row.
    pub fn read(&self) -> Statement {
        let database = &self.database;
        Statement::new("read", format!("SELECT id FROM {database}.{TABLE} WHERE id = 1"))
    }
}
