//! Cluster DNS and volumes for claims.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    command::run,
    contents::{BUSYBOX, COREDNS, LOCAL_PATH},
    state::Site,
    tools::Tools,
};

const DNS: &str = include_str!("../../manifests/dns.yaml");
const STORAGE: &str = include_str!("../../manifests/storage.yaml");
/// How long something may take to get ready.
pub(super) const READY: &str = "--timeout=90s";

/// Applies the manifests of DNS and storage.
///
/// # Errors
/// When the API server refuses one.
pub(super) fn apply(site: &Site, tools: &Tools) -> Result<()> {
    let nodes = site.nodes();
    let plain: Vec<_> =
        nodes.iter().map(|node| json!({ "node": node.name, "paths": [node.volumes()] })).collect();
    let limited: Vec<_> =
        nodes.iter().map(|node| json!({ "node": node.name, "paths": [node.limited()] })).collect();
    let text = format!("{DNS}---\n{STORAGE}")
        .replace("{{dns-address}}", &site.slot.dns_service().to_string())
        .replace("{{coredns-image}}", COREDNS)
        .replace("{{local-path-image}}", LOCAL_PATH)
        .replace("{{busybox-image}}", BUSYBOX)
        .replace("{{plain-paths}}", &json!(plain).to_string())
        .replace("{{limited-paths}}", &json!(limited).to_string());
    apply_text(site, tools, &text)
}

/// Applies manifests.
///
/// # Errors
/// When the API server refuses one.
pub(super) fn apply_text(site: &Site, tools: &Tools, text: &str) -> Result<()> {
    let mut child = kubectl(site, tools)?
        .args(["apply", "--server-side", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("start kubectl")?;
    child.stdin.take().context("kubectl's input")?.write_all(text.as_bytes())?;
    ensure!(child.wait()?.success(), "kubectl applies them");
    Ok(())
}

/// Waits until DNS answers on every node and volumes are made.
///
/// # Errors
/// When they do not get ready in time.
pub(super) fn wait_ready(site: &Site, tools: &Tools) -> Result<()> {
    run(kubectl(site, tools)?.args([
        "--namespace=kube-system",
        "rollout",
        "status",
        "daemonset/coredns",
        READY,
    ]))?;
    let deployment = "deployment/local-path-provisioner";
    run(kubectl(site, tools)?.args([
        "--namespace=local-path-storage",
        "rollout",
        "status",
        deployment,
        READY,
    ]))
    .map(drop)
}

/// kubectl as the administrator.
///
/// # Errors
/// When there is none.
pub(super) fn kubectl(site: &Site, tools: &Tools) -> Result<Command> {
    let mut command = Command::new(tools.path("kubectl")?);
    command.env("KUBECONFIG", site.kubeconfig());
    Ok(command)
}
