//! A blank volume becomes a data directory, whole or not at all.

use super::arguments;
use super::output;
use super::reap::{self, Reaper};
use super::script::Script;
use crate::files;
use crate::mysql::quote::{self, QuoteError, Quoted};
use crate::mysql::statements;
use crate::settings::Settings;
use porpoise_core::names;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Far more than the seconds it takes; a disk that needs longer is broken.
const LIMIT: Duration = Duration::from_mins(10);

/// What can go wrong while a data directory is made.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum InitializeError {
    /// The agent's password is not to be had.
    #[error("read the agent's password")]
    ReadPassword {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The agent's password cannot be written in SQL.
    #[error("quote the agent's password")]
    QuotePassword {
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// The script cannot be written.
    #[error("write the script with the agent's account")]
    WriteScript {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A left-over cannot be removed.
    #[error("remove {path}")]
    RemoveLeftover {
        /// The directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// mysqld cannot be started.
    #[error("start mysqld to initialise")]
    StartServer {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// mysqld did not make it.
    #[error("initialise the data directory: mysqld {how}{last}")]
    RunServer {
        /// How it ended.
        how: String,
        /// Its last error, if it told one.
        last: String,
    },
    /// The finished directory cannot be put into place.
    #[error("put the data directory into place")]
    RenameDirectory {
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Makes the data directory beside its place and renames it when it is complete. Removes what an earlier try left.
pub async fn initialize(settings: &Settings, reaper: &Reaper) -> Result<(), InitializeError> {
    let building = settings.data_path.with_extension("initializing");
    remove(&building)?;
    let script = Script::write(settings, "initialize.sql", &script_text(settings)?)?;
    run(settings, reaper, &building, script.path()).await?;
    script.remove()?;
    fs::rename(&building, &settings.data_path)
        .and_then(|()| files::sync_parent(&settings.data_path))
        .map_err(|source| InitializeError::RenameDirectory { source })
}

/// Removes the data directory, crash-safe: renamed first, so a half-removed one is never taken for data.
pub fn wipe(settings: &Settings) -> Result<(), InitializeError> {
    let doomed = settings.data_path.with_extension("doomed");
    remove(&doomed)?;
    if settings.data_path.exists() {
        fs::rename(&settings.data_path, &doomed)
            .and_then(|()| files::sync_parent(&doomed))
            .map_err(|source| InitializeError::RenameDirectory { source })?;
    }
    remove(&doomed)
}

/// Puts a finished data directory in the place of the one that is there.
pub fn replace(settings: &Settings, fresh: &Path) -> Result<(), InitializeError> {
    wipe(settings)?;
    fs::rename(fresh, &settings.data_path)
        .and_then(|()| files::sync_parent(&settings.data_path))
        .map_err(|source| InitializeError::RenameDirectory { source })
}

/// Removes a directory and all in it; none is fine.
pub fn remove(path: &Path) -> Result<(), InitializeError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(InitializeError::RemoveLeftover { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

fn script_text(settings: &Settings) -> Result<String, InitializeError> {
    Ok(own_account(settings)? + &statements::lock_root().into_script_line())
}

/// Statements for a script that give the agent its account, with the password of today.
pub fn own_account(settings: &Settings) -> Result<String, InitializeError> {
    let (account, password) = own_login(settings)?;
    let lines = [
        statements::create_user(&account, &password, false),
        statements::set_password(&account, &password),
        statements::grant_agent(&account),
    ];
    // The driver's quoting is for our own sql_mode; mysqld's default has no NO_BACKSLASH_ESCAPES either.
    Ok(lines.into_iter().map(statements::Statement::into_script_line).collect())
}

/// Statements for a script that let the agent into data whose passwords are others, beside the one that is there. They get no
/// GTID, so a replica stays what its source is, and nobody but the script writes.
pub fn way_in(settings: &Settings) -> Result<String, InitializeError> {
    let (account, password) = own_login(settings)?;
    let lines = [
        statements::create_user(&account, &password, false),
        statements::change_password(&account, &password),
        statements::grant_agent(&account),
    ];
    Ok(unlogged(&lines.into_iter().map(statements::Statement::into_script_line).collect::<String>()))
}

/// The same for data that becomes another cluster's: first come the statements `accounts`, and no password of the agent stays
/// beside the one of today.
pub fn way_into_copy(settings: &Settings, accounts: &str) -> Result<String, InitializeError> {
    Ok(unlogged(&(accounts.to_owned() + &own_account(settings)?)))
}

fn unlogged(lines: &str) -> String {
    let open = [statements::disable_binlog(), statements::lift_super_read_only()];
    let open: String = open.into_iter().map(statements::Statement::into_script_line).collect();
    open + lines + &statements::set_read_only(true).into_script_line()
}

fn own_login(settings: &Settings) -> Result<(Quoted, Quoted), InitializeError> {
    let password = fs::read_to_string(settings.accounts_path.join("agent"))
        .map_err(|source| InitializeError::ReadPassword { source })?;
    let quoting = |source| InitializeError::QuotePassword { source };
    let account = quote::account(&names::account_user("agent"), "localhost").map_err(quoting)?;
    let password = quote::literal(&password).map_err(quoting)?;
    Ok((account, password))
}

/// Statements for a script that give the agent its account and let root in with the agent's password.
pub fn open_root(settings: &Settings) -> Result<String, InitializeError> {
    let password = fs::read_to_string(settings.accounts_path.join("agent"))
        .map_err(|source| InitializeError::ReadPassword { source })?;
    let password = quote::literal(&password).map_err(|source| InitializeError::QuotePassword { source })?;
    Ok(own_account(settings)? + &statements::open_root(&password).into_script_line())
}

async fn run(
    settings: &Settings,
    reaper: &Reaper,
    data: &Path,
    script: &Path,
) -> Result<(), InitializeError> {
    let mut command = Command::new(&settings.mysqld);
    command.args(arguments::initialize(settings, data, script));
    let child = reaper.spawn(&mut command).map_err(|source| InitializeError::StartServer { source })?;
    let last_error = output::relay(child.stdout, child.stderr);
    let how = reaper.end_within(LIMIT, child.pid, child.exit).await;
    if reap::is_well(&how) {
        return Ok(());
    }
    let last = last_error.suffix().await;
    Err(InitializeError::RunServer { how, last })
}
