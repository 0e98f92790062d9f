//! Loading a dump into a server that serves nobody, by MySQL's own client.

use crate::mysql::{Connection, SqlError, quote, statements};
use crate::settings::Settings;
use crate::supervise::program::{Login, Open, Program, ProgramError};
use crate::supervise::reap::Reaper;
use crate::supervise::staging::Staging;
use std::ffi::OsString;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

const BRIEF: Duration = Duration::from_secs(10);
const PROGRAM: &str = "mysql";
/// Bound of all statements together.
const LIMIT: Duration = Duration::from_hours(24);

/// Why a dump was not loaded.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum LoadError {
    /// The server does not do what it should.
    #[error("prepare the server for the dump")]
    PrepareServer {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// The password is not there.
    #[error("read the agent's password")]
    ReadPassword {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The name of the database cannot be written in SQL.
    #[error("quote the name of the database")]
    QuoteDatabase {
        /// Cause.
        #[source]
        source: quote::QuoteError,
    },
    /// The client failed, or a statement did.
    #[error("load the dump")]
    RunProgram {
        /// Cause.
        #[source]
        source: ProgramError,
    },
    /// It takes too long.
    #[error(
        "load the dump within {LIMIT:?}; restore a Physical backup instead, or dump fewer databases at a time"
    )]
    AwaitEnd,
}

impl LoadError {
    /// Whether a statement failed: the same dump fails again.
    pub fn is_refusal(&self) -> bool {
        let Self::RunProgram { source: ProgramError::EndProgram { words, .. } } = self else { return false };
        error_number(words).is_some_and(|number| !is_of_the_server(number))
    }
}

/// The number of the error that MySQL's client ended with.
fn error_number(words: &str) -> Option<u32> {
    let (_, rest) = words.split_once("ERROR ")?;
    rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// Whether an error says something of the server or of the way to it, and nothing of the statement: the client's own; a full
/// disk, a full table, a storage engine that fails, no memory, and a server that is being stopped.
fn is_of_the_server(number: u32) -> bool {
    matches!(number, 2000..=2999 | 1021 | 1030 | 1037 | 1038 | 1041 | 1053 | 1114)
}

/// Runs all that comes, as root, who was let in with the agent's password. `agent` is a connection of the agent's. What names no
/// database goes to `database`, which is made if it is missing.
///
/// # Errors
/// MySQL's words about the first statement that fails, with its line. What was loaded before stays.
pub(crate) async fn into(
    settings: &Settings,
    reaper: &Reaper,
    (server, database): (&Staging, Option<&str>),
    agent: &mut Connection,
    coming: Receiver<Vec<u8>>,
) -> Result<(), LoadError> {
    let preparing = |source| LoadError::PrepareServer { source };
    // What stands in my.cnf for members holds here too.
    for statement in [statements::set_read_only(false), statements::take_long_statements()] {
        agent.run(statement, BRIEF).await.map_err(preparing)?;
    }
    if let Some(database) = database {
        let name = quote::identifier(database).map_err(|source| LoadError::QuoteDatabase { source })?;
        agent.run(statements::create_database(&name), BRIEF).await.map_err(preparing)?;
    }
    let password = std::fs::read_to_string(settings.accounts_path.join("agent"))
        .map_err(|source| LoadError::ReadPassword { source })?;
    let login = Login { user: "root", password: &password };
    let running = |source| LoadError::RunProgram { source };
    let program =
        Program::start((settings, reaper), PROGRAM, &login, &arguments(server, database), Open::Input)
            .map_err(running)?;
    match timeout(LIMIT, feed(program, coming)).await {
        Ok(ended) => ended.map_err(running),
        Err(_) => Err(LoadError::AwaitEnd),
    }
}

async fn feed(mut program: Program, mut coming: Receiver<Vec<u8>>) -> Result<(), ProgramError> {
    while let Some(chunk) = coming.recv().await {
        // One that takes no more has ended, and says why.
        if !program.write(&chunk).await {
            break;
        }
    }
    program.end().await
}

/// Bytes as they are, and no commands of the client's own: a dump may come from anywhere, and is data alone. A connection that
/// breaks is the end: the session of another one would take the rest of the text for something else.
fn arguments(server: &Staging, database: Option<&str>) -> Vec<OsString> {
    let mut socket = OsString::from("--socket=");
    socket.push(server.socket());
    let database = database.map(|name| OsString::from(format!("--database={name}")));
    let fixed = ["--protocol=SOCKET", "--batch", "--binary-mode", "--default-character-set=utf8mb4"];
    let fixed = fixed.into_iter().chain(["--max-allowed-packet=1G", "--local-infile=0", "--skip-reconnect"]);
    std::iter::once(socket).chain(database).chain(fixed.map(OsString::from)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a29_a_server_that_breaks_says_nothing_of_the_dump() {
        let is_refusal = |words: &str| {
            let (how, words) = ("exited with status 1".to_owned(), words.to_owned());
            let source = ProgramError::EndProgram { program: PROGRAM, how, words };
            LoadError::RunProgram { source }.is_refusal()
        };
        for number in [1049, 1064, 1146, 1539] {
            assert!(is_refusal(&format!(": ERROR {number} (42000) at line 7: it is wrong")), "{number}");
        }
        for number in [2002, 2006, 2013, 1030, 1114] {
            assert!(!is_refusal(&format!(": ERROR {number} (HY000) at line 7: it is full")), "{number}");
        }
        assert!(!is_refusal(": killed"));
    }
}
