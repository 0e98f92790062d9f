//! SQL that mysqld runs before anybody gets in, in a file: there are passwords in it.

use super::initialize::InitializeError;
use super::secret_file::SecretFile;
use crate::settings::Settings;
use std::path::Path;

/// Such a file. It is gone when this is dropped.
pub struct Script(SecretFile);

impl Script {
    /// Writes `text` for nobody else to read.
    pub fn write(settings: &Settings, name: &str, text: &str) -> Result<Self, InitializeError> {
        let file = SecretFile::write(settings.run_path.join(name), text);
        file.map(Self).map_err(|source| InitializeError::WriteScript { source })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Removes it, for those to whom it matters whether that worked.
    pub fn remove(self) -> Result<(), InitializeError> {
        self.0.remove().map_err(|source| InitializeError::WriteScript { source })
    }
}
