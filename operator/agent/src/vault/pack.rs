//! A directory as an archive, in chunks. Runs on a thread that may block.

use super::VaultError;
use super::chunks::Cutter;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc::Sender;

/// Files are padded to whole blocks. Source: POSIX, "ustar Interchange Format".
const BLOCK: u64 = 512;

type Archive = Builder<Cutter>;

/// Sends the directory's archive in chunks; returns the size of the data in bytes. Ends soon after nobody takes chunks.
pub(super) fn pack(directory: &Path, next: Sender<Vec<u8>>) -> Result<u64, VaultError> {
    let mut archive = Builder::new(Cutter::new(next));
    let bytes = append_all(&mut archive, directory)?;
    // It only fails when nobody takes chunks any more.
    let finished = archive.into_inner().and_then(Cutter::finish);
    finished.map(|()| bytes).map_err(|_| VaultError::AwaitStep { step: "take chunks" })
}

fn append_all(archive: &mut Archive, root: &Path) -> Result<u64, VaultError> {
    let mut bytes = 0;
    walk(root, |name, metadata| {
        let path = root.join(name);
        let kind = metadata.file_type();
        if kind.is_dir() {
            let read = |source| VaultError::ReadFile { path, source };
            append_directory(archive, name, metadata).map_err(read)
        } else if kind.is_file() {
            bytes += append_file(archive, name, &path)?;
            Ok(())
        } else if kind.is_symlink() {
            append_link(archive, name, &path, metadata)
        } else {
            Err(VaultError::StoreEntry { path })
        }
    })?;
    Ok(bytes)
}

/// Visits all that a backup takes, by its path from the root, in the order of names, so that the same data makes the same
/// archive. A directory comes before what is in it.
pub(super) fn walk(
    root: &Path,
    mut visit: impl FnMut(&Path, &Metadata) -> Result<(), VaultError>,
) -> Result<(), VaultError> {
    let mut left = children(root, Path::new(""))?;
    while let Some(name) = left.pop() {
        let path = root.join(&name);
        let read = |source| VaultError::ReadFile { path: path.clone(), source };
        let metadata = fs::symlink_metadata(&path).map_err(read)?;
        if is_left_out(&name, &metadata) {
            continue;
        }
        visit(&name, &metadata)?;
        if metadata.is_dir() {
            left.extend(children(root, &name)?);
        }
    }
    Ok(())
}

/// What is in a directory, by its path from the root, last first.
fn children(root: &Path, directory: &Path) -> Result<Vec<PathBuf>, VaultError> {
    let path = root.join(directory);
    let read = |source| VaultError::ReadFile { path: path.clone(), source };
    let entries = fs::read_dir(&path).map_err(read)?;
    let names = entries.map(|entry| entry.map(|entry| directory.join(entry.file_name())));
    let mut names = names.collect::<io::Result<Vec<_>>>().map_err(read)?;
    names.sort_unstable_by(|one, other| other.cmp(one));
    Ok(names)
}

fn append_directory(archive: &mut Archive, name: &Path, metadata: &Metadata) -> io::Result<()> {
    let mut header = header(metadata, EntryType::Directory, 0);
    archive.append_data(&mut header, name, io::empty())
}

