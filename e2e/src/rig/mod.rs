//! A real Kubernetes on this machine: start it, use it, take it away.

mod addons;
pub mod address;
mod certificates;
pub mod cgroup;
pub mod command;
mod contents;
mod control_plane;
mod debian;
mod host;
pub mod images;
pub mod mounts;
pub mod network;
pub mod node;
pub mod process;
pub mod progress;
mod seed;
mod snapshots;
pub mod state;
mod teardown;
pub mod tools;

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

pub use contents::{BUSYBOX, MYSQL, group_replication, mysql_root};
pub use images::operator_image;
pub use snapshots::SNAPSHOTS;
pub use state::{NodeLoss, Options, ServiceSync};

use progress::{expect, step, wait_for};
use state::{Node, Site};
use tools::Tools;

/// Where the operator's image is found by charts and scenarios.
pub const OPERATOR: &str = "porpoise.local/porpoise:dev";

/// Installs what the rig needs from the machine's own package manager, or says what is missing.
///
/// # Errors
/// When this is no Linux, not root, or something cannot be installed.
pub fn prepare_host() -> Result<()> {
    host::prepare()
}

const NODES_LIMIT: Duration = Duration::from_mins(2);

/// A running rig.
#[derive(Clone, Debug)]
pub struct Rig {
    site: Site,
    tools: Tools,
}

impl Rig {
    /// Starts the rig, or finds it running. See [`Rig::up_blocking`].
    ///
    /// # Errors
    /// As [`Rig::up_blocking`].
    pub async fn up(options: Options) -> Result<Self> {
        tokio::task::spawn_blocking(move || Self::up_blocking(&options)).await?
    }

    /// Starts the rig, or finds it running.
    ///
    /// Faults that are still on it are taken back. A rig of this name that cannot be mended, or was started with other
    /// options, is taken away first.
    ///
    /// # Errors
    /// When the machine lacks something or a part does not start.
    pub fn up_blocking(options: &Options) -> Result<Self> {
        host::prepare()?;
        let _lock = state::lock(&format!("rig-{}", options.name))?;
        if let Ok(rig) = Self::attach(&options.name)
            && rig.site.options == *options
            && (rig.is_whole() || rig.mended())
        {
            return Ok(rig);
        }
        let tools = Tools::get()?;
        let seed = if options.nodes > 0 { Some(seed::get(&tools, &contents::all(&tools)?)?) } else { None };
        let rig = Self { site: Site::claim(options)?, tools };
        rig.clear()?;
        rig.start(seed.as_deref())?;
        Ok(rig)
    }

