//! SQL that mysqld runs before anybody gets in, in a file: there are passwords in it.

use super::initialize::InitializeError;
use crate::files;
use crate::logging;
use crate::settings::Settings;
use std::fs;
use std::path::{Path, PathBuf};

/// Such a file. It is gone when this is dropped.
pub struct Script {
    path: PathBuf,
    is_gone: bool,
}

impl Script {
    /// Writes `text` for nobody else to read.
    pub fn write(settings: &Settings, name: &str, text: &str) -> Result<Self, InitializeError> {
        let path = settings.run_path.join(name);
        files::write_private(&path, text).map_err(|source| InitializeError::WriteScript { source })?;
        Ok(Self { path, is_gone: false })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it, for those to whom it matters whether that worked.
    pub fn remove(mut self) -> Result<(), InitializeError> {
        self.is_gone = true;
        fs::remove_file(&self.path).map_err(|source| InitializeError::WriteScript { source })
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if self.is_gone {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            let error = logging::chain(&error);
            tracing::warn!(path = %self.path.display(), error, "a script with a password is left behind");
        }
    }
}
