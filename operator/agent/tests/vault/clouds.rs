//! The same vault in the stores of other clouds, by their emulators.

use crate::refusals;
use crate::round;
use crate::server::cloud::Cloud;
use crate::server::{FOLDER, Place as _, cargo, told};
use crate::tree;
use porpoise_agent::vault::{Vault, VaultError};
use porpoise_core::backup::TargetSecrets;
use porpoise_crds::BackupTarget;
use std::process::Command;

const PREFIX: &str = "prod/mysql";

fn vault(cloud: &Cloud) -> Vault {
    Vault::open(&cloud.at(PREFIX), &cloud.secrets()).unwrap()
}

async fn everything_comes_back(cloud: &Cloud) {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    tree::everything(from.path());
    let vault = vault(cloud);
    let stored = vault.store(FOLDER, from.path(), &cargo(Some("first"))).await;
    let stored = stored.unwrap_or_else(|error| panic!("{}", told(&error)));
    let into = to.path().join("data");
    assert_eq!(vault.fetch(FOLDER, &into).await.unwrap(), stored);
    tree::assert_same(from.path(), &into);
    let again = vault.store(FOLDER, from.path(), &cargo(None)).await.unwrap_err();
    assert!(matches!(again, VaultError::BackupExists { .. }), "{}", told(&again));
    vault.remove(FOLDER).await.unwrap();
    let gone = vault.manifest(FOLDER).await.unwrap_err();
    assert!(matches!(gone, VaultError::NoBackup { .. }), "{}", told(&gone));
    vault.remove(FOLDER).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_everything_comes_back_from_azure() {
    everything_comes_back(&Cloud::azure()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_everything_comes_back_from_google() {
    everything_comes_back(&Cloud::google()).await;
}

/// Both find no manifest when they begin: only the store itself can refuse the second.
#[tokio::test(flavor = "multi_thread")]
async fn a29_of_two_attempts_at_once_one_wins_in_every_cloud() {
    for cloud in [Cloud::azure(), Cloud::google()] {
        round::one_wins(&vault(&cloud)).await;
    }
}

async fn a_missing_bucket_is_named(cloud: &Cloud) {
    let target = cloud.bucket("nowhere", PREFIX);
    refusals::no_bucket(&Vault::open(&target, &cloud.secrets()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_container_that_azure_does_not_have_is_named() {
    a_missing_bucket_is_named(&Cloud::azure()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_bucket_that_google_does_not_have_is_named() {
    a_missing_bucket_is_named(&Cloud::google()).await;
}

async fn a_wrong_key_is_said_to_be_wrong(cloud: &Cloud) {
    refusals::denied(&Vault::open(&cloud.at(PREFIX), &cloud.strangers()).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_wrong_account_key_is_said_to_be_wrong() {
    a_wrong_key_is_said_to_be_wrong(&Cloud::azure()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_wrong_key_of_a_service_account_is_said_to_be_wrong() {
    a_wrong_key_is_said_to_be_wrong(&Cloud::google()).await;
}

/// Where the process with an identity stores.
const TARGET: &str = "PORPOISE_TEST_TARGET";

/// The emulator is the metadata server, too. Where that is, is a variable of a process: so one of its own asks it.
#[tokio::test(flavor = "multi_thread")]
async fn a29_the_clouds_identity_lets_into_google() {
    if let Ok(target) = std::env::var(TARGET) {
        return stores_without_credentials(&serde_json::from_str(&target).unwrap()).await;
    }
    let cloud = Cloud::google();
    let mut itself = Command::new(std::env::current_exe().unwrap());
    itself.args(["--exact", "clouds::a29_the_clouds_identity_lets_into_google"]).env_remove("HOME");
    itself.env("GCE_METADATA_HOST", format!("127.0.0.1:{}", cloud.port));
    itself.env(TARGET, serde_json::to_string(&cloud.at(PREFIX)).unwrap());
    let output = itself.output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
    assert!(vault(&cloud).manifest(FOLDER).await.is_ok());
}

async fn stores_without_credentials(target: &BackupTarget) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let from = tempfile::tempdir().unwrap();
    tree::write(from.path(), "ibdata1", b"data");
    let vault = Vault::open(target, &TargetSecrets::default()).unwrap();
    let stored = vault.store(FOLDER, from.path(), &cargo(None)).await;
    stored.unwrap_or_else(|error| panic!("{}", told(&error)));
}
