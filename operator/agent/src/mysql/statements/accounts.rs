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

/// Says whether an account needs TLS.
pub fn require_tls(account: &Quoted, needs_tls: bool) -> Statement {
    let require = if needs_tls { "SSL" } else { "NONE" };
    Statement::new("require_tls", format!("ALTER USER {account} REQUIRE {require}"))
}

/// Gives an account its password. One that was kept beside the present one stays.
pub fn set_password(account: &Quoted, password: &Quoted) -> Statement {
    Statement::new(
        "set_password",
        format!("ALTER USER {account} IDENTIFIED WITH caching_sha2_password BY {password}"),
    )
}

/// Gives an account a new password and keeps the present one beside it, so that both are accepted (MySQL manual, "Dual
/// Password Support"). One that was kept before is accepted no more.
pub fn change_password(account: &Quoted, password: &Quoted) -> Statement {
    Statement::new(
        "change_password",
        format!(
            "ALTER USER {account} IDENTIFIED WITH caching_sha2_password BY {password} RETAIN CURRENT PASSWORD"
        ),
    )
}

/// Ends what `change_password` kept.
pub fn discard_password(account: &Quoted) -> Statement {
    Statement::new("discard_password", format!("ALTER USER {account} DISCARD OLD PASSWORD"))
}

/// The accounts with a former password that is still accepted.
pub fn kept_passwords() -> Statement {
    Statement::new(
        "kept_passwords",
        "SELECT User AS user, Host AS host FROM mysql.user \
         WHERE JSON_CONTAINS_PATH(User_attributes, 'one', '$.additional_password') ORDER BY User, Host",
    )
}

/// What a script does not write to the binlog gets no GTID.
pub fn disable_binlog() -> Statement {
    Statement::new("disable_binlog", "SET SESSION sql_log_bin = OFF")
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
