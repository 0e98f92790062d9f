//! The manifest: what makes chunks a backup.

use super::VaultError;
use super::chunks;
use super::objects::{Created, Objects};
use object_store::path::Path;
use porpoise_core::backup::{Compression, MANIFEST, MANIFEST_FORMAT, Manifest};
use serde::Deserialize;

/// Enough for the chunks of 10 TB; beyond it is no manifest.
const LARGEST: u64 = 128 << 20;

/// What every format says, first of all.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A backup's folder as the store's client wants it.
pub(crate) fn folder_path(folder: &str) -> Result<Path, VaultError> {
    let wrong = || VaultError::UseFolder { folder: folder.to_owned() };
    if folder.is_empty() || folder.starts_with('/') || folder.ends_with('/') {
        return Err(wrong());
    }
    Path::parse(folder).map_err(|_| wrong())
}

pub(super) fn path(folder: &str) -> Result<Path, VaultError> {
    Ok(folder_path(folder)?.join(MANIFEST))
}

/// Whether there is a whole backup, whatever its format.
pub(super) async fn exists(objects: &Objects, folder: &str) -> Result<bool, VaultError> {
    Ok(objects.get(&path(folder)?, LARGEST).await?.is_some())
}

pub(super) async fn read(objects: &Objects, folder: &str) -> Result<Manifest, VaultError> {
    let text = objects.get(&path(folder)?, LARGEST).await?;
    let text = text.ok_or_else(|| VaultError::NoBackup { folder: folder.to_owned() })?;
    understand(folder, &text)
}

/// Makes the backup one: only if the folder has no other.
pub(super) async fn write(objects: &Objects, folder: &str, manifest: &Manifest) -> Result<(), VaultError> {
    let path = path(folder)?;
    let text = serde_json::to_vec(manifest).map_err(|error| VaultError::UnderstandManifest {
        folder: folder.to_owned(),
        reason: error.to_string(),
    })?;
    let exists_already = || VaultError::BackupExists { folder: folder.to_owned() };
    match objects.create(&path, text.clone().into()).await? {
        Created::Yes => Ok(()),
        // The answer to a first try may have been lost.
        Created::No if read(objects, folder).await.is_ok_and(|found| found == *manifest) => Ok(()),
        Created::No => Err(exists_already()),
        Created::Unknown if exists(objects, folder).await? => Err(exists_already()),
        Created::Unknown => objects.put(&path, vec![text.into()]).await,
    }
}

fn understand(folder: &str, text: &[u8]) -> Result<Manifest, VaultError> {
    let wrong = |reason: String| VaultError::UnderstandManifest { folder: folder.to_owned(), reason };
    // A later format may have anything else in it.
    let Format { format } = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    if format > MANIFEST_FORMAT {
        return Err(VaultError::NewerFormat {
            folder: folder.to_owned(),
            found: format,
            known: MANIFEST_FORMAT,
        });
    }
    let manifest: Manifest = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    if manifest.chunks.is_empty() {
        return Err(wrong("it names no chunks".to_owned()));
    }
    if manifest.compression == Compression::Chunks && !chunks::are_in_order(&manifest.chunks) {
        return Err(wrong("its chunks are not in the order of their numbers".to_owned()));
    }
    match manifest.chunks.iter().find_map(chunks::fault) {
        Some(fault) => Err(wrong(fault.to_owned())),
        None => Ok(manifest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_format_is_refused_whatever_is_in_it() {
        let outcome = understand("shop-a", br#"{"format": 3, "chunks": "elsewhere"}"#);
        assert!(matches!(outcome, Err(VaultError::NewerFormat { found: 3, known: 2, .. })));
    }

    #[test]
    fn a_manifest_cannot_lead_elsewhere_or_fill_the_memory() {
        for (name, bytes) in [("../other", 5), ("", 5), ("a-0", 0), ("a-0", u64::MAX)] {
            let chunk = serde_json::json!({"name": name, "bytes": bytes, "sha256": ""});
            let mut manifest =
                serde_json::json!({"format": 1, "completedAt": "", "encryption": null, "chunks": [chunk]});
            manifest["about"] = serde_json::json!({"backup": "", "cluster": "", "owner": ""});
            manifest["summary"] = serde_json::json!({"version": "", "donor": "", "gtidSet": null, "tables": 0,
                "dataBytes": 0, "storedBytes": 0});
            let text = serde_json::to_vec(&manifest).unwrap();
            let outcome = understand("shop-a", &text);
            assert!(matches!(outcome, Err(VaultError::UnderstandManifest { .. })), "{outcome:?}");
        }
    }

    #[test]
    fn a_folder_is_never_the_whole_bucket() {
        for folder in ["", "/", "a/", "/a", "a//b", "a/../b"] {
            assert!(folder_path(folder).is_err(), "{folder:?}");
        }
        assert_eq!(path("prod/shop/a").unwrap().as_ref(), "prod/shop/a/manifest.json");
    }
}
