//! Stores that refuse, and stores that are not there.

use crate::server::{self, BUCKET, FOLDER, SECRET, Server, cargo, impatient, secrets, target, told};
use crate::tree;
use porpoise_agent::vault::{Vault, VaultError};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};
use tempfile::TempDir;

fn data() -> TempDir {
    let from = tempfile::tempdir().unwrap();
    tree::write(from.path(), "ibdata1", b"data");
    from
}

/// The error of each thing that a vault can do.
async fn errors(vault: &Vault) -> Vec<VaultError> {
    let (from, to) = (data(), tempfile::tempdir().unwrap());
    vec![
        vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err(),
        vault.manifest(FOLDER).await.unwrap_err(),
        vault.fetch(FOLDER, &to.path().join("data")).await.unwrap_err(),
        vault.remove(FOLDER).await.unwrap_err(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_does_not_exist_is_named() {
    let server = Server::new();
    no_bucket(&Vault::open(&target(&server.endpoint(), "nowhere"), &server.secrets()).unwrap()).await;
}

/// Of a vault in the bucket `nowhere`.
pub async fn no_bucket(vault: &Vault) {
    for error in errors(vault).await {
        assert!(
            matches!(&error, VaultError::NoSuchBucket { bucket } if bucket == "nowhere"),
            "{}",
            told(&error)
        );
        assert!(error.is_for_good());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_said_to_be_wrong() {
    let server = Server::new();
    let mut stranger = secrets(SECRET);
    stranger.credentials.insert("accessKeyId".to_owned(), "stranger".to_owned());
    for secrets in [secrets("another secret"), stranger] {
        denied(&Vault::open(&server.target(), &secrets).unwrap()).await;
    }
}

/// Of a vault with `another secret`.
pub async fn denied(vault: &Vault) {
    for error in errors(vault).await {
        assert!(matches!(error, VaultError::AccessDenied { .. }), "{}", told(&error));
        assert!(error.is_for_good());
        assert!(!told(&error).contains("another secret"), "{}", told(&error));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_not_there_is_given_up_in_bounded_time() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let closed = format!("http://127.0.0.1:{}", server::free_port());
    // It takes connections and says nothing.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let unknown = "http://no-such-store.invalid".to_owned();
    for endpoint in [closed, silent, unknown] {
        let vault = Vault::open_with(&target(&endpoint, BUCKET), &secrets(SECRET), &impatient()).unwrap();
        let begun = Instant::now();
        for error in errors(&vault).await {
            let is_expected = matches!(error, VaultError::ReachStore { .. } | VaultError::AwaitStore { .. });
            assert!(is_expected && !error.is_for_good(), "{endpoint}: {}", told(&error));
        }
        // Four calls, each of its limit: tries until 2 s, the last of which takes 1 s and its connection 1 s.
        assert!(begun.elapsed() < Duration::from_secs(4 * 4 + 4), "{endpoint}: {:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_is_used() {
    let mut server = Server::new();
    let to = tempfile::tempdir().unwrap();
    let from = data();
    let vault = server.vault();
    vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    server.stop();
    let in_its_place = TcpListener::bind((Ipv4Addr::LOCALHOST, server.port)).unwrap();
    let fetching = tokio::spawn({
        let (vault, into) = (vault.clone(), to.path().join("data"));
        async move { vault.fetch(FOLDER, &into).await }
    });
    // One try at least fails.
    let tried = tokio::task::spawn_blocking(move || in_its_place.accept().map(drop));
    tried.await.unwrap().unwrap();
    server.start_again();
    fetching.await.unwrap().unwrap();
    tree::assert_same(from.path(), &to.path().join("data"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_must_be_named() {
    let server = Server::with_tls();
    let from = data();
    let to = tempfile::tempdir().unwrap();
    let vault = server.vault();
    vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap();
    vault.fetch(FOLDER, &to.path().join("data")).await.unwrap();
    tree::assert_same(from.path(), &to.path().join("data"));

    let other = Server::with_tls();
    let mut wrong = server.secrets();
    wrong.authority.clone_from(&other.authority);
    for secrets in [secrets(SECRET), wrong] {
        let vault = Vault::open_with(&server.target(), &secrets, &impatient()).unwrap();
        for error in errors(&vault).await {
            assert!(matches!(error, VaultError::ReachStore { .. }), "{}", told(&error));
            assert!(told(&error).contains("certificate"), "{}", told(&error));
        }
    }
}

#[test]
fn plain_http_is_used_only_when_asked_for() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let open = |endpoint: &str| Vault::open(&target(endpoint, BUCKET), &secrets(SECRET));
    assert!(open("http://store.example").is_ok() && open("https://store.example").is_ok());
    let error = open("store.example").err().unwrap();
    assert!(matches!(error, VaultError::UseTarget { .. }), "{error}");
}
