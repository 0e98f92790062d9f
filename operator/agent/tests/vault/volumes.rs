//! The same vault on a volume claim, by the program that serves one.

use crate::server::{FOLDER, LONG, cargo, free_port, told};
use crate::tree;
use jiff::Timestamp;
use porpoise_agent::vault::{Patience, Vault, VaultError};
use porpoise_agent::volume::on_loopback;
use porpoise_core::backup::TargetSecrets;
use porpoise_core::names::ClusterNames;
use porpoise_crds::BackupTarget;
use porpoise_link::certificates::{Authority, Validity};
use porpoise_link::{Issued, MEMBER_IDENTITY};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const CLAIM: &str = "safe";
const PROGRAM: &str = env!("CARGO_BIN_EXE_porpoise-agent");

/// The program on a directory of this test alone.
pub struct Volume {
    authority: Authority,
    directory: TempDir,
    port: u16,
    process: Child,
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.kill();
    }
}

fn issued(authority: &Authority, identity: &str) -> Issued {
    let validity = Validity { now: Timestamp::now(), lifetime: LONG * 100 };
    authority
        .issue_server(&["localhost".to_owned()], &[Ipv4Addr::LOCALHOST.into()], identity, validity)
        .unwrap()
}

fn authority() -> Authority {
    Authority::generate("volume test", Timestamp::now(), LONG * 100).unwrap()
}

impl Volume {
    pub fn start() -> Self {
        Self::start_with(Command::new(PROGRAM))
    }

    /// On a file system of its own with so much room, which ends with the program.
    fn start_with_room_for(bytes: u64) -> Self {
        let script = format!("mount -t tmpfs -o size={bytes} tmpfs \"$1\" && shift && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh", "data", PROGRAM]);
        Self::start_with(command)
    }

    /// It lets go of clients after a second in which they take nothing.
    fn start_impatient() -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" --patience 1", PROGRAM]);
        Self::start_with(command)
    }

    fn start_with(command: Command) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let authority = authority();
        let member = issued(&authority, MEMBER_IDENTITY);
        for (name, text) in
            [("tls.crt", &member.cert_pem), ("tls.key", &member.key_pem), ("ca.crt", &member.ca_pem)]
        {
            fs::write(directory.path().join(name), text).unwrap();
        }
        fs::create_dir(directory.path().join("data")).unwrap();
        let port = free_port();
        let process = spawn(command, directory.path(), port);
        let mut volume = Self { authority, directory, port, process };
        volume.await_listening();
        volume
    }

    fn await_listening(&mut self) {
        let start = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < LONG, "it does not listen: {log}");
            assert!(self.process.try_wait().unwrap().is_none(), "it ended: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn start_again(&mut self) {
        self.process = spawn(Command::new(PROGRAM), self.directory.path(), self.port);
        self.await_listening();
    }

    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn secrets_of(&self, caller: &Issued) -> TargetSecrets {
        let credentials = BTreeMap::from([
            ("address".to_owned(), format!("https://127.0.0.1:{}", self.port)),
            ("tls.crt".to_owned(), caller.cert_pem.clone()),
            ("tls.key".to_owned(), caller.key_pem.clone()),
        ]);
        let authority = Some(self.authority.certificate_pem().to_owned());
        TargetSecrets { credentials, authority, keys: BTreeMap::new() }
    }

    fn has_open(&self, name: &str) -> bool {
        let open = fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap();
        let mut open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        open.any(|path| path.ends_with(name))
    }

    pub fn vault(&self) -> Vault {
        let member = issued(&self.authority, MEMBER_IDENTITY);
        Vault::open_with(&target(CLAIM), &self.secrets_of(&member), &impatient()).unwrap()
    }
}

