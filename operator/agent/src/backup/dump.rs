//! Dumping a member by MySQL's own program, while it goes on.
//!
//! The dump is one text: who may log in, the databases as of one moment, the events that ran, and what everybody may do. It
//! asks for no lock that others would wait for, so the GTID set is that of the moment before: the dump holds all of it, and maybe
//! a little more (ADR 0029).

use super::{donor, grants};
use crate::goal::events;
use crate::logging;
use crate::mysql::quote::QuoteError;
use crate::mysql::{Connection, SqlError, statements};
use crate::settings::Settings;
use crate::supervise::program::{Login, Open, Program, ProgramError};
use crate::supervise::reap::Reaper;
use crate::vault::{Pouring, VaultError};
use porpoise_core::backup::{Donor, DumpScope};
use porpoise_core::names;
use std::ffi::OsString;
use std::io;
use std::time::Duration;

const BRIEF: Duration = Duration::from_mins(1);
const PROGRAM: &str = "mysqldump";
/// What is read of the program at a time.
const PIECE: usize = 1 << 20;
/// Numbers of MySQL's errors that say so: no such database, table, routine or trigger, a table of another form, no such event.
const GONE: [u16; 6] = [1049, 1146, 1305, 1360, 1412, 1539];
/// What a session must be for the rest of the text.
const HEAD: &str = "SET NAMES utf8mb4;\nSET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO';\n";

/// Why a member was not dumped.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum DumpError {
    /// The member does not answer, or refuses.
    #[error("ask {donor}")]
    AskMember {
        /// The member.
        donor: String,
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// A database that is named is not there.
    #[error(
        "find the database {database:?} on {donor}; name one that exists in spec.databases of a new MySQLBackup"
    )]
    FindDatabase {
        /// Its name.
        database: String,
        /// The member.
        donor: String,
    },
    /// A name cannot be written in SQL.
    #[error("quote {what}")]
    QuoteName {
        /// Of what.
        what: &'static str,
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// The password is not there.
    #[error("read the backup account's password")]
    ReadPassword {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The program failed.
    #[error("dump {donor}")]
    RunProgram {
        /// The member.
        donor: String,
        /// Cause.
        #[source]
        source: ProgramError,
    },
    /// Nobody takes the text any more.
    #[error("hand on the dump")]
    HandOn {
        /// Cause.
        #[source]
        source: VaultError,
    },
}

impl DumpError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        matches!(self, Self::FindDatabase { .. } | Self::QuoteName { .. })
    }

    /// Whether something went, or got another form, between being listed and being written down: it is not met again.
    pub fn is_of_the_moment(&self) -> bool {
        let Self::RunProgram { source: ProgramError::EndProgram { words, .. }, .. } = self else {
            return false;
        };
        GONE.iter().any(|number| {
            words.contains(&format!("({number})")) || words.contains(&format!("Error {number}:"))
        })
    }

    /// Whether another member may have what this one lacks: one that is behind does not know a new database yet.
    pub fn is_of_one_member(&self) -> bool {
        matches!(self, Self::FindDatabase { .. })
    }
}

/// What was dumped.
pub(super) struct Dumped {
    /// MySQL release of the member.
    pub(super) version: String,
    /// What the member had executed before.
    pub(super) gtid_set: String,
    /// Size of the text.
    pub(super) bytes: u64,
}

/// A member that is dumped.
pub(super) struct Scene<'a> {
    pub(super) settings: &'a Settings,
    pub(super) reaper: &'a Reaper,
    pub(super) donor: &'a Donor,
}

