//! The same vault in the store of another cloud, by its emulator.

use crate::server::{FOLDER, LONG, cargo, free_port, told};
use crate::tree;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use porpoise_agent::vault::{Vault, VaultError};
use porpoise_core::backup::TargetSecrets;
use porpoise_crds::BackupTarget;
use ring::hmac;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

const ACCOUNT: &str = "tester";
const ACCOUNT_KEY: &[u8] = b"a key of sixteen or more bytes";

/// An emulator of this test alone.
struct Cloud {
    directory: TempDir,
    port: u16,
    process: Child,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program(variable: &str, order: &str) -> PathBuf {
    let program = std::env::var_os(variable).map(PathBuf::from);
    let program = program.unwrap_or_else(|| {
        panic!("set {variable} to what `cargo run -p porpoise-e2e --bin rig -- {order}` prints")
    });
    assert!(program.is_file(), "{variable}={} is no file", program.display());
    program
}

impl Cloud {
    fn start(command: impl Fn(&TempDir, u16) -> Command) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut command = command(&directory, port);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let cloud = Self { process: command.spawn().unwrap(), directory, port };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = fs::read_to_string(cloud.directory.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < LONG, "the emulator does not listen: {log}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        cloud
    }

    fn azure() -> Self {
        let cloud = Self::start(|directory, port| {
            let mut command = Command::new(program("PORPOISE_AZURE", "azure-program"));
            command.args(["--silent", "--skipApiVersionCheck", "--disableTelemetry"]);
            command.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
            command.arg("--location").arg(directory.path());
            command.env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:{}", BASE64_STANDARD.encode(ACCOUNT_KEY)));
            command
        });
        cloud.make_container();
        cloud
    }

    /// Containers are made by their owner, never by a vault. Source: Azure Storage REST API, "Authorize with Shared Key".
    fn make_container(&self) {
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = format!("x-ms-date:{date}\nx-ms-version:2021-12-02\n");
        let text =
            format!("PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}/{ACCOUNT}/{ACCOUNT}/safe\nrestype:container");
        let key = hmac::Key::new(hmac::HMAC_SHA256, ACCOUNT_KEY);
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let request = format!(
            "PUT /{ACCOUNT}/safe?restype=container HTTP/1.1\r\nHost: 127.0.0.1\r\nx-ms-date: {date}\r\n\
             x-ms-version: 2021-12-02\r\nAuthorization: SharedKey {ACCOUNT}:{signature}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }
}

fn target(cloud: &Cloud, container: &str) -> BackupTarget {
    let endpoint = format!("http://127.0.0.1:{}/{ACCOUNT}", cloud.port);
    let place = json!({"account": ACCOUNT, "container": container, "endpoint": endpoint});
    serde_json::from_value(json!({ "azure": place })).unwrap()
}

fn secrets(key: &[u8]) -> TargetSecrets {
    let credentials = BTreeMap::from([("accountKey".to_owned(), BASE64_STANDARD.encode(key))]);
    let keys = BTreeMap::from([("first".to_owned(), BASE64_STANDARD.encode([7; 32]))]);
    TargetSecrets { credentials, keys, authority: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_everything_comes_back_from_azure() {
    let cloud = Cloud::azure();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::everything(from.path());
    let vault = Vault::open(&target(&cloud, "safe"), &secrets(ACCOUNT_KEY)).unwrap();
    let stored = vault.store(FOLDER, from.path(), &cargo(Some("first"))).await;
    let stored = stored.unwrap_or_else(|error| panic!("{}", told(&error)));
    let into = to.path().join("data");
    assert_eq!(vault.fetch(FOLDER, &into).await.unwrap(), stored);
    tree::assert_same(from.path(), &into);
    // A manifest is made only if there is none.
    let again = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(matches!(again, VaultError::BackupExists { .. }), "{}", told(&again));
    vault.remove(FOLDER).await.unwrap();
    let gone = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(gone, VaultError::NoBackup { .. }), "{}", told(&gone));
    vault.remove(FOLDER).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_container_that_azure_does_not_have_is_named() {
    let cloud = Cloud::azure();
    let from = tempfile::tempdir().unwrap();
    tree::write(from.path(), "ibdata1", b"data");
    let vault = Vault::open(&target(&cloud, "nowhere"), &secrets(ACCOUNT_KEY)).unwrap();
    let error = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(matches!(&error, VaultError::NoSuchBucket { bucket } if bucket == "nowhere"), "{}", told(&error));
    assert!(error.is_for_good());
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_wrong_account_key_is_said_to_be_wrong() {
    let cloud = Cloud::azure();
    let vault = Vault::open(&target(&cloud, "safe"), &secrets(b"another key of a stranger")).unwrap();
    let error = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(error, VaultError::AccessDenied { .. }) && error.is_for_good(), "{}", told(&error));
}
