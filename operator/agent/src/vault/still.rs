//! Proof that a directory stayed as it was while it was read: what was stored is then what was checked meanwhile.

use super::VaultError;
use super::pack::walk;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How everything in a directory looked that a backup takes.
pub struct Still {
    root: PathBuf,
    seen: BTreeMap<PathBuf, Look>,
}

/// Changes with every write: the second time is one that no program can set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    fn of(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Still {
    /// As it looks now.
    pub fn of(root: &Path) -> Result<Self, VaultError> {
        Ok(Self { root: root.to_owned(), seen: look(root)? })
    }

    /// # Errors
    /// `ReadStill` with the first file that was written to, came or went since.
    pub fn confirm(&self) -> Result<(), VaultError> {
        let now = look(&self.root)?;
        let differs = |name: &&PathBuf| self.seen.get(*name) != now.get(*name);
        match self.seen.keys().chain(now.keys()).find(differs) {
            Some(name) => Err(VaultError::ReadStill { path: self.root.join(name) }),
            None => Ok(()),
        }
    }
}

fn look(root: &Path) -> Result<BTreeMap<PathBuf, Look>, VaultError> {
    let mut seen = BTreeMap::new();
    walk(root, |name, metadata| {
        // Files that are left out come and go in directories.
        if !metadata.is_dir() {
            seen.insert(name.to_owned(), Look::of(metadata));
        }
        Ok(())
    })?;
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn whatever_changes_is_seen_and_what_is_left_out_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir(at("shop")).unwrap();
        fs::write(at("shop/orders.ibd"), "pages").unwrap();
        fs::write(at("ibdata1"), "pages").unwrap();
        let still = Still::of(root.path()).unwrap();
        fs::write(at("mysqld.pid"), "7").unwrap();
        fs::write(at("ibtmp1"), "pages").unwrap();
        still.confirm().unwrap();
        fs::write(at("more.ibd"), "").unwrap();
        assert!(matches!(still.confirm(), Err(VaultError::ReadStill { path }) if path.ends_with("more.ibd")));
        fs::remove_file(at("more.ibd")).unwrap();
        still.confirm().unwrap();
        fs::write(at("shop/orders.ibd"), "PAGES").unwrap();
        assert!(
            matches!(still.confirm(), Err(VaultError::ReadStill { path }) if path.ends_with("orders.ibd"))
        );
        let still = Still::of(root.path()).unwrap();
        fs::remove_file(at("ibdata1")).unwrap();
        assert!(matches!(still.confirm(), Err(VaultError::ReadStill { path }) if path.ends_with("ibdata1")));
    }
}
