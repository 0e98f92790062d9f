//! Objects as files: written beside, synced, and only then called what they are. What a power failure leaves half-written has
//! no name that anybody lists. Two processes may serve one directory: nothing here counts on being alone.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use uuid::Uuid;

/// Directory of what is being written. No key leads here.
const INCOMING: &str = ".porpoise-incoming";
/// What is older than this in there was left by a process that ended: an upload takes minutes.
const LEFT_BEHIND: Duration = Duration::from_hours(1);
/// A directory may be removed as empty while somebody puts something into it; then it is made again.
const TRIES: usize = 5;
/// Longest key, as in S3.
const LONGEST_KEY: usize = 1024;
/// Longest name of a file. Source: `NAME_MAX` of Linux.
const LONGEST_NAME: usize = 255;
/// Directories within directories that a listing goes into.
const DEEPEST: usize = 64;

/// What can go wrong with an object.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum FileError {
    /// The key cannot be one.
    #[error("use {key:?} as a key: it needs names separated by single slashes, none of them `.` or `..`")]
    UseKey {
        /// The key.
        key: String,
    },
    /// Something on the way to it is a link.
    #[error("open {path}: links are not followed; remove it")]
    FollowLink {
        /// The link.
        path: PathBuf,
    },
    /// There is none.
    #[error("find the object {key}")]
    FindObject {
        /// The key.
        key: String,
    },
    /// There is one already.
    #[error("create the object {key}: it exists")]
    ObjectExists {
        /// The key.
        key: String,
    },
    /// The volume is full, or its quota is used up.
    #[error("{doing}: the volume is full")]
    FindRoom {
        /// What was being done.
        doing: &'static str,
    },
    /// The file system failed.
    #[error("{doing}")]
    UseVolume {
        /// What was being done.
        doing: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

pub(super) fn failed(doing: &'static str) -> impl Fn(io::Error) -> FileError {
    move |source| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => FileError::FindRoom { doing },
        _ => FileError::UseVolume { doing, source },
    }
}

/// An object of a listing.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// When it was written.
    pub modified: SystemTime,
}

/// Something being written; removed unless it is placed.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The objects in one directory.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    /// For file systems without hard links: there only this process keeps one object from replacing another.
    creating: Mutex<()>,
}

