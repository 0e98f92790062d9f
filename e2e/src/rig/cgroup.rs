//! Control groups: where a rig's processes are kept together, frozen and ended.
//!
//! Every process of a node, its daemons, the containers and the shims between them, is below one group of one hierarchy
//! (version 1: `freezer`; version 2: the only one). So nothing of a rig can escape its teardown.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::{
    process::Process,
    progress::{expect, wait_for},
};

const ROOT: &str = "/sys/fs/cgroup";
const END_LIMIT: Duration = Duration::from_secs(20);
const REMOVE_LIMIT: Duration = Duration::from_secs(5);

/// The hierarchies that containers are accounted in: all of version 1, or the one of version 2.
fn hierarchies() -> Vec<PathBuf> {
    let first = mounted("cgroup");
    if first.is_empty() { mounted("cgroup2") } else { first }
}

/// Where cgroup file systems of `kind` are mounted.
fn mounted(kind: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .filter(|fields| fields.get(2) == Some(&kind))
        .filter_map(|fields| fields.get(1).map(PathBuf::from))
        .collect()
}

/// The hierarchy that holds every process of a rig.
fn keeper() -> Result<PathBuf> {
    let freezer = Path::new(ROOT).join("freezer");
    if freezer.is_dir() {
        return Ok(freezer);
    }
    if Path::new(ROOT).join("cgroup.controllers").exists() {
        return Ok(ROOT.into());
    }
    bail!("the rig needs control groups with a freezer below {ROOT}")
}

/// Creates `group` in every hierarchy.
///
/// # Errors
/// When a hierarchy refuses.
pub fn create(group: &str) -> Result<()> {
    for hierarchy in hierarchies() {
        delegate(&hierarchy);
        let folder = hierarchy.join(group);
        fs::create_dir_all(&folder).with_context(|| format!("create control group {}", folder.display()))?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            inherit(&hierarchy, group, file)?;
        }
    }
    Ok(())
}

/// In version 2, a group has the controllers that its parent hands down. Version 1 has no such file.
fn delegate(folder: &Path) {
    let controllers = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        // What cannot be handed down, the kubelet will name.
        fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}")).ok();
    }
}

/// A version 1 cpuset starts empty and takes no process until it is filled.
fn inherit(hierarchy: &Path, group: &str, file: &str) -> Result<()> {
    let Ok(value) = fs::read_to_string(hierarchy.join(file)) else { return Ok(()) };
    let mut folder = hierarchy.to_path_buf();
    for part in Path::new(group) {
        folder.push(part);
        fs::write(folder.join(file), value.trim()).with_context(|| format!("set {file} of {group}"))?;
    }
    Ok(())
}

/// The file that a process writes `0` to in order to join `group`.
///
/// # Errors
/// When the group cannot be created.
pub fn processes(group: &str) -> Result<PathBuf> {
    let folder = keeper()?.join(group);
    fs::create_dir_all(&folder).with_context(|| format!("create control group {}", folder.display()))?;
    Ok(folder.join("cgroup.procs"))
}

/// Everything that runs in `group` or below it.
pub fn members(group: &str) -> Vec<Process> {
    keeper().map(|keeper| processes_below(&keeper.join(group))).unwrap_or_default()
}

/// Everything that runs in the folder of a control group or below it.
pub fn processes_below(folder: &Path) -> Vec<Process> {
    let own = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let listed = own.lines().filter_map(|pid| Process::find(pid.parse().ok()?));
    // A group lists its dead until someone has asked how they ended.
    let mut found: Vec<_> = listed.filter(|process| process.is_alive()).collect();
    for child in folders(folder) {
        found.extend(processes_below(&child));
    }
    found
}

/// Folders of the keeper hierarchy below `group` whose name satisfies `wanted`.
pub fn find(group: &str, wanted: impl Fn(&str) -> bool + Copy) -> Vec<PathBuf> {
    fn walk(folder: &Path, wanted: impl Fn(&str) -> bool + Copy, found: &mut Vec<PathBuf>) {
        for child in folders(folder) {
            if child.file_name().and_then(|name| name.to_str()).is_some_and(wanted) {
                found.push(child.clone());
            }
            walk(&child, wanted, found);
        }
    }
    let mut found = Vec::new();
    if let Ok(keeper) = keeper() {
        walk(&keeper.join(group), wanted, &mut found);
    }
    found
}

/// Ends everything in `group` at one instant, as a power cut would: frozen first, so that nothing sees another die.
///
/// # Errors
/// When something is still there after a while.
pub fn end(group: &str) -> Result<()> {
    let folder = keeper()?.join(group);
    freeze(&folder, true);
    for process in processes_below(&folder) {
        process.signal(Signal::SIGKILL).ok();
    }
    thaw_below(&folder);
    wait_for("processes end", END_LIMIT, || {
        let left = processes_below(&folder);
        for process in &left {
            process.signal(Signal::SIGKILL).ok();
        }
        expect(left.is_empty(), || format!("{left:?} are left of {group}"))
    })
}

/// A container may have been frozen on its own: a frozen process does not end.
fn thaw_below(folder: &Path) {
    freeze(folder, false);
    for child in folders(folder) {
        thaw_below(&child);
    }
}

fn freeze(folder: &Path, frozen: bool) {
    let (file, value) = if folder.join("freezer.state").exists() {
        ("freezer.state", if frozen { "FROZEN" } else { "THAWED" })
    } else {
        ("cgroup.freeze", if frozen { "1" } else { "0" })
    };
    // A group that has gone meanwhile needs neither.
    fs::write(folder.join(file), value).ok();
}

/// Removes every group below `parent` (the root when empty) whose name begins with `prefix`, the deepest first.
///
/// In every hierarchy: where both versions are mounted, runc makes groups in both.
pub fn remove(parent: &str, prefix: &str) {
    for hierarchy in ["cgroup", "cgroup2"].into_iter().flat_map(mounted) {
        for folder in folders(&hierarchy.join(parent)) {
            if folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
            {
                // The kernel lets go of a group some time after the last process in it has ended.
                let gone = wait_for("a control group goes", REMOVE_LIMIT, || {
                    remove_tree(&folder);
                    expect(!folder.exists(), || folder.display().to_string())
                });
                // Teardown goes on with the rest.
                gone.ok();
            }
        }
    }
}

fn remove_tree(folder: &Path) {
    for child in folders(folder) {
        remove_tree(&child);
    }
    fs::remove_dir(folder).ok();
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