    /// A rig that was started before, in whatever state it is.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn attach(name: &str) -> Result<Self> {
        Ok(Self { site: Site::load(name)?, tools: Tools::known() })
    }

    /// Takes the rig away. Programs and images stay in the cache.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub fn down(&self) -> Result<()> {
        let _lock = state::lock(&format!("rig-{}", self.site.options.name))?;
        step("take the rig away", || {
            self.clear()?;
            self.site.forget()
        })
    }

    /// An earlier rig of this name may have had more nodes.
    fn clear(&self) -> Result<()> {
        let earlier = Site::load(&self.site.options.name).unwrap_or_else(|_| self.site.clone());
        let most = earlier.options.nodes.max(self.site.options.nodes);
        let options = Options { nodes: most, ..self.site.options.clone() };
        teardown::clear(&Site { options, ..self.site.clone() })
    }

    fn start(&self, seed: Option<&Path>) -> Result<()> {
        let Self { site, tools } = self;
        site.save()?;
        certificates::issue(site)?;
        network::lay(site)?;
        step("control plane", || control_plane::start(site, tools))?;
        let Some(seed) = seed else { return Ok(()) };
        step("nodes", || {
            addons::apply(site, tools)?;
            self.start_nodes(seed)?;
            self.wait_nodes()
        })?;
        step("DNS and volumes", || addons::wait_ready(site, tools))
    }

    fn start_nodes(&self, seed: &Path) -> Result<()> {
        let Self { site, tools } = self;
        let nodes = site.nodes();
        thread::scope(|scope| {
            let starts: Vec<_> =
                nodes.iter().map(|node| scope.spawn(move || node::create(site, tools, node, seed))).collect();
            starts.into_iter().zip(&nodes).try_for_each(|(start, node)| match start.join() {
                Ok(result) => result.with_context(|| format!("start node {}", node.name)),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    fn wait_nodes(&self) -> Result<()> {
        let path =
            "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        wait_for("nodes ready", NODES_LIMIT, || {
            self.site.nodes().iter().try_for_each(|node| node::revive(&self.site, &self.tools, node))?;
            let states = self.kubectl(["get", "nodes", "--output", path])?;
            let ready = states.lines().filter(|state| *state == "True").count();
            expect(ready == usize::from(self.site.options.nodes), || {
                format!("{ready} are; logs in {}", self.log_folder())
            })
        })
    }

    /// True when only faults of ours ail it and they could be taken back.
    fn mended(&self) -> bool {
        let parts = ["etcd", "kube-controller-manager", "kube-scheduler"];
        let lives = |part: &&str| process::recorded(&self.site, part).is_ok_and(process::Process::is_alive);
        self.site.options.nodes > 0
            && parts.iter().all(lives)
            && step("take back faults", || self.repair()).is_ok()
            && self.wait_nodes().is_ok()
            && self.is_whole()
    }

    fn log_folder(&self) -> String {
        self.site.folder.join("logs").display().to_string()
    }

    /// True when every process of the rig runs and its API answers.
    pub fn is_whole(&self) -> bool {
        let processes = process::all(&self.site);
        let expected =
            if self.site.options.nodes == 0 { 3 } else { 4 + 3 * usize::from(self.site.options.nodes) };
        let asked_for = processes.iter().filter(|(name, _)| snapshots::is_one(name)).count();
        processes.len() == expected + asked_for
            && processes.iter().all(|(_, process)| process.is_alive())
            && self.kubectl(["get", "--raw=/readyz", "--request-timeout=5s"]).is_ok()
    }

    /// Names, addresses and folders.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The rig's programs.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Node `index`, counted from 0.
    pub fn node(&self, index: u8) -> Node {
        self.site.node(index)
    }

    /// The node that Kubernetes calls `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn node_named(&self, name: &str) -> Result<Node> {
        self.site
            .nodes()
            .into_iter()
            .find(|node| node.name == name)
            .with_context(|| format!("the rig has no node {name}"))
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.site.kubeconfig()
    }

    /// A client with all rights.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn client(&self) -> Result<kube::Client> {
        crate::cluster::client(&self.kubeconfig()).await
    }

    /// Runs kubectl against the rig.
    ///
    /// # Errors
    /// When kubectl fails, with what it said.
    pub fn kubectl<Argument: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Result<String> {
        self.program("kubectl", arguments)
    }

    /// Runs helm against the rig.
    ///
    /// # Errors
    /// When helm fails, with what it said.
    pub fn helm<Argument: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Result<String> {
        self.program("helm", arguments)
    }

    fn program<Argument: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = Argument>,
    ) -> Result<String> {
        let mut command = Command::new(self.tools.path(program)?);
        command::run(command.env("KUBECONFIG", self.kubeconfig()).args(arguments))
    }

    /// A command that will run in the network of node `index`, counted from 0: Service addresses are only known there.
    pub fn in_node(&self, index: u8, program: impl AsRef<OsStr>) -> Command {
        network::enter(&self.node(index), program)
    }

    /// Loads an image's tar into every node at once.
    ///
    /// # Errors
    /// When a node's containerd refuses it.
    pub fn load_image(&self, tar: &Path) -> Result<()> {
        let nodes = self.site.nodes();
        let file =
            fs::canonicalize(tar).with_context(|| format!("find {}", tar.display()))?.display().to_string();
        thread::scope(|scope| {
            let imports: Vec<_> = nodes
                .iter()
                .map(|node| scope.spawn(|| node::ctr(&self.tools, node, &["images", "import", &file])))
                .collect();
            imports.into_iter().try_for_each(|import| match import.join() {
                Ok(result) => result.map(drop),
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// Gives an image that every node has another name, without another copy; a scenario updates to it.
    ///
    /// # Errors
    /// When a node does not have it.
    pub fn tag_image(&self, image: &str, name: &str) -> Result<()> {
        let tag = ["images", "tag", "--force", image, name];
        self.site.nodes().iter().try_for_each(|node| node::ctr(&self.tools, node, &tag).map(drop))
    }

    /// Starts the API server on the store as it is, and waits until it is ready.
    pub(crate) fn start_api_server_process(&self) -> Result<()> {
        control_plane::start_api_server(&self.site, &self.tools)?;
        control_plane::wait_ready(&self.site, &self.tools)
    }

    /// The API server's record of every write, one JSON object of `audit.k8s.io/v1` a line.
    pub fn audit_log(&self) -> PathBuf {
        control_plane::audit_log(&self.site)
    }

    /// The log of a component: `kube-apiserver`, `kubelet-n1`, ...
    pub fn log(&self, component: &str) -> PathBuf {
        self.site.log(component)
    }
}
