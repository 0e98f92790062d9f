//! CPU and memory of a member.

use super::Problem;
use crate::quantity::{self, Amount};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use porpoise_crds::Resources;
use std::collections::BTreeMap;

/// Requests and limits after the defaults: equal, unless the spec says otherwise (H7).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effective {
    pub(crate) requests: BTreeMap<String, Quantity>,
    pub(crate) limits: BTreeMap<String, Quantity>,
}

const DEFAULTS: [(&str, &str); 2] = [("cpu", "1"), ("memory", "1Gi")];

/// A limit that is not given equals the request, a request that is not given equals the limit; neither: the default.
pub(crate) fn effective(resources: &Resources) -> Effective {
    let mut limits = resources.limits.clone();
    for (name, request) in &resources.requests {
        limits.entry(name.clone()).or_insert_with(|| request.clone());
    }
    for (name, default) in DEFAULTS {
        limits.entry(name.to_owned()).or_insert_with(|| Quantity(default.to_owned()));
    }
    let mut requests = limits.clone();
    requests.extend(resources.requests.clone());
    Effective { requests: canonical(requests), limits: canonical(limits) }
}

fn canonical(amounts: BTreeMap<String, Quantity>) -> BTreeMap<String, Quantity> {
    amounts.into_iter().map(|(name, amount)| (name, quantity::canonical(&amount))).collect()
}

/// Smallest memory limit with which mysqld starts and a clone gets through.
const SMALLEST_MEMORY: u64 = 512 << 20;

pub(super) fn problems(resources: &Resources) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (part, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for (name, amount) in amounts {
            let field = format!("spec.resources.{part}.{name}");
            problems.extend(amount_problem(&field, name, amount));
        }
    }
    if problems.is_empty() {
        problems.extend(relations(&effective(resources)));
    }
    problems
}

fn amount_problem(field: &str, name: &str, amount: &Quantity) -> Option<Problem> {
    let known = ["cpu", "memory", "ephemeral-storage"].contains(&name)
        || name.starts_with("hugepages-")
        || name.contains('/');
    if !known {
        let message =
            format!("{name} is no resource; use cpu, memory, ephemeral-storage or a name with a domain");
        return Some(Problem::new(field, "UnknownResource", message));
    }
    let text = &amount.0;
    match Amount::parse(text) {
        Err(_) => {
            let message = format!("{text:?} is not a quantity; write it as 2, 500m or 4Gi");
            Some(Problem::new(field, "InvalidQuantity", message))
        }
        Ok(amount) if !amount.is_positive() => {
            Some(Problem::new(field, "InvalidQuantity", format!("{text} must be more than 0")))
        }
        Ok(_) => None,
    }
}

fn relations(effective: &Effective) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, request) in &effective.requests {
        let request_amount = Amount::parse(&request.0).ok();
        if request_amount > effective.limit(name) {
            let limit = effective.limits.get(name).map_or("", |limit| limit.0.as_str());
            let message =
                format!("{} is more than the limit {limit}; lower it or raise the limit", request.0);
            problems.push(Problem::new(
                format!("spec.resources.requests.{name}"),
                "RequestAboveLimit",
                message,
            ));
        }
    }
    if effective.memory_bytes() < SMALLEST_MEMORY {
        problems.push(Problem::new(
            "spec.resources.limits.memory",
            "MemoryTooSmall",
            "mysqld needs a memory limit of at least 512Mi; raise it",
        ));
    }
    problems
}

impl Effective {
    /// Memory limit in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.limit("memory").map_or(0, |amount| amount.units())
    }
    /// CPU limit in thousandths.
    pub(crate) fn cpu_millis(&self) -> u64 {
        self.limit("cpu").map_or(0, |amount| amount.millis())
    }
    fn limit(&self, name: &str) -> Option<Amount> {
        self.limits.get(name).and_then(|amount| Amount::parse(&amount.0).ok())
    }
}
