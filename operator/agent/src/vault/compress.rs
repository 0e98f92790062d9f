//! Compression, chunk by chunk: each is a zstd frame of its own, so as many threads as there are can work. Put one after the
//! other they still read as one stream. Each takes a thread for some tens of milliseconds.

use super::VaultError;
use super::chunks::LARGEST_CHUNK;
use porpoise_core::backup::Chunk;
use std::io;
use zstd::bulk::{Compressor, decompress as decompress_bulk};

/// Fastest: the network is to be the bound.
const LEVEL: i32 = 1;

/// A chunk as one frame, with a checksum of its content.
pub(super) fn compress(chunk: &[u8]) -> Result<Vec<u8>, VaultError> {
    let compressing = || -> io::Result<Vec<u8>> {
        let mut compressor = Compressor::new(LEVEL)?;
        compressor.include_checksum(true)?;
        compressor.compress(chunk)
    };
    compressing().map_err(|source| VaultError::Compress { source })
}

/// What a chunk holds.
pub(super) fn decompress(entry: &Chunk, chunk: &[u8]) -> Result<Vec<u8>, VaultError> {
    // One that claims to hold more than this is refused before it gets the memory.
    let most = usize::try_from(LARGEST_CHUNK).unwrap_or(usize::MAX);
    decompress_bulk(chunk, most)
        .map_err(|error| VaultError::UnpackArchive { reason: format!("{}: {error}", entry.name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Chunk {
        Chunk { name: "a-00000000".to_owned(), bytes: 1, sha256: String::new() }
    }

    #[test]
    fn frames_are_one_stream_too() {
        let parts = [vec![7; 100_000], Vec::new(), b"end".to_vec()];
        let frames: Vec<Vec<u8>> = parts.iter().map(|part| compress(part).unwrap()).collect();
        assert_eq!(zstd::stream::decode_all(&frames.concat()[..]).unwrap(), parts.concat());
        for (frame, part) in frames.iter().zip(&parts) {
            assert_eq!(decompress(&entry(), frame).unwrap(), *part);
        }
    }

    #[test]
    fn a_frame_that_is_too_large_or_broken_is_refused_by_name() {
        let large = vec![0; usize::try_from(LARGEST_CHUNK).unwrap() + 1];
        let mut broken = compress(b"something").unwrap();
        broken.pop();
        for frame in [compress(&large).unwrap(), broken, b"no frame".to_vec()] {
            let error = decompress(&entry(), &frame).unwrap_err();
            assert!(error.to_string().contains("a-00000000"), "{error}");
        }
    }
}
