//! The operator as a process of this machine, for scenarios that kill it.

use super::namespace::Namespace;
use super::stage::OPERATOR_NAMESPACE;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Stdio;
use tokio::process::{Child, Command};

/// A running operator that watches one namespace. It always has the same identity, so it takes its own Lease back at
/// once. It is killed when this is dropped.
pub struct OperatorProcess {
    child: Child,
}

impl OperatorProcess {
    /// Starts it for the namespace, through `kubeconfig`.
    pub fn start(namespace: &Namespace, kubeconfig: &Path) -> Result<Self> {
        let access = &namespace.stage().access;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(kubeconfig.with_extension("operator.log"))?;
        let child = Command::new(&access.operator_binary)
            .env("KUBECONFIG", kubeconfig)
            .args(["--namespaces", namespace.name(), "--identity", "scenario"])
            .args(["--lease-name", "porpoise-scenario", "--lease-namespace", namespace.name()])
            .args(["--operator-namespace", OPERATOR_NAMESPACE])
            .args(["--operator-image", &access.operator_image])
            .args(["--mysql-image", &access.mysql_image])
            .args(["--metrics-address", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("start the operator as a process")?;
        Ok(Self { child })
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}
