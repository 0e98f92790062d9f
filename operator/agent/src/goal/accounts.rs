//! Accounts, made on the primary and nowhere else; they reach the others through replication.

use super::promote::write;
use super::{BRIEF, GoalError, Pursuit, passwords};
use crate::mysql::quote::{self, QuoteError, Quoted};
use crate::mysql::{Statement, statements};
use crate::settings::Settings;
use porpoise_core::names;
use porpoise_core::protocol::AgentConfig;
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
// Replication is the last one: see `wanted`.
const SERVICES: [Service; 5] = [
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
    Service {
        account: "replication",
        needs_tls: true,
        privileges: "REPLICATION SLAVE, CONNECTION_ADMIN",
        schema: None,
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
///
/// Where there are accounts already, files that cannot be used change nothing: that is what is returned.
pub(super) async fn ensure(pursuit: &Arc<Pursuit>) -> Result<Option<GoalError>, GoalError> {
    let settings = &pursuit.member.settings;
    let wanted = match wanted(settings, &pursuit.member.config.app_database) {
        Ok(wanted) => wanted,
        Err(flaw) if stored(pursuit).await?.is_empty() => return Err(flaw),
        Err(flaw) => return Ok(Some(flaw)),
    };
    let digest = fingerprint(&password(settings, "agent")?, &wanted);
    if known(pursuit).is_none_or(|known| known == digest) {
        passwords::end_former(pursuit, &keys(&wanted)).await?;
        return Ok(None);
    }
    if stored(pursuit).await? != digest {
        if !passwords::may_change(pursuit) {
            return Ok(None);
        }
        tracing::info!("writing accounts");
        for wish in wanted {
            wish.fulfil(pursuit).await?;
        }
        let store = statements::store_accounts_digest(&digest);
        let store = store.map_err(|source| quoting("a fingerprint", source))?;
        write(pursuit, store).await?;
        passwords::note_change(pursuit);
    }
    if let Some(reign) = pursuit.memory().reign.as_mut() {
        reign.accounts = digest;
    }
    Ok(None)
}

fn keys(wishes: &[Wish]) -> Vec<&Login> {
    wishes
        .iter()
        .filter_map(|wish| match wish {
            Wish::Password(login) => Some(login),
            Wish::User { .. } | Wish::Grant { .. } | Wish::Database { .. } => None,
        })
        .collect()
}

/// What new data needs first.
pub(crate) struct First {
    /// They make all accounts, and the application's database.
    pub(crate) statements: Vec<Statement>,
    /// The application's database, if there is one.
    pub(crate) database: Option<String>,
}

/// The statements that make all accounts, and the application's database, for data that has none of them yet.
pub(crate) fn first(settings: &Settings, config: &AgentConfig) -> Result<First, GoalError> {
    let wishes = wanted(settings, &config.app_database)?;
    let application = application(settings, &config.app_database)?;
    let database = application.map(|application| application.database);
    Ok(First { statements: wishes.iter().flat_map(Wish::statements).collect(), database })
}

/// The same as the text of a script, for data that others may have passwords of: afterwards only those of the files are
/// accepted.
pub(crate) fn script(settings: &Settings, config: &AgentConfig) -> Result<String, GoalError> {
    let first = first(settings, config)?;
    Ok(first.statements.into_iter().map(Statement::into_script_line).collect())
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

/// An account and what it logs in with.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) host: &'static str,
    pub(super) account: Quoted,
    pub(super) password: String,
    pub(super) secret: Quoted,
}

impl Login {
    fn new(user: String, host: &'static str, password: String) -> Result<Self, GoalError> {
        let account = quote::account(&user, host).map_err(|source| quoting("an account", source))?;
        let secret = quote::literal(&password).map_err(|source| quoting("a password", source))?;
        Ok(Self { user, host, account, password, secret })
    }
}

/// One thing to be so. Not yet a statement, so that it can be fingerprinted without showing its text anywhere.
enum Wish {
    /// An account that is there has this password.
    Password(Login),
    User {
        login: Login,
        needs_tls: bool,
    },
    Grant {
        account: Quoted,
        privileges: &'static str,
        schema: Option<Quoted>,
    },
    Database {
        name: Quoted,
    },
}

impl Wish {
    /// For data that nobody works with: nothing is asked before, and no former password stays.
    fn statements(&self) -> Vec<Statement> {
        match self {
            Self::Password(login) => vec![
                statements::set_password(&login.account, &login.secret),
                statements::discard_password(&login.account),
            ],
            Self::User { login, needs_tls } => vec![
                statements::create_user(&login.account, &login.secret, *needs_tls),
                statements::require_tls(&login.account, *needs_tls),
            ],
            Self::Grant { account, privileges, schema } => {
                vec![statements::grant(privileges, schema.as_ref(), account)]
            }
            Self::Database { name } => vec![statements::create_database(name)],
        }
    }

    async fn fulfil(self, pursuit: &Arc<Pursuit>) -> Result<(), GoalError> {
        match self {
            Self::Password(login) => passwords::change(pursuit, &login).await,
            Self::User { login, needs_tls } => {
                let (account, secret) = (&login.account, &login.secret);
                write(pursuit, statements::create_user(account, secret, needs_tls)).await?;
                write(pursuit, statements::require_tls(account, needs_tls)).await
            }
            Self::Grant { account, privileges, schema } => {
                write(pursuit, statements::grant(privileges, schema.as_ref(), &account)).await
            }
            Self::Database { name } => write(pursuit, statements::create_database(&name)).await,
        }
    }

    fn write_into(&self, hash: &mut Sha256) {
        let parts = match self {
            Self::Password(login) => [login.account.to_string(), login.secret.to_string(), String::new()],
            Self::User { login, needs_tls } => {
                [login.account.to_string(), login.secret.to_string(), needs_tls.to_string()]
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

/// The passwords come last, and that of replication after all others: a replica that sees it connects anew, and while an
/// account statement waits for its acknowledgement nobody can log in (ha.md H6).
fn wanted(settings: &Settings, app_database: &str) -> Result<Vec<Wish>, GoalError> {
    let own = passwords::usable("agent", password(settings, "agent")?)?;
    let mut wishes = Vec::new();
    let mut logins = vec![Login::new(names::account_user("agent"), "localhost", own)?];
    if let Some(application) = application(settings, app_database)? {
        let (parts, login) = of_application(application)?;
        wishes.extend(parts);
        logins.push(login);
    }
    for service in &SERVICES {
        let text = passwords::usable(service.account, password(settings, service.account)?)?;
        let login = Login::new(names::account_user(service.account), "%", text)?;
        let account = login.account.clone();
        if service.schema.is_none() {
            wishes.push(Wish::User { login: login.clone(), needs_tls: service.needs_tls });
            logins.push(login);
        }
        let schema = service.schema.map(quote::identifier).transpose();
        wishes.push(Wish::Grant {
            account,
            privileges: service.privileges,
            schema: schema.map_err(|source| quoting("a schema", source))?,
        });
    }
    wishes.extend(logins.into_iter().map(Wish::Password));
    Ok(wishes)
}

fn of_application(application: Application) -> Result<([Wish; 3], Login), GoalError> {
    let database =
        |name: &str| quote::identifier(name).map_err(|source| quoting("the application's database", source));
    // In a grant `_` and `%` stand for other characters, unless escaped.
    let pattern = application.database.replace('_', "\\_").replace('%', "\\%");
    let name = database(&application.database)?;
    let login = Login::new(application.user, "%", application.password)?;
    let account = login.account.clone();
    let wishes = [
        Wish::Database { name },
        Wish::User { login: login.clone(), needs_tls: false },
        Wish::Grant { account, privileges: "ALL", schema: Some(database(&pattern)?) },
    ];
    Ok((wishes, login))
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
    let password = passwords::usable("password", read(directory, "password")?)?;
    Ok(Some(Application { user, password, database }))
}

fn quoting(what: &'static str, source: QuoteError) -> GoalError {
    GoalError::QuoteValue { what, source }
}

fn read(directory: &Path, file: &str) -> Result<String, GoalError> {
    std::fs::read_to_string(directory.join(file))
        .map_err(|source| GoalError::ReadAccount { file: file.to_owned(), source })
}
