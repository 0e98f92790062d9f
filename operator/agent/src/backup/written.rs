//! Which tables a member wrote to since it was copied, by its binlog.

use crate::mysql::{Connection, SqlError, statements};
use std::collections::BTreeSet;
use std::time::Duration;

const BRIEF: Duration = Duration::from_mins(1);
/// Events that are asked for at a time.
const PAGE: usize = 2_000;
/// Events that are read at most: after more of them every table counts as written to.
const MOST: usize = 1_000_000;
/// Events that change no table by themselves, or come after the name of the table that they change.
const KNOWN: [&str; 12] = [
    "Format_desc",
    "Previous_gtids",
    "Gtid",
    "Gtid_tagged",
    "Xid",
    "Rotate",
    "Stop",
    "Rows_query",
    "Write_rows",
    "Update_rows",
    "Update_rows_partial",
    "Delete_rows",
];
/// Where the first event of a file is.
const FIRST: i64 = 4;

/// Schema and name of a table.
pub(super) type Table = (String, String);

/// A place in the binlog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: String,
    position: i64,
}

/// Where a member's binlog is; nothing if it has none.
pub(super) async fn place(member: &mut Connection) -> Result<Option<Place>, SqlError> {
    let rows = member.rows(statements::binlog_place(), BRIEF).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let place = row.text("File")?.zip(row.number("Position")?);
    Ok(place.map(|(file, position)| Place { file, position: position.max(FIRST) }))
}

/// Tables that may change without a word in the binlog.
pub(super) async fn cascading(copy: &mut Connection) -> Result<BTreeSet<Table>, SqlError> {
    let mut found = BTreeSet::new();
    for row in copy.rows(statements::cascading_tables(), BRIEF).await? {
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        found.insert((text("table_schema")?, text("table_name")?));
    }
    Ok(found)
}

/// What was written to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Written {
    /// Tables as events name them.
    maps: BTreeSet<String>,
    /// Something whose tables are not known: a statement, or more than was read.
    anything: bool,
}

impl Written {
    /// Everything from that place to the end of the binlog.
    pub(super) async fn since(there: &mut Connection, from: &Place) -> Result<Self, SqlError> {
        let mut files = Vec::new();
        for row in there.rows(statements::binlog_files(), BRIEF).await? {
            files.push(row.text("Log_name")?.unwrap_or_default());
        }
        let mut written = Self::default();
        let Some(first) = files.iter().position(|file| *file == from.file) else {
            // It is purged already.
            written.anything = true;
            return Ok(written);
        };
        let mut left = MOST;
        for (index, file) in files.iter().enumerate().skip(first) {
            let position = if index == first { from.position } else { FIRST };
            written.read(there, file, position, &mut left).await?;
        }
        Ok(written)
    }

    async fn read(
        &mut self,
        there: &mut Connection,
        file: &str,
        mut position: i64,
        left: &mut usize,
    ) -> Result<(), SqlError> {
        let unusable = |_| SqlError::ReadColumn { step: "binlog_events", column: "Info" };
        while !self.anything {
            let statement = statements::binlog_events(file, position, PAGE).map_err(unusable)?;
            let rows = there.rows(statement, BRIEF).await?;
            for row in &rows {
                let kind = row.text("Event_type")?.unwrap_or_default();
                self.take(&kind, &row.text("Info")?.unwrap_or_default());
                position = row.number("End_log_pos")?.unwrap_or(position);
            }
            *left = left.saturating_sub(rows.len());
            self.anything |= *left == 0;
            if rows.len() < PAGE {
                break;
            }
        }
        Ok(())
    }

    fn take(&mut self, kind: &str, info: &str) {
        match kind {
            // `table_id: 110 (shop.orders)`
            "Table_map" => match info.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')) {
                Some(name) => drop(self.maps.insert(name.to_owned())),
                None => self.anything = true,
            },
            "Query" => self.anything |= info != "BEGIN" && info != "COMMIT",
            known => self.anything |= !KNOWN.contains(&known),
        }
    }

    /// Whether the table may have been written to.
    pub(super) fn may_have(&self, (schema, table): &Table) -> bool {
        self.anything || self.maps.contains(&format!("{schema}.{table}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(events: &[(&str, &str)]) -> Written {
        let mut written = Written::default();
        for (kind, info) in events {
            written.take(kind, info);
        }
        written
    }

    fn table(name: &str) -> Table {
        ("shop".to_owned(), name.to_owned())
    }

    #[test]
    fn rows_name_their_table() {
        let written = after(&[
            ("Gtid", "SET @@SESSION.GTID_NEXT= '0c7c9d92-e618-11f1-a678-02fc00000001:8'"),
            ("Query", "BEGIN"),
            ("Table_map", "table_id: 110 (shop.orders)"),
            ("Write_rows", "table_id: 110 flags: STMT_END_F"),
            ("Table_map", "table_id: 111 (shop.odd) name(s))"),
            ("Xid", "COMMIT /* xid=25 */"),
        ]);
        assert!(written.may_have(&table("orders")) && written.may_have(&table("odd) name(s)")));
        assert!(!written.may_have(&table("order")) && !written.may_have(&table("customers")));
        assert!(!after(&[]).may_have(&table("orders")));
    }

    #[test]
    fn what_is_not_understood_may_have_written_to_anything() {
        for (kind, info) in [
            ("Query", "use `shop`; ALTER TABLE orders ADD c INT"),
            ("Query", "DELETE FROM shop.orders"),
            ("Transaction_payload", "compression='ZSTD', decompressed_size=283 bytes"),
            ("Table_map", "table_id: 110"),
            ("XA_prepare", "XA PREPARE 'a'"),
            ("Load_from_the_future", ""),
        ] {
            assert!(after(&[(kind, info)]).may_have(&table("orders")), "{kind} {info}");
        }
    }
}
