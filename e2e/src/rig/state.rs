//! What a rig remembers between two calls, and where.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::address::{Network, Slot};

/// How quickly kube-proxy follows a change of a Service's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum ServiceSync {
    /// 10 ms: tests then measure the operator, not kube-proxy.
    Quick,
    /// What users have: at most one change a second.
    Default,
}

/// How quickly Kubernetes notices a lost node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum NodeLoss {
    /// About 7 s.
    Quick,
    /// About 50 s, what users have.
    Default,
}

/// What a rig is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// The rig's name; several rigs may run at once.
    pub name: String,
    /// How many nodes; 0 gives an API server, its store and the controllers, but nothing that could run a Pod.
    pub nodes: u8,
    /// kube-proxy's pace.
    pub service_sync: ServiceSync,
    /// The node controller's pace.
    pub node_loss: NodeLoss,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "porpoise".into(),
            nodes: 3,
            service_sync: ServiceSync::Quick,
            node_loss: NodeLoss::Quick,
        }
    }
}

/// One rig's names, addresses and folders. Everything in it follows from the options and the slot.
#[derive(Clone, Debug)]
pub struct Site {
    /// What was asked for.
    pub options: Options,
    /// Its share of the addresses.
    pub slot: Slot,
    /// Its folder.
    pub folder: PathBuf,
}

/// One node's names, addresses and folders.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name in Kubernetes: `n1`, `n2`, ...
    pub name: String,
    /// Its address.
    pub address: std::net::Ipv4Addr,
    /// Its Pods' addresses.
    pub pods: Network,
    /// Its folder.
    pub folder: PathBuf,
    /// Its network namespace.
    pub namespace: String,
    /// The host's end of its cable.
    pub interface: String,
    /// Its group in every cgroup hierarchy.
    pub cgroup: String,
}

impl Node {
    /// Where its containerd listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.join("containerd.sock")
    }

    /// Its kubelet's folder.
    pub fn kubelet(&self) -> PathBuf {
        self.folder.join("kubelet")
    }

    /// Where the volumes of its Pods' claims lie.
    pub fn volumes(&self) -> PathBuf {
        self.folder.join("volumes")
    }

    /// Where the volumes of claims of class `limited` lie: a small file system of its own.
    pub fn limited(&self) -> PathBuf {
        self.folder.join("limited")
    }

    /// The name under which one of its daemons is recorded.
    pub fn daemon(&self, what: &str) -> String {
        format!("{what}-{}", self.name)
    }
}

impl Site {
    /// The site of a rig that was set up before.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn load(name: &str) -> Result<Self> {
        let folder = rigs().join(name);
        let text = fs::read_to_string(folder.join("settings.json"))
            .with_context(|| format!("there is no rig named {name}; start it with `rig up`"))?;
        let options: Options = serde_json::from_str(&text)?;
        let slot = recorded_slot(name).context("the rig's slot is not recorded")?;
        Ok(Self { options, slot, folder })
    }

    /// Takes a slot for a new rig, or the one it already has.
    ///
    /// # Errors
    /// When every slot is taken or the name cannot be used.
    pub fn claim(options: &Options) -> Result<Self> {
        check(options)?;
        let folder = rigs().join(&options.name);
        fs::create_dir_all(&folder)?;
        let _lock = lock("slots")?;
        let slot = match recorded_slot(&options.name) {
            Some(slot) => slot,
            None => take_slot(&options.name)?,
        };
        Ok(Self { options: options.clone(), slot, folder })
    }

    /// Remembers the options.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.options)?;
        Ok(fs::write(self.folder.join("settings.json"), text)?)
    }

    /// Forgets the rig: its folder and its slot.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn forget(&self) -> Result<()> {
        let _lock = lock("slots")?;
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("remove {}", self.folder.display()))?;
        }
        fs::remove_file(slot_record(self.slot)).context("free the rig's slot")
    }

    /// The rig's nodes.
    pub fn nodes(&self) -> Vec<Node> {
        (0..self.options.nodes).map(|index| self.node(index)).collect()
    }

    /// Node `index`, counted from 0.
    pub fn node(&self, index: u8) -> Node {
        let name = format!("n{}", index + 1);
        Node {
            address: self.slot.node(index),
            pods: self.slot.pods(index),
            folder: self.folder.join(&name),
            namespace: format!("rig-{}-{name}", self.options.name),
            interface: format!("{}{name}", self.slot.bridge()),
            cgroup: format!("rig-{}-{name}", self.options.name),
            name,
        }
    }

    /// The group of the control plane's processes.
    pub fn control_cgroup(&self) -> String {
        format!("rig-{}-control", self.options.name)
    }

    /// What every one of this rig's cgroups, namespaces and networks begins with.
    pub fn prefix(&self) -> String {
        format!("rig-{}-", self.options.name)
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Keys and certificates.
    pub fn pki(&self) -> PathBuf {
        self.folder.join("pki")
    }

    /// Where `component` writes its log.
    pub fn log(&self, component: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{component}.log"))
    }

    /// The API server's address.
    pub fn server(&self) -> String {
        format!("https://{}:6443", self.slot.control_plane())
    }
}

