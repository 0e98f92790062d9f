//! A stream that is stored as it comes, and read as it was.

use super::VaultError;
use super::chunks::{CHUNK, WAITING};
use tokio::sync::mpsc::{self, Receiver, Sender};

/// Collects what comes into chunks, and waits while nobody takes them.
pub struct Pouring {
    chunk: Vec<u8>,
    next: Sender<Vec<u8>>,
    bytes: u64,
}

/// Both ends of a stream of chunks. What is on its way is bounded.
pub fn stream() -> (Pouring, Receiver<Vec<u8>>) {
    let (next, coming) = pass();
    (Pouring { chunk: Vec::with_capacity(CHUNK), next, bytes: 0 }, coming)
}

/// The same for who has chunks already.
pub fn pass() -> (Sender<Vec<u8>>, Receiver<Vec<u8>>) {
    mpsc::channel(WAITING)
}

impl Pouring {
    /// Takes all of `bytes`.
    pub async fn pour(&mut self, mut bytes: &[u8]) -> Result<(), VaultError> {
        while !bytes.is_empty() {
            let room = CHUNK.saturating_sub(self.chunk.len());
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.chunk.extend_from_slice(now);
            if self.chunk.len() >= CHUNK {
                self.hand_on().await?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Hands on the rest. Gives how many bytes there were in all.
    pub async fn end(mut self) -> Result<u64, VaultError> {
        if !self.chunk.is_empty() {
            self.hand_on().await?;
        }
        Ok(self.bytes)
    }

    async fn hand_on(&mut self) -> Result<(), VaultError> {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.bytes += chunk.len() as u64;
        let sent = self.next.send(chunk).await;
        sent.map_err(|_| VaultError::AwaitStep { step: "take chunks" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_is_cut_without_loss() {
        for length in [0, 1, CHUNK - 1, CHUNK, 2 * CHUNK + 7] {
            let (mut pouring, mut coming) = stream();
            let giving = async move {
                for piece in vec![7; length].chunks(CHUNK / 3 + 1) {
                    pouring.pour(piece).await.unwrap();
                }
                pouring.end().await.unwrap()
            };
            let taking = async move {
                let mut sizes = Vec::new();
                while let Some(chunk) = coming.recv().await {
                    sizes.push(chunk.len());
                }
                sizes
            };
            let (bytes, sizes) = tokio::join!(giving, taking);
            assert_eq!(
                (bytes, sizes.iter().sum(), sizes.len()),
                (length as u64, length, length.div_ceil(CHUNK))
            );
        }
    }

    #[tokio::test]
    async fn pouring_ends_when_nobody_takes() {
        let (mut pouring, coming) = stream();
        drop(coming);
        assert!(pouring.pour(&vec![7; CHUNK]).await.is_err());
    }
}
