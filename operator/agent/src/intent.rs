//! A destructive step in progress, durable before it begins, and the last one that was finished.

use crate::files::{self, FileError};
use crate::settings::Settings;
use porpoise_core::protocol::Term;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Content of `intent.json`: all data is being replaced by a copy.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Id of the wish.
    pub request: String,
    /// Instance that is copied from.
    pub donor: String,
    /// Term of the order.
    pub term: Term,
}

/// Content of `cloned.json`: the last copy that was finished.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
struct Done {
    request: String,
    /// The server has a UUID of its own since then.
    #[serde(default)]
    renamed: bool,
}

fn intent_path(settings: &Settings) -> PathBuf {
    settings.state_path.join("intent.json")
}

fn done_path(settings: &Settings) -> PathBuf {
    settings.state_path.join("cloned.json")
}

/// Whether a clone began and was not seen to end well: then what is in the data directory is nothing to trust.
pub fn is_pending(settings: &Settings) -> Result<bool, FileError> {
    Ok(files::read_json::<Intent>(&intent_path(settings))?.is_some())
}

/// Makes the intent durable.
pub fn begin(settings: &Settings, intent: &Intent) -> Result<(), FileError> {
    files::write_json(&intent_path(settings), intent)
}

/// Takes the intent back.
pub fn clear(settings: &Settings) -> Result<(), FileError> {
    files::remove_durably(&intent_path(settings))
}

/// The copy is complete: remembers the wish, then takes the intent back.
pub fn finish(settings: &Settings, request: &str) -> Result<(), FileError> {
    let request = request.to_owned();
    files::write_json(&done_path(settings), &Done { request, renamed: false })?;
    clear(settings)
}

/// Gives the server a new UUID after a copy, before it starts again.
///
/// The copy may lack transactions that this server once numbered and that another member still has: under its old UUID
/// it would give their numbers away a second time, and that member would skip the new ones without a word (ADR 0009).
/// Source: MySQL Reference Manual, "Replication and Binary Logging Options and Variables", `server_uuid` and `auto.cnf`.
pub fn rename_server(settings: &Settings) -> Result<bool, FileError> {
    let Some(done) = unnamed(settings)? else { return Ok(false) };
    files::remove_durably(&settings.data_path.join("auto.cnf"))?;
    files::write_json(&done_path(settings), &Done { renamed: true, ..done })?;
    Ok(true)
}

/// Whether the data is a copy that has not been started yet.
pub fn is_renaming(settings: &Settings) -> Result<bool, FileError> {
    Ok(unnamed(settings)?.is_some())
}

fn unnamed(settings: &Settings) -> Result<Option<Done>, FileError> {
    let done = files::read_json::<Done>(&done_path(settings))?;
    Ok(done.filter(|done| !done.renamed && settings.data_path.exists()))
}

/// The last wish that was carried out.
pub fn done(settings: &Settings) -> Result<Option<String>, FileError> {
    let done = files::read_json::<Done>(&done_path(settings))?;
    Ok(done.map(|done| done.request))
}
