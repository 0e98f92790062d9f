//! Dumping a server, and loading what was dumped.

use super::{Statement, databases_of_no_user};
use crate::mysql::quote::{self, QuoteError, Quoted};
use porpoise_core::names;

/// Databases of users.
pub fn user_databases() -> Statement {
    Statement::new(
        "user_databases",
        format!(
            "SELECT SCHEMA_NAME AS name FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ({}) ORDER BY 1",
            databases_of_no_user()
        ),
    )
}

/// Accounts of users, the roles first: an account names its default roles when it is made. Those of the server and of Porpoise
/// are left out, since each cluster has its own.
pub fn user_accounts() -> Statement {
    let ours = names::account_user("").replace('_', "\\_");
    Statement::new(
        "user_accounts",
        format!(
            "SELECT User AS user, Host AS host FROM mysql.user AS one WHERE User NOT LIKE '{ours}%' AND User NOT LIKE 'mysql.%' \
             AND NOT (User = 'root' AND Host = 'localhost') ORDER BY EXISTS (SELECT * FROM mysql.default_roles \
             WHERE DEFAULT_ROLE_USER = one.User AND DEFAULT_ROLE_HOST = one.Host) DESC, User, Host"
        ),
    )
}

/// Has password hashes shown in digits, which any session reads the same way.
pub fn show_hashes_in_digits() -> Statement {
    Statement::new("show_hashes_in_digits", "SET SESSION print_identified_with_as_hex = ON")
}

/// The statement that makes an account.
pub fn show_account(account: &Quoted) -> Statement {
    Statement::new("show_account", format!("SHOW CREATE USER {account}"))
}

/// The statements that give an account what it may do.
pub fn show_grants(account: &Quoted) -> Statement {
    Statement::new("show_grants", format!("SHOW GRANTS FOR {account}"))
}

/// What is granted although it is there no more: MySQL keeps such grants when a table goes, and takes none of them.
pub fn grants_on_nothing() -> Statement {
    let table = "there.TABLE_SCHEMA = granted.Db AND there.TABLE_NAME = granted.Table_name";
    // `id` and `ID` are one column.
    let any_case = |name: &str| format!("CONVERT({name} USING utf8mb4) COLLATE utf8mb4_0900_as_ci");
    let column = format!("{} = {}", any_case("there.COLUMN_NAME"), any_case("granted.Column_name"));
    Statement::new(
        "grants_on_nothing",
        format!(
            "SELECT granted.Db AS db, granted.Table_name AS name, NULL AS col FROM mysql.tables_priv AS granted WHERE NOT EXISTS \
             (SELECT * FROM information_schema.TABLES AS there WHERE {table}) UNION \
             SELECT granted.Db, granted.Table_name, granted.Column_name FROM mysql.columns_priv AS granted \
             JOIN information_schema.TABLES AS there ON {table} WHERE NOT EXISTS \
             (SELECT * FROM information_schema.COLUMNS AS there WHERE {table} AND {column})"
        ),
    )
}

/// An account of any name: anonymous ones have none.
pub fn any_account(user: &str, host: &str) -> Result<Quoted, QuoteError> {
    if user.is_empty() { quote::anonymous(host) } else { quote::account(user, host) }
}

/// Takes the longest statements that there are: how long those of a dump are depends on the server that it is from.
pub fn take_long_statements() -> Statement {
    Statement::new("take_long_statements", "SET GLOBAL max_allowed_packet = 1073741824")
}
