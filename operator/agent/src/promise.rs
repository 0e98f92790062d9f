//! Where the durable promise is kept. What it becomes by an order is `porpoise_core::member::Promise::after`.

use crate::files::{self, FileError};
use porpoise_core::member::Promise;
use std::path::Path;

/// The promise of the file, or of a member that was never asked.
pub fn load(state_path: &Path) -> Result<Promise, FileError> {
    Ok(files::read_json(&state_path.join("promise.json"))?.unwrap_or_default())
}

/// Makes it durable.
pub fn store(promise: &Promise, state_path: &Path) -> Result<(), FileError> {
    files::write_json(&state_path.join("promise.json"), promise)
}
