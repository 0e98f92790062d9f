//! Plain HTTP for the kubelet and for metrics: no secrets, nothing to change.

use crate::member::{Member, Stance};
use crate::metrics;
use crate::observe::Thread;
use crate::room::Surveyor;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A loop that made no progress for this long is stuck.
const ALIVE: Duration = Duration::from_secs(30);

/// Progress of the loop that supervises mysqld.
#[derive(Clone)]
pub struct Beat(Arc<Mutex<Instant>>);

impl Default for Beat {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }
}

impl Beat {
    /// Runs for ever beside the loop, in the same task: it stands still when that does.
    pub async fn keep(&self) {
        loop {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn age(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

#[derive(Clone)]
struct Shared {
    member: Arc<Member>,
    beat: Beat,
    surveyor: Surveyor,
}

/// The routes of the probe port.
pub fn router(member: Arc<Member>, beat: Beat) -> Router {
    let surveyor = Surveyor::new(member.settings.state_path.clone());
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(Shared { member, beat, surveyor })
}

async fn livez(State(shared): State<Shared>) -> (StatusCode, &'static str) {
    if shared.beat.age() <= ALIVE {
        (StatusCode::OK, "alive\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the supervising loop is stuck\n")
    }
}

async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    match unready(&shared.member) {
        None => (StatusCode::OK, "ready\n".into()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn text(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let room = shared.surveyor.look().await;
    ([(header::CONTENT_TYPE, kind)], metrics::render(&shared.member, room))
}

/// Why the member shall get no clients; `None` if it shall.
fn unready(member: &Member) -> Option<String> {
    let Some(facts) = member.facts() else {
        return Some("mysqld does not answer".into());
    };
    let stance = member.stance();
    let is_primary = matches!(stance, Stance::Primary { .. });
    if member.is_draining() && !is_primary {
        return Some("the Pod is about to end".into());
    }
    match stance {
        Stance::Idle => Some("waiting for orders".into()),
        Stance::Sealed { term } => Some(format!("sealed for term {term}")),
        Stance::Primary { term, .. } if term < member.promise().term => {
            Some(format!("no longer the primary: term {term} is over"))
        }
        Stance::Primary { admitting, .. } => (!admitting || facts.is_read_only || facts.is_offline)
            .then(|| "the primary does not accept writes yet".into()),
        Stance::Replica { .. } => unready_replica(&facts),
    }
}

/// How far it is behind does not matter here: a replica that lags leaves the ro Service only, by its label, and goes on
/// acknowledging. As an unready Pod it would hold up evictions of others (ADR 0017).
fn unready_replica(facts: &crate::observe::Facts) -> Option<String> {
    if facts.receiver != Thread::On {
        return Some("the replica does not receive".into());
    }
    if facts.applier != Thread::On {
        return Some("the replica does not apply".into());
    }
    facts.is_offline.then(|| "the replica does not accept clients yet".into())
}
