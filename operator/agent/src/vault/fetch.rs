//! Fetching: several chunks at a time, in order, each checked before a byte of it is used.

use super::chunks::{UNDER_WAY, WAITING};
use super::compress::decompress;
use super::file::arrived;
use super::objects::Objects;
use super::seal::Seal;
use super::{Vault, VaultError, manifest, unpack};
use crate::files::sync_parent;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path as ObjectPath;
use porpoise_core::backup::{Chunk, Compression, Content, Manifest};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc::{self, Sender};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use uuid::Uuid;

/// Between the name of the directory and what tells attempts apart.
const PARTIAL: &str = ".partial-";

pub(super) async fn fetch(
    vault: &Vault,
    manifest: &Manifest,
    folder: &str,
    into: &Path,
) -> Result<(), VaultError> {
    if manifest.content != Content::Files {
        return Err(VaultError::HoldsDump { folder: folder.to_owned() });
    }
    let download = Arc::new(Download::new(vault, manifest, folder)?);
    let partial = blocking("prepare the directory", {
        let into = into.to_owned();
        move || prepare(&into)
    })
    .await?;

    let (sender, receiver) = mpsc::channel(WAITING);
    let unpacking = spawn_blocking({
        let (partial, into) = (partial.clone(), into.to_owned());
        let about = (manifest.compression, manifest.summary.data_bytes);
        move || unpack_to(receiver, about, &partial, &into)
    });
    let began = Instant::now();
    let downloaded = download.everything(&manifest.chunks, sender).await;
    tracing::info!(took_ms = began.elapsed().as_millis(), "all chunks are fetched");
    // It ends soon either way: nothing more is sent. What failed first is what the other failed by.
    let unpacked = unpacking.await.unwrap_or(Err(VaultError::AwaitStep { step: "unpack" }));
    match (downloaded, unpacked) {
        (Err(error), _) | (Ok(()), Err(error)) => Err(error),
        (Ok(()), Ok(())) => {
            tracing::info!(took_ms = began.elapsed().as_millis(), "the data is written and durable");
            Ok(())
        }
    }
}

/// Sends on what the chunks of a manifest hold.
pub(super) async fn chunks(
    vault: &Vault,
    manifest: &Manifest,
    folder: &str,
    next: Sender<Vec<u8>>,
) -> Result<(), VaultError> {
    if manifest.content != Content::Dump {
        return Err(VaultError::HoldsFiles { folder: folder.to_owned() });
    }
    Arc::new(Download::new(vault, manifest, folder)?).everything(&manifest.chunks, next).await
}

struct Download {
    objects: Objects,
    folder: ObjectPath,
    seal: Seal,
    compression: Compression,
}

impl Download {
    fn new(vault: &Vault, manifest: &Manifest, folder: &str) -> Result<Self, VaultError> {
        Ok(Self {
            objects: vault.objects.clone(),
            folder: manifest::folder_path(folder)?,
            seal: Seal::of(&manifest.about, manifest.encryption.as_ref(), &vault.keys)?,
            compression: manifest.compression,
        })
    }

    /// Sends all chunks on, opened, decompressed where each stands alone, and in order. Ends early, without an error, when nobody
    /// takes them any more.
    async fn everything(self: &Arc<Self>, chunks: &[Chunk], next: Sender<Vec<u8>>) -> Result<(), VaultError> {
        // Each on its own: whoever takes them may be busy for longer than a store waits for its client.
        let fetch = |chunk| tokio::spawn(self.clone().get(chunk));
        let mut arriving = stream::iter(chunks.to_vec()).map(fetch).buffered(UNDER_WAY).map(arrived);
        while let Some(chunk) = arriving.try_next().await? {
            if next.send(chunk).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn get(self: Arc<Self>, entry: Chunk) -> Result<Vec<u8>, VaultError> {
        let path = self.folder.clone().join(entry.name.as_str());
        let stored = self.objects.get(&path, entry.bytes).await?;
        let stored = stored.ok_or_else(|| VaultError::MissingChunk { chunk: entry.name.clone() })?;
        let open = move || {
            let opened = self.seal.open(&entry, stored)?;
            match self.compression {
                Compression::Whole => Ok(opened),
                Compression::Chunks => decompress(&entry, &opened),
            }
        };
        blocking("open a chunk", open).await
    }
}

async fn blocking<A: Send + 'static>(
    step: &'static str,
    work: impl FnOnce() -> Result<A, VaultError> + Send + 'static,
) -> Result<A, VaultError> {
    spawn_blocking(work).await.unwrap_or(Err(VaultError::AwaitStep { step }))
}

/// Where the data may grow. What attempts that were cut short left beside it goes.
///
/// Each attempt has a directory of its own: the thread of one that was given up may still be writing for a moment.
fn prepare(into: &Path) -> Result<PathBuf, VaultError> {
    let failed = |source| VaultError::WriteFile { path: into.to_owned(), source };
    if into.symlink_metadata().is_ok() {
        return Err(VaultError::TargetExists { path: into.to_owned() });
    }
    let (Some(parent), Some(name)) = (into.parent(), into.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let mut start = name.to_owned();
    start.push(PARTIAL);
    for entry in fs::read_dir(parent).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().as_encoded_bytes().starts_with(start.as_encoded_bytes()) {
            fs::remove_dir_all(entry.path()).map_err(failed)?;
        }
    }
    start.push(Uuid::new_v4().simple().to_string());
    Ok(parent.join(start))
}

/// Unpacks beside `into`, and only what is whole and synced gets the name.
fn unpack_to(
    chunks: mpsc::Receiver<Vec<u8>>,
    (compression, data_bytes): (Compression, u64),
    partial: &Path,
    into: &Path,
) -> Result<(), VaultError> {
    let finished = unpack::unpack(chunks, compression, partial).and_then(|found| {
        if found != data_bytes {
            let reason = format!("it holds {found} bytes instead of {data_bytes}");
            return Err(VaultError::UnpackArchive { reason });
        }
        let failed = |source| VaultError::WriteFile { path: into.to_owned(), source };
        fs::rename(partial, into).and_then(|()| sync_parent(into)).map_err(failed)
    });
    if finished.is_err() {
        // Only to give the room back; the next attempt does it too.
        let _ = fs::remove_dir_all(partial);
    }
    finished
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_overs_go_but_neighbours_stay() {
        let parent = tempfile::tempdir().unwrap();
        let into = parent.path().join("data");
        for name in ["data.partial-1/shop", "data.old", "other.partial-1"] {
            fs::create_dir_all(parent.path().join(name)).unwrap();
        }
        let partial = prepare(&into).unwrap();
        assert!(!partial.exists() && !parent.path().join("data.partial-1").exists());
        assert!(parent.path().join("data.old").exists() && parent.path().join("other.partial-1").exists());
    }

    #[test]
    fn what_is_there_is_not_touched() {
        let there = tempfile::tempdir().unwrap();
        assert!(matches!(prepare(there.path()), Err(VaultError::TargetExists { .. })));
    }
}
