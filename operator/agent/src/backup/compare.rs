//! Comparing a copy with the member that it was copied from, table by table, while that goes on.
//!
//! The member has later transactions than the copy. So a table that differs was written to meanwhile, or one of both is
//! wrong. The member's binlog tells: it is read from the place where it was before the copy began up to after the table was
//! read, and a transaction is in it before anybody can see what it wrote. Nothing is locked, and the member never waits. A
//! table that was written to is not compared; only one that was not and differs all the same makes the backup fail (ADR 0025).

use super::BackupError;
use super::copy::Source;
use super::donor;
use super::written::{self, Place, Table, Written};
use crate::logging;
use crate::mysql::{Connection, Door, SqlError, Statement, statements};
use crate::settings::Settings;
use porpoise_core::backup::{Compared, Donor};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, timeout};

const BRIEF: Duration = Duration::from_mins(1);
/// Longest time that a table is read at the member: what changes its definition waits that long.
const READ: Duration = Duration::from_secs(10);
/// The server ends the reading by itself; this is for one that does not answer.
const ANSWER: Duration = Duration::from_secs(20);
/// Longest time that the member is read at all.
const ALL: Duration = Duration::from_mins(30);
/// A table of the copy is read as a whole.
const TABLE: Duration = Duration::from_hours(24);

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    rows: u64,
    text: String,
}

/// What the member had in its tables after the copy was taken.
pub(super) struct Readings {
    donor: String,
    door: Door,
    from: Place,
    columns: BTreeMap<Table, Vec<String>>,
    sums: BTreeMap<Table, Sum>,
}

/// Reads these columns of tables at the donor. Nothing if that is not possible: it is no reason to have no backup.
pub(super) async fn read(
    settings: &Settings,
    (copy, columns): (&mut Connection, Statement),
    source: &Source<'_>,
) -> Option<Readings> {
    let donor = source.donor;
    let from = source.before.clone()?;
    match timeout(ALL + BRIEF, attempt(settings, (copy, columns), donor, from)).await {
        Ok(Ok(readings)) => Some(readings),
        Ok(Err(error)) => {
            let error = logging::chain(&error);
            tracing::warn!(donor = donor.instance, error, "the copy is not compared with its donor");
            None
        }
        Err(_) => {
            tracing::warn!(donor = donor.instance, "the copy is not compared: its donor takes too long");
            None
        }
    }
}

async fn attempt(
    settings: &Settings,
    (copy, wanted): (&mut Connection, Statement),
    donor: &Donor,
    from: Place,
) -> Result<Readings, SqlError> {
    let columns = columns(copy, wanted).await?;
    let way = donor::door(settings, donor).await?;
    let mut there = way.open().await?;
    let end = Instant::now() + ALL;
    let mut sums = BTreeMap::new();
    for (table, columns) in columns.iter().take_while(|_| Instant::now() < end) {
        match sum(&mut there, table, columns, Some(READ)).await {
            Ok(found) => drop(sums.insert(table.clone(), found)),
            // It is too large, or has another form by now.
            Err(error) if error.keeps_connection() => {
                let error = logging::chain(&error);
                tracing::info!(schema = table.0, table = table.1, error, "a table is not compared");
            }
            Err(error) => return Err(error),
        }
    }
    there.close().await;
    Ok(Readings { donor: donor.instance.clone(), door: way, from, columns, sums })
}

async fn columns(copy: &mut Connection, wanted: Statement) -> Result<BTreeMap<Table, Vec<String>>, SqlError> {
    let mut found: BTreeMap<Table, Vec<String>> = BTreeMap::new();
    for row in copy.rows(wanted, BRIEF).await? {
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        let table = (text("table_schema")?, text("table_name")?);
        found.entry(table).or_default().push(text("column_name")?);
    }
    Ok(found)
}

async fn sum(
    connection: &mut Connection,
    (schema, table): &Table,
    columns: &[String],
    limit: Option<Duration>,
) -> Result<Sum, SqlError> {
    let unusable = |_| SqlError::ReadColumn { step: "sum_of_table", column: "sum" };
    let statement = statements::sum_of_table(schema, table, columns, limit).map_err(unusable)?;
    let rows = connection.rows(statement, limit.map_or(TABLE, |_| ANSWER)).await?;
    let row = rows.first().ok_or(SqlError::ReadColumn { step: "sum_of_table", column: "row_count" })?;
    let rows = row.number("row_count")?.unwrap_or_default();
    Ok(Sum { rows: u64::try_from(rows).unwrap_or_default(), text: row.text("sum")?.unwrap_or_default() })
}

impl Readings {
    /// Reads the same tables of the copy and settles what differs. Gives what was compared.
    ///
    /// # Errors
    /// A table that differs although nobody wrote to it.
    pub(super) async fn settle(self, copy: &mut Connection) -> Result<Compared, BackupError> {
        let asking = |source| BackupError::AskCopy { source };
        let mut digest = Sha256::new();
        let mut compared = Compared { donor: self.donor.clone(), ..Compared::default() };
        let mut differ = Vec::new();
        for (table, there) in &self.sums {
            let columns = self.columns.get(table).map(Vec::as_slice).unwrap_or_default();
            let here = sum(copy, table, columns, None).await.map_err(asking)?;
            if here == *there {
                compared.tables += 1;
                compared.rows += here.rows;
                digest.update(format!("{}.{} {} {}\n", table.0, table.1, here.rows, here.text));
            } else {
                differ.push((table, here));
            }
        }
        compared.digest =
            digest.finalize().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        compared.skipped = count(self.columns.len().saturating_sub(self.sums.len()));
        compared.changed = count(differ.len());
        match self.suspects(copy, differ).await.first() {
            Some(((schema, table), _)) => {
                let table = format!("{schema}.{table}");
                Err(BackupError::CompareTable { table, donor: self.donor.clone() })
            }
            None => Ok(compared),
        }
    }

    /// Those that differ, still differ when they are read again, and were not written to.
    async fn suspects<'a>(
        &self,
        copy: &mut Connection,
        differ: Vec<(&'a Table, Sum)>,
    ) -> Vec<(&'a Table, Sum)> {
        if differ.is_empty() {
            return differ;
        }
        match self.untouched(copy, differ).await {
            Ok(suspects) => suspects,
            Err(error) => {
                tracing::warn!(error = logging::chain(&error), "what differs from the donor is not settled");
                Vec::new()
            }
        }
    }

    async fn untouched<'a>(
        &self,
        copy: &mut Connection,
        differ: Vec<(&'a Table, Sum)>,
    ) -> Result<Vec<(&'a Table, Sum)>, SqlError> {
        let cascading = written::cascading(copy).await?;
        let mut there = self.door.open().await?;
        let mut still = Vec::new();
        for (table, here) in differ.into_iter().filter(|(table, _)| !cascading.contains(*table)) {
            let columns = self.columns.get(table).map(Vec::as_slice).unwrap_or_default();
            if sum(&mut there, table, columns, Some(READ)).await? != here {
                still.push((table, here));
            }
        }
        // After the last reading: whatever it saw is in there.
        let written = Written::since(&mut there, &self.from).await?;
        there.close().await;
        still.retain(|(table, _)| !written.may_have(table));
        Ok(still)
    }
}
