//! There and back.

use crate::server::{FOLDER, LONG, Server, cargo};
use crate::tree;
use porpoise_agent::vault::{Cargo, Vault, VaultError};
use porpoise_core::backup::{About, MANIFEST};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::num::NonZeroU64;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(flavor = "multi_thread")]
async fn everything_comes_back_as_it_was() {
    for key_name in [None, Some("first")] {
        let server = Server::new();
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        tree::everything(from.path());
        let vault = server.vault();
        let stored = vault.store(FOLDER, from.path(), &cargo(key_name)).await.unwrap();

        assert_eq!(vault.manifest(FOLDER).await.unwrap(), stored);
        assert_eq!(stored.encryption.as_ref().map(|encrypted| encrypted.key_name.as_str()), key_name);
        assert!(stored.chunks.len() > 3, "{} chunks", stored.chunks.len());
        let files = tree::content(from.path());
        let sizes = |files: &std::collections::BTreeMap<_, (u32, Vec<u8>)>| {
            files
                .values()
                .filter(|(mode, _)| mode & 0o170_000 == 0o100_000)
                .map(|(_, bytes)| bytes.len() as u64)
                .sum::<u64>()
        };
        assert_eq!(stored.summary.data_bytes, sizes(&files));
        assert_eq!(stored.summary.stored_bytes, stored.chunks.iter().map(|chunk| chunk.bytes).sum::<u64>());
        assert_eq!((stored.summary.tables, stored.summary.donor.as_str()), (42, "shop-2"));

        let into = to.path().join("data");
        assert_eq!(vault.fetch(FOLDER, &into).await.unwrap(), stored);
        tree::assert_same(from.path(), &into);
        assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1, "nothing else is left beside it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_new_server_makes_itself_is_left_out() {
    let server = Server::new();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::write(from.path(), "ibdata1", b"data");
    for name in tree::LEFT_OUT {
        tree::write(from.path(), name, b"not to be stored");
    }
    let _socket = UnixListener::bind(from.path().join("any name")).unwrap();
    let vault = server.vault();
    let stored = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
    let found: Vec<_> = tree::content(&to.path().join("data")).into_keys().collect();
    assert_eq!((found, stored.summary.data_bytes), (vec![Path::new("ibdata1").to_owned()], 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_is_a_backup_too() {
    let server = Server::new();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let vault = server.vault();
    vault.store(FOLDER, from.path(), &cargo(Some("second"))).await.unwrap();
    vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
    assert!(tree::content(&to.path().join("data")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_not_written_over_and_gone_when_removed() {
    let server = Server::new();
    let from = tempfile::tempdir().unwrap();
    tree::write(from.path(), "ibdata1", b"data");
    let vault = server.vault();
    vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    // A neighbour whose name begins alike.
    let neighbour = format!("{FOLDER}b");
    vault.store(&neighbour, from.path(), &cargo(None)).await.unwrap();

    let error = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(matches!(error, VaultError::BackupExists { .. }) && error.is_for_good(), "{error}");

    for _ in 0..2 {
        vault.remove(FOLDER).await.unwrap();
        assert_eq!(server.objects(FOLDER), [""; 0]);
    }
    let error = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(error, VaultError::NoBackup { .. }) && error.is_for_good(), "{error}");
    assert_eq!(server.objects(&neighbour).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_cut_off_is_no_backup_and_the_next_one_cleans_up() {
    let mut server = Server::new();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::write(from.path(), "ibdata1", &tree::noise(256 << 20, 5));
    let vault = server.vault();
    let cargo = cargo(None);
    tokio::select! {
        ended = vault.store(FOLDER, from.path(), &cargo) => panic!("it was to be cut off: {ended:?}"),
        () = until_there_are_objects(&server) => {}
    }
    // What was sent whole may still become an object.
    server.stop();
    server.start_again();
    let error = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(error, VaultError::NoBackup { .. }), "{error}");

    tree::write(from.path(), "ibdata1", b"less than before");
    let stored = vault.store(FOLDER, from.path(), &cargo).await.unwrap();
    assert_eq!(server.objects(FOLDER), [stored.chunks[0].name.as_str(), MANIFEST]);
    vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
    tree::assert_same(from.path(), &to.path().join("data"));
}

async fn until_there_are_objects(server: &Server) {
    let deadline = Instant::now() + LONG;
    while server.objects(FOLDER).is_empty() {
        assert!(Instant::now() < deadline, "no chunk arrives");
        sleep(Duration::from_millis(2)).await;
    }
}

/// One stream over all chunks, which only reading them one after the other opens.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_backup_of_the_first_versions_is_read() {
    let server = Server::new();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::everything(from.path());
    let vault = server.vault();
    let stored = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    let folder = server.folder(FOLDER);
    let frames = stored.chunks.iter().map(|chunk| fs::read(folder.join(&chunk.name)).unwrap());
    let archive = zstd::stream::decode_all(&frames.collect::<Vec<_>>().concat()[..]).unwrap();
    let whole = zstd::stream::encode_all(&archive[..], 1).unwrap();
    let mut manifest = serde_json::to_value(&stored).unwrap();
    let chunks = whole.chunks(5 << 20).enumerate().map(|(number, bytes)| {
        let name = format!("former-{number:08}");
        fs::write(folder.join(&name), bytes).unwrap();
        let hash = hex(&Sha256::digest(bytes));
        serde_json::json!({"name": name, "bytes": bytes.len(), "sha256": hash})
    });
    manifest["chunks"] = chunks.collect();
    manifest.as_object_mut().unwrap().remove("compression").unwrap();
    fs::write(folder.join(MANIFEST), manifest.to_string()).unwrap();
    let into = to.path().join("data");
    vault.fetch(FOLDER, &into).await.unwrap();
    tree::assert_same(from.path(), &into);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_attempts_at_once_one_wins_and_is_whole() {
    let server = Server::new();
    one_wins(&server.vault()).await;
}

pub async fn one_wins(vault: &Vault) {
    let [one, other, to] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    tree::write(one.path(), "ibdata1", &tree::noise(40 << 20, 8));
    tree::write(other.path(), "ibdata1", &tree::noise(40 << 20, 9));
    let cargo = cargo(Some("first"));
    let (first, second) =
        tokio::join!(vault.store(FOLDER, one.path(), &cargo), vault.store(FOLDER, other.path(), &cargo));
    let winner = if first.is_ok() { one.path() } else { other.path() };
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let error = first.err().or(second.err()).unwrap();
    assert!(matches!(error, VaultError::BackupExists { .. }), "{error}");
    vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
    tree::assert_same(winner, &to.path().join("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_moved_still_opens() {
    let server = Server::new();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::write(from.path(), "ibdata1", &tree::noise(1 << 20, 6));
    let vault = server.vault();
    vault.store(FOLDER, from.path(), &cargo(Some("first"))).await.unwrap();
    fs::create_dir_all(server.folder("archive/2026")).unwrap();
    fs::rename(server.folder(FOLDER), server.folder("archive/2026/shop")).unwrap();
    vault.fetch("archive/2026/shop", &to.path().join("data")).await.unwrap();
    tree::assert_same(from.path(), &to.path().join("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_named() {
    let server = Server::new();
    let vault = server.vault();
    let from = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/elsewhere/shop", from.path().join("shop")).unwrap();
    let error = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(matches!(&error, VaultError::StoreEntry { path } if path.ends_with("shop")), "{error}");
    assert!(error.is_for_good());

    let gone = from.path().join("gone");
    let error = vault.store(FOLDER, &gone, &cargo(None)).await.unwrap_err();
    assert!(matches!(&error, VaultError::ReadFile { path, .. } if *path == gone), "{error}");
    assert!(!error.is_for_good());
    assert_eq!(server.objects(FOLDER).iter().filter(|name| *name == MANIFEST).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_knows_whose_it_is() {
    let server = Server::new();
    let from = tempfile::tempdir().unwrap();
    let about = About { backup: "b".to_owned(), cluster: "c".to_owned(), owner: "n/o".to_owned() };
    let cargo = Cargo { about: about.clone(), ..Cargo::default() };
    server.vault().store("x", from.path(), &cargo).await.unwrap();
    assert_eq!(server.vault().manifest("x").await.unwrap().about, about);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_on_the_bandwidth_is_kept() {
    let server = Server::new();
    let from = tempfile::tempdir().unwrap();
    tree::write(from.path(), "ibdata1", &tree::noise(tree::BIG, 10));
    let vault = server.vault().at_most(NonZeroU64::new(32 << 20));
    let begun = Instant::now();
    let stored = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    // The last chunk begins when those before it have had their time.
    let before_last = stored.summary.stored_bytes - stored.chunks.last().unwrap().bytes;
    assert!(
        begun.elapsed() >= Duration::from_millis(before_last * 1000 / (32 << 20)),
        "{:?}",
        begun.elapsed()
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
