//! The archive's objects in the store.

use super::ArchiveError;
use super::segment::{self, Header, LARGEST, Name};
use crate::vault::{Objects, Seal, Vault, VaultError, folder_path};
use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use porpoise_core::backup::{About, Chunk};
use porpoise_core::gtid::GtidSet;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The archive of one cluster, for reading and writing.
#[derive(Clone)]
pub struct Store {
    objects: Objects,
    folder: ObjectPath,
    keys: BTreeMap<String, String>,
}

fn using(source: VaultError) -> ArchiveError {
    ArchiveError::UseStore { source }
}

impl Store {
    /// The archive in this folder. Nothing is asked yet.
    pub fn open(vault: &Vault, folder: &str) -> Result<Self, ArchiveError> {
        let folder = folder_path(folder).map_err(using)?;
        Ok(Self { objects: vault.objects().clone(), folder, keys: vault.keys().clone() })
    }

    /// For new segments.
    pub fn seal(&self, about: &About, key_name: Option<&str>) -> Result<Arc<Seal>, ArchiveError> {
        Seal::new(about, key_name, &self.keys).map(Arc::new).map_err(using)
    }

    /// The names of all segments, in order.
    pub async fn names(&self) -> Result<Vec<Name>, ArchiveError> {
        let names = self.objects.names(&self.folder).await.map_err(using)?;
        let mut names: Vec<Name> = names.iter().filter_map(|name| Name::parse(name)).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// A segment: its header, and its body as it is stored.
    pub async fn read(&self, name: &Name) -> Result<(Header, Vec<u8>), ArchiveError> {
        let object = self.get(&name.to_string()).await?;
        segment::split(name, object)
    }

    /// What a segment says about itself.
    pub async fn header(&self, name: &Name) -> Result<Header, ArchiveError> {
        Ok(self.read(name).await?.0)
    }

    /// How many segments at the beginning of an unbroken part reach nothing that is not in `set`: what segments reach only
    /// grows, so the place is found by halves.
    pub async fn count_within(&self, part: &[Name], set: &GtidSet) -> Result<usize, ArchiveError> {
        let (mut low, mut high) = (0, part.len());
        while low < high {
            let middle = low.midpoint(high);
            let Some(name) = part.get(middle) else { break };
            if set.contains(&self.header(name).await?.reached()?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Writes the binlog file that a segment is: decrypted and decompressed, part by part.
    pub async fn unpack(&self, header: &Header, body: Vec<u8>, into: &Path) -> Result<(), ArchiveError> {
        let seal = Seal::of(&header.about, header.encryption.as_ref(), &self.keys).map_err(using)?;
        let seal = Arc::new(seal);
        let path = into.to_owned();
        blocking("make a file", move || {
            File::create(&path).map(drop).map_err(|source| ArchiveError::UseFile { path, source })
        })
        .await?;
        for part in &header.parts {
            append(&seal, part, self.get(&part.name).await?, into).await?;
        }
        append(&seal, &header.body, body, into).await
    }

    /// Writes an object, or writes it again.
    pub async fn put(&self, name: &str, content: Vec<Bytes>) -> Result<(), ArchiveError> {
        self.objects.put(&self.folder.clone().join(name), content).await.map_err(using)
    }

    /// Removes a segment with its parts; the object with the header first, so that no segment is left without its parts.
    pub async fn remove(&self, name: &Name) -> Result<(), ArchiveError> {
        let parts = self.header(name).await.map(|header| header.parts).unwrap_or_default();
        let names = std::iter::once(name.to_string()).chain(parts.into_iter().map(|part| part.name));
        for name in names {
            self.objects.delete(&self.folder.clone().join(name.as_str())).await.map_err(using)?;
        }
        Ok(())
    }

    async fn get(&self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let found = self.objects.get(&self.folder.clone().join(name), LARGEST).await.map_err(using)?;
        found.ok_or_else(|| ArchiveError::MissingSegment { segment: name.to_owned() })
    }
}

async fn append(seal: &Arc<Seal>, entry: &Chunk, stored: Vec<u8>, to: &Path) -> Result<(), ArchiveError> {
    let (seal, entry, path) = (seal.clone(), entry.clone(), to.to_owned());
    blocking("decrypt a segment", move || {
        let binlog = segment::open(&seal, &entry, stored)?;
        let opened = File::options().append(true).open(&path);
        let written = opened.and_then(|mut file| file.write_all(&binlog));
        written.map_err(|source| ArchiveError::UseFile { path, source })
    })
    .await
}

/// Work on a thread that may block.
pub async fn blocking<A: Send + 'static>(
    step: &'static str,
    work: impl FnOnce() -> Result<A, ArchiveError> + Send + 'static,
) -> Result<A, ArchiveError> {
    spawn_blocking(work).await.unwrap_or(Err(ArchiveError::AwaitStep { step }))
}
