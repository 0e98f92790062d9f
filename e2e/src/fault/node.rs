//! Nodes that lose their power.

use anyhow::Result;

use crate::rig::{Rig, node};

impl Rig {
    /// Ends everything on a node at one instant. Its disks keep what was written.
    ///
    /// # Errors
    /// When there is no such node or a process does not end.
    pub fn crash_node(&self, name: &str) -> Result<()> {
        node::crash(&self.node_named(name)?)
    }

    /// Starts a crashed node again; its network is whole. Pods come back on their own, with new addresses.
    ///
    /// # Errors
    /// When there is no such node or a daemon does not start.
    pub fn boot_node(&self, name: &str) -> Result<()> {
        node::boot(self.site(), self.tools(), &self.node_named(name)?)
    }

    /// Takes back every fault: cuts, full and stopped disks, stopped processes of the rig, a dead API server, crashed nodes.
    ///
    /// # Errors
    /// When one cannot be taken back.
    pub fn repair(&self) -> Result<()> {
        self.repair_api_server()?;
        for node in self.site().nodes() {
            self.heal_node(&node.name)?;
            self.resume_disk(&node.name)?;
            self.release_disk(&node.name)?;
            self.quicken_disk(&node.name)?;
            if self.daemons_of(&node).any(|process| !process.is_alive()) {
                self.crash_node(&node.name)?;
                self.boot_node(&node.name)?;
            }
        }
        Ok(())
    }
}
