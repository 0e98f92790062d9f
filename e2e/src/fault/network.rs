//! Packets that do not arrive.

use std::process::Command;

use anyhow::{Context, Result};

use crate::rig::{
    Rig,
    command::{call, run},
    network::enter,
    node::enter_nft,
    state::Node,
};

/// How a node loses its network. Traffic within the node goes on in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cut {
    /// Packets of both directions vanish without a word: the hard case, as nobody gets an error.
    Both,
    /// What is sent to the node vanishes; what it sends arrives.
    Inbound,
    /// What the node sends vanishes; what is sent to it arrives.
    Outbound,
    /// The cable is pulled: others soon see that there is no way to the node.
    Cable,
}

/// Before address translation on the way in, after it on the way out: nothing else sees a dropped packet.
const INBOUND: &str =
    "chain inbound { type filter hook prerouting priority -400; iifname \"eth0\" DROPPED; }";
const OUTBOUND: &str =
    "chain outbound { type filter hook postrouting priority 400; oifname \"eth0\" DROPPED; }";
const EVERYTHING: &str = "drop";

impl Rig {
    /// Cuts a node off from everything else. A node that is cut already is cut anew.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub fn cut_node(&self, node: &str, cut: Cut) -> Result<()> {
        let node = self.node_named(node)?;
        match cut {
            Cut::Both => table(&node, "cut", &[chain(INBOUND, EVERYTHING), chain(OUTBOUND, EVERYTHING)]),
            Cut::Inbound => table(&node, "cut", &[chain(INBOUND, EVERYTHING)]),
            Cut::Outbound => table(&node, "cut", &[chain(OUTBOUND, EVERYTHING)]),
            Cut::Cable => cable(&node, "down"),
        }
    }

    /// Cuts two nodes off from each other; the API server and other nodes still reach both.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub fn cut_between(&self, one: &str, other: &str) -> Result<()> {
        let (one, other) = (self.node_named(one)?, self.node_named(other)?);
        let peers = format!("{{ {}, {} }}", other.address, other.pods);
        let from = chain(INBOUND, &format!("ip saddr {peers} drop"));
        let to = chain(OUTBOUND, &format!("ip daddr {peers} drop"));
        table(&one, &format!("between-{}", other.name), &[from, to])
    }

    /// Takes back every cut of a node and of the Pods on it. Cuts between two nodes are undone at the first one.
    ///
    /// # Errors
    /// When there is no such node or the kernel refuses.
    pub fn heal_node(&self, node: &str) -> Result<()> {
        let node = self.node_named(node)?;
        cable(&node, "up")?;
        let tables = run(&mut enter_nft(&node, &["list", "tables", "inet"]))?;
        for name in tables.lines().filter_map(|line| line.strip_prefix("table inet ")) {
            if ["cut", "between-", "pod-"].iter().any(|ours| name.starts_with(ours)) {
                run(&mut enter_nft(&node, &["delete", "table", "inet", name]))?;
            }
        }
        Ok(())
    }

    /// Cuts a Pod off from all but its own node's probes. Its replacement is not cut.
    ///
    /// # Errors
    /// When there is no such Pod on a node or the kernel refuses.
    pub fn cut_pod(&self, namespace: &str, pod: &str) -> Result<()> {
        let (node, address) = self.place_of(namespace, pod)?;
        let rules = format!("ip saddr {address} drop; ip daddr {address} drop;");
        table(
            &node,
            &pod_table(pod),
            &[format!("chain through {{ type filter hook forward priority -400; {rules} }}")],
        )
    }

    /// Takes back [`Rig::cut_pod`].
    ///
    /// # Errors
    /// When the Pod was not cut.
    pub fn heal_pod(&self, namespace: &str, pod: &str) -> Result<()> {
        let (node, _) = self.place_of(namespace, pod)?;
        run(&mut enter_nft(&node, &["delete", "table", "inet", &pod_table(pod)])).map(drop)
    }

    fn place_of(&self, namespace: &str, pod: &str) -> Result<(Node, String)> {
        let path = "--output=jsonpath={.spec.nodeName} {.status.podIP}";
        let found = self.kubectl(["--namespace", namespace, "get", "pod", pod, path])?;
        let (node, address) =
            found.split_once(' ').filter(|(_, ip)| !ip.is_empty()).context("the Pod has no address")?;
        Ok((self.node_named(node)?, address.to_owned()))
    }
}

fn chain(frame: &str, dropped: &str) -> String {
    frame.replace("DROPPED", dropped)
}

fn pod_table(pod: &str) -> String {
    format!("pod-{pod}")
}

/// In one transaction: a table of this name without what an earlier cut put into it.
fn table(node: &Node, name: &str, chains: &[String]) -> Result<()> {
    let script = format!(
        "table inet {name}\ndelete table inet {name}\ntable inet {name} {{\n{}\n}}\n",
        chains.join("\n")
    );
    let mut shell: Command = enter(node, "sh");
    run(shell.args(["-c", "printf '%s' \"$0\" | nft -f -", &script])).map(drop)
}

fn cable(node: &Node, state: &str) -> Result<()> {
    call("ip", &["link", "set", &node.interface, state]).map(drop)
}
