//! Files of others, in a store and on a volume (A29).

use crate::server::{Server, told};
use crate::volumes::Volume;
use porpoise_agent::vault::{Vault, VaultError, pass};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

const NAME: &str = "exports/the shop=2026.sql.gz";

/// Statements that make several parts, and compress badly.
fn statements() -> Vec<u8> {
    let mut text = b"-- MySQL dump 10.13  Distrib 9.7.4\n".to_vec();
    let mut number = 1_u64;
    while text.len() < 60 << 20 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(text, "INSERT INTO a VALUES ({number}, '{:x}');", number.rotate_left(29)).unwrap();
    }
    text.extend_from_slice(b"-- Dump completed\n");
    text
}

fn store(folder: &Path, content: &[u8]) {
    let path = folder.join(NAME);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder =
        flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap();
}

/// The text that is sent on, and what was told of the progress.
async fn read(vault: &Vault, name: &str) -> Result<(Vec<u8>, Vec<u64>), VaultError> {
    let told = Mutex::new(Vec::new());
    let progress = |percent| told.lock().unwrap().push(percent);
    let (next, mut coming) = pass();
    let taking = async {
        let mut text = Vec::new();
        while let Some(part) = coming.recv().await {
            text.extend(part);
        }
        text
    };
    let (sent, text) = tokio::join!(vault.send_file(name, next, &progress), taking);
    sent.map(|()| (text, told.into_inner().unwrap()))
}

async fn comes_whole(vault: &Vault, folder: &Path) {
    let statements = statements();
    store(folder, &statements);
    let (text, progress) = read(vault, NAME).await.unwrap_or_else(|error| panic!("{}", told(&error)));
    assert!(text == statements, "{} bytes of {}", text.len(), statements.len());
    assert!(progress.len() > 1 && progress.is_sorted() && progress.last() == Some(&100), "{progress:?}");
    let absent = read(vault, "exports/shop.sql").await.unwrap_err();
    assert!(absent.is_for_good() && told(&absent).contains("correct the path"), "{}", told(&absent));
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_file_comes_whole_from_a_bucket() {
    let server = Server::with_tls();
    comes_whole(&server.vault(), &server.folder("")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_file_comes_whole_from_a_volume() {
    let volume = Volume::start();
    comes_whole(&volume.vault(), &volume.data()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_file_that_is_written_again_is_not_mixed_with_the_former_one() {
    let server = Server::new();
    let file = server.folder("shop.sql");
    // More parts than are under way at a time.
    let long = "INSERT INTO a VALUES (1);\n".repeat(4 << 20);
    fs::write(&file, &long).unwrap();
    let (next, mut coming) = pass();
    // Put there by hand it has no mark, so its size must tell.
    let progress = |_| fs::write(&file, long.replace('1', "22")).unwrap();
    let vault = server.vault();
    let taking = async { while coming.recv().await.is_some() {} };
    let (sent, ()) = tokio::join!(vault.send_file("shop.sql", next, &progress), taking);
    let error = sent.unwrap_err();
    assert!(matches!(error, VaultError::ChangedFile { .. }) && !error.is_for_good(), "{}", told(&error));
}
