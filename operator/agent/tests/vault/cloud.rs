//! Emulators of other clouds' stores, each of one test alone.

use super::{BUCKET, LONG, Place, free_port};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
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
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ACCOUNT: &str = "tester";
const ACCOUNT_KEY: &[u8] = b"a key of sixteen or more bytes";

/// An emulator with one bucket.
pub struct Cloud {
    directory: TempDir,
    pub port: u16,
    process: Child,
    is_google: bool,
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
    fn start(is_google: bool, command: impl Fn(&TempDir, u16) -> Command) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let log = fs::File::create(directory.path().join("log")).unwrap();
        let mut command = command(&directory, port);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let cloud = Self { process: command.spawn().unwrap(), directory, port, is_google };
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let log = fs::read_to_string(cloud.directory.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < LONG, "the emulator does not listen: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        cloud
    }

    pub fn azure() -> Self {
        let cloud = Self::start(false, |directory, port| {
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

    /// It makes the bucket itself, and a service account whose key nobody else has.
    pub fn google() -> Self {
        Self::start(true, |directory, port| {
            let mut command = Command::new(program("PORPOISE_GCS", "gcs-program"));
            command.args(["-listen", &format!("127.0.0.1:{port}"), "-bucket", BUCKET]);
            command.arg("-account").arg(directory.path().join("account.json"));
            command
        })
    }

    /// Containers are made by their owner, never by a vault. Source: Azure Storage REST API, "Authorize with Shared Key".
    fn make_container(&self) {
        let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = format!("x-ms-date:{date}\nx-ms-version:2021-12-02\n");
        let text =
            format!("PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container");
        let key = hmac::Key::new(hmac::HMAC_SHA256, ACCOUNT_KEY);
        let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
        let request = format!(
            "PUT /{ACCOUNT}/{BUCKET}?restype=container HTTP/1.1\r\nHost: 127.0.0.1\r\nx-ms-date: {date}\r\n\
             x-ms-version: 2021-12-02\r\nAuthorization: SharedKey {ACCOUNT}:{signature}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    /// A bucket or container that may not exist.
    pub fn bucket(&self, name: &str, prefix: &str) -> BackupTarget {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let target = if self.is_google {
            json!({"gcs": {"bucket": name, "endpoint": endpoint, "prefix": prefix}})
        } else {
            let endpoint = format!("{endpoint}/{ACCOUNT}");
            json!({"azure": {"account": ACCOUNT, "container": name, "endpoint": endpoint, "prefix": prefix}})
        };
        serde_json::from_value(target).unwrap()
    }

    /// Those of somebody else who has an account, too.
    pub fn strangers(&self) -> TargetSecrets {
        if self.is_google { Self::google().secrets() } else { account(b"another key of a stranger") }
    }
}

fn account(key: &[u8]) -> TargetSecrets {
    secrets("accountKey", BASE64_STANDARD.encode(key))
}

fn secrets(entry: &str, value: String) -> TargetSecrets {
    let credentials = BTreeMap::from([(entry.to_owned(), value)]);
    let keys = BTreeMap::from([("first".to_owned(), BASE64_STANDARD.encode([7; 32]))]);
    TargetSecrets { credentials, keys, authority: None }
}

impl Place for Cloud {
    fn at(&self, prefix: &str) -> BackupTarget {
        self.bucket(BUCKET, prefix)
    }

    fn secrets(&self) -> TargetSecrets {
        if !self.is_google {
            return account(ACCOUNT_KEY);
        }
        secrets("serviceAccountKey", fs::read_to_string(self.directory.path().join("account.json")).unwrap())
    }
}
