//! Writing large files past the system's memory, where the file system can (`O_DIRECT`, open(2)).
//!
//! Pages of memory that are written once and never read cost more time than the disk, and they count as memory of the
//! container. What is less than a piece at the end of a file goes the usual way.

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

/// What is read and written at a time.
pub(super) const PIECE: usize = 1 << 20;
/// Addresses, lengths and places in the file are multiples of this: the largest block that disks have.
const ALIGNED: usize = 4096;

/// A piece of memory that begins where a disk can read it.
pub(super) struct Piece {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Piece {
    pub(super) fn new() -> Self {
        let memory = vec![0; PIECE + ALIGNED];
        let start = memory.as_ptr().align_offset(ALIGNED);
        Self { memory, start, length: 0 }
    }

    /// Takes as much of `source` as there is room for; less only at its end.
    pub(super) fn fill(&mut self, source: &mut impl Read) -> io::Result<&[u8]> {
        self.length = 0;
        while self.length < PIECE {
            let room = self.memory.get_mut(self.start + self.length..self.start + PIECE).unwrap_or_default();
            match source.read(room) {
                Ok(0) => break,
                Ok(count) => self.length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.memory.get(self.start..self.start + self.length).unwrap_or_default())
    }
}

/// A file that is written from its beginning, piece by piece.
pub(super) struct Target<'a> {
    file: &'a File,
    written: u64,
    is_direct: bool,
}

impl<'a> Target<'a> {
    pub(super) fn new(file: &'a File) -> Self {
        Self { file, written: 0, is_direct: false }
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes a piece. All but the last one are full.
    pub(super) fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.turn(piece.len() == PIECE);
        match self.file.write_all_at(piece, self.written) {
            // The file system wants other multiples, or it wrote a part of it that is none. The same bytes once more.
            Err(error) if self.is_direct && error.kind() == io::ErrorKind::InvalidInput => {
                self.turn(false);
                self.file.write_all_at(piece, self.written)?;
            }
            other => other?,
        }
        self.written += piece.len() as u64;
        Ok(())
    }

    /// Not every file system can: then it goes through the memory.
    fn turn(&mut self, to_direct: bool) {
        if self.is_direct == to_direct {
            return;
        }
        let flags = if to_direct { OFlag::O_DIRECT } else { OFlag::empty() };
        self.is_direct = fcntl(self.file, FcntlArg::F_SETFL(flags)).is_ok() && to_direct;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|place| u8::try_from(place * 7 % 251).unwrap()).collect()
    }

    fn copied(directory: &Path, content: &[u8]) -> Vec<u8> {
        let path = tempfile::NamedTempFile::new_in(directory).unwrap();
        let mut target = Target::new(path.as_file());
        let mut piece = Piece::new();
        let mut source = content;
        loop {
            let filled = piece.fill(&mut source).unwrap();
            if filled.is_empty() {
                break;
            }
            target.write(filled).unwrap();
        }
        assert_eq!(target.written(), content.len() as u64);
        std::fs::read(path.path()).unwrap()
    }

    #[test]
    fn files_of_every_length_are_written_whole_on_disks_and_in_memory() {
        for directory in [std::env::temp_dir().as_path(), Path::new("/dev/shm")] {
            for count in [0, 1, ALIGNED, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + ALIGNED] {
                let content = bytes(count);
                assert!(copied(directory, &content) == content, "{count} bytes in {}", directory.display());
            }
        }
    }

    #[test]
    fn a_piece_is_filled_from_what_comes_in_small_parts() {
        struct Slow(u8);
        impl Read for Slow {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0 = self.0.saturating_sub(1);
                if self.0 == 0 {
                    return Ok(0);
                }
                buffer[..3].copy_from_slice(b"abc");
                Ok(3)
            }
        }
        assert_eq!(Piece::new().fill(&mut Slow(3)).unwrap(), b"abcabc");
    }
}
