//! Accounts, made on the primary and nowhere else; they reach the others through replication.

use super::promote::write;
use super::{BRIEF, GoalError, Pursuit};
use crate::mysql::quote::{self, QuoteError, Quoted};
use crate::mysql::{Statement, statements};
use crate::settings::Settings;
use porpoise_core::names;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

/// One of the operator's accounts and the least it needs.
struct Service {
    account: &'static str,
    needs_tls: bool,
    privileges: &'static str,
    schema: Option<&'static str>,
}

// `CONNECTION_ADMIN`: replicas and clones must get in while clients are kept out by `offline_mode` (ha.md §1).
const SERVICES: [Service; 5] = [
    Service {
        account: "replication",
        needs_tls: true,
        privileges: "REPLICATION SLAVE, CONNECTION_ADMIN",
        schema: None,
    },
    Service { account: "clone", needs_tls: true, privileges: "BACKUP_ADMIN, CONNECTION_ADMIN", schema: None },
    Service {
        account: "backup",
        needs_tls: true,
        privileges: "SELECT, RELOAD, PROCESS, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER, REPLICATION SLAVE, \
                     REPLICATION CLIENT, BACKUP_ADMIN",
        schema: None,
    },
    Service { account: "monitor", needs_tls: false, privileges: "PROCESS, REPLICATION CLIENT", schema: None },
    Service {
        account: "monitor",
        needs_tls: false,
        privileges: "SELECT",
        schema: Some("performance_schema"),
    },
];

/// The application's account.
struct Application {
    user: String,
    password: String,
    database: String,
}

/// The password of one of the operator's accounts.
pub(super) fn password(settings: &Settings, account: &str) -> Result<String, GoalError> {
    read(&settings.accounts_path, account)
}

/// Makes the accounts what the files say. When nothing changed since the last time, nothing is written.
pub(super) async fn ensure(pursuit: &Arc<Pursuit>) -> Result<(), GoalError> {
    let settings = &pursuit.member.settings;
    let wanted = wanted(settings, &pursuit.member.config.app_database)?;
    let digest = fingerprint(&password(settings, "agent")?, &wanted);
    if known(pursuit).is_none_or(|known| known == digest) {
        return Ok(());
    }
    if stored(pursuit).await? != digest {
        tracing::info!("writing accounts");
        for statement in wanted {
            write(pursuit, statement.into_statement()).await?;
        }
        let store = statements::store_accounts_digest(&digest);
        let store = store.map_err(|source| quoting("a fingerprint", source))?;
        write(pursuit, store).await?;
    }
    if let Some(reign) = pursuit.memory().reign.as_mut() {
        reign.accounts = digest;
    }
    Ok(())
}

fn known(pursuit: &Pursuit) -> Option<String> {
    pursuit.memory().reign.as_ref().map(|reign| reign.accounts.clone())
}

async fn stored(pursuit: &Pursuit) -> Result<String, GoalError> {
    let rows = pursuit.admin.rows(statements::accounts_digest(), BRIEF).await;
    match rows.map_err(GoalError::step)?.first() {
        Some(row) => Ok(row.text("digest").map_err(GoalError::step)?.unwrap_or_default()),
        None => Ok(String::new()),
    }
}

/// One thing to be so. Not yet a statement, so that it can be fingerprinted without showing its text anywhere.
enum Wish {
    User { account: Quoted, password: Quoted, needs_tls: bool },
    Password { account: Quoted, password: Quoted, needs_tls: bool },
    Grant { account: Quoted, privileges: &'static str, schema: Option<Quoted> },
    Database { name: Quoted },
}

impl Wish {
    fn into_statement(self) -> Statement {
        match self {
            Self::User { account, password, needs_tls } => {
                statements::create_user(&account, &password, needs_tls)
            }
            Self::Password { account, password, needs_tls } => {
                statements::alter_user(&account, &password, needs_tls)
            }
            Self::Grant { account, privileges, schema } => {
                statements::grant(privileges, schema.as_ref(), &account)
            }
            Self::Database { name } => statements::create_database(&name),
        }
    }

