//! Making the first data of a cluster.

use super::Statement;
use crate::mysql::quote::{self, QuoteError, Quoted};
use std::path::Path;

/// Statements that people wrote. They run as they stand, by a server that serves nobody.
pub fn script(text: &str) -> Statement {
    Statement::new("script", text)
}

/// Lets root in with this password.
pub fn open_root(password: &Quoted) -> Statement {
    Statement::new(
        "open_root",
        format!(
            "ALTER USER 'root'@'localhost' IDENTIFIED WITH caching_sha2_password BY {password} ACCOUNT UNLOCK"
        ),
    )
}

/// Nobody logs in as root any more, not even if somebody unlocks it: its password is known to nobody.
pub fn close_root() -> Statement {
    Statement::new(
        "close_root",
        "ALTER USER IF EXISTS 'root'@'localhost' IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK",
    )
}

/// A session like any client's.
pub fn client_session() -> Statement {
    Statement::new(
        "client_session",
        "SET SESSION sql_mode = DEFAULT, lock_wait_timeout = DEFAULT, innodb_lock_wait_timeout = DEFAULT, \
         time_zone = DEFAULT",
    )
}

/// Makes a database the session's own.
pub fn use_database(name: &str) -> Result<Statement, QuoteError> {
    Ok(Statement::new("use_database", format!("USE {}", quote::identifier(name)?)))
}

/// Counts one transaction as executed that is in no binlog (MySQL Reference Manual, "Global Transaction ID System
/// Variables", `gtid_purged`). Its number is one of a server that is gone when the data is taken into service.
pub fn mark_beginning() -> Statement {
    Statement::new("mark_beginning", "SET GLOBAL gtid_purged = CONCAT('+', @@GLOBAL.server_uuid, ':1')")
}

/// Copies only from a server whose certificate is of this authority, without showing one.
pub fn trust_donor(authority: &Path) -> Result<Statement, QuoteError> {
    let authority = quote::literal(&authority.to_string_lossy())?;
    Ok(Statement::new(
        "trust_donor",
        format!("SET GLOBAL clone_ssl_ca = {authority}, clone_ssl_cert = DEFAULT, clone_ssl_key = DEFAULT"),
    ))
}
