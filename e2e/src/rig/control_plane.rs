//! etcd, the API server, the controllers and the scheduler, in the host's network on the rig's own address.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    certificates::kubeconfig_file,
    command::run,
    process::{self, Daemon, Process},
    progress::{expect, wait_for},
    state::{NodeLoss, Site},
    tools::Tools,
};

/// How long a part may take to answer.
pub(super) const READY_LIMIT: Duration = Duration::from_secs(90);

/// Every write, without its body: enough to count who writes what.
const AUDIT_POLICY: &str = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
- level: None
";

/// Starts the control plane and waits until its API answers.
///
/// # Errors
/// When a part does not start; says where its log is.
pub(super) fn start(site: &Site, tools: &Tools) -> Result<()> {
    fs::create_dir_all(audit_log(site).parent().context("audit folder")?)?;
    fs::write(site.folder.join("audit-policy.yaml"), AUDIT_POLICY)?;
    launch(site, tools, "etcd", etcd(site))?;
    start_api_server(site, tools)?;
    wait_ready(site, tools)?;
    launch(site, tools, "kube-controller-manager", controller_manager(site))?;
    if site.options.nodes > 0 {
        launch(site, tools, "kube-scheduler", scheduler(site))?;
    }
    Ok(())
}

/// Starts the API server alone.
///
/// # Errors
/// When it cannot be started.
pub(super) fn start_api_server(site: &Site, tools: &Tools) -> Result<Process> {
    launch(site, tools, "kube-apiserver", api_server(site))
}

/// Waits until the API server says it is ready.
///
/// # Errors
/// When it does not in time.
pub(super) fn wait_ready(site: &Site, tools: &Tools) -> Result<()> {
    let kubectl = tools.path("kubectl")?;
    wait_for("API server ready", READY_LIMIT, || {
        let alive = process::recorded(site, "kube-apiserver")?.is_alive();
        expect(alive, || format!("it ended; see {}", site.log("kube-apiserver").display()))?;
        let mut look = Command::new(&kubectl);
        run(look.env("KUBECONFIG", site.kubeconfig()).args(["get", "--raw=/readyz", "--request-timeout=5s"]))
            .map(drop)
    })
}

/// The API server's record of writes, one JSON object a line.
pub(super) fn audit_log(site: &Site) -> PathBuf {
    site.folder.join("audit").join("audit.log")
}

fn launch(site: &Site, tools: &Tools, program: &str, flags: Vec<String>) -> Result<Process> {
    launch_at(site, program, &tools.path(program)?, flags)
}

/// Starts the program at `path` as `name` in the host's network.
///
/// # Errors
/// When it cannot be started.
pub(super) fn launch_at(site: &Site, name: &str, path: &Path, flags: Vec<String>) -> Result<Process> {
    let mut command: Vec<OsString> = vec![path.into()];
    command.extend(flags.into_iter().map(OsString::from));
    let daemon =
        Daemon { name: name.into(), command, namespace: None, cgroup: site.control_cgroup(), path: None };
    process::start(site, &daemon)
}

fn etcd(site: &Site) -> Vec<String> {
    let address = site.slot.control_plane();
    let (client, peer) = (format!("http://{address}:2379"), format!("http://{address}:2380"));
    flags(&[
        ("data-dir", &shown(&site.folder.join("etcd"))),
        ("listen-client-urls", &client),
        ("advertise-client-urls", &client),
        ("listen-peer-urls", &peer),
        ("initial-advertise-peer-urls", &peer),
        ("initial-cluster", &format!("default={peer}")),
        ("log-level", "warn"),
        ("quota-backend-bytes", "4294967296"),
        // Nothing here outlives a power cut anyway.
        ("unsafe-no-fsync", "true"),
    ])
}

fn api_server(site: &Site) -> Vec<String> {
    let address = site.slot.control_plane().to_string();
    let key = |file: &str| shown(&site.pki().join(file));
    flags(&[
        ("etcd-servers", &format!("http://{address}:2379")),
        ("bind-address", &address),
        ("advertise-address", &address),
        ("secure-port", "6443"),
        ("service-cluster-ip-range", &site.slot.services().to_string()),
        ("tls-cert-file", &key("apiserver.crt")),
        ("tls-private-key-file", &key("apiserver.key")),
        ("client-ca-file", &key("ca.crt")),
        ("kubelet-client-certificate", &key("apiserver-kubelet.crt")),
        ("kubelet-client-key", &key("apiserver-kubelet.key")),
        ("kubelet-preferred-address-types", "InternalIP"),
        ("authorization-mode", "Node,RBAC"),
        ("enable-admission-plugins", "NodeRestriction"),
        ("allow-privileged", "true"),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        ("service-account-signing-key-file", &key("accounts.key")),
        ("service-account-key-file", &key("accounts.pub")),
        ("audit-policy-file", &shown(&site.folder.join("audit-policy.yaml"))),
        ("audit-log-path", &shown(&audit_log(site))),
        ("audit-log-maxsize", "1000"),
        ("audit-log-maxbackup", "2"),
    ])
}

fn controller_manager(site: &Site) -> Vec<String> {
    let key = |file: &str| shown(&site.pki().join(file));
    let config = shown(&kubeconfig_file(site, "controller-manager"));
    let mut found = flags(&[
        ("kubeconfig", &config),
        ("authentication-kubeconfig", &config),
        ("authorization-kubeconfig", &config),
        ("bind-address", &site.slot.control_plane().to_string()),
        ("service-account-private-key-file", &key("accounts.key")),
        ("root-ca-file", &key("ca.crt")),
        ("cluster-signing-cert-file", &key("ca.crt")),
        ("cluster-signing-key-file", &key("ca.key")),
        ("use-service-account-credentials", "true"),
        ("leader-elect", "false"),
    ]);
    if site.options.node_loss == NodeLoss::Quick {
        found.extend(flags(&[("node-monitor-period", "1s"), ("node-monitor-grace-period", "6s")]));
    }
    found
}

fn scheduler(site: &Site) -> Vec<String> {
    let config = shown(&kubeconfig_file(site, "scheduler"));
    flags(&[
        ("kubeconfig", &config),
        ("authentication-kubeconfig", &config),
        ("authorization-kubeconfig", &config),
        ("bind-address", &site.slot.control_plane().to_string()),
        ("leader-elect", "false"),
    ])
}

fn flags(pairs: &[(&str, &str)]) -> Vec<String> {
    pairs.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
