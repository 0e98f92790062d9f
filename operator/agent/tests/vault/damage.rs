//! Stored backups that were damaged: the fault is named, trying again is not proposed, and nothing half is left.

use crate::server::{FOLDER, SECRET, Server, cargo, secrets};
use crate::tree;
use porpoise_agent::vault::{Vault, VaultError};
use porpoise_core::backup::{MANIFEST, Manifest};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A backup of several chunks.
struct Stored {
    server: Server,
    to: TempDir,
    manifest: Manifest,
}

impl Stored {
    async fn new(key_name: Option<&str>) -> Self {
        let server = Server::new();
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tree::write(from.path(), "ibdata1", &tree::noise(tree::BIG, 4));
        let manifest = server.vault().store(FOLDER, from.path(), &cargo(key_name)).await.unwrap();
        Self { server, to, manifest }
    }

    fn name(&self, number: usize) -> String {
        self.manifest.chunks[number].name.clone()
    }

    fn chunk(&self, number: usize) -> PathBuf {
        self.server.folder(FOLDER).join(self.name(number))
    }

    /// Changes the manifest's text.
    fn edit(&self, change: impl FnOnce(&mut Value)) {
        let path = self.server.folder(FOLDER).join(MANIFEST);
        let mut manifest = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut manifest);
        fs::write(path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    }

    /// The error of a fetch, which must be one for good and leave nothing.
    async fn error(&self) -> VaultError {
        self.error_with(&self.server.vault()).await
    }

    async fn error_with(&self, vault: &Vault) -> VaultError {
        let error = vault.fetch(FOLDER, &self.to.path().join("data")).await.unwrap_err();
        assert!(error.is_for_good(), "{error}");
        assert_eq!(fs::read_dir(self.to.path()).unwrap().count(), 0, "something is left after: {error}");
        error
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_chunk_is_named() {
    let stored = Stored::new(None).await;
    for number in [stored.manifest.chunks.len() - 1, 2, 0] {
        fs::remove_file(stored.chunk(number)).unwrap();
        let error = stored.error().await;
        assert!(
            matches!(&error, VaultError::MissingChunk { chunk } if *chunk == stored.name(number)),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_is_found() {
    for key_name in [None, Some("first")] {
        let stored = Stored::new(key_name).await;
        let path = stored.chunk(1);
        let mut bytes = fs::read(&path).unwrap();
        bytes[12_345_678] ^= 4;
        fs::write(path, bytes).unwrap();
        let error = stored.error().await;
        assert!(
            matches!(&error, VaultError::DamagedChunk { chunk, reason } if *chunk == stored.name(1) && reason.contains("SHA-256")),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_of_another_length_is_found() {
    let stored = Stored::new(None).await;
    let path = stored.chunk(2);
    let bytes = fs::read(&path).unwrap();
    for (changed, word) in [
        (bytes[..bytes.len() - 1].to_vec(), "shorter"),
        (Vec::new(), "shorter"),
        ([&bytes[..], b"x"].concat(), "longer"),
    ] {
        fs::write(&path, changed).unwrap();
        let error = stored.error().await;
        assert!(
            matches!(&error, VaultError::DamagedChunk { chunk, reason } if *chunk == stored.name(2) && reason.contains(word)),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn swapped_chunks_are_found() {
    let stored = Stored::new(None).await;
    let beside = stored.server.folder(FOLDER).join("beside");
    fs::rename(stored.chunk(1), &beside).unwrap();
    fs::rename(stored.chunk(2), stored.chunk(1)).unwrap();
    fs::rename(beside, stored.chunk(2)).unwrap();
    let error = stored.error().await;
    assert!(matches!(&error, VaultError::DamagedChunk { chunk, .. } if *chunk == stored.name(1)), "{error}");
}

/// Somebody who can write to the store can also write the hashes anew; without the key that does not help.
#[tokio::test(flavor = "multi_thread")]
async fn swapped_chunks_with_a_manifest_to_match_do_not_open() {
    let stored = Stored::new(Some("first")).await;
    let (one, other) = (fs::read(stored.chunk(1)).unwrap(), fs::read(stored.chunk(2)).unwrap());
    fs::write(stored.chunk(1), &other).unwrap();
    fs::write(stored.chunk(2), &one).unwrap();
    stored.edit(|manifest| {
        for (number, bytes) in [(1, other), (2, one)] {
            let hash = hex(&Sha256::digest(&bytes));
            manifest["chunks"][number]["sha256"] = hash.into();
        }
    });
    let error = stored.error().await;
    assert!(matches!(&error, VaultError::DecryptChunk { chunk, .. } if *chunk == stored.name(1)), "{error}");
}

/// Each chunk opens by itself, so their order is a thing of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_chunks_in_another_order_is_refused() {
    for key_name in [None, Some("first")] {
        let stored = Stored::new(key_name).await;
        stored.edit(|manifest| manifest["chunks"].as_array_mut().unwrap().swap(1, 2));
        let error = stored.error().await;
        assert!(
            matches!(&error, VaultError::UnderstandManifest { reason, .. } if reason.contains("order")),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_lacks_chunks_is_no_whole_backup() {
    for key_name in [None, Some("first")] {
        let stored = Stored::new(key_name).await;
        stored.edit(|manifest| {
            manifest["chunks"].as_array_mut().unwrap().pop();
        });
        let error = stored.error().await;
        assert!(matches!(error, VaultError::UnpackArchive { .. }), "{error}");
        stored.edit(|manifest| manifest["chunks"] = Value::Array(Vec::new()));
        let error = stored.error().await;
        assert!(matches!(error, VaultError::UnderstandManifest { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_key_it_stays_shut() {
    let stored = Stored::new(Some("first")).await;
    let mut other = secrets(SECRET);
    other.keys.insert("first".to_owned(), other.keys["second"].clone());
    let vault = Vault::open(&stored.server.target(), &other).unwrap();
    let error = stored.error_with(&vault).await;
    assert!(matches!(&error, VaultError::DecryptChunk { key_name, .. } if key_name == "first"), "{error}");

    other.keys.clear();
    let vault = Vault::open(&stored.server.target(), &other).unwrap();
    let error = stored.error_with(&vault).await;
    assert!(matches!(&error, VaultError::FindKey { key_name } if key_name == "first"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_format_is_refused() {
    let stored = Stored::new(None).await;
    stored.edit(|manifest| *manifest = serde_json::json!({"format": 3, "chunks": {"in": "another way"}}));
    let error = stored.error().await;
    assert!(matches!(error, VaultError::NewerFormat { found: 3, .. }), "{error}");
    assert!(error.to_string().contains("upgrade the operator"), "{error}");
    let from = tempfile::tempdir().unwrap();
    let error = stored.server.vault().store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(
        matches!(error, VaultError::BackupExists { .. }),
        "a later version's backup is not written over: {error}"
    );
    stored.server.vault().remove(FOLDER).await.unwrap();
    assert_eq!(stored.server.objects(FOLDER), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_none_is_refused() {
    let stored = Stored::new(None).await;
    fs::write(stored.server.folder(FOLDER).join(MANIFEST), "half a manif").unwrap();
    let error = stored.error().await;
    assert!(matches!(error, VaultError::UnderstandManifest { .. }), "{error}");
}