/// `$XDG_CACHE_HOME/porpoise`, by default `~/.cache/porpoise`.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()).map_or_else(
        || Path::new(&std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache"),
        PathBuf::from,
    );
    base.join("porpoise")
}

/// Holds the lock `name` until the returned value is dropped; waits for another holder.
///
/// # Errors
/// When the lock file cannot be made.
pub fn lock(name: &str) -> Result<Flock<fs::File>> {
    let folder = cache().join("locks");
    fs::create_dir_all(&folder)?;
    let file = fs::File::create(folder.join(name))?;
    Flock::lock(file, FlockArg::LockExclusive)
        .map_err(|(_, error)| error)
        .with_context(|| format!("take lock {name}"))
}

fn rigs() -> PathBuf {
    cache().join("rig")
}

fn slot_record(slot: Slot) -> PathBuf {
    cache().join("slots").join(slot.number().to_string())
}

fn recorded_slot(name: &str) -> Option<Slot> {
    let holds = |slot: &Slot| fs::read_to_string(slot_record(*slot)).is_ok_and(|holder| holder == name);
    Slot::all().find(holds)
}

/// A slot without a record whose bridge exists belongs to a rig of another cache folder.
fn take_slot(name: &str) -> Result<Slot> {
    let in_use =
        |slot: Slot| slot_record(slot).exists() || Path::new("/sys/class/net").join(slot.bridge()).exists();
    let Some(slot) = Slot::all().find(|slot| !in_use(*slot)) else {
        bail!("every slot for a rig is taken; end one with `rig down --name NAME`");
    };
    fs::create_dir_all(cache().join("slots"))?;
    fs::write(slot_record(slot), name)?;
    Ok(slot)
}

fn check(options: &Options) -> Result<()> {
    let Options { name, nodes, .. } = options;
    let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9');
    ensure!(
        (1..=12).contains(&name.len()) && name.chars().all(allowed),
        "a rig's name has 1 to 12 small letters and digits, unlike {name:?}"
    );
    ensure!(*nodes <= Slot::MOST_NODES, "a rig has at most {} nodes", Slot::MOST_NODES);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        Site { options: Options::default(), slot: Slot::new(1).unwrap(), folder: "/rigs/porpoise".into() }
    }

    #[test]
    fn a_node_is_named_after_its_rig_outside_and_plainly_inside() {
        let node = site().node(1);
        assert_eq!(node.name, "n2");
        assert_eq!(node.namespace, "rig-porpoise-n2");
        assert_eq!(node.interface, "rig1n2");
        assert_eq!(node.socket(), Path::new("/rigs/porpoise/n2/containerd.sock"));
    }

    #[test]
    fn names_that_do_not_fit_an_interface_or_a_label_are_refused() {
        for name in ["", "Big", "a-b", "thirteenchars", "../x"] {
            assert!(check(&Options { name: name.into(), ..Options::default() }).is_err(), "{name:?}");
        }
    }
}
