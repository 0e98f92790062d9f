//! Volumes of which snapshots can be taken, for tests that ask for them: a storage driver of our own on one btrfs file system,
//! with the usual controllers of Kubernetes' storage project beside it. They run like the control plane, not as Pods.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{
    Rig, addons,
    command::run,
    control_plane::{READY_LIMIT, launch_at},
    mounts,
    process::{self, Process},
    progress::{expect, step, wait_for},
    state::{self, Site},
    tools::{self, Tools},
};

/// The storage class of such volumes, and the class of their snapshots.
pub const SNAPSHOTS: &str = "snapshots";

const DRIVER: &str = "snapshots.porpoise.local";
const CLASSES: &str = include_str!("../../manifests/snapshots.yaml");
const GROUP: &str = "snapshot.storage.k8s.io";
/// Those of groups are left out: they are of no use here.
const KINDS: [&str; 3] = ["volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"];
const DISK_BYTES: u64 = 16 << 30;
const DRIVER_PROGRAM: &str = "volumes";
const CONTROLLER: &str = "snapshot-controller";
/// The programs that are started, each with its log.
const PROGRAMS: &[&str] = &[DRIVER_PROGRAM, "csi-provisioner", "csi-snapshotter", CONTROLLER];

impl Rig {
    /// Has the storage class [`SNAPSHOTS`] and the API for snapshots, if the rig does not have them already. They stay until
    /// it is taken away.
    ///
    /// # Errors
    /// When the programs do not build or start, or the machine has no btrfs.
    pub fn with_snapshots(&self) -> Result<()> {
        let _lock = state::lock(&format!("snapshots-{}", self.site.options.name))?;
        if PROGRAMS.iter().all(|name| runs(&self.site, name)) {
            return Ok(());
        }
        let programs = tools::snapshot_programs()?;
        step("snapshots", || start(&self.site, &self.tools, &programs))
    }
}

fn runs(site: &Site, name: &str) -> bool {
    process::recorded(site, name).is_ok_and(Process::is_alive)
}

/// True when `name` is a program that only tests of snapshots ask for.
pub(super) fn is_one(name: &str) -> bool {
    PROGRAMS.contains(&name)
}

fn start(site: &Site, tools: &Tools, programs: &Path) -> Result<()> {
    addons::apply_text(site, tools, &definitions(programs)?)?;
    let established = ["wait", "--for=condition=Established", addons::READY, "customresourcedefinition"];
    run(addons::kubectl(site, tools)?.args(established).args(KINDS.map(|kind| format!("{kind}.{GROUP}"))))?;
    addons::apply_text(site, tools, CLASSES)?;
    let store = mount(site)?;
    for name in PROGRAMS {
        if !runs(site, name) {
            launch_at(site, name, &programs.join(name), flags(site, &store, name))?;
        }
    }
    wait_for("snapshots on every node", READY_LIMIT, || {
        let dead = PROGRAMS.iter().find(|name| !runs(site, name));
        expect(dead.is_none(), || {
            format!("{dead:?} ended; its log is in {}", site.folder.join("logs").display())
        })?;
        let drivers = "jsonpath={range .items[*]}{.spec.drivers[*].name}{\"\\n\"}{end}";
        let known = run(addons::kubectl(site, tools)?.args(["get", "csinodes", "--output", drivers]))?;
        let ready = known.lines().filter(|line| line.contains(DRIVER)).count();
        expect(ready == usize::from(site.options.nodes), || format!("it is on {ready}"))
    })
}

/// One file system that all nodes share: it takes space as it is written to.
fn mount(site: &Site) -> Result<PathBuf> {
    let (disk, folder) = (site.folder.join("snapshots.disk"), site.folder.join("snapshots"));
    if mounts::below(&site.folder).contains(&folder) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder)?;
    fs::File::create(&disk)?.set_len(DISK_BYTES)?;
    run(Command::new("mkfs.btrfs").args(["--quiet", "--nodiscard"]).arg(&disk))?;
    // Nothing here outlives a power cut of the machine anyway, and freed space goes back to it.
    let mounting = ["-t", "btrfs", "-o", "loop,noatime,nobarrier,discard=async"];
    run(Command::new("mount").args(mounting).arg(&disk).arg(&folder)).context("mount a btrfs file system")?;
    Ok(folder)
}

fn flags(site: &Site, store: &Path, program: &str) -> Vec<String> {
    let socket = site.folder.join("snapshots.sock").display().to_string();
    if program == DRIVER_PROGRAM {
        let nodes = site.nodes();
        let kubelets = nodes.iter().map(|node| format!("--node={}={}", node.name, node.kubelet().display()));
        let mut found = vec![format!("--store={}", store.display()), format!("--socket={socket}")];
        found.extend(kubelets);
        return found;
    }
    let kubeconfig = format!("--kubeconfig={}", site.kubeconfig().display());
    // Their own pauses grow to minutes.
    let mut found = vec![kubeconfig, "--retry-interval-max=2s".to_owned()];
    if program != CONTROLLER {
        found.extend([format!("--csi-address={socket}"), "--timeout=60s".to_owned()]);
    }
    found
}

/// The kinds of the API, one document after another.
fn definitions(programs: &Path) -> Result<String> {
    let mut found = String::new();
    for kind in KINDS {
        let file = programs.join("kinds").join(format!("{GROUP}_{kind}.yaml"));
        found += "---\n";
        found += &fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
    }
    Ok(found)
}
