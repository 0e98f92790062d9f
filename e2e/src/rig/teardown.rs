//! Taking a rig away, in whatever state an earlier run left it.

use std::{fs, path::Path};

use anyhow::Result;

use super::{cgroup, mounts, network, node, state::Site};

/// Ends every process of the rig and removes its mounts, control groups, namespaces and cables.
///
/// Works on what it finds, not on what should be there: an earlier rig may have been killed at any point.
///
/// # Errors
/// When something of the rig cannot be ended or removed.
pub(super) fn clear(site: &Site) -> Result<()> {
    let nodes = site.nodes();
    nodes.iter().try_for_each(|node| node::stop(site, node))?;
    cgroup::end(&site.control_cgroup())?;
    nodes.iter().for_each(node::remove_shim_sockets);
    mounts::detach_below(&site.folder, |_| false)?;
    remove_shared_entries(site);
    cgroup::remove("", &site.prefix());
    network::clear(site)?;
    remove_files(&site.folder)
}

/// Some folders are the same for every Kubernetes of a machine: only our own entries are removed from them.
fn remove_shared_entries(site: &Site) {
    remove_links("/var/log/containers", &site.folder);
    let Ok(entries) = fs::read_dir("/var/lib/cni/results") else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&site.prefix()) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn remove_links(folder: &str, target: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if fs::read_link(entry.path()).is_ok_and(|to| to.starts_with(target)) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// Removes what is in the rig's folder but not the folder itself: its slot stays taken.
fn remove_files(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    Ok(())
}
