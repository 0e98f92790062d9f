//! The note that this server was opened for writes that wait for acknowledgements, and not closed in order since: its
//! binlog may end in a tail. Durable before writes open; taken back when mysqld runs and is closed with no commit waiting,
//! since all in its binlog is committed then.

use crate::files::{self, FileError};
use crate::settings::Settings;
use porpoise_core::protocol::Term;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Content of `reign.json`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Note {
    term: Term,
}

fn path(settings: &Settings) -> PathBuf {
    settings.state_path.join("reign.json")
}

/// The term in which it was a primary, if there is a note.
pub fn read(settings: &Settings) -> Result<Option<Term>, FileError> {
    Ok(files::read_json::<Note>(&path(settings))?.map(|note| note.term))
}

/// Makes the note durable. With `k` = 0 no commit waits and nobody else can be promoted: then there is none.
pub fn write(settings: &Settings, term: Term, k: i32) -> Result<(), FileError> {
    if k == 0 {
        return clear(settings);
    }
    if read(settings)? == Some(term) {
        return Ok(());
    }
    files::write_json(&path(settings), &Note { term })
}

/// Takes it back.
pub fn clear(settings: &Settings) -> Result<(), FileError> {
    if path(settings).exists() { files::remove_durably(&path(settings)) } else { Ok(()) }
}
