//! Storing: chunks as they come, several at a time, and the manifest when all of them are there.

use super::chunks::{self, UNDER_WAY, WAITING};
use super::compress::compress;
use super::objects::Objects;
use super::pace::Pace;
use super::seal::Seal;
use super::{Vault, VaultError, manifest, pack};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use object_store::path::Path as ObjectPath;
use porpoise_core::backup::{About, Chunk, Compression, MANIFEST, MANIFEST_FORMAT, Manifest, Summary};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use uuid::Uuid;

/// All chunks of a directory, in the store. Not a backup before [`Uploaded::complete`]: without a manifest nobody finds them.
pub struct Uploaded {
    upload: Arc<Upload>,
    folder: String,
    chunks: Vec<Chunk>,
    data_bytes: u64,
}

pub(super) async fn upload(
    vault: &Vault,
    folder: &str,
    directory: &Path,
    about: &About,
    seal: Seal,
) -> Result<Uploaded, VaultError> {
    if manifest::exists(&vault.objects, folder).await? {
        return Err(VaultError::BackupExists { folder: folder.to_owned() });
    }
    let upload = Arc::new(Upload {
        objects: vault.objects.clone(),
        folder: manifest::folder_path(folder)?,
        attempt: Uuid::new_v4().simple().to_string(),
        about: about.clone(),
        seal,
        pace: vault.pace.clone(),
    });
    let began = Instant::now();
    let (chunks, data_bytes) = upload.everything(directory).await?;
    tracing::info!(
        data_bytes,
        chunks = chunks.len(),
        took_ms = began.elapsed().as_millis(),
        "all chunks are stored"
    );
    Ok(Uploaded { upload, folder: folder.to_owned(), chunks, data_bytes })
}

impl Uploaded {
    /// Makes the chunks a backup. Both sizes of the summary are filled in.
    ///
    /// # Errors
    /// `BackupExists` when the folder holds a whole backup meanwhile.
    pub async fn complete(self, summary: &Summary) -> Result<Manifest, VaultError> {
        let Self { upload, folder, chunks, data_bytes } = self;
        let stored_bytes = chunks.iter().map(|chunk| chunk.bytes).sum();
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            about: upload.about.clone(),
            summary: Summary { data_bytes, stored_bytes, ..summary.clone() },
            completed_at: Timestamp::now().to_string(),
            encryption: upload.seal.encrypted(),
            compression: Compression::Chunks,
            chunks,
        };
        manifest::write(&upload.objects, &folder, &manifest).await?;
        upload.tidy(&manifest.chunks).await;
        Ok(manifest)
    }
}

/// One attempt.
struct Upload {
    objects: Objects,
    folder: ObjectPath,
    attempt: String,
    about: About,
    seal: Seal,
    pace: Pace,
}

impl Upload {
    /// Sends the whole directory: its chunks in order, and the size of the data.
    ///
    /// When this is dropped the requests under way end with it, and the thread that reads ends at its next chunk.
    async fn everything(self: &Arc<Self>, directory: &Path) -> Result<(Vec<Chunk>, u64), VaultError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let directory = directory.to_owned();
        let packing = spawn_blocking(move || pack::pack(&directory, sender));
        let arriving = stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        let sent = arriving.enumerate().map(|(number, chunk)| self.clone().send(number, chunk));
        let chunks = sent.buffered(UNDER_WAY).try_collect().await?;
        let data_bytes = packing.await.map_err(|_| VaultError::AwaitStep { step: "read the data" })??;
        Ok((chunks, data_bytes))
    }

    async fn send(self: Arc<Self>, number: usize, chunk: Vec<u8>) -> Result<Chunk, VaultError> {
        let name = chunks::name(&self.attempt, number);
        let upload = self.clone();
        let sealing = spawn_blocking(move || upload.seal.close(name, compress(&chunk)?));
        let sealed = sealing.await.map_err(|_| VaultError::AwaitStep { step: "compress a chunk" })??;
        self.pace.wait(sealed.entry.bytes).await;
        self.objects.put(&self.folder.clone().join(sealed.entry.name.as_str()), sealed.parts).await?;
        Ok(sealed.entry)
    }

    /// Removes what earlier attempts left, after the manifest: before it, two attempts at once could take away each other's
    /// chunks, and the first to end would be a backup with holes. The backup is complete, whatever comes of this.
    async fn tidy(&self, chunks: &[Chunk]) {
        let names: BTreeSet<&str> = chunks.iter().map(|chunk| chunk.name.as_str()).collect();
        let is_ours =
            |path: &ObjectPath| path.filename().is_some_and(|name| name == MANIFEST || names.contains(name));
        if let Err(error) = self.objects.delete_all(&self.folder, is_ours).await {
            tracing::warn!(%error, "what earlier attempts left in the folder of the backup stays there");
        }
    }
}
