//! MySQL's own client programs, as the image has them beside mysqld.
//!
//! They get their password in a file that nobody else may read, never on the command line.

use super::reap::{self, Child, Exit, Reaper};
use super::secret_file::SecretFile;
use crate::settings::Settings;
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{ChildStderr, Command};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes of what a program says that are kept.
const LONGEST_WORDS: usize = 1_000;
/// How long a program may take to end that has written all that it had to.
const END: Duration = Duration::from_mins(5);

/// What can go wrong with such a program.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ProgramError {
    /// The file with its password cannot be written.
    #[error("write the options of {program}")]
    WriteOptions {
        /// Its name.
        program: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It cannot be started.
    #[error("start {program}: the image must have MySQL's client programs")]
    StartProgram {
        /// Its name.
        program: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Its output cannot be read.
    #[error("read what {program} writes")]
    ReadOutput {
        /// Its name.
        program: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It gives nothing any more.
    #[error("await more of {program}: nothing came for {patience:?}")]
    AwaitOutput {
        /// Its name.
        program: &'static str,
        /// The bound.
        patience: Duration,
    },
    /// It did not end well.
    #[error("run {program} to its end: it {how}{words}")]
    EndProgram {
        /// Its name.
        program: &'static str,
        /// How it ended.
        how: String,
        /// `: ` and what it said, or nothing.
        words: String,
    },
}

/// Whom a program logs in as.
pub struct Login<'a> {
    /// The user.
    pub user: &'a str,
    /// Its password.
    pub password: &'a str,
}

/// What of a program is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// It is read.
    Output,
    /// It is fed.
    Input,
}

/// One that runs. Dropped, it is killed, and the file with its password goes.
pub struct Program {
    name: &'static str,
    reaper: Reaper,
    pid: i32,
    exit: Exit,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    words: JoinHandle<String>,
    /// It reads them when it likes.
    _options: SecretFile,
}

impl Program {
    /// Starts one, with these ends of it open.
    pub fn start(
        (settings, reaper): (&Settings, &Reaper),
        name: &'static str,
        login: &Login<'_>,
        arguments: &[OsString],
        open: Open,
    ) -> Result<Self, ProgramError> {
        let options = SecretFile::write(settings.run_path.join(format!("{name}.cnf")), &option_file(login))
            .map_err(|source| ProgramError::WriteOptions { program: name, source })?;
        let directory = settings.client_programs.as_deref().unwrap_or(Path::new(""));
        let mut command = Command::new(directory.join(name));
        let mut first = OsString::from("--defaults-file=");
        first.push(options.path());
        command.arg(first).args(arguments);
        let starting = |source| ProgramError::StartProgram { program: name, source };
        let Child { pid, exit, stdin, stdout, stderr } = match open {
            Open::Output => reaper.spawn(&mut command),
            Open::Input => reaper.spawn_fed(&mut command),
        }
        .map_err(starting)?;
        let stdin = stdin.map(ChildStdin::from_std).transpose().map_err(starting)?;
        let stdout = stdout.map(ChildStdout::from_std).transpose().map_err(starting)?;
        let words = tokio::spawn(words(stderr));
        Ok(Self { name, reaper: reaper.clone(), pid, exit, stdin, stdout, words, _options: options })
    }

    /// Adds to `buffer` what comes next, as far as its room goes. False: that was all.
    pub async fn read(&mut self, buffer: &mut Vec<u8>, patience: Duration) -> Result<bool, ProgramError> {
        let program = self.name;
        let Some(stdout) = &mut self.stdout else { return Ok(false) };
        match timeout(patience, stdout.read_buf(buffer)).await {
            Ok(Ok(count)) => Ok(count > 0),
            Ok(Err(source)) => Err(ProgramError::ReadOutput { program, source }),
            Err(_) => Err(ProgramError::AwaitOutput { program, patience }),
        }
    }

    /// Feeds it. False: it takes no more, and its end says why.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(bytes).await.is_ok(),
            None => false,
        }
    }

    /// Waits until it has ended well. One that was fed may have much to do with the last of it, so how long that may take is up
    /// to the caller.
    pub async fn end(mut self) -> Result<(), ProgramError> {
        let was_fed = self.stdin.take().is_some();
        let how = if was_fed {
            (&mut self.exit).await
        } else {
            let how = timeout(END, &mut self.exit).await;
            how.unwrap_or_else(|_| format!("did not end within {END:?}"))
        };
        if reap::is_well(&how) {
            return Ok(());
        }
        let words = match timeout(Duration::from_secs(1), &mut self.words).await {
            Ok(Ok(words)) if !words.is_empty() => format!(": {words}"),
            _ => String::new(),
        };
        Err(ProgramError::EndProgram { program: self.name, how, words })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing happens if it has ended.
        self.reaper.signal(self.pid, Signal::SIGKILL);
        self.words.abort();
    }
}

/// Quoted, so that no character of it means anything but itself (MySQL manual, "Using Option Files").
fn option_file(login: &Login<'_>) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    format!("[client]\nuser={}\npassword={}\n", quoted(login.user), quoted(login.password))
}

/// The first words, on one line. The rest is read too, or the program would wait.
async fn words(stderr: Option<ChildStderr>) -> String {
    let stderr = stderr.and_then(|stream| tokio::process::ChildStderr::from_std(stream).ok());
    let Some(mut stderr) = stderr else { return String::new() };
    let (mut kept, mut piece) = (Vec::new(), vec![0; 4096]);
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        let room = LONGEST_WORDS.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(piece.get(..room).unwrap_or_default());
    }
    String::from_utf8_lossy(&kept).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_can_leave_its_quotes() {
        let text = option_file(&Login { user: "root", password: r#"a"b\n#c'"# });
        assert_eq!(text, "[client]\nuser=\"root\"\npassword=\"a\\\"b\\\\n#c'\"\n");
    }
}
