//! Volumes of the Pod: data only on the claim, everything else in memory or on the node's scratch space (A4).

use crate::line;
use crate::names::{self, ACCOUNTS};
use crate::validate::Cluster;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, SecretVolumeSource, Volume, VolumeMount,
};
use porpoise_crds::TlsMode;

/// Volume of the agent's binary.
pub(in crate::build) const AGENT: &str = "agent";
pub(in crate::build) const CONFIG: &str = "config";
pub(in crate::build) const TLS: &str = "tls";
const CLIENT_TLS: &str = "client-tls";
pub(in crate::build) const ACCOUNT_FILES: &str = "accounts";
const APP: &str = "app";
pub(in crate::build) const RUN: &str = "run";
pub(in crate::build) const TEMPORARY: &str = "tmp";

/// Readable by mysqld's group, which the kubelet sets.
pub(in crate::build) const MODE: i32 = 0o440;
pub(in crate::build) const CERTIFICATE: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

pub(super) fn volumes(cluster: &Cluster) -> Vec<Volume> {
    let names = &cluster.names;
    let mut volumes = vec![
        scratch(AGENT),
        scratch(RUN),
        scratch(TEMPORARY),
        config(names.config()),
        secret(TLS, names.server_secret(), &CERTIFICATE),
        secret(ACCOUNT_FILES, names.accounts_secret(), &ACCOUNTS),
        secret(APP, names.app_secret(), &["username", "password", "database"]),
    ];
    if let Some(name) = client_secret(cluster) {
        volumes.push(secret(CLIENT_TLS, name.to_owned(), &CERTIFICATE));
    }
    volumes
}

pub(super) fn mounts(cluster: &Cluster) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount(&line::data_volume(cluster.line), names::VOLUME_PATH),
        mount(RUN, names::RUN_PATH),
        mount(TEMPORARY, "/tmp"),
        read_only(AGENT, names::AGENT_BIN_PATH),
        read_only(CONFIG, names::CONFIG_PATH),
        read_only(TLS, names::TLS_PATH),
        read_only(ACCOUNT_FILES, names::ACCOUNTS_PATH),
        read_only(APP, names::APP_ACCOUNT_PATH),
    ];
    if client_secret(cluster).is_some() {
        mounts.push(read_only(CLIENT_TLS, names::CLIENT_TLS_PATH));
    }
    mounts
}

pub(in crate::build) fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

pub(in crate::build) fn read_only(name: &str, path: &str) -> VolumeMount {
    VolumeMount { read_only: Some(true), ..mount(name, path) }
}

fn client_secret(cluster: &Cluster) -> Option<&str> {
    match cluster.spec.tls.mode {
        TlsMode::Managed => None,
        TlsMode::Secret => cluster.spec.tls.secret_name.as_deref(),
    }
}

pub(in crate::build) fn scratch(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

pub(in crate::build) fn config(name: String) -> Volume {
    Volume {
        name: CONFIG.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name,
            items: Some(items(&["my.cnf", "agent.json"])),
            default_mode: Some(MODE),
            optional: None,
        }),
        ..Volume::default()
    }
}

/// Every key by name: a missing one keeps the Pod from starting, and the kubelet says which (G7).
pub(in crate::build) fn secret(volume: &str, name: String, keys: &[&str]) -> Volume {
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name),
            items: Some(items(keys)),
            default_mode: Some(MODE),
            optional: None,
        }),
        ..Volume::default()
    }
}

pub(in crate::build) fn items(keys: &[&str]) -> Vec<KeyToPath> {
    let item = |key: &&str| KeyToPath { key: (*key).to_owned(), path: (*key).to_owned(), mode: None };
    keys.iter().map(item).collect()
}
