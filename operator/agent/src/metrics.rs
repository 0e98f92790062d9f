//! Metrics: gauges made from the state when asked, with a bounded set of labels.

use crate::member::Member;
use crate::room::Room;
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
pub fn render(member: &Member, room: Option<Room>) -> String {
    let mut registry = Registry::with_prefix("porpoise_agent");
    fill(&mut registry, member);
    if let Some(room) = room {
        gauge(&mut registry, "volume_bytes", "Size of the data volume", signed(room.bytes));
        gauge(&mut registry, "volume_free_bytes", "What is left of it for mysqld", signed(room.free_bytes));
    }
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
    member.archive_metrics(registry);
    if let Some(data) = &state.data {
        let waiting = signed(data.waiting_commits);
        gauge(registry, "waiting_commits", "Commits that wait for acknowledgement", waiting);
        gauge(registry, "history_term", "Term of the last term record", data.history);
        gauge(registry, "settled", "Whether all received is applied and nothing comes", data.settled.into());
    }
    let admits = matches!(state.role, Role::Primary { admitting: true, .. });
    gauge(registry, "admitting", "Whether this is a primary whose clients may write", admits.into());
    match state.role {
        Role::Primary { proven_k, .. } => {
            gauge(
                registry,
                "proven_k",
                "Acknowledgements that arrive; -1: not shown",
                proven_k.unwrap_or(-1).into(),
            );
            let delay = signed(member.commit_delay());
            let former = i64::try_from(state.former_passwords.iter().flatten().count()).unwrap_or(i64::MAX);
            gauge(registry, "former_passwords", "Accounts whose former password is still accepted", former);
            gauge(
                registry,
                "commit_delay_microseconds",
                "How long commits are held back for replicas",
                delay,
            );
        }
        Role::Replica { receiving, applying, acknowledging, lag_seconds, .. } => {
            gauge(registry, "receiving", "Whether the receiver is connected", receiving.into());
            gauge(registry, "applying", "Whether the applier runs", applying.into());
            gauge(registry, "acknowledging", "Whether acknowledgements count", acknowledging.into());
            let lag = lag_seconds.and_then(|lag| i64::try_from(lag).ok()).unwrap_or(-1);
            gauge(registry, "lag_seconds", "Seconds behind the source; -1: unknown", lag);
            let bound = signed(member.config.ready_lag_seconds);
            gauge(registry, "lag_bound_seconds", "Lag up to which a replica takes reads", bound);
        }
        Role::Idle | Role::Sealed { .. } => {}
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
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
