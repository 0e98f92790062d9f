//! Bridge, namespaces, cables and routes.

use std::{path::Path, process::Command};

use anyhow::Result;

use super::{
    command::{call, run},
    state::{Node, Site},
};

/// Lays the bridge and every node's cable, namespace and routes.
///
/// # Errors
/// When the kernel refuses a part.
pub fn lay(site: &Site) -> Result<()> {
    let bridge = site.slot.bridge();
    let network = site.slot.node_network();
    ip(&["link", "add", &bridge, "type", "bridge", "mcast_snooping", "0"])?;
    ip(&["address", "add", &network.with_prefix(site.slot.control_plane()), "dev", &bridge])?;
    ip(&["link", "set", &bridge, "up"])?;
    let nodes = site.nodes();
    nodes.iter().try_for_each(|node| lay_cable(site, node))?;
    nodes.iter().try_for_each(|node| lay_routes(node, &nodes))
}

fn lay_cable(site: &Site, node: &Node) -> Result<()> {
    let Node { namespace, interface, address, pods, .. } = node;
    let bridge = site.slot.bridge();
    let gateway = site.slot.control_plane().to_string();
    ip(&["netns", "add", namespace])?;
    ip(&["link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", namespace])?;
    ip(&["link", "set", interface, "master", &bridge, "up"])?;
    ip(&["-n", namespace, "link", "set", "lo", "up"])?;
    ip(&["-n", namespace, "address", "add", &site.slot.node_network().with_prefix(*address), "dev", "eth0"])?;
    ip(&["-n", namespace, "link", "set", "eth0", "up"])?;
    ip(&["-n", namespace, "route", "add", "default", "via", &gateway])?;
    ip(&["route", "add", &pods.to_string(), "via", &address.to_string(), "dev", &bridge])?;
    run(enter(node, "sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])).map(drop)
}

fn lay_routes(node: &Node, all: &[Node]) -> Result<()> {
    for other in all.iter().filter(|other| other.name != node.name) {
        ip(&[
            "-n",
            &node.namespace,
            "route",
            "add",
            &other.pods.to_string(),
            "via",
            &other.address.to_string(),
        ])?;
    }
    Ok(())
}

/// A command that will run in the node's network namespace.
///
/// `nsenter`, not `ip netns exec`: the latter mounts /sys anew and hides the control groups.
pub fn enter(node: &Node, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", node.namespace)).arg("--").arg(program);
    command
}

/// Takes away namespaces, cables, routes and bridge, as far as they are there.
///
/// # Errors
/// When something is there but cannot be taken away.
pub fn clear(site: &Site) -> Result<()> {
    for namespace in namespaces(&site.prefix()) {
        ip(&["netns", "delete", &namespace])?;
    }
    let bridge = site.slot.bridge();
    for interface in interfaces(&format!("{bridge}n")) {
        // Deleting the namespace takes its cables along, a little later.
        ip(&["link", "delete", &interface]).ok();
    }
    if Path::new("/sys/class/net").join(&bridge).exists() {
        ip(&["link", "delete", &bridge])?;
    }
    Ok(())
}

fn namespaces(prefix: &str) -> Vec<String> {
    names("/run/netns", prefix)
}

fn interfaces(prefix: &str) -> Vec<String> {
    names("/sys/class/net", prefix)
}

fn names(folder: &str, prefix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    call("ip", arguments).map(drop)
}
