//! Files that survive a crash at any moment: written beside, synced, renamed, and the directory synced.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What can go wrong with a file of the agent's.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum FileError {
    /// Reading failed.
    #[error("read {path}")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The content is not what it should be.
    #[error("understand {path}")]
    ParseFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// Writing failed.
    #[error("write {path}")]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Reads a JSON file; a missing one is `None`, an unreadable one is an error and never a default.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| FileError::ParseFile { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::ReadFile { path: path.to_owned(), source }),
    }
}

/// Writes a JSON file so that after a crash either the old or the new content is there, whole.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), FileError> {
    let text = serde_json::to_vec_pretty(value)
        .map_err(|source| FileError::ParseFile { path: path.to_owned(), source })?;
    write_durably(path, &text).map_err(|source| FileError::WriteFile { path: path.to_owned(), source })
}

/// Removes a file durably; a missing one is fine.
pub fn remove_durably(path: &Path) -> Result<(), FileError> {
    let removed = match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    removed
        .and_then(|()| sync_parent(path))
        .map_err(|source| FileError::WriteFile { path: path.to_owned(), source })
}

/// Writes a file that only this user may read, without regard to crashes: for secrets in an emptyDir.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    // A left-over could have another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Makes the entries of the directory that holds `path` durable.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn write_durably(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(text)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_parent(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_as_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/promise.json");
        write_json(&path, &7).unwrap();
        write_json(&path, &8).unwrap();
        assert_eq!(read_json::<i64>(&path).unwrap(), Some(8));
        remove_durably(&path).unwrap();
        remove_durably(&path).unwrap();
        assert_eq!(read_json::<i64>(&path).unwrap(), None);
    }

    #[test]
    fn a_broken_file_is_no_default() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("promise.json");
        fs::write(&path, "").unwrap();
        assert!(matches!(read_json::<i64>(&path), Err(FileError::ParseFile { .. })));
    }

    #[test]
    fn a_left_over_temporary_file_does_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("promise.json");
        fs::write(directory.path().join("promise.new"), "half").unwrap();
        write_json(&path, &3).unwrap();
        assert_eq!(read_json::<i64>(&path).unwrap(), Some(3));
    }
}
