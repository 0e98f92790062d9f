//! Chunks back into a directory, on a thread that may block. What they hold came over the network: nothing in it may lead
//! outside the directory, and nothing but files, directories and links within is made.

use super::VaultError;
use super::direct::{Piece, Target};
use super::pack::stays_inside;
use super::sync::{Syncer, sync_directories};
use porpoise_core::backup::Compression;
use std::error::Error;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc::Receiver;
use zstd::stream::read::Decoder;

/// After so many bytes of a file the disk begins with it.
const SYNC_EACH: u64 = 64 << 20;

/// Writes what the chunks hold into the new directory `into` and syncs it; returns the size of the data in bytes.
pub(super) fn unpack(
    chunks: Receiver<Vec<u8>>,
    compression: Compression,
    into: &Path,
) -> Result<u64, VaultError> {
    DirBuilder::new().mode(0o750).create(into).map_err(|source| write_error(into, source))?;
    let chunks = Chunks::new(chunks);
    let stream: Box<dyn Read> = match compression {
        Compression::Whole => Box::new(Decoder::with_buffer(chunks).map_err(|error| broken(&error))?),
        Compression::Chunks => Box::new(chunks),
    };
    let mut writer = Writer::new(into)?;
    let mut archive = Archive::new(Watched(stream));
    let bytes = unpack_all(&mut archive, &mut writer);
    let synced = writer.syncer.finish();
    // A sync that failed ended the rest too.
    let bytes = synced.and(bytes)?;
    // The rest is the mark of the end and padding; reading it makes a checksum at the very end count.
    let rest = io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| broken(&error))?;
    if rest == 0 {
        return Err(VaultError::UnpackArchive { reason: "its end is missing".to_owned() });
    }
    sync_directories(into)?;
    Ok(bytes)
}

type Stream = Watched<Box<dyn Read>>;

fn unpack_all(archive: &mut Archive<Stream>, writer: &mut Writer) -> Result<u64, VaultError> {
    let mut bytes = 0;
    for entry in archive.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        bytes += unpack_entry(&mut entry, writer)?;
    }
    Ok(bytes)
}

fn unpack_entry(entry: &mut Entry<'_, Stream>, writer: &mut Writer) -> Result<u64, VaultError> {
    let name = entry.path().map_err(|error| broken(&error))?.into_owned();
    match entry.header().entry_type() {
        EntryType::Regular => return writer.write(entry, &name),
        EntryType::Directory => {}
        EntryType::Symlink => {
            let target = entry.link_name().map_err(|error| broken(&error))?.unwrap_or_default();
            if !stays_inside(&name, &target) {
                return Err(strange(&name, "leads outside"));
            }
        }
        _ => return Err(strange(&name, "is neither file nor directory nor link")),
    }
    match entry.unpack_in(&writer.root) {
        Ok(true) => Ok(0),
        Ok(false) => Err(strange(&name, "leads outside")),
        Err(error) => Err(blame(error, &writer.root.join(name))),
    }
}

/// Writes files, in large pieces, and has them synced meanwhile.
struct Writer {
    /// Without links.
    root: PathBuf,
    piece: Piece,
    syncer: Syncer,
}

impl Writer {
    fn new(into: &Path) -> Result<Self, VaultError> {
        let failed = |source| write_error(into, source);
        let root = into.canonicalize().map_err(failed)?;
        Ok(Self { root, piece: Piece::new(), syncer: Syncer::start().map_err(failed)? })
    }

    fn write(&mut self, entry: &mut Entry<'_, Stream>, name: &Path) -> Result<u64, VaultError> {
        let path = self.place(name)?;
        let failed = |source| write_error(&path, source);
        let mode = entry.header().mode().map_err(|error| broken(&error))? & 0o777;
        // A link in its place is never followed.
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path).map_err(failed)?;
        file.set_permissions(Permissions::from_mode(mode)).map_err(failed)?;
        let size = entry.size();
        let written = self.copy(entry, &path, &file)?;
        self.sync(&path, file)?;
        if written == size { Ok(size) } else { Err(strange(name, "ends too soon")) }
    }

    /// Where a file goes: its directory is there, below the root, whatever links lead there.
    fn place(&self, name: &Path) -> Result<PathBuf, VaultError> {
        let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        let (Some(last), Some(parent), true) = (name.file_name(), name.parent(), is_plain) else {
            return Err(strange(name, "leads outside"));
        };
        let parent = self.root.join(parent);
        let parent = parent.canonicalize().map_err(|source| write_error(&parent, source))?;
        if !parent.starts_with(&self.root) {
            return Err(strange(name, "leads outside"));
        }
        Ok(parent.join(last))
    }

    fn copy(&mut self, entry: &mut impl Read, path: &Path, file: &File) -> Result<u64, VaultError> {
        let failed = |source| write_error(path, source);
        let mut target = Target::new(file);
        let mut synced = 0;
        loop {
            let piece = self.piece.fill(entry).map_err(|error| broken(&error))?;
            if piece.is_empty() {
                return Ok(target.written());
            }
            target.write(piece).map_err(failed)?;
            if target.written() - synced >= SYNC_EACH {
                synced = target.written();
                self.sync(path, file.try_clone().map_err(failed)?)?;
            }
        }
    }

    fn sync(&self, path: &Path, file: File) -> Result<(), VaultError> {
        if self.syncer.hand(path, file) {
            Ok(())
        } else {
            Err(VaultError::AwaitStep { step: "sync the data" })
        }
    }
}

fn strange(name: &Path, what: &str) -> VaultError {
    VaultError::UnpackArchive { reason: format!("{} {what}", name.display()) }
}

/// Whether what was read or what was written is to blame: the archive's library wraps both alike.
fn blame(error: io::Error, path: &Path) -> VaultError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        if error.is::<ReadFault>() {
            return VaultError::UnpackArchive { reason: error.to_string() };
        }
        // What an I/O error wraps is not its source but hidden in it.
        cause = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(hidden) => Some(hidden),
            None => error.source(),
        };
    }
    write_error(path, error)
}

fn broken(error: &io::Error) -> VaultError {
    VaultError::UnpackArchive { reason: error.to_string() }
}

fn write_error(path: &Path, source: io::Error) -> VaultError {
    VaultError::WriteFile { path: path.to_owned(), source }
}

/// Chunks one after the other as bytes; ends when no more are sent.
pub(super) struct Chunks {
    coming: Receiver<Vec<u8>>,
    current: Vec<u8>,
    taken: usize,
}

impl Chunks {
    pub(super) fn new(coming: Receiver<Vec<u8>>) -> Self {
        Self { coming, current: Vec::new(), taken: 0 }
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken >= self.current.len() {
            // The old one first: it is as large as the new one.
            self.current = Vec::new();
            self.current = self.coming.blocking_recv().unwrap_or_default();
            self.taken = 0;
        }
        Ok(self.current.get(self.taken..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

/// Marks what goes wrong when reading.
struct Watched<R>(R);

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ReadFault(String);

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| io::Error::new(error.kind(), ReadFault(error.to_string())))
    }
}
