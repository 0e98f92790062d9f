//! Columns by name. In the text protocol every value arrives as text, so it is read as text whatever its type.

use super::SqlError;
use sqlx::Row as _;
use sqlx::mysql::MySqlRow;

/// One row of an answer.
pub struct Row {
    step: &'static str,
    row: MySqlRow,
}

impl Row {
    pub(super) fn new(step: &'static str, row: MySqlRow) -> Self {
        Self { step, row }
    }

    /// A text; NULL is `None`.
    pub fn text(&self, column: &'static str) -> Result<Option<String>, SqlError> {
        self.row
            .try_get_unchecked::<Option<String>, _>(column)
            .map_err(|_| SqlError::ReadColumn { step: self.step, column })
    }

    /// The text of the first column, for answers whose columns are named after what was asked.
    pub fn first_text(&self) -> Result<String, SqlError> {
        let text = self.row.try_get_unchecked::<Option<String>, _>(0);
        let text = text.map_err(|_| SqlError::ReadColumn { step: self.step, column: "the first" })?;
        Ok(text.unwrap_or_default())
    }

    /// A GTID set: MySQL breaks long ones into lines.
    pub fn gtids(&self, column: &'static str) -> Result<String, SqlError> {
        Ok(self.text(column)?.unwrap_or_default().replace('\n', ""))
    }

    /// A number; NULL is `None`.
    pub fn number(&self, column: &'static str) -> Result<Option<i64>, SqlError> {
        let Some(text) = self.text(column)? else {
            return Ok(None);
        };
        let parsed = text.parse().map_err(|_| SqlError::ReadColumn { step: self.step, column });
        parsed.map(Some)
    }

    /// A flag; NULL is false.
    pub fn flag(&self, column: &'static str) -> Result<bool, SqlError> {
        Ok(self.number(column)?.is_some_and(|number| number != 0))
    }
}
