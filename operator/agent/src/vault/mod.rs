//! The vault: a directory (a stopped mysqld's data) as a backup in an object store, there and back.
//!
//! `target` opens the store, `google` reads a service account's key; `names` looks names up; `objects` are the calls to the
//! store, each within a limit.
//! `store`: `pack` reads the directory and makes chunks, `compress` and `seal` compress, encrypt and hash them, several at a
//! time, `pace` bounds the bandwidth, `still` proves that nobody wrote meanwhile, `manifest` comes last.
//! `fetch`: several chunks at a time, hash first, `seal` opens them, `unpack` writes in their order and `sync` makes it
//! durable meanwhile. `remove`: the manifest first. `file`: what others stored, for an import.

mod chunks;
mod compress;
mod direct;
mod error;
mod fetch;
mod file;
mod google;
mod manifest;
mod names;
mod objects;
mod pace;
mod pack;
mod remove;
mod seal;
mod still;
mod store;
mod stream;
mod sync;
mod target;
mod unpack;

pub use error::VaultError;
pub use file::Progress;
pub use still::Still;
pub use store::Uploaded;
pub use stream::{Pouring, pass, stream};
pub use target::Patience;

// The archive of the binlog lies in the same store, in objects of its own form.
pub(crate) use manifest::folder_path;
pub(crate) use names::Names;
// Donors are looked up as stores are.
pub(crate) use names::look_up;
pub(crate) use objects::Objects;
pub(crate) use seal::Seal;

use pace::Pace;
use porpoise_core::backup::{About, Manifest, Summary, TargetSecrets};
use porpoise_crds::BackupTarget;
use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::Path;
use tokio::sync::mpsc::{Receiver, Sender};

/// A target, open for use. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    objects: Objects,
    keys: BTreeMap<String, String>,
    pace: Pace,
}

/// What a backup is to say about itself.
#[derive(Clone, Debug, Default)]
pub struct Cargo {
    /// Whose data it is.
    pub about: About,
    /// The measure of it; both sizes are filled in.
    pub summary: Summary,
    /// Key to encrypt with, by its name in the target's secrets. Absent: not encrypted.
    pub key_name: Option<String>,
}

impl Vault {
    /// Opens a target; nothing is sent yet. TLS uses the provider that the program has installed.
    ///
    /// # Errors
    /// When target or secrets are wrong in a way that shows without asking the store.
    pub fn open(target: &BackupTarget, secrets: &TargetSecrets) -> Result<Self, VaultError> {
        Self::open_with(target, secrets, &Patience::default())
    }

    /// The same with other limits.
    pub fn open_with(
        target: &BackupTarget,
        secrets: &TargetSecrets,
        patience: &Patience,
    ) -> Result<Self, VaultError> {
        let objects = target::open(target, secrets, patience)?;
        Ok(Self { objects, keys: secrets.keys.clone(), pace: Pace::default() })
    }

    /// The same vault, which sends at most so many bytes per second on average when it stores. `None`: as fast as it can.
    #[must_use]
    pub fn at_most(self, bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { pace: Pace::new(bytes_per_second), ..self }
    }

    /// The objects of the target.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Encryption keys by name.
    pub(crate) fn keys(&self) -> &BTreeMap<String, String> {
        &self.keys
    }

    /// Stores all that is in a directory that nobody writes to, under the name `folder`. It is no backup before it is completed.
    ///
    /// # Errors
    /// `BackupExists` when the folder holds a whole backup.
    pub async fn upload(
        &self,
        folder: &str,
        directory: &Path,
        about: &About,
        key_name: Option<&str>,
    ) -> Result<Uploaded, VaultError> {
        let seal = Seal::new(about, key_name, &self.keys)?;
        store::upload(self, folder, directory, about, seal).await
    }

    /// Stores a directory that nobody writes to as the backup `folder`. What an earlier attempt left there is removed.
    ///
    /// # Errors
    /// `BackupExists` when the folder holds a whole backup. After any error there is no manifest of this call.
    pub async fn store(&self, folder: &str, directory: &Path, cargo: &Cargo) -> Result<Manifest, VaultError> {
        let Cargo { about, summary, key_name } = cargo;
        self.upload(folder, directory, about, key_name.as_deref()).await?.complete(summary).await
    }

    /// What a backup says about itself.
    ///
    /// # Errors
    /// `NoBackup` when there is none, `NewerFormat` when a later version wrote it.
    pub async fn manifest(&self, folder: &str) -> Result<Manifest, VaultError> {
        manifest::read(&self.objects, folder).await
    }

    /// Fetches a backup to `into`, which must not exist. It appears at the end, whole and synced; until then the data grows
    /// in a directory beside it.
    ///
    /// # Errors
    /// The first damaged or missing chunk is named. After any error `into` does not exist.
    pub async fn fetch(&self, folder: &str, into: &Path) -> Result<Manifest, VaultError> {
        let manifest = self.manifest(folder).await?;
        self.fetch_of(&manifest, folder, into).await?;
        Ok(manifest)
    }

    /// The same when the manifest was read before.
    ///
    /// # Errors
    /// Those of [`Self::fetch`].
    pub async fn fetch_of(&self, manifest: &Manifest, folder: &str, into: &Path) -> Result<(), VaultError> {
        fetch::fetch(self, manifest, folder, into).await
    }

    /// Stores the statements of a dump as they come, under the name `folder`. It is no backup before it is completed.
    ///
    /// # Errors
    /// `BackupExists` when the folder holds a whole backup.
    pub async fn receive(
        &self,
        folder: &str,
        coming: Receiver<Vec<u8>>,
        about: &About,
        key_name: Option<&str>,
    ) -> Result<Uploaded, VaultError> {
        let seal = Seal::new(about, key_name, &self.keys)?;
        store::receive(self, folder, coming, about, seal).await
    }

    /// Sends on the statements of a dump, each chunk checked before. When nobody takes them any more it ends, without an error.
    ///
    /// # Errors
    /// The first damaged or missing chunk is named; what was sent before is not all.
    pub async fn send_on(
        &self,
        manifest: &Manifest,
        folder: &str,
        next: Sender<Vec<u8>>,
    ) -> Result<(), VaultError> {
        fetch::chunks(self, manifest, folder, next).await
    }

    /// Sends on the text of a file that others stored, and tells `progress` how far it is. When nobody takes it any more it
    /// ends, without an error.
    ///
    /// # Errors
    /// `UseFile` when there is none, or it is no whole file of statements; what was sent before is not all.
    pub async fn send_file(
        &self,
        name: &str,
        next: Sender<Vec<u8>>,
        progress: Progress<'_>,
    ) -> Result<(), VaultError> {
        file::send_on(self, name, next, progress).await
    }

    /// Removes a backup, or what is left of one. Nothing there: fine.
    pub async fn remove(&self, folder: &str) -> Result<(), VaultError> {
        remove::remove(&self.objects, folder).await
    }
}