fn append_file(archive: &mut Archive, name: &Path, path: &Path) -> Result<u64, VaultError> {
    let read = |source| VaultError::ReadFile { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(read)?;
    let metadata = file.metadata().map_err(read)?;
    let size = metadata.len();
    let mut header = header(&metadata, EntryType::Regular, size);
    let copied = append_content(archive, &mut header, name, &mut file);
    if archive.get_ref().is_closed() {
        return Err(VaultError::AwaitStep { step: "take chunks" });
    }
    let copied = copied.map_err(read)?;
    let now = file.metadata().map_err(read)?.len();
    if copied == size && now == size {
        Ok(size)
    } else {
        Err(VaultError::ReadStill { path: path.to_owned() })
    }
}

/// Large files go into the chunks without a detour: the archive's library copies little by little. Gives how many bytes of
/// the file there were.
fn append_content(
    archive: &mut Archive,
    header: &mut Header,
    name: &Path,
    file: &mut File,
) -> io::Result<u64> {
    let size = header.size()?;
    archive.append_data(header, name, io::empty())?;
    let copied = archive.get_mut().take_from(file, size)?;
    let padding = size.next_multiple_of(BLOCK) - copied;
    archive.get_mut().take_from(&mut io::repeat(0), padding)?;
    Ok(copied)
}

fn append_link(
    archive: &mut Archive,
    name: &Path,
    path: &Path,
    metadata: &Metadata,
) -> Result<(), VaultError> {
    let read = |source| VaultError::ReadFile { path: path.to_owned(), source };
    let target = fs::read_link(path).map_err(read)?;
    if !stays_inside(name, &target) {
        return Err(VaultError::StoreEntry { path: path.to_owned() });
    }
    let mut header = header(metadata, EntryType::Symlink, 0);
    archive.append_link(&mut header, name, &target).map_err(read)
}

fn header(metadata: &Metadata, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(metadata);
    header.set_entry_type(kind);
    header.set_size(size);
    // Whoever restores owns it.
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Whether a link at `name` leads to somewhere below the root, whatever is there.
pub(super) fn stays_inside(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// What a new server makes itself, or must not inherit. Only at the top: below are databases, and their tables may have
/// any name. A tablespace stays whatever its name, and so does InnoDB's note of an undo tablespace that is being truncated.
/// Source: MySQL Reference Manual, "The MySQL Data Directory", "Server Logs", "Undo Tablespaces".
fn is_left_out(name: &Path, metadata: &Metadata) -> bool {
    if name.components().count() > 1 {
        return false;
    }
    let name = name.as_os_str();
    let kind = metadata.file_type();
    if kind.is_dir() {
        // Of a clone only the account of it is left after the first boot, and each boot writes that anew.
        return name == OsStr::new("#innodb_temp") || name == OsStr::new("#clone");
    }
    kind.is_socket() || kind.is_fifo() || is_left_out_file(name.as_bytes())
}

fn is_left_out_file(name: &[u8]) -> bool {
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending.as_bytes()));
    if ends(&[".ibd", ".ibu", "_trunc.log"]) {
        return false;
    }
    name == b"auto.cnf"
        || name == b"ibtmp1"
        || name.starts_with(b"binlog.")
        || name.starts_with(b"relay")
        // The relay log of the servers on the copy: one of a replica begins a new one at each start.
        || name.starts_with(b"restore.")
        || ends(&[".pem", ".pid", ".log", ".err", ".sock", ".sock.lock"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_out_is_what_a_new_server_makes_itself() {
        for name in [
            "auto.cnf",
            "ibtmp1",
            "ca.pem",
            "binlog.000001",
            "binlog.index",
            "relay.000002",
            "relay-clone.index",
            "restore.index",
            "mysqld.pid",
            "slow.log",
            "host.err",
            "mysql.sock",
            "mysql.sock.lock",
            "mysqlx.sock",
        ] {
            assert!(is_left_out_file(name.as_bytes()), "{name}");
        }
        for name in [
            "relay.ibd",
            "restore.ibd",
            "binlog.ibd",
            "undo_1_trunc.log",
            "ibdata1",
            "mysqld-auto.cnf",
            "mysql.ibd",
            "undo_001",
        ] {
            assert!(!is_left_out_file(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn links_out_of_the_directory_are_seen() {
        let inside = |name: &str, target: &str| stays_inside(Path::new(name), Path::new(target));
        assert!(inside("a/b", "../c") && inside("a", "b/c") && inside("a/b", "./c"));
        assert!(!inside("a", "../c") && !inside("a/b", "../../c") && !inside("a", "/etc/passwd"));
        assert!(!inside("a", "b/../../c"));
    }
}
