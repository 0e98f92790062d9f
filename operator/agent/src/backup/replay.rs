//! Applying what was archived to a backup's data, by mysqld's own applier: the files are given to it as its relay log
//! (MySQL manual, "CHANGE REPLICATION SOURCE TO Statement": `RELAY_LOG_FILE`).

use super::check;
use crate::archive::course::{Course, CourseError};
use crate::mysql::quote::QuoteError;
use crate::mysql::{Connection, SqlError, statements};
use crate::settings::Settings;
use crate::supervise::reap::Reaper;
use crate::supervise::staging::{Purpose, Staging, StagingError};
use porpoise_core::gtid::{GtidError, GtidSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Bytes of binlog that lie on the volume beside the data at a time, or one transaction if it is larger.
const BATCH: u64 = 128 << 20;
/// Name of the server's relay log.
const FILES: &str = "restore.";
const BRIEF: Duration = Duration::from_mins(1);
/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// A single transaction may take long, but not for ever.
const STANDSTILL: Duration = Duration::from_hours(6);

/// What can go wrong between a backup and a point in time.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ReplayError {
    /// The archive does not lead there.
    #[error("follow the archive")]
    FollowCourse {
        /// Cause.
        #[source]
        source: CourseError,
    },
    /// The server's files cannot be laid out.
    #[error("use {path}")]
    UseFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// No server runs on the data.
    #[error("boot the backup's data")]
    BootData {
        /// Cause.
        #[source]
        source: StagingError,
    },
    /// The server does not do what it is asked.
    #[error("apply what was archived")]
    AskServer {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// The name of a file cannot be written in SQL.
    #[error("name a file")]
    QuoteFile {
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// What the server has is no set of transactions.
    #[error("read what the server has")]
    ReadSet {
        /// Cause.
        #[source]
        source: GtidError,
    },
    /// The applier stopped.
    #[error("apply what was archived: {reason}")]
    ApplyTransaction {
        /// The server's words.
        reason: String,
    },
    /// Nothing was applied for long.
    #[error("await the next transaction for {STANDSTILL:?}")]
    AwaitTransaction,
}

impl ReplayError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::FollowCourse { source } => source.is_for_good(),
            Self::ApplyTransaction { .. } => true,
            Self::UseFile { .. }
            | Self::BootData { .. }
            | Self::AskServer { .. }
            | Self::QuoteFile { .. }
            | Self::ReadSet { .. }
            | Self::AwaitTransaction => false,
        }
    }
}

/// Where it happens.
pub(super) struct Scene<'a> {
    pub(super) settings: &'a Settings,
    pub(super) reaper: &'a Reaper,
    /// The data directory.
    pub(super) data: &'a Path,
    /// Statements that let the agent in.
    pub(super) script: &'a Path,
    /// Told how far it is, in words.
    pub(super) say: &'a (dyn Fn(&str) + Sync),
}

/// Applies all that the course gives out. The data then has exactly `course.have`.
pub(super) async fn replay(scene: &Scene<'_>, course: &mut Course) -> Result<(), ReplayError> {
    let Scene { settings, reaper, data, script, say } = scene;
    let booting = |source| ReplayError::BootData { source };
    let asking = |source| ReplayError::AskServer { source };
    let server =
        Staging::boot(settings, reaper, (Purpose::Fill, data), Some(script)).await.map_err(booting)?;
    // One connection for all of it: the account that opened it may be changed by what is applied.
    let mut connection = server.door().open().await.map_err(asking)?;
    loop {
        // A copy of a replica knows the source that it had.
        connection.run(statements::forget_source(), BRIEF).await.map_err(asking)?;
        clear(data)?;
        let files = lay_out(data, course).await?;
        let Some(first) = files.first() else { break };
        let change = statements::apply_files(first).map_err(|source| ReplayError::QuoteFile { source })?;
        connection.run(change, BRIEF).await.map_err(asking)?;
        connection.run(statements::start_applier(), BRIEF).await.map_err(asking)?;
        until_applied(&mut connection, &course.have, say).await?;
        connection.run(statements::stop_replica(), BRIEF).await.map_err(asking)?;
    }
    connection.close().await;
    server.stop().await.map_err(booting)?;
    clear(data)
}

/// The next files, as the relay log of a server that has none.
async fn lay_out(data: &Path, course: &mut Course) -> Result<Vec<String>, ReplayError> {
    let (mut files, mut bytes) = (Vec::new(), 0);
    while bytes < BATCH {
        let name = format!("{FILES}{:06}", files.len() + 1);
        let next = course.next(&data.join(&name)).await;
        let Some(more) = next.map_err(|source| ReplayError::FollowCourse { source })? else { break };
        bytes += more;
        files.push(name);
    }
    // What the course looked at last may be there without anything new in it.
    let left = data.join(format!("{FILES}{:06}", files.len() + 1));
    let _ = fs::remove_file(left);
    let path = data.join(format!("{FILES}index"));
    let lines: Vec<String> = files.iter().map(|name| format!("./{name}\n")).collect();
    fs::write(&path, lines.concat()).map_err(|source| ReplayError::UseFile { path, source })?;
    Ok(files)
}

fn clear(data: &Path) -> Result<(), ReplayError> {
    let using = |path: &Path| {
        let path = path.to_owned();
        move |source| ReplayError::UseFile { path, source }
    };
    for entry in fs::read_dir(data).map_err(using(data))? {
        let entry = entry.map_err(using(data))?;
        let is_ours = entry.file_name().as_encoded_bytes().starts_with(FILES.as_bytes());
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::remove_file(entry.path()).map_err(using(&entry.path()))?;
        }
    }
    Ok(())
}

async fn until_applied(
    connection: &mut Connection,
    wanted: &GtidSet,
    say: &(dyn Fn(&str) + Sync),
) -> Result<(), ReplayError> {
    let asking = |source| ReplayError::AskServer { source };
    let (mut last, mut moved) = (u64::MAX, Instant::now());
    loop {
        let (_, found) = check::identity(connection).await.map_err(asking)?;
        let found = GtidSet::parse(&found).map_err(|source| ReplayError::ReadSet { source })?;
        let left = wanted.subtract(&found).count();
        if left == 0 {
            return Ok(());
        }
        if left != last {
            (last, moved) = (left, Instant::now());
            say(&format!("applying what was archived: {left} transactions to go"));
        }
        if let Some(row) = connection.rows(statements::applier_errors(), BRIEF).await.map_err(asking)?.first()
        {
            let reason = row.text("message").map_err(asking)?.unwrap_or_default();
            return Err(ReplayError::ApplyTransaction { reason });
        }
        if moved.elapsed() > STANDSTILL {
            return Err(ReplayError::AwaitTransaction);
        }
        sleep(LOOK).await;
    }
}
