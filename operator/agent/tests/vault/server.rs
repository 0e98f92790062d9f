//! An S3 server of this test alone: its objects are files that a test can damage.

#[path = "cloud.rs"]
pub mod cloud;

use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use porpoise_agent::vault::{Cargo, Patience, Vault, VaultError};
use porpoise_core::backup::{About, Summary, TargetSecrets};
use porpoise_crds::BackupTarget;
use porpoise_link::certificates::{Authority, Validity};
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const ACCESS: &str = "tester";
pub const SECRET: &str = "Sec'ret-1Aa";
pub const BUCKET: &str = "safe";
/// A folder as the operator names them.
pub const FOLDER: &str = "prod/mysql/prod/shop/u-1/shop-a";
/// Generous: the machine may be busy.
pub const LONG: Duration = Duration::from_mins(2);

/// A store of any sort, with one bucket.
pub trait Place {
    /// A folder of the bucket.
    fn at(&self, prefix: &str) -> BackupTarget;
    fn secrets(&self) -> TargetSecrets;
}

pub struct Server {
    pub directory: TempDir,
    pub port: u16,
    /// The authority of its certificate, if it speaks TLS.
    pub authority: Option<String>,
    process: Child,
}

impl Server {
    pub fn new() -> Self {
        Self::start(None)
    }

    /// With TLS, by an authority that nobody knows.
    pub fn with_tls() -> Self {
        let now = Timestamp::now();
        Self::start(Some(&Authority::generate("store test", now, LONG * 100).unwrap()))
    }

    fn start(authority: Option<&Authority>) -> Self {
        // The provider that `main` installs.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("data").join(BUCKET)).unwrap();
        let files = authority.map(|authority| certificate(authority, directory.path()));
        let authority = authority.map(|authority| authority.certificate_pem().to_owned());
        // Between finding a free port and using it another process may take it.
        for _ in 0..10 {
            let port = free_port();
            let mut process = command(directory.path(), port, files.as_ref()).spawn().unwrap();
            if listens(&mut process, port) {
                return Self { directory, port, authority, process };
            }
        }
        panic!("the store did not start: {}", log(directory.path()));
    }

    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub fn target(&self) -> BackupTarget {
        target(&self.endpoint(), BUCKET)
    }

    pub fn secrets(&self) -> TargetSecrets {
        TargetSecrets { authority: self.authority.clone(), ..secrets(SECRET) }
    }

    pub fn vault(&self) -> Vault {
        Vault::open(&self.target(), &self.secrets()).unwrap()
    }

    /// Ends it, with whatever it has under way.
    pub fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// Starts it again on the same port.
    pub fn start_again(&mut self) {
        assert!(self.authority.is_none(), "only without TLS so far");
        self.process = command(self.directory.path(), self.port, None).spawn().unwrap();
        assert!(listens(&mut self.process, self.port), "the store did not come back");
    }

    /// Where the objects of a folder are.
    pub fn folder(&self, folder: &str) -> PathBuf {
        self.directory.path().join("data").join(BUCKET).join(folder)
    }

    /// The names of a folder's objects.
    pub fn objects(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder(folder)) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[allow(dead_code, reason = "the tests with real MySQL servers use it")]
impl Server {
    /// Stops it in the middle of whatever it does.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Place for Server {
    fn at(&self, prefix: &str) -> BackupTarget {
        place(&self.endpoint(), BUCKET, prefix)
    }

    fn secrets(&self) -> TargetSecrets {
        self.secrets()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn target(endpoint: &str, bucket: &str) -> BackupTarget {
    place(endpoint, bucket, "prod/mysql")
}

fn place(endpoint: &str, bucket: &str, prefix: &str) -> BackupTarget {
    let text = serde_json::json!({"s3": {"bucket": bucket, "endpoint": endpoint, "prefix": prefix}});
    serde_json::from_value(text).unwrap()
}

pub fn secrets(secret: &str) -> TargetSecrets {
    let credentials = [("accessKeyId", ACCESS), ("secretAccessKey", secret)];
    let credentials = credentials.map(|(name, value)| (name.to_owned(), value.to_owned()));
    // Keys of 32 bytes: letters only, so that one can tell them apart.
    let keys = [
        ("first", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="),
        ("second", "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="),
    ];
    let keys = keys.map(|(name, key)| (name.to_owned(), key.to_owned()));
    TargetSecrets { credentials: credentials.into(), authority: None, keys: BTreeMap::from(keys) }
}

pub fn cargo(key_name: Option<&str>) -> Cargo {
    let about =
        About { backup: "shop-a".to_owned(), cluster: "u-1".to_owned(), owner: "prod/shop".to_owned() };
    let gtid_set = Some("11111111-2222-3333-4444-555555555555:1-7".to_owned());
    let summary = Summary {
        version: "9.7.4".to_owned(),
        donor: "shop-2".to_owned(),
        gtid_set,
        tables: 42,
        ..Summary::default()
    };
    Cargo { about, summary, key_name: key_name.map(str::to_owned) }
}

/// Limits for a store that is known not to answer.
pub fn impatient() -> Patience {
    Patience {
        connect: Duration::from_secs(1),
        request: Duration::from_secs(1),
        retry: Duration::from_secs(2),
        retries: 2,
    }
}

/// The whole chain of an error: what a person is told.
pub fn told(error: &VaultError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn certificate(authority: &Authority, directory: &Path) -> [PathBuf; 2] {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let validity = Validity { now: Timestamp::now(), lifetime: LONG * 10 };
    let issued = authority.issue_server(&["localhost".to_owned()], &[address], "store", validity).unwrap();
    let files = ["tls.crt", "tls.key"].map(|name| directory.join(name));
    fs::write(&files[0], issued.cert_pem).unwrap();
    fs::write(&files[1], issued.key_pem).unwrap();
    files
}

fn command(directory: &Path, port: u16, tls: Option<&[PathBuf; 2]>) -> Command {
    let log = fs::File::create(directory.join("log")).unwrap();
    let mut command = Command::new(program());
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.args(["--access", ACCESS, "--secret", SECRET, "--port", &format!("127.0.0.1:{port}")]);
    if let Some([certificate, key]) = tls {
        command.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    command.arg("posix").arg(directory.join("data"));
    command
}

fn program() -> PathBuf {
    let program = std::env::var_os("PORPOISE_STORE").map(PathBuf::from);
    let program = program.expect(
        "these tests need a real S3 server: set PORPOISE_STORE to what `cargo run -p porpoise-e2e --bin rig -- \
         store-program` prints",
    );
    assert!(program.is_file(), "PORPOISE_STORE={} is no file", program.display());
    program
}

pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Whether the process takes connections; `false` when it ended instead.
fn listens(process: &mut Child, port: u16) -> bool {
    let deadline = Instant::now() + LONG;
    while Instant::now() < deadline {
        if process.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the store takes no connections within {LONG:?}");
}

fn log(directory: &Path) -> String {
    fs::read_to_string(directory.join("log")).unwrap_or_default()
}