/// Pours the whole text.
pub(super) async fn pour(
    scene: &Scene<'_>,
    scope: &DumpScope,
    mut into: Pouring,
) -> Result<Dumped, DumpError> {
    let handing = |source| DumpError::HandOn { source };
    let asking = |source| scene.asking(source);
    let door = donor::door(scene.settings, scene.donor).await.map_err(asking)?;
    let mut there = door.open().await.map_err(asking)?;
    let (version, gtid_set) = super::check::identity(&mut there).await.map_err(asking)?;
    let databases = databases(scene, &mut there, scope).await?;
    let accounts =
        if scope.databases.is_empty() { accounts(scene, &mut there).await? } else { Accounts::default() };
    let events = enabled(scene, &mut there, &databases).await?;
    there.close().await;
    let head = head(&version, &gtid_set, &scene.donor.instance) + &accounts.made.concat();
    into.pour(head.as_bytes()).await.map_err(handing)?;
    if !databases.is_empty() {
        program(scene, &databases, &mut into).await?;
    }
    let end = [HEAD.to_owned(), accounts.granted.concat(), events].concat();
    into.pour(end.as_bytes()).await.map_err(handing)?;
    let bytes = into.end().await.map_err(handing)?;
    Ok(Dumped { version, gtid_set, bytes })
}

impl Scene<'_> {
    fn asking(&self, source: SqlError) -> DumpError {
        DumpError::AskMember { donor: self.donor.instance.clone(), source }
    }
}

fn head(version: &str, gtid_set: &str, donor: &str) -> String {
    let gtid_set = gtid_set.replace('\n', "");
    format!("-- MySQL {version}, {donor}\n-- It holds all of these transactions: {gtid_set}\n{HEAD}")
}

/// The databases that are dumped: those that are named, which must be there, or all.
async fn databases(
    scene: &Scene<'_>,
    there: &mut Connection,
    scope: &DumpScope,
) -> Result<Vec<String>, DumpError> {
    let asking = |source| scene.asking(source);
    let mut found = Vec::new();
    for row in there.rows(statements::user_databases(), BRIEF).await.map_err(asking)? {
        found.push(row.text("name").map_err(asking)?.unwrap_or_default());
    }
    match scope.databases.iter().find(|name| !found.contains(name)) {
        Some(name) => {
            Err(DumpError::FindDatabase { database: name.clone(), donor: scene.donor.instance.clone() })
        }
        None if scope.databases.is_empty() => Ok(found),
        None => Ok(scope.databases.clone()),
    }
}

/// Statements that make accounts, and those that give them what they may do.
#[derive(Default)]
struct Accounts {
    made: Vec<String>,
    granted: Vec<String>,
}

/// Nothing is granted before the tables are there that grants name.
async fn accounts(scene: &Scene<'_>, there: &mut Connection) -> Result<Accounts, DumpError> {
    let asking = |source| scene.asking(source);
    let mut accounts = Accounts::default();
    there.run(statements::show_hashes_in_digits(), BRIEF).await.map_err(asking)?;
    let void = grants::void(there).await.map_err(asking)?;
    let void = void.map_err(|source| DumpError::QuoteName { what: "a table", source })?;
    for row in there.rows(statements::user_accounts(), BRIEF).await.map_err(asking)? {
        let text = |column| row.text(column).map(Option::unwrap_or_default);
        let (user, host) = (text("user").map_err(asking)?, text("host").map_err(asking)?);
        let account = statements::any_account(&user, &host);
        let account = account.map_err(|source| DumpError::QuoteName { what: "an account", source })?;
        for row in there.rows(statements::show_account(&account), BRIEF).await.map_err(asking)? {
            let text = row.first_text().map_err(asking)?;
            let made = text.strip_prefix("CREATE USER ").unwrap_or(&text);
            accounts.made.push(format!("CREATE USER IF NOT EXISTS {made};\n"));
        }
        for row in there.rows(statements::show_grants(&account), BRIEF).await.map_err(asking)? {
            let left = void.taken_from(&row.first_text().map_err(asking)?);
            accounts.granted.extend(left.map(|grant| format!("{grant};\n")));
        }
    }
    Ok(accounts)
}

