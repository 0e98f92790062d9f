//! Grants as a dump has them: those that another server takes.
//!
//! MySQL keeps what was granted on a table or column that is gone, shows it, and refuses it where it is granted anew.

use crate::mysql::quote::{self, QuoteError};
use crate::mysql::{Connection, SqlError, statements};
use porpoise_core::names::PRIVATE_SCHEMA;
use std::collections::BTreeMap;
use std::time::Duration;

const BRIEF: Duration = Duration::from_mins(1);

/// What is granted on nothing: how a grant names the table, and which of its columns are gone; none means the table.
pub(super) struct Void(BTreeMap<String, Vec<String>>);

/// Asks for it.
///
/// # Errors
/// The server does not answer; or, inside, a name cannot be written in SQL.
pub(super) async fn void(there: &mut Connection) -> Result<Result<Void, QuoteError>, SqlError> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in there.rows(statements::grants_on_nothing(), BRIEF).await? {
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        let (schema, table, column) = (text("db")?, text("name")?, row.text("col")?);
        let place = match place(&schema, &table) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        found.entry(place).or_default().extend(column);
    }
    Ok(Ok(Void(found)))
}

fn place(schema: &str, table: &str) -> Result<String, QuoteError> {
    Ok(format!(" ON {}.{} TO ", quote::identifier(schema)?, quote::identifier(table)?))
}

impl Void {
    /// What is left of a statement as the server shows it, if anything is. Porpoise's own tables are each cluster's own.
    pub(super) fn taken_from(&self, grant: &str) -> Option<String> {
        if grant.contains(&format!(" ON `{PRIVATE_SCHEMA}`.")) {
            return None;
        }
        let gone =
            self.0.iter().find_map(|(place, gone)| Some((grant.split_once(place.as_str())?, place, gone)));
        let Some(((privileges, account), place, gone)) = gone else { return Some(grant.to_owned()) };
        let privileges = privileges.strip_prefix("GRANT ").unwrap_or(privileges);
        let left: Vec<String> = split(privileges).filter_map(|one| without(one, gone)).collect();
        (!gone.is_empty() && !left.is_empty()).then(|| format!("GRANT {}{place}{account}", left.join(", ")))
    }
}

/// A privilege without these columns. One on nothing else is none.
fn without(privilege: &str, gone: &[String]) -> Option<String> {
    let Some((name, columns)) = privilege.split_once(" (") else { return Some(privilege.to_owned()) };
    let columns = columns.strip_suffix(')').unwrap_or(columns);
    let is_gone = |column: &str| {
        let column = column.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or(column);
        gone.contains(&column.replace("``", "`"))
    };
    let left: Vec<&str> = split(columns).filter(|column| !is_gone(column)).collect();
    (!left.is_empty()).then(|| format!("{name} ({})", left.join(", ")))
}

/// The parts of a list, whose commas are neither in names nor in brackets.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut quoted) = (0_usize, false);
    let parts = list.split(move |character| {
        match character {
            '`' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && !quoted && depth == 0
    });
    parts.map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a29_what_is_granted_on_nothing_is_left_out() {
        let gone = [
            (place("sh_op", "gone").unwrap(), vec![]),
            (place("sh_op", "a`b").unwrap(), vec!["x, (`".to_owned()]),
        ];
        let void = Void(gone.into());
        let to = "TO `clerk`@`%` WITH GRANT OPTION";
        for (shown, left) in [
            ("GRANT SELECT ON `sh_op`.`words`", Some("GRANT SELECT ON `sh_op`.`words`")),
            ("GRANT SELECT, INSERT (`id`) ON `sh_op`.`gone`", None),
            ("GRANT SELECT ON `porpoise`.*", None),
            (
                "GRANT UPDATE (`x, (```), SELECT (`id`, `x, (```, `z`), DELETE ON `sh_op`.`a``b`",
                Some("GRANT SELECT (`id`, `z`), DELETE ON `sh_op`.`a``b`"),
            ),
            ("GRANT SELECT (`x, (```) ON `sh_op`.`a``b`", None),
            ("GRANT SELECT (id) ON `sh_op`.`a``b`", Some("GRANT SELECT (id) ON `sh_op`.`a``b`")),
        ] {
            let left = left.map(|left| format!("{left} {to}"));
            assert_eq!(void.taken_from(&format!("{shown} {to}")), left, "{shown}");
        }
    }
}
