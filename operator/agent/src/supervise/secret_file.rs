//! A file with a password, for a program that reads it once.

use crate::files;
use crate::logging;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Such a file. It is gone when this is dropped.
pub(super) struct SecretFile {
    path: PathBuf,
    is_gone: bool,
}

impl SecretFile {
    /// Writes `text` for nobody else to read. What fails in the middle leaves nothing either.
    pub(super) fn write(path: PathBuf, text: &str) -> io::Result<Self> {
        let file = Self { path, is_gone: false };
        files::write_private(&file.path, text)?;
        Ok(file)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, for those to whom it matters whether that worked.
    pub(super) fn remove(mut self) -> io::Result<()> {
        self.is_gone = true;
        fs::remove_file(&self.path)
    }
}

impl Drop for SecretFile {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let error = logging::chain(&error);
                tracing::warn!(path = %self.path.display(), error, "a file with a password is left behind");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_ends_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mysql.cnf");
        let file = SecretFile::write(path.clone(), "password").unwrap();
        assert!(fs::read_to_string(file.path()).is_ok_and(|text| text == "password"));
        drop(file);
        assert!(!path.exists());
        SecretFile::write(path.clone(), "password").unwrap().remove().unwrap();
        assert!(!path.exists());
    }
}