/// Lines that let those events run that ran on the primary: on a replica they do not, and so the program writes them down.
async fn enabled(
    scene: &Scene<'_>,
    there: &mut Connection,
    databases: &[String],
) -> Result<String, DumpError> {
    let lines = events::of_a_replica(there, databases).await.map_err(|source| scene.asking(source))?;
    lines.map_err(|source| DumpError::QuoteName { what: "an event", source })
}

/// Runs the program and pours what it writes.
async fn program(scene: &Scene<'_>, databases: &[String], into: &mut Pouring) -> Result<(), DumpError> {
    let Scene { settings, reaper, donor } = scene;
    let running = |source| DumpError::RunProgram { donor: donor.instance.clone(), source };
    let password = std::fs::read_to_string(settings.accounts_path.join("backup"))
        .map_err(|source| DumpError::ReadPassword { source })?;
    let user = names::account_user("backup");
    let login = Login { user: &user, password: &password };
    let arguments = arguments(scene, databases).await?;
    let mut program =
        Program::start((settings, reaper), PROGRAM, &login, &arguments, Open::Output).map_err(running)?;
    let mut piece = Vec::with_capacity(PIECE);
    while program.read(&mut piece, settings.copy_patience()).await.map_err(running)? {
        into.pour(&piece).await.map_err(|source| DumpError::HandOn { source })?;
        piece.clear();
    }
    program.end().await.map_err(|error| {
        tracing::warn!(donor = donor.instance, error = logging::chain(&error), "the dump broke off");
        running(error)
    })
}

/// One consistent read without locks, of everything that a database has. The address is looked up by us, and the certificate is
/// checked for its authority, as between members.
async fn arguments(scene: &Scene<'_>, databases: &[String]) -> Result<Vec<OsString>, DumpError> {
    let Scene { settings, reaper: _, donor } = scene;
    let address = donor::address(donor).await.map_err(|source| scene.asking(source))?;
    let mut authority = OsString::from("--ssl-ca=");
    authority.push(settings.server_authority());
    let mut arguments = vec![
        format!("--host={address}").into(),
        format!("--port={}", settings.mysql_port).into(),
        "--protocol=TCP".into(),
        "--ssl-mode=VERIFY_CA".into(),
        authority,
    ];
    let fixed = [
        "--single-transaction",
        "--quick",
        "--hex-blob",
        "--routines",
        "--events",
        "--triggers",
        "--set-gtid-purged=OFF",
        "--no-tablespaces",
        "--skip-dump-date",
        "--default-character-set=utf8mb4",
        "--max-allowed-packet=1G",
        "--databases",
        // Names of databases may look like options.
        "--",
    ];
    arguments.extend(fixed.map(OsString::from));
    arguments.extend(databases.iter().map(OsString::from));
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a29_what_went_meanwhile_is_told_from_what_stays_wrong() {
        let is_of_the_moment = |words: &str| {
            let (how, words) = ("exited with status 2".to_owned(), format!(": mysqldump: {words}"));
            let source = ProgramError::EndProgram { program: PROGRAM, how, words };
            DumpError::RunProgram { donor: "shop-1".to_owned(), source }.is_of_the_moment()
        };
        for words in [
            "Couldn't execute 'show create event `a`': Unknown event 'a' (1539)",
            "Couldn't execute 'show create table `t`': Table 'shop.t' doesn't exist (1146)",
            "Error 1412: Table definition has changed, please retry transaction when dumping table `t` at row: 0",
        ] {
            assert!(is_of_the_moment(words), "{words}");
        }
        for words in [
            "Couldn't execute 'SHOW FIELDS FROM `v`': View 'shop.v' references invalid table(s) (1356)",
            "Got error: 2003: Can't connect to MySQL server on '10.0.0.7:3306' (111) when trying to connect",
            "Error 2013: Lost connection to MySQL server during query when dumping table `t` at row: 1539",
        ] {
            assert!(!is_of_the_moment(words), "{words}");
        }
    }
}
