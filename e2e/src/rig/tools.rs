//! The programs a rig is made of: built from pinned Go modules or taken from Debian, once, and kept in the cache.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::{command::run, debian, progress::step, state};
use crate::programs::checkout;

/// The version of Kubernetes, as in `tools/kubernetes/go.mod`.
pub const KUBERNETES: &str = "1.36.3";

const STAMP: &str = "k8s.io/component-base/version";
const COMMANDS: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"];
const FROM_DEBIAN: &[&str] =
    &["containerd", "etcd-server", "kubernetes-client", "containernetworking-plugins"];
const DEBIAN_PROGRAMS: &[&str] = &["containerd", "containerd-shim-runc-v2", "ctr", "etcd", "kubectl"];
const DEBIAN_PLUGINS: &[&str] = &["host-local", "ptp"];

/// Where the programs lie once they are there.
#[derive(Clone, Debug)]
pub struct Tools {
    kubernetes: PathBuf,
    addons: PathBuf,
    debian: PathBuf,
}

impl Tools {
    /// Builds or fetches whatever is not in the cache yet.
    ///
    /// # Errors
    /// When a build or a download fails.
    pub fn get() -> Result<Self> {
        let _lock = state::lock("tools")?;
        let tools = Self::known();
        once(&tools.kubernetes, build_kubernetes)?;
        once(&tools.addons, build_addons)?;
        once(&tools.debian, fetch_programs)?;
        tools.link_for_people()?;
        Ok(tools)
    }

    /// Where the programs are once [`Tools::get`] has run; enough to use or remove a rig that was started.
    pub fn known() -> Self {
        let kubernetes = [
            include_str!("../../tools/kubernetes/go.mod"),
            include_str!("../../tools/kubernetes/main.go"),
            KUBERNETES,
        ];
        let addons =
            [include_str!("../../tools/addons/go.mod"), include_str!("../../tools/addons/coredns/main.go")];
        Self {
            kubernetes: place("kubernetes", &kubernetes),
            addons: place("addons", &addons),
            debian: place("debian", FROM_DEBIAN),
        }
    }

    /// One of the commands that are built from Go modules or come from Debian.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn path(&self, program: &str) -> Result<PathBuf> {
        [&self.kubernetes, &self.addons, &self.debian]
            .map(|folder| folder.join(program))
            .into_iter()
            .find(|path| path.exists())
            .with_context(|| format!("the rig has no program {program}"))
    }

    /// The folder of containerd and its shim.
    pub fn debian(&self) -> &Path {
        &self.debian
    }

    /// The folder of the network plugins.
    pub fn plugins(&self) -> PathBuf {
        self.debian.join("cni")
    }

    fn link_for_people(&self) -> Result<()> {
        fs::create_dir_all(bin())?;
        for program in ["kubectl", "helm", "ctr", "etcd"] {
            let Ok(target) = self.path(program) else { continue };
            let link = bin().join(program);
            if fs::read_link(&link).ok().as_ref() != Some(&target) {
                fs::remove_file(&link).ok();
                symlink(&target, &link)?;
            }
        }
        Ok(())
    }
}

/// An S3 server for tests, built if it is not in the cache yet.
///
/// # Errors
/// When it does not build.
pub fn store_program() -> Result<PathBuf> {
    let _lock = state::lock("tools")?;
    let folder = place("store", &[include_str!("../../tools/store/go.mod")]);
    once(&folder, |folder| {
        step("build versitygw", || {
            go_build(
                "store",
                "github.com/versity/versitygw/cmd/versitygw",
                "-s -w",
                &folder.join("versitygw"),
            )
        })
    })?;
    Ok(folder.join("versitygw"))
}

/// What takes snapshots of volumes: the rig's storage driver, the controllers beside it, and the kinds of the API in the
/// folder `kinds`. Built if they are not in the cache yet.
///
/// # Errors
/// When one does not build.
pub fn snapshot_programs() -> Result<PathBuf> {
    let _lock = state::lock("tools")?;
    let sources = [
        include_str!("../../tools/volumes/go.mod"),
        include_str!("../../tools/volumes/controller.go"),
        include_str!("../../tools/volumes/identity.go"),
        include_str!("../../tools/volumes/main.go"),
        include_str!("../../tools/volumes/node.go"),
        include_str!("../../tools/volumes/store.go"),
    ];
    let folder = place("volumes", &sources);
    once(&folder, |folder| {
        for (program, package) in [
            ("volumes", "."),
            ("csi-provisioner", "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"),
            ("csi-snapshotter", "github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter"),
            (
                "snapshot-controller",
                "github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
            ),
        ] {
            step(&format!("build {program}"), || {
                go_build("volumes", package, "-s -w", &folder.join(program))
            })?;
        }
        run(Command::new("cp").arg("-r").arg(kinds()?).arg(folder.join("kinds"))).map(drop)
    })?;
    Ok(folder)
}

