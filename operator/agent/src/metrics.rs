//! Metrics: gauges made from the state when asked, with a bounded set of labels.

use crate::member::Member;
use porpoise_core::protocol::{Role, ServerPhase};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labelled = Family<[(&'static str, &'static str); 1], Gauge>;

const PHASES: [&str; 7] = ["unknown", "initializing", "starting", "running", "cloning", "stopped", "failed"];
const ROLES: [&str; 4] = ["idle", "sealed", "primary", "replica"];

/// The text for a scrape.
pub fn render(member: &Member) -> String {
    let mut registry = Registry::with_prefix("porpoise_agent");
    fill(&mut registry, member);
    let mut text = String::new();
    // Writing into a String does not fail.
    let _ = encode(&mut text, &registry);
    text
}

fn fill(registry: &mut Registry, member: &Member) {
    let state = member.state();
    one_of(registry, "server_phase", "Phase of mysqld", &PHASES, phase(&state.server));
    one_of(registry, "role", "Role of the member", &ROLES, role(&state.role));
    gauge(registry, "promised_term", "Highest term promised", state.promised);
    let starts = Counter::<u64>::default();
    starts.inc_by(member.starts());
    registry.register("mysqld_starts", "Starts of mysqld by this agent", starts);
    let (accepted, refused) = member.orders();
    let orders: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
    orders.get_or_create(&[("result", "accepted")]).inc_by(accepted);
    orders.get_or_create(&[("result", "refused")]).inc_by(refused);
    registry.register("orders", "Orders by answer", orders);
    if let Some(data) = &state.data {
        let waiting = i64::try_from(data.waiting_commits).unwrap_or(i64::MAX);
        gauge(registry, "waiting_commits", "Commits that wait for acknowledgement", waiting);
        gauge(registry, "history_term", "Term of the last term record", data.history);
        gauge(registry, "settled", "Whether all received is applied and nothing comes", data.settled.into());
    }
    match state.role {
        Role::Primary { proven_k, admitting, .. } => {
            gauge(
                registry,
                "proven_k",
                "Acknowledgements that arrive; -1: not shown",
                proven_k.unwrap_or(-1).into(),
            );
            let delay = i64::try_from(member.commit_delay()).unwrap_or(i64::MAX);
            gauge(
                registry,
                "commit_delay_microseconds",
                "How long commits are held back for replicas",
                delay,
            );
            gauge(registry, "admitting", "Whether clients may write", admitting.into());
        }
        Role::Replica { receiving, applying, acknowledging, lag_seconds, .. } => {
            gauge(registry, "receiving", "Whether the receiver is connected", receiving.into());
            gauge(registry, "applying", "Whether the applier runs", applying.into());
            gauge(registry, "acknowledging", "Whether acknowledgements count", acknowledging.into());
            let lag = lag_seconds.and_then(|lag| i64::try_from(lag).ok()).unwrap_or(-1);
            gauge(registry, "lag_seconds", "Seconds behind the source; -1: unknown", lag);
        }
        Role::Idle | Role::Sealed { .. } => {}
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn one_of(registry: &mut Registry, name: &'static str, help: &str, all: &[&'static str], now: &str) {
    let family = Labelled::default();
    for value in all {
        family.get_or_create(&[("is", *value)]).set((*value == now).into());
    }
    registry.register(name, help, family);
}

fn phase(phase: &ServerPhase) -> &'static str {
    match phase {
        ServerPhase::Unknown => "unknown",
        ServerPhase::Initializing => "initializing",
        ServerPhase::Starting => "starting",
        ServerPhase::Running => "running",
        ServerPhase::Cloning => "cloning",
        ServerPhase::Stopped => "stopped",
        ServerPhase::Held { .. } => "held",
        ServerPhase::ForeignVolume { .. }
        | ServerPhase::UnusableVolume { .. }
        | ServerPhase::VolumeInUse
        | ServerPhase::Failed { .. } => "failed",
    }
}

fn role(role: &Role) -> &'static str {
    match role {
        Role::Idle => "idle",
        Role::Sealed { .. } => "sealed",
        Role::Primary { .. } => "primary",
        Role::Replica { .. } => "replica",
    }
}
