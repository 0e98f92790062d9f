//! Disks that are full, slow, or do not answer.
//!
//! Claims of the storage class `limited` lie on a small file system of their own on each node, shared by the node's Pods:
//! it can be filled and stopped without harm to the machine. Slowness works for every class.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use nix::sys::{
    stat::{major, minor},
    statvfs::statvfs,
};

use crate::rig::{
    Rig,
    command::{call, run},
    mounts,
    state::Node,
};

const BLKIO: &str = "/sys/fs/cgroup/blkio";
const LIMITS: &[&str] = &["blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"];
const BLOCK: usize = 4096;
/// The file system needs some blocks to describe a large file.
const SPARED: u64 = 4 << 20;

impl Rig {
    /// Fills the `limited` volumes of a node to the last block.
    ///
    /// # Errors
    /// When the node has no such file system.
    pub fn fill_disk(&self, node: &str) -> Result<()> {
        let node = self.limited(node)?;
        let space = statvfs(&node.limited())?;
        let free = space.blocks_available() * space.fragment_size();
        let file = filler(&node);
        let most = free.saturating_sub(SPARED).to_string();
        run(Command::new("fallocate").args(["--length", &most]).arg(&file))?;
        let mut rest = File::options().append(true).open(&file)?;
        while rest.write_all(&[0; BLOCK]).and_then(|()| rest.sync_data()).is_ok() {}
        Ok(())
    }

    /// Takes back [`Rig::fill_disk`].
    ///
    /// # Errors
    /// When there is no such node or the file cannot be removed.
    pub fn release_disk(&self, node: &str) -> Result<()> {
        let file = filler(&self.node_named(node)?);
        if file.exists() { fs::remove_file(file).context("free the disk") } else { Ok(()) }
    }

    /// Stops the `limited` volumes of a node: every write waits until [`Rig::resume_disk`].
    ///
    /// # Errors
    /// When the node has no such file system.
    pub fn stall_disk(&self, node: &str) -> Result<()> {
        let node = self.limited(node)?;
        call("fsfreeze", &["--freeze", &node.limited().display().to_string()]).map(drop)
    }

    /// Takes back [`Rig::stall_disk`].
    ///
    /// # Errors
    /// When there is no such node.
    pub fn resume_disk(&self, node: &str) -> Result<()> {
        crate::rig::node::thaw_disk(&self.node_named(node)?);
        Ok(())
    }

    /// Lets the containers that now run on a node do no more than so many reads and so many writes a second.
    ///
    /// Needs version 1 of control groups and volumes that are not on a partition; reads from memory stay quick.
    ///
    /// # Errors
    /// When the machine cannot do this.
    pub fn slow_disk(&self, node: &str, operations_per_second: u32) -> Result<()> {
        self.limit_disk(node, operations_per_second)
    }

    /// Takes back [`Rig::slow_disk`].
    ///
    /// # Errors
    /// When a limit cannot be taken away.
    pub fn quicken_disk(&self, node: &str) -> Result<()> {
        // 0 stands for no limit. Where none can be set, there is none to take back.
        if PathBuf::from(BLKIO).exists() { self.limit_disk(node, 0).or(Ok(())) } else { Ok(()) }
    }

    fn limit_disk(&self, node: &str, operations: u32) -> Result<()> {
        let node = self.node_named(node)?;
        let root = PathBuf::from(BLKIO).join(&node.cgroup);
        ensure!(root.exists(), "slow disks are unsupported here: they need version 1 of control groups");
        for volumes in [node.volumes(), node.limited()] {
            let device = fs::metadata(volumes)?.dev();
            let value = format!("{}:{} {operations}", major(device), minor(device));
            limit_below(&root, &value).context("slow disks are unsupported here")?;
        }
        Ok(())
    }

    fn limited(&self, node: &str) -> Result<Node> {
        let node = self.node_named(node)?;
        let mounted = mounts::below(&node.folder).contains(&node.limited());
        ensure!(mounted, "the machine has no loop devices, which full and stopped disks need");
        Ok(node)
    }
}

fn filler(node: &Node) -> PathBuf {
    node.limited().join(".full")
}

/// Limits are not inherited: each group has its own.
fn limit_below(folder: &std::path::Path, value: &str) -> Result<()> {
    for file in LIMITS {
        fs::write(folder.join(file), value).with_context(|| format!("limit {}", folder.display()))?;
    }
    for entry in fs::read_dir(folder)?.flatten().filter(|entry| entry.path().is_dir()) {
        limit_below(&entry.path(), value)?;
    }
    Ok(())
}