/// The folder of the kinds of snapshots, in the module that their clients come from.
fn kinds() -> Result<PathBuf> {
    let module = "github.com/kubernetes-csi/external-snapshotter/client/v8";
    let list = ["list", "-m", "-f", "{{.Dir}}", module];
    let found = run(Command::new("go").current_dir(module_folder("volumes")).args(list))?;
    Ok(Path::new(found.trim()).join("config/crd"))
}

/// An emulator of Azure Blob Storage for tests, installed if it is not in the cache yet.
///
/// # Errors
/// When it cannot be installed.
pub fn azure_program() -> Result<PathBuf> {
    let _lock = state::lock("tools")?;
    let files = [
        include_str!("../../tools/azurite/package.json"),
        include_str!("../../tools/azurite/package-lock.json"),
    ];
    let folder = place("azurite", &files);
    once(&folder, |folder| {
        step("install azurite", || {
            for (name, text) in ["package.json", "package-lock.json"].iter().zip(files) {
                fs::write(folder.join(name), text)?;
            }
            let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
            run(Command::new("npm").current_dir(folder).args(install)).map(drop)
        })
    })?;
    Ok(folder.join("node_modules/.bin/azurite-blob"))
}

/// An emulator of Google Cloud Storage for tests, built if it is not in the cache yet.
///
/// # Errors
/// When it does not build.
pub fn gcs_program() -> Result<PathBuf> {
    let _lock = state::lock("tools")?;
    let files = [
        include_str!("../../tools/gcs/go.mod"),
        include_str!("../../tools/gcs/main.go"),
        include_str!("../../tools/gcs/door.go"),
    ];
    let folder = place("gcs", &files);
    let program = |folder: &Path| folder.join("gcs");
    once(&folder, |folder| {
        step("build the emulator of Google Cloud Storage", || go_build("gcs", ".", "-s -w", &program(folder)))
    })?;
    Ok(program(&folder))
}

/// A folder for the search path, with kubectl and helm.
pub fn bin() -> PathBuf {
    state::cache().join("tools").join("bin")
}

fn build_kubernetes(folder: &Path) -> Result<()> {
    let (major, minor) =
        KUBERNETES.rsplit_once('.').and_then(|(front, _)| front.split_once('.')).context("version")?;
    let flags = format!(
        "-s -w -X {STAMP}.gitVersion=v{KUBERNETES} -X {STAMP}.gitMajor={major} -X {STAMP}.gitMinor={minor}"
    );
    step(&format!("build Kubernetes {KUBERNETES} (about 5 minutes on 2 cores)"), || {
        go_build("kubernetes", ".", &flags, &folder.join("kubernetes"))
    })?;
    COMMANDS.iter().try_for_each(|command| Ok(symlink("kubernetes", folder.join(command))?))
}

fn build_addons(folder: &Path) -> Result<()> {
    for (program, package) in [
        ("coredns", "./coredns"),
        ("helm", "helm.sh/helm/v3/cmd/helm"),
        ("local-path-provisioner", "github.com/rancher/local-path-provisioner"),
    ] {
        step(&format!("build {program}"), || go_build("addons", package, "-s -w", &folder.join(program)))?;
    }
    Ok(())
}

fn fetch_programs(folder: &Path) -> Result<()> {
    step("fetch containerd, etcd, kubectl and network plugins from Debian", || {
        let root = folder.join("root");
        debian::extract(FROM_DEBIAN, &root)?;
        fs::create_dir(folder.join("cni"))?;
        for program in DEBIAN_PROGRAMS {
            let from = root.join("usr/bin").join(program);
            fs::rename(from, folder.join(program)).with_context(|| format!("take {program}"))?;
        }
        for plugin in DEBIAN_PLUGINS {
            let from = root.join("usr/lib/cni").join(plugin);
            fs::rename(from, folder.join("cni").join(plugin)).with_context(|| format!("take {plugin}"))?;
        }
        fs::remove_dir_all(root).context("remove what is not needed")
    })
}

/// The folder `NAME-HASH` of the tools, where the hash changes with any of the sources.
pub(crate) fn place(name: &str, sources: &[&str]) -> PathBuf {
    state::cache().join("tools").join(format!("{name}-{}", fingerprint(sources)))
}

/// Fills `folder` if it is not there. A fill that fails leaves nothing.
pub(crate) fn once(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let partial = folder.with_extension("partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    fill(&partial)?;
    fs::rename(&partial, folder).with_context(|| format!("finish {}", folder.display()))
}

/// Twelve characters that change with any of the texts.
pub(crate) fn fingerprint(texts: &[impl AsRef<[u8]>]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_ref());
        hash.update([0]);
    }
    hex(&hash.finalize())[..12].to_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn go_build(module: &str, package: &str, flags: &str, to: &Path) -> Result<()> {
    let arguments: [OsString; 6] = [
        "build".into(),
        "-trimpath".into(),
        "-buildvcs=false".into(),
        "-ldflags".into(),
        flags.into(),
        "-o".into(),
    ];
    run(Command::new("go")
        .current_dir(module_folder(module))
        .env("CGO_ENABLED", "0")
        .args(arguments)
        .arg(to)
        .arg(package))
    .map(drop)
}

fn module_folder(module: &str) -> PathBuf {
    checkout().join("e2e/tools").join(module)
}
