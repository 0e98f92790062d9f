//! Texts with any number of statements, which the server itself takes apart: it knows quotes, comments and routines.

use super::error;
use super::{Connection, Meaning, SqlError, Statement};
use futures::TryStreamExt as _;
use std::fmt;
use std::time::Duration;

/// More of MySQL's words than that are cut off.
const LONGEST: usize = 300;

/// Why a text was not run to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptFailure {
    /// MySQL's number, if it was MySQL that refused.
    number: Option<u16>,
    words: String,
}

impl ScriptFailure {
    /// It took too long.
    pub fn too_long(limit: Duration) -> Self {
        Self { number: None, words: format!("not done within {limit:?}") }
    }

    /// It was broken off for a reason of ours.
    pub fn of(error: &SqlError) -> Self {
        Self { number: None, words: error.to_string() }
    }

    /// The same without what may quote the statement.
    #[must_use]
    pub fn without_words(self) -> Self {
        match self.number {
            Some(_) => Self { words: "its words may quote the Secret and are not shown".to_owned(), ..self },
            None => self,
        }
    }

    /// What the server meant.
    pub fn meaning(&self) -> Meaning {
        self.number.map_or(Meaning::Other, error::meaning)
    }
}

impl fmt::Display for ScriptFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(formatter, "MySQL error {number}: {}", self.words),
            None => formatter.write_str(&self.words),
        }
    }
}

impl Connection {
    /// Runs all statements of a text, in order, until one fails. Rows are thrown away. The connection is not used again after a
    /// failure.
    ///
    /// `finished` counts those that succeeded.
    ///
    /// # Errors
    /// What MySQL says of the first that fails; nothing after it ran.
    pub async fn script(&mut self, statement: Statement, finished: &mut u64) -> Result<(), ScriptFailure> {
        let query = statement.into_query();
        let mut answers = query.fetch_many(self.inner());
        loop {
            match answers.try_next().await {
                Ok(Some(sqlx::Either::Left(_))) => *finished += 1,
                Ok(Some(sqlx::Either::Right(_))) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(failure(&error)),
            }
        }
    }
}

fn failure(error: &sqlx::Error) -> ScriptFailure {
    let number = error::number(error);
    let words = match error.as_database_error() {
        Some(refusal) => {
            let words = refusal.message().split_whitespace().collect::<Vec<_>>().join(" ");
            words[..words.floor_char_boundary(LONGEST)].to_owned()
        }
        None => format!("connection lost: {}", error::kind(error)),
    };
    ScriptFailure { number, words }
}
