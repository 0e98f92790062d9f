//! One node: containerd, kubelet and kube-proxy in the node's own network namespace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{
    certificates::kubeconfig_file,
    cgroup,
    command::run,
    contents::PAUSE,
    mounts,
    network::enter,
    process::{self, Daemon},
    progress::{expect, wait_for},
    seed,
    state::{Node, NodeLoss, ServiceSync, Site},
    tools::Tools,
};

const LIMITED_BYTES: u64 = 8 << 30;
const SOCKET_LIMIT: Duration = Duration::from_secs(30);

/// Lays out a new node's folder and starts it with the images of `seed`.
///
/// # Errors
/// When a part cannot be written or does not start.
pub fn create(site: &Site, tools: &Tools, node: &Node, seed: &Path) -> Result<()> {
    for folder in ["cni", "logs", "volumes", "limited", "kubelet", "kubelet-pki"] {
        fs::create_dir_all(node.folder.join(folder))?;
    }
    make_disk(node)?;
    seed::plant(seed, &store(node))?;
    fs::write(node.folder.join("resolv.conf"), "")?;
    fs::write(node.folder.join("containerd.toml"), containerd_config(node, tools)?)?;
    fs::write(node.folder.join("cni/10-rig.conflist"), cni_config(node).to_string())?;
    fs::write(node.folder.join("kubelet.json"), kubelet_config(site, node).to_string())?;
    fs::write(node.folder.join("proxy.json"), proxy_config(site, node).to_string())?;
    start(site, tools, node)
}

/// Starts the node's daemons on what its folder holds.
///
/// # Errors
/// When containerd does not come up.
pub fn start(site: &Site, tools: &Tools, node: &Node) -> Result<()> {
    cgroup::create(&node.cgroup)?;
    mount_disk(node);
    launch(site, tools, node, "containerd", &[("config", node.folder.join("containerd.toml"))])?;
    wait_for("containerd answers", SOCKET_LIMIT, || ctr(tools, node, &["version"]).map(drop))?;
    start_kubelet(site, tools, node)?;
    launch(site, tools, node, "kube-proxy", &[("config", node.folder.join("proxy.json"))])
}

/// Starts a kubelet again that has ended, as the machine's init would. All kubelets of a machine have one folder for the
/// sockets of device plugins, which has no setting: of those that start at the same instant, one may find its socket taken.
///
/// # Errors
/// When it ends at once.
pub fn revive(site: &Site, tools: &Tools, node: &Node) -> Result<()> {
    let lives = process::recorded(site, &node.daemon("kubelet")).is_ok_and(process::Process::is_alive);
    if lives { Ok(()) } else { start_kubelet(site, tools, node) }
}

fn start_kubelet(site: &Site, tools: &Tools, node: &Node) -> Result<()> {
    let flags = [
        ("config", node.folder.join("kubelet.json")),
        ("kubeconfig", kubeconfig_file(site, &node.name)),
        ("root-dir", node.kubelet()),
        ("cert-dir", node.folder.join("kubelet-pki")),
        ("hostname-override", node.name.clone().into()),
        ("node-ip", node.address.to_string().into()),
        ("node-labels", format!("topology.kubernetes.io/zone=z{}", &node.name[1..]).into()),
    ];
    launch(site, tools, node, "kubelet", &flags)
}

/// Ends everything on the node at one instant, as a power cut would. Its files stay.
///
/// # Errors
/// When a process does not end.
pub fn crash(node: &Node) -> Result<()> {
    // Nothing ends while it waits for a disk that does not answer.
    thaw_disk(node);
    cgroup::end(&node.cgroup)
}

/// Starts a crashed node as after a power cut: nothing runs, nothing is mounted, all that was in memory is gone.
///
/// # Errors
/// When something is left that should not be, or containerd does not come up.
pub fn boot(site: &Site, tools: &Tools, node: &Node) -> Result<()> {
    remove_shim_sockets(node);
    // The kubelet mounts its own folder on itself, and expects to find it so.
    mounts::detach_below(&node.folder, |mount| mount == node.kubelet())?;
    for folder in ["state", "ipam"] {
        fs::remove_dir_all(node.folder.join(folder)).ok();
    }
    run(&mut enter_nft(node, &["flush", "ruleset"]))?;
    cgroup::remove(&node.cgroup, "kubepods");
    start(site, tools, node)
}

/// containerd's `ctr`, for the images and containers of Kubernetes.
///
/// # Errors
/// As the command.
pub fn ctr(tools: &Tools, node: &Node, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(tools.path("ctr")?);
    run(command.arg("--address").arg(node.socket()).args(["--namespace", "k8s.io"]).args(arguments))
}

/// `nft` in the node's namespace.
pub fn enter_nft(node: &Node, arguments: &[&str]) -> Command {
    let mut command = enter(node, "nft");
    command.args(arguments);
    command
}

/// Stops kubelet and proxy first, so that nothing is started again while the rest ends.
///
/// # Errors
/// When a process does not end.
pub fn stop(site: &Site, node: &Node) -> Result<()> {
    for daemon in ["kubelet", "kube-proxy"] {
        if let Ok(process) = process::recorded(site, &node.daemon(daemon)) {
            process.signal(Signal::SIGKILL).ok();
        }
    }
    crash(node)
}

