//! The agent is static and runs in images of any libc, or of none.

use crate::server::{BUCKET, FOLDER, LONG, SECRET, Server, secrets, target, told};
use porpoise_agent::vault::{Vault, VaultError};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ENDPOINT: &str = "PORPOISE_TEST_ENDPOINT";
const NAME: &str = "store.backups.test";

/// The name server that the image's `resolv.conf` names: every name is this machine. Counts what it is asked.
fn serve_names(socket: &UdpSocket, asked: &AtomicUsize) {
    let mut query = [0; 512];
    while let Ok((length, client)) = socket.recv_from(&mut query) {
        let mut answer = query[..length].to_vec();
        // The question ends after the root label, type and class; what follows it is dropped.
        let end = 12 + answer[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        let is_for_v4 = answer[end - 4..end - 2] == [0, 1];
        answer.truncate(end);
        answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, u8::from(is_for_v4), 0, 0, 0, 0]);
        if is_for_v4 {
            // The same name, type A, class IN, 60 s, 4 bytes.
            answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        asked.fetch_add(1, Ordering::SeqCst);
        let _ = socket.send_to(&answer, client);
    }
}

/// Needs root, as the tests with real servers do.
#[test]
fn names_are_looked_up_in_an_image_without_any_library() {
    let server = Server::new();
    let last = u8::try_from(std::process::id() % 200 + 2).unwrap();
    let socket =
        UdpSocket::bind((Ipv4Addr::new(127, 53, 53, last), 53)).expect("port 53 of a loopback address");
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let image = tempfile::tempdir().unwrap();
    for directory in ["etc", "dev"] {
        fs::create_dir(image.path().join(directory)).unwrap();
    }
    // Every container has them.
    for (device, minor) in [("dev/random", "8"), ("dev/urandom", "9")] {
        let made = Command::new("mknod").arg(image.path().join(device)).args(["c", "1", minor]).status();
        assert!(made.unwrap().success());
    }
    fs::write(image.path().join("etc/resolv.conf"), format!("nameserver 127.53.53.{last}\n")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), image.path().join("test")).unwrap();
    let counter = asked.clone();
    std::thread::spawn(move || serve_names(&socket, &counter));

    let mut child = Command::new("chroot")
        .arg(image.path())
        .args(["/test", "--exact", "image::inside", "--ignored", "--nocapture"])
        .env(ENDPOINT, format!("http://{NAME}:{}", server.port))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + LONG;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "inside the image: {status}");
    assert!(asked.load(Ordering::SeqCst) > 0, "nobody asked the name server");
}

#[tokio::test]
#[ignore = "run by the test above, inside an image"]
async fn inside() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = std::env::var(ENDPOINT).unwrap();
    let vault = Vault::open(&target(&endpoint, BUCKET), &secrets(SECRET)).unwrap();
    let error = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(error, VaultError::NoBackup { .. }), "{}", told(&error));
}
