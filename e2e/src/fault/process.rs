//! Processes that die or stop: in containers, and of the rig itself.

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::rig::{
    Rig, cgroup,
    process::{self, Process},
    state::Node,
};

/// A container of a Pod.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    /// The Pod's namespace.
    pub namespace: &'a str,
    /// The Pod.
    pub pod: &'a str,
    /// The container's name in it.
    pub container: &'a str,
}

const API_SERVER: &str = "kube-apiserver";
/// The kernel cuts a process's name.
const LONGEST_NAME: usize = 15;

impl Rig {
    /// Every process in a container.
    ///
    /// # Errors
    /// When the container does not run.
    pub fn processes_in(&self, container: &Container<'_>) -> Result<Vec<Process>> {
        let (node, id) = self.container_id(container)?;
        let groups = cgroup::find(&node.cgroup, |name| name == id);
        Ok(groups.iter().flat_map(|folder| cgroup::processes_below(folder)).collect())
    }

    /// The first process in a container that runs `program`, for example `mysqld`.
    ///
    /// # Errors
    /// When there is none.
    pub fn process_in(&self, container: &Container<'_>, program: &str) -> Result<Process> {
        let wanted = &program[..program.floor_char_boundary(LONGEST_NAME)];
        let runs = |process: &Process| process.name().is_some_and(|name| name == wanted);
        let found = self.processes_in(container)?.into_iter().find(runs);
        found.with_context(|| format!("no {program} runs in {container:?}"))
    }

    /// Sends a signal to a program in a container: `SIGKILL`, `SIGSTOP`, `SIGCONT`, `SIGTERM`.
    ///
    /// # Errors
    /// When it does not run there.
    pub fn signal_in(&self, container: &Container<'_>, program: &str, signal: Signal) -> Result<Process> {
        let process = self.process_in(container, program)?;
        process.signal(signal)?;
        Ok(process)
    }

    /// A process of the rig itself: `kube-apiserver`, `etcd`, `kube-controller-manager`, `kube-scheduler`, `kubelet-n1`, ...
    ///
    /// # Errors
    /// When none of this name was started.
    pub fn daemon(&self, name: &str) -> Result<Process> {
        process::recorded(self.site(), name)
    }

    /// Kills the API server.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_api_server(&self) -> Result<()> {
        self.daemon(API_SERVER)?.signal(Signal::SIGKILL)
    }

    /// Starts the API server after [`Rig::kill_api_server`] and waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_api_server(&self) -> Result<()> {
        self.start_api_server_process()
    }

    /// Stops the API server in its tracks: connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause_api_server(&self) -> Result<()> {
        self.daemon(API_SERVER)?.signal(Signal::SIGSTOP)
    }

    /// Lets the API server go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn continue_api_server(&self) -> Result<()> {
        self.daemon(API_SERVER)?.signal(Signal::SIGCONT)
    }

    pub(super) fn repair_api_server(&self) -> Result<()> {
        for (_, process) in process::all(self.site()) {
            // One that has ended is started again below or with its node.
            process.signal(Signal::SIGCONT).ok();
        }
        if self.daemon(API_SERVER)?.is_alive() { Ok(()) } else { self.start_api_server() }
    }

    pub(super) fn daemons_of(&self, node: &Node) -> impl Iterator<Item = Process> {
        ["containerd", "kubelet", "kube-proxy"]
            .into_iter()
            .filter_map(|name| self.daemon(&node.daemon(name)).ok())
    }

    fn container_id(&self, container: &Container<'_>) -> Result<(Node, String)> {
        let Container { namespace, pod, container } = container;
        let path = format!(
            "--output=jsonpath={{.spec.nodeName}} {{.status.containerStatuses[?(@.name==\"{container}\")].containerID}}"
        );
        let found = self.kubectl(["--namespace", namespace, "get", "pod", pod, &path])?;
        let (node, id) =
            found.trim().split_once(" containerd://").context("the container was never started")?;
        Ok((self.node_named(node)?, id.to_owned()))
    }
}
