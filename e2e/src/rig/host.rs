//! What the machine itself must offer.

use std::{env::consts::OS, process::Command};

use anyhow::{Context, Result, bail};

use super::{
    command::{call, is_installed, run},
    progress::step,
};

const OTHER_WAY: &str = "or use a cluster you have: CLUSTER=current with its KUBECONFIG";

/// A program and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[
    ("busybox", "busybox-static"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("mkfs.btrfs", "btrfs-progs"),
    ("mkfs.ext4", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("modprobe", "kmod"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("runc", "runc"),
];

/// Checks the machine, and installs the packages that the rig needs and it lacks.
///
/// # Errors
/// One sentence that names what is missing.
pub(super) fn prepare() -> Result<()> {
    if OS != "linux" {
        bail!("the rig needs Linux, and this is {OS}; {OTHER_WAY}");
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("the rig needs root, for network namespaces and control groups; {OTHER_WAY}");
    }
    if !is_installed("go") {
        bail!("the rig needs Go 1.26 to build Kubernetes, and there is no `go` on the path; {OTHER_WAY}");
    }
    install(&missing_packages())
}

fn missing_packages() -> Vec<&'static str> {
    PROGRAMS.iter().filter(|(program, _)| !is_installed(program)).map(|(_, package)| *package).collect()
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if !is_installed("apt-get") {
        bail!("the rig needs these packages: {}; {OTHER_WAY}", packages.join(" "));
    }
    step(&format!("install {}", packages.join(" ")), || {
        call("apt-get", &["update", "-qq"])?;
        run(Command::new("apt-get")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .args(["install", "-y", "-qq", "--no-install-recommends"])
            .args(packages))
        .map(drop)
    })
}

/// The Debian mirror that apt is configured with.
///
/// # Errors
/// When apt knows no Debian archive.
pub(super) fn debian_mirror() -> Result<String> {
    let format = "$(REPO_URI) $(ORIGIN) $(CODENAME)";
    let targets = call("apt-get", &["indextargets", "--format", format, "Created-By: Packages"])?;
    targets
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| {
            fields.get(1) == Some(&"Debian") && fields.get(2).is_some_and(|name| !name.contains('-'))
        })
        .and_then(|fields| fields.first().map(|uri| (*uri).to_owned()))
        .with_context(|| {
            format!("the rig takes packages from a Debian archive, and apt has none configured; {OTHER_WAY}")
        })
}