impl Files {
    /// Opens a directory, and clears away what earlier uploads left.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub fn open(root: &Path) -> Result<Self, FileError> {
        let incoming = root.join(INCOMING);
        make_directory(&incoming).map_err(failed("make a directory on the volume"))?;
        let entries = fs::read_dir(&incoming).map_err(failed("read the volume"))?;
        for entry in entries.flatten() {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok()).unwrap_or_default();
            if age > LEFT_BEHIND {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self { root: root.to_owned(), creating: Mutex::new(()) })
    }

    /// Where a new object is written first, and the file there.
    pub fn begin(&self) -> Result<(Incoming, File), FileError> {
        let path = self.root.join(INCOMING).join(Uuid::new_v4().simple().to_string());
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(failed("make a file on the volume"))?;
        Ok((Incoming { path }, file))
    }

    /// Gives what is written its key. It is on disk when this returns, if its content was synced before. `create`: only if
    /// there is no such object.
    pub fn place(&self, incoming: &Incoming, key: &str, create: bool) -> Result<(), FileError> {
        let target = self.path(key)?;
        let placing = failed("name a file on the volume");
        let mut tries = TRIES;
        loop {
            let parent = self.make_parents(key)?;
            let placed = if create {
                self.create(&incoming.path, &target)
            } else {
                fs::rename(&incoming.path, &target)
            };
            match placed {
                Ok(()) => return sync_directory(&parent).map_err(placing),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && create => {
                    return Err(FileError::ObjectExists { key: key.to_owned() });
                }
                Err(error) if error.kind() == ErrorKind::NotFound && tries > 0 => tries -= 1,
                Err(error) => return Err(placing(error)),
            }
        }
    }

    /// A link is made only where nothing is, whoever else writes.
    fn create(&self, from: &Path, to: &Path) -> io::Result<()> {
        match fs::hard_link(from, to) {
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {}
            linked => return linked,
        }
        let _alone = self.creating.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if fs::exists(to)? { Err(ErrorKind::AlreadyExists.into()) } else { fs::rename(from, to) }
    }

    /// Opens an object for reading.
    pub fn read(&self, key: &str) -> Result<(File, fs::Metadata), FileError> {
        let path = self.path(key)?;
        let absent = || FileError::FindObject { key: key.to_owned() };
        let reading = |error: io::Error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => absent(),
            _ => failed("read a file on the volume")(error),
        };
        let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits();
        let file = File::options().read(true).custom_flags(flags).open(path).map_err(reading)?;
        let metadata = file.metadata().map_err(reading)?;
        if metadata.is_file() { Ok((file, metadata)) } else { Err(absent()) }
    }

    /// Removes an object, and the directories that it leaves empty. None there: fine.
    pub fn remove(&self, key: &str) -> Result<(), FileError> {
        let path = self.path(key)?;
        let removing = failed("remove a file from the volume");
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(());
            }
            Err(error) => return Err(removing(error)),
        }
        let mut folder = path.parent();
        while let Some(empty) = folder.filter(|folder| *folder != self.root) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
            folder = empty.parent();
        }
        match sync_directory(folder.unwrap_or(&self.root)) {
            // Somebody else removed it as empty: that is on disk with its parent, or soon is.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(removing),
        }
    }

    /// Every object whose key begins with `prefix` and comes after `after`, in the order of keys, at most `most`; and whether
    /// there are more.
    pub fn list(&self, prefix: &str, after: &str, most: usize) -> Result<(Vec<Listed>, bool), FileError> {
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let start = if folder.is_empty() { self.root.clone() } else { self.path(folder)? };
        let mut found = Vec::new();
        let wanted = |key: &str| key.starts_with(prefix) && key > after;
        walk(&start, folder, 0, &wanted, &mut found).map_err(failed("list the volume"))?;
        found.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        let has_more = found.len() > most;
        found.truncate(most);
        Ok((found, has_more))
    }

    /// The file of a key. Nothing on the way to it is a link: a volume may have been in other hands.
    fn path(&self, key: &str) -> Result<PathBuf, FileError> {
        if key.len() > LONGEST_KEY || !key.split('/').all(is_name) {
            return Err(FileError::UseKey { key: key.to_owned() });
        }
        let mut path = self.root.clone();
        for name in key.split('/') {
            path.push(name);
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
                return Err(FileError::FollowLink { path });
            }
        }
        Ok(path)
    }

    /// Makes the directories of a key, each one on disk before the next; gives the last.
    fn make_parents(&self, key: &str) -> Result<PathBuf, FileError> {
        let mut folder = self.root.clone();
        let folders = key.rsplit_once('/').map(|(folders, _)| folders.split('/'));
        for name in folders.into_iter().flatten() {
            folder.push(name);
            match make_directory(&folder) {
                // One that somebody removed as empty: the next try makes it again.
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                made => made.map_err(failed("make a directory on the volume"))?,
            }
        }
        Ok(folder)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name != "."
        && name != ".."
        && name != INCOMING
        && name.len() <= LONGEST_NAME
        && !name.chars().any(char::is_control)
}

fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// What is no file or directory, or may not be read, is not ours; what is removed meanwhile is not there.
fn walk(
    directory: &Path,
    folder: &str,
    depth: usize,
    wanted: &impl Fn(&str) -> bool,
    found: &mut Vec<Listed>,
) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error)
            if is_passed_over(&error) && (depth > 0 || error.kind() != ErrorKind::PermissionDenied) =>
        {
            return Ok(());
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let key = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let sort = entry.file_type()?;
        if sort.is_dir() && name != INCOMING && depth < DEEPEST {
            walk(&entry.path(), &key, depth + 1, wanted, found)?;
        } else if sort.is_file() && wanted(&key) {
            match entry.metadata() {
                Ok(metadata) => {
                    found.push(Listed { key, bytes: metadata.len(), modified: metadata.modified()? });
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn is_passed_over(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests;