    fn write_into(&self, hash: &mut Sha256) {
        let parts = match self {
            Self::User { account, password, needs_tls } | Self::Password { account, password, needs_tls } => {
                [account.to_string(), password.to_string(), needs_tls.to_string()]
            }
            Self::Grant { account, privileges, schema } => [
                account.to_string(),
                (*privileges).to_owned(),
                schema.as_ref().map(Quoted::to_string).unwrap_or_default(),
            ],
            Self::Database { name } => [name.to_string(), String::new(), String::new()],
        };
        for part in parts {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
}

/// Keyed by the agent's password, which is random and long, so that the stored value tells nothing about the others.
fn fingerprint(key: &str, wishes: &[Wish]) -> String {
    let mut hash = Sha256::new();
    hash.update(key.len().to_be_bytes());
    hash.update(key);
    for wish in wishes {
        wish.write_into(&mut hash);
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn wanted(settings: &Settings, app_database: &str) -> Result<Vec<Wish>, GoalError> {
    let mut wishes = Vec::new();
    for service in &SERVICES {
        let account = quote::account(&names::account_user(service.account), "%")
            .map_err(|source| quoting("an account", source))?;
        let secret = secret(&password(settings, service.account)?)?;
        if service.schema.is_none() {
            wishes.extend(user(&account, &secret, service.needs_tls));
        }
        let schema = service.schema.map(quote::identifier).transpose();
        wishes.push(Wish::Grant {
            account,
            privileges: service.privileges,
            schema: schema.map_err(|source| quoting("a schema", source))?,
        });
    }
    if let Some(application) = application(settings, app_database)? {
        wishes.extend(of_application(&application)?);
    }
    Ok(wishes)
}

fn of_application(application: &Application) -> Result<Vec<Wish>, GoalError> {
    let account =
        quote::account(&application.user, "%").map_err(|source| quoting("the application's user", source))?;
    let database =
        |name: &str| quote::identifier(name).map_err(|source| quoting("the application's database", source));
    // In a grant `_` and `%` stand for other characters, unless escaped.
    let pattern = application.database.replace('_', "\\_").replace('%', "\\%");
    let mut wishes = vec![Wish::Database { name: database(&application.database)? }];
    wishes.extend(user(&account, &secret(&application.password)?, false));
    wishes.push(Wish::Grant { account, privileges: "ALL", schema: Some(database(&pattern)?) });
    Ok(wishes)
}

fn user(account: &Quoted, password: &Quoted, needs_tls: bool) -> [Wish; 2] {
    let (account, password) = (account.clone(), password.clone());
    [
        Wish::User { account: account.clone(), password: password.clone(), needs_tls },
        Wish::Password { account, password, needs_tls },
    ]
}

/// The application's account, if one is mounted.
fn application(settings: &Settings, app_database: &str) -> Result<Option<Application>, GoalError> {
    let directory = &settings.app_account_path;
    if !directory.join("username").exists() {
        return Ok(None);
    }
    let user = read(directory, "username")?;
    // These names are the server's or ours; taking one over would lock the agent out.
    if user == "root" || user.starts_with("mysql.") || user.starts_with(&names::account_user("")) {
        return Err(GoalError::AcceptUser { user });
    }
    let database = if directory.join("database").exists() {
        read(directory, "database")?
    } else {
        app_database.to_owned()
    };
    let password = read(directory, "password")?;
    Ok(Some(Application { user, password, database }))
}

fn secret(password: &str) -> Result<Quoted, GoalError> {
    quote::literal(password).map_err(|source| quoting("a password", source))
}

fn quoting(what: &'static str, source: QuoteError) -> GoalError {
    GoalError::QuoteValue { what, source }
}

fn read(directory: &Path, file: &str) -> Result<String, GoalError> {
    std::fs::read_to_string(directory.join(file))
        .map_err(|source| GoalError::ReadAccount { file: file.to_owned(), source })
}
