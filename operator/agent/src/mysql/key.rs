//! The password of a door.

use super::SqlError;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A file with a password, and the password that last got in. It is kept in memory alone: an agent that starts with another
/// content of the file, on data that knows the former one, makes itself a way in (see `supervise::lockout`).
pub(super) struct Key {
    file: PathBuf,
    fitting: Mutex<Option<String>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key({})", self.file.display())
    }
}

impl Key {
    pub(super) fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), fitting: Mutex::default() }
    }

    fn fitting(&self) -> MutexGuard<'_, Option<String>> {
        self.fitting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file holds now.
    pub(super) fn read(&self) -> Result<String, SqlError> {
        std::fs::read_to_string(&self.file).map_err(|error| SqlError::Connect {
            reason: format!("read the password file: {}", error.kind()),
            number: None,
        })
    }

    /// This one got in.
    pub(super) fn fits(&self, password: String) {
        *self.fitting() = Some(password);
    }

    /// The one that last got in, if it is another.
    pub(super) fn former(&self, written: &str) -> Option<String> {
        self.fitting().clone().filter(|fitting| fitting != written)
    }

    /// Whether the file holds another one than that which last got in.
    pub(super) fn is_untried(&self) -> bool {
        self.read().is_ok_and(|written| self.fitting().as_ref() != Some(&written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_that_last_got_in_is_kept_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let key = Key::new(&directory.path().join("agent"));
        assert!(key.read().is_err());
        std::fs::write(directory.path().join("agent"), "first").unwrap();
        assert!(key.is_untried());
        key.fits(key.read().unwrap());
        assert!(!key.is_untried());
        std::fs::write(directory.path().join("agent"), "second").unwrap();
        assert!(key.is_untried());
        let written = key.read().unwrap();
        assert_eq!(key.former(&written).as_deref(), Some("first"));
        key.fits(written);
        assert_eq!(key.former("second"), None);
        assert!(!format!("{key:?}").contains("second"));
    }
}
