//! Stores that run full, and stores that are slow (backup.md, "Faults to survive").

use crate::server::{BUCKET, FOLDER, Server, cargo, impatient, target, told};
use crate::tree;
use porpoise_agent::vault::{Vault, VaultError};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

/// A file system in memory for a store's objects, gone with the test.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path, size: &str) -> Self {
        Self::run(
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "small"]).arg(at),
        );
        Self(at)
    }

    fn grow(&self, size: &str) {
        Self::run(Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(self.0));
    }

    fn run(command: &mut Command) {
        assert!(command.status().unwrap().success(), "{command:?}");
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_full_store_is_no_backup_and_with_more_room_the_next_one_is() {
    let server = Server::new();
    let objects = server.folder("");
    let disk = SmallDisk::mount(&objects, "1m");
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::write(from.path(), "ibdata1", &tree::noise(4 << 20, 1));
    let vault = Vault::open_with(&server.target(), &server.secrets(), &impatient()).unwrap();
    let error = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(!error.is_for_good(), "{}", told(&error));
    let missing = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(missing, VaultError::NoBackup { .. }), "{}", told(&missing));

    disk.grow("64m");
    vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
    tree::assert_same(from.path(), &to.path().join("data"));
}

/// Bytes a second of the slow way, in each direction.
const SLOW: u64 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_slow_store_takes_long_and_is_whole() {
    let server = Server::new();
    let slow = slow_way_to(server.port).await;
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::write(from.path(), "ibdata1", &tree::noise(3 << 20, 2));
    let endpoint = format!("http://127.0.0.1:{slow}");
    let vault = Vault::open(&target(&endpoint, BUCKET), &server.secrets()).unwrap();
    let began = Instant::now();
    vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(2), "the way was not slow: {:?}", began.elapsed());
    vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
    tree::assert_same(from.path(), &to.path().join("data"));
}

/// A port that leads to the store, all connections together at `SLOW`.
async fn slow_way_to(port: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let way = Arc::new(Mutex::new(Instant::now()));
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            tokio::spawn(pass(near_read, far_write, way.clone()));
            tokio::spawn(pass(far_read, near_write, way.clone()));
        }
    });
    own
}

/// Passes bytes on when the way is free.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Arc<Mutex<Instant>>) -> io::Result<()> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut bytes).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        sleep_until(turn(&way, count)).await;
        to.write_all(bytes.get(..count).unwrap_or_default()).await?;
    }
}

fn turn(way: &Mutex<Instant>, bytes: usize) -> Instant {
    let mut free = way.lock().unwrap();
    *free = Instant::now().max(*free) + Duration::from_micros(bytes as u64 * 1_000_000 / SLOW);
    *free
}
