//! Storing: chunks as they come, several at a time, and the manifest when all of them are there.

use super::chunks::{self, UNDER_WAY, WAITING};
use super::compress::compress;
use super::seal::Seal;
use super::{Vault, VaultError, fetch, manifest, pack};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use object_store::path::Path as ObjectPath;
use porpoise_core::backup::{
    About, Chunk, Compression, Content, FILES_FORMAT, MANIFEST, MANIFEST_FORMAT, Manifest, Summary,
};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use uuid::Uuid;

/// All chunks of a backup, in the store. Not a backup before [`Uploaded::complete`]: without a manifest nobody finds them.
pub struct Uploaded {
    upload: Arc<Upload>,
    folder: String,
    chunks: Vec<Chunk>,
    data_bytes: u64,
    content: Content,
}

pub(super) async fn upload(
    vault: &Vault,
    folder: &str,
    directory: &Path,
    about: &About,
    seal: Seal,
) -> Result<Uploaded, VaultError> {
    let upload = Upload::begin(vault, folder, about, seal).await?;
    let began = Instant::now();
    let (chunks, data_bytes) = upload.everything(directory).await?;
    told(data_bytes, chunks.len(), began);
    Ok(Uploaded { upload, folder: folder.to_owned(), chunks, data_bytes, content: Content::Files })
}

/// Stores what comes as the statements of a dump.
pub(super) async fn receive(
    vault: &Vault,
    folder: &str,
    coming: Receiver<Vec<u8>>,
    about: &About,
    seal: Seal,
) -> Result<Uploaded, VaultError> {
    let upload = Upload::begin(vault, folder, about, seal).await?;
    let began = Instant::now();
    let chunks = upload.send_all(coming).await?;
    told(0, chunks.len(), began);
    Ok(Uploaded { upload, folder: folder.to_owned(), chunks, data_bytes: 0, content: Content::Dump })
}

fn told(data_bytes: u64, chunks: usize, began: Instant) {
    tracing::info!(data_bytes, chunks, took_ms = began.elapsed().as_millis(), "all chunks are stored");
}

impl Uploaded {
    /// The same with the size of the data, for what came as a stream.
    #[must_use]
    pub fn holding(self, data_bytes: u64) -> Self {
        Self { data_bytes, ..self }
    }

    /// Reads back what is stored and sends it on.
    ///
    /// # Errors
    /// The first damaged or missing chunk is named.
    pub async fn read_back(&self, next: Sender<Vec<u8>>) -> Result<(), VaultError> {
        fetch::chunks(&self.upload.vault, &self.manifest(&Summary::default()), &self.folder, next).await
    }

    fn manifest(&self, summary: &Summary) -> Manifest {
        let stored_bytes = self.chunks.iter().map(|chunk| chunk.bytes).sum();
        Manifest {
            format: match self.content {
                Content::Files => FILES_FORMAT,
                Content::Dump => MANIFEST_FORMAT,
            },
            about: self.upload.about.clone(),
            summary: Summary { data_bytes: self.data_bytes, stored_bytes, ..summary.clone() },
            completed_at: Timestamp::now().to_string(),
            encryption: self.upload.seal.encrypted(),
            compression: Compression::Chunks,
            content: self.content,
            chunks: self.chunks.clone(),
        }
    }

    /// Makes the chunks a backup. Both sizes of the summary are filled in.
    ///
    /// # Errors
    /// `BackupExists` when the folder holds a whole backup meanwhile.
    pub async fn complete(self, summary: &Summary) -> Result<Manifest, VaultError> {
        let manifest = self.manifest(summary);
        let Self { upload, folder, .. } = self;
        manifest::write(&upload.vault.objects, &folder, &manifest).await?;
        upload.tidy(&manifest.chunks).await;
        Ok(manifest)
    }
}

/// One attempt.
struct Upload {
    vault: Vault,
    folder: ObjectPath,
    attempt: String,
    about: About,
    seal: Seal,
}

impl Upload {
    async fn begin(vault: &Vault, folder: &str, about: &About, seal: Seal) -> Result<Arc<Self>, VaultError> {
        if manifest::exists(&vault.objects, folder).await? {
            return Err(VaultError::BackupExists { folder: folder.to_owned() });
        }
        Ok(Arc::new(Self {
            vault: vault.clone(),
            folder: manifest::folder_path(folder)?,
            attempt: Uuid::new_v4().simple().to_string(),
            about: about.clone(),
            seal,
        }))
    }

    /// Sends the whole directory: its chunks in order, and the size of the data.
    ///
    /// When this is dropped the requests under way end with it, and the thread that reads ends at its next chunk.
    async fn everything(self: &Arc<Self>, directory: &Path) -> Result<(Vec<Chunk>, u64), VaultError> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let directory = directory.to_owned();
        let packing = spawn_blocking(move || pack::pack(&directory, sender));
        let chunks = self.send_all(receiver).await?;
        let data_bytes = packing.await.map_err(|_| VaultError::AwaitStep { step: "read the data" })??;
        Ok((chunks, data_bytes))
    }

    /// Sends chunks as they come, several at a time, and gives them in order.
    async fn send_all(self: &Arc<Self>, coming: Receiver<Vec<u8>>) -> Result<Vec<Chunk>, VaultError> {
        let arriving =
            stream::unfold(coming, async |mut coming| coming.recv().await.map(|chunk| (chunk, coming)));
        let sent = arriving.enumerate().map(|(number, chunk)| self.clone().send(number, chunk));
        sent.buffered(UNDER_WAY).try_collect().await
    }

    async fn send(self: Arc<Self>, number: usize, chunk: Vec<u8>) -> Result<Chunk, VaultError> {
        let name = chunks::name(&self.attempt, number);
        let upload = self.clone();
        let sealing = spawn_blocking(move || upload.seal.close(name, compress(&chunk)?));
        let sealed = sealing.await.map_err(|_| VaultError::AwaitStep { step: "compress a chunk" })??;
        self.vault.pace.wait(sealed.entry.bytes).await;
        self.vault.objects.put(&self.folder.clone().join(sealed.entry.name.as_str()), sealed.parts).await?;
        Ok(sealed.entry)
    }

    /// Removes what earlier attempts left, after the manifest: before it, two attempts at once could take away each other's
    /// chunks, and the first to end would be a backup with holes. The backup is complete, whatever comes of this.
    async fn tidy(&self, chunks: &[Chunk]) {
        let names: BTreeSet<&str> = chunks.iter().map(|chunk| chunk.name.as_str()).collect();
        let is_ours =
            |path: &ObjectPath| path.filename().is_some_and(|name| name == MANIFEST || names.contains(name));
        if let Err(error) = self.vault.objects.delete_all(&self.folder, is_ours).await {
            tracing::warn!(%error, "what earlier attempts left in the folder of the backup stays there");
        }
    }
}
