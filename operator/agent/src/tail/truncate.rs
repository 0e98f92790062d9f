//! Cutting: the intent is durable before the binlog is touched, and every step may be done twice.
//!
//! The decision does not age: what the order let go was not acknowledged when its term's primary was chosen, so it never
//! will be.

use super::survey::Found;
use crate::files::{self, FileError};
use crate::settings::Settings;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

/// Content of `cut.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Intent {
    /// Name of the binlog file in the data directory.
    file: String,
    /// Its length afterwards.
    offset: u64,
}

fn path(settings: &Settings) -> PathBuf {
    settings.state_path.join("cut.json")
}

/// Makes the intent durable.
pub fn begin(settings: &Settings, found: &Found) -> Result<(), FileError> {
    let file = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    files::write_json(&path(settings), &Intent { file, offset: found.offset })
}

/// Carries out the intent, if there is one; true then. mysqld must not run.
///
/// The server gets a new UUID: the numbers of what is cut off are free again, and a member that has them under the old
/// UUID would skip what comes under them next (ADR 0009).
pub fn finish(settings: &Settings) -> Result<bool, FileError> {
    let Some(intent) = files::read_json::<Intent>(&path(settings))? else {
        return Ok(false);
    };
    let binlog = settings.data_path.join(&intent.file);
    if !settings.data_path.exists() {
        abandon(settings)?;
        return Ok(false);
    }
    shorten(&binlog, intent.offset)
        .map_err(|source| FileError::WriteFile { path: binlog.clone(), source })?;
    files::remove_durably(&settings.data_path.join("auto.cnf"))?;
    abandon(settings)?;
    Ok(true)
}

/// Takes the intent back: its data is no more.
pub fn abandon(settings: &Settings) -> Result<(), FileError> {
    files::remove_durably(&path(settings))
}

fn shorten(binlog: &Path, length: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(binlog)?;
    if file.metadata()?.len() > length {
        file.set_len(length)?;
    }
    file.sync_all()?;
    files::sync_parent(binlog)
}
