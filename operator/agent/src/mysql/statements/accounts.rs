//! Accounts, and what the application needs to begin.

use super::Statement;
use crate::mysql::quote::{self, QuoteError, Quoted};
use porpoise_core::names::PRIVATE_SCHEMA;

/// The fingerprint of the accounts as they were last written.
pub fn accounts_digest() -> Statement {
    Statement::new(
        "accounts_digest",
        format!("SELECT digest FROM {PRIVATE_SCHEMA}.accounts_state WHERE id = 1"),
    )
}

/// Remembers the fingerprint.
pub fn store_accounts_digest(digest: &str) -> Result<Statement, QuoteError> {
    let digest = quote::literal(digest)?;
    Ok(Statement::new(
        "store_accounts_digest",
        format!(
            "INSERT INTO {PRIVATE_SCHEMA}.accounts_state (id, digest, at) VALUES (1, {digest}, NOW(6)) \
             ON DUPLICATE KEY UPDATE digest = {digest}, at = NOW(6)"
        ),
    ))
}

/// Makes an account if it is not there.
pub fn create_user(account: &Quoted, password: &Quoted, needs_tls: bool) -> Statement {
    let require = if needs_tls { "SSL" } else { "NONE" };
    Statement::new(
        "create_user",
        format!(
            "CREATE USER IF NOT EXISTS {account} IDENTIFIED WITH caching_sha2_password BY {password} REQUIRE {require}"
        ),
    )
}

/// Gives an account its password.
pub fn alter_user(account: &Quoted, password: &Quoted, needs_tls: bool) -> Statement {
    let require = if needs_tls { "SSL" } else { "NONE" };
    Statement::new(
        "alter_user",
        format!("ALTER USER {account} IDENTIFIED WITH caching_sha2_password BY {password} REQUIRE {require}"),
    )
}

/// Grants privileges on everything (`*.*`) or on one schema.
pub fn grant(privileges: &'static str, schema: Option<&Quoted>, account: &Quoted) -> Statement {
    let place = schema.map_or_else(|| "*.*".to_owned(), |schema| format!("{schema}.*"));
    Statement::new("grant", format!("GRANT {privileges} ON {place} TO {account}"))
}

/// Makes the application's database.
pub fn create_database(name: &Quoted) -> Statement {
    Statement::new("create_database", format!("CREATE DATABASE IF NOT EXISTS {name}"))
}

/// The agent's own account, all there is, because it makes accounts and gives them what they need.
pub fn grant_agent(account: &Quoted) -> Statement {
    Statement::new("grant_agent", format!("GRANT ALL ON *.* TO {account} WITH GRANT OPTION"))
}

/// Nobody logs in as root: its password would be empty.
pub fn lock_root() -> Statement {
    Statement::new("lock_root", "ALTER USER 'root'@'localhost' ACCOUNT LOCK")
}