/// Shims listen in a folder that all containerds of a machine share: only this node's entries are removed.
pub fn remove_shim_sockets(node: &Node) {
    let tasks = node.folder.join("state/io.containerd.runtime.v2.task/k8s.io");
    let Ok(entries) = fs::read_dir(tasks) else { return };
    for entry in entries.flatten() {
        for file in ["bootstrap.json", "address"] {
            let text = fs::read_to_string(entry.path().join(file)).unwrap_or_default();
            if let Some(path) = text.split("unix://").nth(1).and_then(|rest| rest.split(['"', '\n']).next()) {
                fs::remove_file(path).ok();
            }
        }
    }
}

/// A sparse file: it takes space as it is written to.
fn make_disk(node: &Node) -> Result<()> {
    let file = fs::File::create(disk(node))?;
    file.set_len(LIMITED_BYTES)?;
    // No blocks are kept back for root, so that a full disk is full for everyone.
    run(Command::new("mkfs.ext4").args(["-q", "-m", "0", "-E", "nodiscard"]).arg(disk(node))).map(drop)
}

fn mount_disk(node: &Node) {
    let mounted = run(Command::new("mount").args(["-o", "loop"]).arg(disk(node)).arg(node.limited()));
    if let Err(reason) = mounted {
        eprintln!("  note: volumes of class `limited` are not limited: {reason:#}");
    }
}

fn disk(node: &Node) -> PathBuf {
    node.folder.join("limited.disk")
}

/// Lets writes to the node's `limited` volumes go on, if they were stopped.
pub fn thaw_disk(node: &Node) {
    if mounts::below(&node.folder).contains(&node.limited()) {
        // It refuses when nothing was stopped.
        run(Command::new("fsfreeze").arg("--unfreeze").arg(node.limited())).ok();
    }
}

fn launch(site: &Site, tools: &Tools, node: &Node, program: &str, flags: &[(&str, PathBuf)]) -> Result<()> {
    let mut command = vec![tools.path(program)?.into()];
    command.extend(flags.iter().map(|(flag, value)| format!("--{flag}={}", value.display()).into()));
    let daemon = Daemon {
        name: node.daemon(program),
        command,
        namespace: Some(&node.namespace),
        cgroup: format!("{}/daemons", node.cgroup),
        path: Some(tools.debian().to_path_buf()),
    };
    let process = process::start(site, &daemon)?;
    expect(process.is_alive(), || format!("{} ended at once", daemon.name))
}

fn store(node: &Node) -> PathBuf {
    node.folder.join("containerd")
}

fn containerd_config(node: &Node, tools: &Tools) -> Result<String> {
    let shown = |path: PathBuf| json!(path).to_string();
    let runc = ["/usr/sbin/runc", "/usr/bin/runc"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .context("no runc")?;
    Ok(format!(
        "version = 3
root = {root}
state = {state}
[grpc]
address = {socket}
# Its socket has one place on a machine: of nodes that start at the same instant, one would not come up.
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.images']
snapshotter = 'overlayfs'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE}'
[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE, as in many containers and machines, no sandbox would start.
restrict_oom_score_adj = true
disable_apparmor = true
# Kept below our own folder, the namespaces of Pods go with it.
netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = [{plugins}]
conf_dir = {cni}
use_internal_loopback = true
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = 'runc'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '{runc}'
SystemdCgroup = false
",
        root = shown(store(node)),
        state = shown(node.folder.join("state")),
        socket = shown(node.socket()),
        plugins = shown(tools.plugins()),
        cni = shown(node.folder.join("cni")),
    ))
}

fn cni_config(node: &Node) -> serde_json::Value {
    json!({
        "cniVersion": "1.0.0",
        "name": node.namespace,
        "plugins": [{
            "type": "ptp",
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": node.folder.join("ipam"),
                "ranges": [[{ "subnet": node.pods.to_string() }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
}

fn kubelet_config(site: &Site, node: &Node) -> serde_json::Value {
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.address.to_string(),
        "authentication": { "anonymous": { "enabled": false }, "x509": { "clientCAFile": site.pki().join("ca.crt") } },
        "authorization": { "mode": "Webhook" },
        "containerRuntimeEndpoint": format!("unix://{}", node.socket().display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", node.cgroup),
        "failCgroupV1": false,
        "failSwapOn": false,
        "clusterDNS": [site.slot.dns_service().to_string()],
        "clusterDomain": "cluster.local",
        "resolvConf": node.folder.join("resolv.conf"),
        "podLogsDir": node.folder.join("logs"),
        "makeIPTablesUtilChains": false,
        "serializeImagePulls": false,
        // The disk is the machine's own: how full it is says nothing about the node.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": { "memory.available": "100Mi" },
    });
    if site.options.node_loss == NodeLoss::Quick {
        config["nodeStatusUpdateFrequency"] = json!("1s");
        config["nodeLeaseDurationSeconds"] = json!(4);
    }
    config
}

fn proxy_config(site: &Site, node: &Node) -> serde_json::Value {
    // 0 stands for kube-proxy's own default.
    let sync = match site.options.service_sync {
        ServiceSync::Quick => "10ms",
        ServiceSync::Default => "0s",
    };
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "bindAddress": node.address.to_string(),
        "healthzBindAddress": format!("{}:10256", node.address),
        "metricsBindAddress": format!("{}:10249", node.address),
        "hostnameOverride": node.name,
        "clientConnection": { "kubeconfig": kubeconfig_file(site, "proxy") },
        "clusterCIDR": site.slot.all_pods().to_string(),
        "mode": "nftables",
        "nftables": { "minSyncPeriod": sync },
        "conntrack": { "maxPerCore": 0 },
    })
}