fn spawn(mut command: Command, directory: &Path, port: u16) -> Child {
    let log = fs::File::create(directory.join("log")).unwrap();
    command.current_dir(directory).args([
        "volume",
        "--claim",
        CLAIM,
        "--directory",
        "data",
        "--tls-path",
        ".",
    ]);
    command.args(["--listen", "127.0.0.1", "--port", &port.to_string()]);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

fn target(claim: &str) -> BackupTarget {
    serde_json::from_value(json!({"volume": {"claimName": claim}})).unwrap()
}

fn impatient() -> Patience {
    Patience { connect: Duration::from_secs(5), request: LONG, retry: Duration::from_secs(3), retries: 2 }
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn there_and_back(vault: &Vault, data: &Path) {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::everything(from.path());
    let stored = vault.store(FOLDER, from.path(), &cargo(None)).await;
    let stored = stored.unwrap_or_else(|error| panic!("{}", told(&error)));
    let into = to.path().join("data");
    assert_eq!(vault.fetch(FOLDER, &into).await.unwrap(), stored);
    tree::assert_same(from.path(), &into);
    assert_eq!(files(data).len(), stored.chunks.len() + 1, "chunks and manifest, and nothing else");
    // A manifest is made only if there is none.
    let again = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(matches!(again, VaultError::BackupExists { .. }), "{}", told(&again));
    vault.remove(FOLDER).await.unwrap();
    let gone = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(gone, VaultError::NoBackup { .. }), "{}", told(&gone));
    vault.remove(FOLDER).await.unwrap();
    assert!(files(data).is_empty(), "{:?}", files(data));
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_everything_comes_back_from_a_volume() {
    let volume = Volume::start();
    there_and_back(&volume.vault(), &volume.data()).await;
}

/// As the Job does that removes a backup: it has the claim mounted.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_mounted_volume_needs_no_server() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let data = tempfile::tempdir().unwrap();
    let local = on_loopback(CLAIM, data.path()).await.unwrap();
    let vault = Vault::open_with(&target(CLAIM), local.secrets(), &impatient()).unwrap();
    there_and_back(&vault, data.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_only_members_of_the_cluster_reach_its_volume() {
    let volume = Volume::start();
    let operator = issued(&volume.authority, ClusterNames::operator_identity());
    let vault = Vault::open_with(&target(CLAIM), &volume.secrets_of(&operator), &impatient()).unwrap();
    let error = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(error, VaultError::AccessDenied { .. }), "{}", told(&error));
    let stranger = issued(&authority(), MEMBER_IDENTITY);
    let vault = Vault::open_with(&target(CLAIM), &volume.secrets_of(&stranger), &impatient()).unwrap();
    let error = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(error, VaultError::ReachClaim { .. }), "{}", told(&error));
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_another_claim_is_waited_for() {
    let volume = Volume::start();
    let member = issued(&volume.authority, MEMBER_IDENTITY);
    let vault = Vault::open_with(&target("other"), &volume.secrets_of(&member), &impatient()).unwrap();
    let error = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(&error, VaultError::ReachClaim { claim, .. } if claim == "other"), "{}", told(&error));
    assert!(!error.is_for_good(), "the Pod is replaced before long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_full_claim_is_named_and_nothing_half_written_is_left() {
    let volume = Volume::start_with_room_for(1 << 20);
    let from = tempfile::tempdir().unwrap();
    // What does not compress.
    let noise: Vec<u8> = (0_u64..1 << 19)
        .flat_map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes())
        .collect();
    tree::write(from.path(), "ibdata1", &noise);
    let vault = volume.vault();
    let error = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(matches!(&error, VaultError::ClaimFull { claim, .. } if claim == CLAIM), "{}", told(&error));
    assert!(error.is_for_good() && told(&error).contains("grow it"), "{}", told(&error));
    // There is room again for what is small.
    fs::write(from.path().join("ibdata1"), b"little").unwrap();
    vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
}

/// The Pod goes in the middle of a backup, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_server_that_is_killed_leaves_nothing_half_written_under_a_name() {
    let mut volume = Volume::start();
    let from = tempfile::tempdir().unwrap();
    tree::everything(from.path());
    let vault = volume.vault();
    let storing = tokio::spawn({
        let (vault, from) = (vault.clone(), from.path().to_owned());
        async move { vault.store(FOLDER, &from, &cargo(None)).await }
    });
    let start = Instant::now();
    while files(&volume.data()).is_empty() {
        assert!(start.elapsed() < LONG, "nothing is written");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    volume.kill();
    let error = storing.await.unwrap().unwrap_err();
    assert!(matches!(&error, VaultError::ReachClaim { claim, .. } if claim == CLAIM), "{}", told(&error));
    assert!(!error.is_for_good(), "{}", told(&error));
    assert!(told(&error).contains("kubectl describe pod"), "{}", told(&error));
    volume.start_again();
    let stored = vault.store(FOLDER, from.path(), &cargo(None)).await;
    let stored = stored.unwrap_or_else(|error| panic!("{}", told(&error)));
    let to = tempfile::tempdir().unwrap();
    assert_eq!(vault.fetch(FOLDER, &to.path().join("data")).await.unwrap(), stored);
    tree::assert_same(from.path(), &to.path().join("data"));
    let named = files(&volume.data().join(FOLDER));
    assert_eq!(named.len(), stored.chunks.len() + 1, "what the first try left is tidied: {named:?}");
}

/// It asked for an object and reads nothing: it keeps neither a place nor a file.
#[tokio::test(flavor = "multi_thread")]
async fn a29_a_client_that_stops_reading_is_let_go() {
    let volume = Volume::start_impatient();
    // More than the kernel takes for a client that does not read.
    fs::write(volume.data().join("large"), vec![0; 60 << 20]).unwrap();
    let member = issued(&volume.authority, MEMBER_IDENTITY);
    let pem = format!("{}\n{}", member.cert_pem, member.key_pem);
    let authority = reqwest::Certificate::from_pem(volume.authority.certificate_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        .tls_certs_only([authority])
        .no_proxy();
    let ask = client.build().unwrap().get(format!("https://127.0.0.1:{}/{CLAIM}/large", volume.port));
    let answer = ask.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let start = Instant::now();
    while volume.has_open("large") {
        assert!(start.elapsed() < LONG, "it waits for the client");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(start.elapsed() > Duration::from_millis(500), "let go before its time");
    assert!(answer.bytes().await.is_err(), "what is missing is not taken for the end");
}
