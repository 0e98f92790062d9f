//! A stream cut into chunks, and their names.

use porpoise_core::backup::Chunk;
use std::io::{self, Read, Write};
use tokio::sync::mpsc::Sender;

/// Size of a chunk before compression: large enough that requests cost little, small enough to hold several in memory.
pub(super) const CHUNK: usize = 16 << 20;
/// Chunks of a later version may be larger, but memory has a bound.
pub(super) const LARGEST_CHUNK: u64 = 64 << 20;
/// Chunks that wait between two steps.
pub(super) const WAITING: usize = 1;
/// Chunks that are on their way to or from the store at the same time, each in memory twice while it is compressed. With
/// the one that waits and the one that is being filled or emptied that makes ten at most.
pub(super) const UNDER_WAY: usize = 4;

/// The name of a chunk: by the attempt that wrote it, so that attempts never write over each other.
pub(super) fn name(attempt: &str, number: usize) -> String {
    format!("{attempt}-{number:08}")
}

/// Whether a name from a manifest is one that this or a later version gives.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '-')
}

/// Whether chunks that stand alone are in the order in which one attempt wrote them. The hashes do not tell: each is in order.
pub(super) fn are_in_order(chunks: &[Chunk]) -> bool {
    let attempt = chunks.first().and_then(|first| first.name.rsplit_once('-')).map(|(attempt, _)| attempt);
    let Some(attempt) = attempt else { return false };
    chunks.iter().enumerate().all(|(number, chunk)| chunk.name == name(attempt, number))
}

/// Why a chunk from a manifest cannot be fetched, if so.
pub(super) fn fault(chunk: &Chunk) -> Option<&'static str> {
    if !is_name(&chunk.name) {
        return Some("the name of a chunk is none");
    }
    (chunk.bytes == 0 || chunk.bytes > LARGEST_CHUNK).then_some("the size of a chunk is beyond all bounds")
}

/// Cuts what is written into chunks and hands them on; waits when nobody takes them. For a thread that may block.
pub(super) struct Cutter {
    chunk: Vec<u8>,
    next: Sender<Vec<u8>>,
}

impl Cutter {
    pub(super) fn new(next: Sender<Vec<u8>>) -> Self {
        Self { chunk: empty(), next }
    }

    /// Whether nobody takes chunks any more.
    pub(super) fn is_closed(&self) -> bool {
        self.next.is_closed()
    }

    /// Takes at most `count` bytes of `source`, straight into the chunk. Gives how many there were.
    pub(super) fn take_from(&mut self, source: &mut impl Read, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let room = (CHUNK - self.chunk.len()) as u64;
            let taken = source.by_ref().take(left.min(room)).read_to_end(&mut self.chunk)?;
            left -= taken as u64;
            if self.chunk.len() == CHUNK {
                self.hand_on()?;
            } else if taken == 0 {
                break;
            }
        }
        Ok(count - left)
    }

    /// Hands on the rest.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { self.hand_on() }
    }

    fn hand_on(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.chunk, empty());
        self.next.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn empty() -> Vec<u8> {
    Vec::with_capacity(CHUNK)
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.chunk.len() == CHUNK {
            self.hand_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[test]
    fn a_stream_is_cut_without_loss() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let (sender, mut receiver) = mpsc::channel(4);
            let mut cutter = Cutter::new(sender);
            cutter.write_all(&vec![7; length]).unwrap();
            cutter.finish().unwrap();
            let chunks: Vec<usize> =
                std::iter::from_fn(|| receiver.blocking_recv()).map(|chunk| chunk.len()).collect();
            assert_eq!(chunks.iter().sum::<usize>(), length);
            assert_eq!(chunks.len(), length.div_ceil(CHUNK));
        }
    }

    #[test]
    fn writing_ends_when_nobody_takes() {
        let (sender, receiver) = mpsc::channel(1);
        let mut cutter = Cutter::new(sender);
        drop(receiver);
        assert!(cutter.is_closed());
        assert!(cutter.write_all(&vec![7; CHUNK]).is_err());
    }

    #[test]
    fn a_source_is_taken_from_as_far_as_it_goes() {
        let (sender, mut receiver) = mpsc::channel(4);
        let mut cutter = Cutter::new(sender);
        cutter.write_all(&[1; 5]).unwrap();
        let long = vec![7; CHUNK + 10];
        assert_eq!(cutter.take_from(&mut &long[..], CHUNK as u64).unwrap(), CHUNK as u64);
        assert_eq!(cutter.take_from(&mut &long[..3], 9).unwrap(), 3);
        cutter.finish().unwrap();
        let chunks: Vec<Vec<u8>> = std::iter::from_fn(|| receiver.blocking_recv()).collect();
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [CHUNK, 8]);
        assert_eq!(chunks[0][..6], [1, 1, 1, 1, 1, 7]);
    }

    #[test]
    fn the_order_of_chunks_is_that_of_their_numbers() {
        let chunk = |name: String| Chunk { name, bytes: 1, sha256: String::new() };
        let in_order = |names: &[(&str, usize)]| {
            let chunks: Vec<Chunk> =
                names.iter().map(|(attempt, number)| chunk(name(attempt, *number))).collect();
            are_in_order(&chunks)
        };
        assert!(in_order(&[("a", 0), ("a", 1), ("a", 2)]));
        for names in
            [&[][..], &[("a", 1)], &[("a", 0), ("a", 2)], &[("a", 0), ("b", 1)], &[("a", 1), ("a", 0)]]
        {
            assert!(!in_order(names), "{names:?}");
        }
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert!(is_name(&name("1f0c", 3)));
        for name in ["", "..", "a/b", "manifest.json"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
