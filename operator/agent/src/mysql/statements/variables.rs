//! Statements about settings that mysqld takes while it runs.

use super::Statement;
use crate::mysql::quote::{self, QuoteError};
use porpoise_core::runtime::{self, Value};

/// Out of bounds is moved into them, as when mysqld starts with such a value.
pub fn lenient_mode() -> Statement {
    Statement::new("lenient_mode", "SET SESSION sql_mode = ''")
}

/// Sets a variable of the running server. Not replicated, and gone when it ends.
pub fn set_variable(name: &str, value: &str) -> Result<Statement, QuoteError> {
    let name = quote::identifier(name)?;
    let value = match runtime::value(value) {
        Value::Number(digits) => digits,
        Value::Text(text) => quote::literal(&text)?.to_string(),
    };
    Ok(Statement::new("set_variable", format!("SET GLOBAL {name} = {value}")))
}

/// Gives a variable the value that mysqld has when nobody says anything.
pub fn reset_variable(name: &str) -> Result<Statement, QuoteError> {
    let name = quote::identifier(name)?;
    Ok(Statement::new("reset_variable", format!("SET GLOBAL {name} = DEFAULT")))
}

/// MySQL's words about the last statement of this connection.
pub fn errors() -> Statement {
    Statement::new("errors", "SHOW ERRORS LIMIT 1")
}

/// The values that the server has for these names.
pub fn variables<'a>(names: impl Iterator<Item = &'a str>) -> Result<Statement, QuoteError> {
    let names = names.map(|name| Ok(quote::literal(name)?.to_string())).collect::<Result<Vec<_>, _>>()?;
    let text = format!(
        "SELECT VARIABLE_NAME AS name, VARIABLE_VALUE AS value FROM performance_schema.global_variables \
         WHERE VARIABLE_NAME IN ({})",
        names.join(", ")
    );
    Ok(Statement::new("variables", text))
}
