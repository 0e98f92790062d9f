//! Mounts below a folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};

/// Takes away every mount below `folder` but those to keep, the newest first.
///
/// # Errors
/// When the kernel refuses one.
pub fn detach_below(folder: &Path, keep: impl Fn(&Path) -> bool) -> Result<()> {
    for mount in below(folder).iter().rev().filter(|mount| !keep(mount)) {
        umount2(mount, MntFlags::MNT_DETACH).with_context(|| format!("unmount {}", mount.display()))?;
    }
    Ok(())
}

/// The mount points below `folder`, in the order in which they were mounted.
pub fn below(folder: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    points(&text).into_iter().filter(|point| point.starts_with(folder) && point != folder).collect()
}

fn points(mountinfo: &str) -> Vec<PathBuf> {
    mountinfo.lines().filter_map(|line| Some(plain(line.split(' ').nth(4)?).into())).collect()
}

/// The kernel writes blanks and backslashes in paths as octal numbers.
fn plain(path: &str) -> String {
    path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks() {
        let line = r"36 35 98:0 /mnt1 /mnt\0402 rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(points(line), [PathBuf::from("/mnt 2")]);
    }
}
