//! Chunks back into a directory, on a thread that may block. What they hold came over the network: nothing in it may lead
//! outside the directory, and nothing but files, directories and links within is made.

use super::VaultError;
use super::pack::stays_inside;
use std::error::Error;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use tar::{Archive, Entry, EntryType};
use tokio::sync::mpsc::Receiver;
use zstd::stream::read::Decoder;

/// Writes what the chunks hold into the new directory `into` and syncs it; returns the size of the data in bytes.
pub(super) fn unpack(chunks: Receiver<Vec<u8>>, into: &Path) -> Result<u64, VaultError> {
    DirBuilder::new().mode(0o750).create(into).map_err(|source| write_error(into, source))?;
    let chunks = Chunks { coming: chunks, current: Vec::new(), taken: 0 };
    let decoder = Decoder::with_buffer(chunks).map_err(|error| broken(&error))?;
    let mut archive = Archive::new(Watched(decoder));
    let bytes = unpack_all(&mut archive, into)?;
    // The rest is padding; reading it makes the checksum at the very end count.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| broken(&error))?;
    sync_all(into)?;
    Ok(bytes)
}

type Stream = Watched<Decoder<'static, Chunks>>;

fn unpack_all(archive: &mut Archive<Stream>, into: &Path) -> Result<u64, VaultError> {
    let mut bytes = 0;
    for entry in archive.entries().map_err(|error| broken(&error))? {
        let mut entry = entry.map_err(|error| broken(&error))?;
        bytes += unpack_entry(&mut entry, into)?;
    }
    Ok(bytes)
}

fn unpack_entry(entry: &mut Entry<'_, Stream>, into: &Path) -> Result<u64, VaultError> {
    let name = entry.path().map_err(|error| broken(&error))?.into_owned();
    let strange = |what: &str| VaultError::UnpackArchive { reason: format!("{} {what}", name.display()) };
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Directory => {}
        EntryType::Symlink => {
            let target = entry.link_name().map_err(|error| broken(&error))?.unwrap_or_default();
            if !stays_inside(&name, &target) {
                return Err(strange("leads outside"));
            }
        }
        _ => return Err(strange("is neither file nor directory nor link")),
    }
    let size = entry.size();
    let unpacked = entry.unpack_in(into);
    match unpacked {
        Ok(true) => Ok(size),
        Ok(false) => Err(strange("leads outside")),
        Err(error) => Err(blame(error, &into.join(name))),
    }
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

/// Makes files and directories durable, the inner ones first.
fn sync_all(directory: &Path) -> Result<(), VaultError> {
    let failed = |source| write_error(directory, source);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        if kind.is_dir() {
            sync_all(&path)?;
        } else if kind.is_file() {
            sync(&path)?;
        }
    }
    sync(directory)
}

/// Makes one of them durable.
pub(super) fn sync(path: &Path) -> Result<(), VaultError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| write_error(path, source))
}

/// Chunks one after the other as bytes; ends when no more are sent.
struct Chunks {
    coming: Receiver<Vec<u8>>,
    current: Vec<u8>,
    taken: usize,
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
