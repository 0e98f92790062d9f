//! Which addresses and names a rig uses.
//!
//! All of them lie inside 198.18.0.0/15, the range for benchmarks (RFC 2544): no real network uses it. Each rig has one of
//! eight slots, and a slot has a /19 of both halves:
//!
//! ```text
//! slot 0   198.18.0.0/24         control plane (.1) and nodes (.11, .12, ...)
//!          198.18.1.0/24 ...     Pods of the first node, of the second, ...
//!          198.19.0.0/19         Services; cluster DNS is .10
//! slot 1   198.18.32.0/24 ...    198.19.32.0/19
//! ```

use std::{fmt, net::Ipv4Addr};

use anyhow::{Result, ensure};

const SLOTS: u8 = 8;
const BLOCK: u8 = 32;
const FIRST_NODE: u8 = 11;

/// A rig's share of names and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u8);

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: Ipv4Addr,
    bits: u8,
}

impl Slot {
    /// The most nodes a rig can have: each needs a /24 of the slot's /19.
    pub const MOST_NODES: u8 = BLOCK - 1;

    /// # Errors
    /// When there is no such slot.
    pub fn new(number: u8) -> Result<Self> {
        ensure!(number < SLOTS, "a machine has room for {SLOTS} rigs, and there is no rig number {number}");
        Ok(Self(number))
    }

    /// Every slot there is.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS).map(Self)
    }

    /// The slot's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The bridge that joins the rig's nodes.
    pub fn bridge(self) -> String {
        format!("rig{}", self.0)
    }

    /// Where the API server and etcd listen.
    pub fn control_plane(self) -> Ipv4Addr {
        self.node_network().host(1)
    }

    /// The network of control plane and nodes.
    pub fn node_network(self) -> Network {
        self.part(18, 0, 24)
    }

    /// Nodes and Pods together.
    pub fn all_pods(self) -> Network {
        self.part(18, 0, 19)
    }

    /// Service addresses.
    pub fn services(self) -> Network {
        self.part(19, 0, 19)
    }

    /// The Service through which the API server is reached from inside.
    pub fn api_service(self) -> Ipv4Addr {
        self.services().host(1)
    }

    /// The Service of the cluster's DNS.
    pub fn dns_service(self) -> Ipv4Addr {
        self.services().host(10)
    }

    /// The address of node `index`, counted from 0.
    pub fn node(self, index: u8) -> Ipv4Addr {
        self.node_network().host(FIRST_NODE + index)
    }

    /// The Pod addresses of node `index`, counted from 0.
    pub fn pods(self, index: u8) -> Network {
        self.part(18, 1 + index, 24)
    }

    fn part(self, half: u8, third: u8, bits: u8) -> Network {
        Network { base: Ipv4Addr::new(198, half, self.0 * BLOCK + third, 0), bits }
    }
}

impl Network {
    /// The address at `offset` in the network's first 256.
    pub fn host(self, offset: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.base.octets();
        Ipv4Addr::new(a, b, c, offset)
    }

    /// `address` with this network's prefix length.
    pub fn with_prefix(self, address: Ipv4Addr) -> String {
        format!("{address}/{}", self.bits)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_have_these_addresses() {
        let (first, third) = (Slot::new(0).unwrap(), Slot::new(2).unwrap());
        assert_eq!(first.control_plane().to_string(), "198.18.0.1");
        assert_eq!(first.node(0).to_string(), "198.18.0.11");
        assert_eq!(first.pods(2).to_string(), "198.18.3.0/24");
        assert_eq!(first.dns_service().to_string(), "198.19.0.10");
        assert_eq!(third.node(1).to_string(), "198.18.64.12");
        assert_eq!(third.pods(0).to_string(), "198.18.65.0/24");
        assert_eq!(third.services().to_string(), "198.19.64.0/19");
    }

    #[test]
    fn no_two_slots_share_a_pod_network() {
        let mut networks: Vec<String> = Slot::all()
            .flat_map(|slot| (0..Slot::MOST_NODES).map(move |node| slot.pods(node).to_string()))
            .collect();
        let count = networks.len();
        networks.sort();
        networks.dedup();
        assert_eq!(networks.len(), count);
    }

    #[test]
    fn a_ninth_rig_is_refused() {
        assert!(Slot::new(8).is_err());
    }
}
