//! Services and the network policy.

use super::{Problem, keys};
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};
use porpoise_crds::{MySQLClusterSpec, ServiceOptions, ServiceType};
use std::net::IpAddr;

pub(super) fn problems(spec: &MySQLClusterSpec) -> Vec<Problem> {
    let mut problems = service("spec.services.primary", &spec.services.primary);
    problems.extend(service("spec.services.replicas", &spec.services.replicas.options));
    for (index, peer) in spec.network_policy.allow_from.iter().enumerate() {
        problems.extend(peer_problems(&format!("spec.networkPolicy.allowFrom[{index}]"), peer));
    }
    problems
}

fn service(field: &str, options: &ServiceOptions) -> Vec<Problem> {
    let mut problems = keys::annotations(&format!("{field}.annotations"), &options.annotations);
    let ranges = &options.load_balancer_source_ranges;
    let field = format!("{field}.loadBalancerSourceRanges");
    if !ranges.is_empty() && options.type_ != ServiceType::LoadBalancer {
        let message = "source ranges only work with type LoadBalancer; set the type, or remove them";
        problems.push(Problem::new(&field, "SourceRangesUnused", message));
    }
    problems.extend(ranges.iter().filter_map(|range| not_a_block(&field, range)));
    problems
}

fn peer_problems(field: &str, peer: &NetworkPolicyPeer) -> Vec<Problem> {
    let NetworkPolicyPeer { ip_block, namespace_selector, pod_selector } = peer;
    let selects = namespace_selector.is_some() || pod_selector.is_some();
    match ip_block {
        Some(block) if !selects => block_problems(field, block),
        None if selects => Vec::new(),
        Some(_) | None => {
            let message = "name either an ipBlock, or a podSelector, a namespaceSelector or both";
            vec![Problem::new(field, "InvalidPeer", message)]
        }
    }
}

fn block_problems(field: &str, block: &IPBlock) -> Vec<Problem> {
    let all = block.except.iter().flatten().chain([&block.cidr]);
    all.filter_map(|range| not_a_block(&format!("{field}.ipBlock"), range)).collect()
}

fn not_a_block(field: &str, range: &str) -> Option<Problem> {
    let message = format!("{range:?} is no address block; write it as 10.0.0.0/8");
    (!is_block(range)).then(|| Problem::new(field, "InvalidAddressBlock", message))
}

fn is_block(range: &str) -> bool {
    let parsed = range.split_once('/').and_then(|(address, bits)| {
        let bits = bits.parse::<u8>().ok().filter(|_| bits.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some((address.parse::<IpAddr>().ok()?, bits))
    });
    parsed.is_some_and(|(address, bits)| bits <= if address.is_ipv4() { 32 } else { 128 })
}
