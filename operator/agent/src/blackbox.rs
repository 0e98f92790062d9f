//! The black-box probe (F2): writes and reads as an application does, by name, through the Services, with the
//! application's account, and tells how it went.
//!
//! It runs in the operator's own image, so it may look up names: nothing of another image's libraries is in the way.

use crate::logging;
use crate::mysql::outside::Ground;
use crate::mysql::{Connection, Door, Meaning, SqlError};
use axum::extract::State;
use axum::http::header;
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use porpoise_core::names;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::io;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// A client that waits longer would have given up.
const LIMIT: Duration = Duration::from_secs(5);

/// What the probe is told.
#[derive(clap::Args, Clone, Debug)]
pub struct ProbeSettings {
    /// Host of the Service that leads to the primary.
    #[arg(long)]
    pub primary: String,
    /// Host of the Service that leads to the replicas. Without it nothing is read there.
    #[arg(long)]
    pub replicas: Option<String>,
    /// Port of MySQL.
    #[arg(long, default_value_t = names::MYSQL_PORT)]
    pub mysql_port: u16,
    /// The application's account: files username, password, database.
    #[arg(long, default_value = names::APP_ACCOUNT_PATH)]
    pub account_path: PathBuf,
    /// Certificate of the authority that the members' certificates must be of.
    #[arg(long)]
    pub authority: PathBuf,
    /// Seconds from one round to the next.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub period_seconds: u64,
    /// Port of /metrics.
    #[arg(long, default_value_t = names::PROBE_PORT)]
    pub port: u16,
}

/// What keeps the probe from working at all.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum ProbeError {
    /// Signals cannot be handled.
    #[error("handle signals")]
    HandleSignals {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The port is taken.
    #[error("listen on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The server ended.
    #[error("serve metrics")]
    Serve {
        /// Cause.
        #[source]
        source: io::Error,
    },
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error("read {path}: is the application's Secret mounted there?")]
    ReadAccount {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("use the name of the application's database")]
    UseDatabase(#[source] crate::mysql::quote::QuoteError),
    #[error("ask MySQL through the Service")]
    Ask(#[source] SqlError),
    #[error("read the row that was written: it is not there")]
    MissRow,
    #[error("get an answer within {LIMIT:?}")]
    AwaitAnswer,
}

/// Probes until SIGTERM.
pub async fn run(settings: ProbeSettings) -> Result<(), ProbeError> {
    let signals = |source| ProbeError::HandleSignals { source };
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let port = settings.port;
    let address = (Ipv6Addr::UNSPECIFIED, port);
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        // Where the kernel has no IPv6.
        Err(_) => TcpListener::bind(("0.0.0.0", port))
            .await
            .map_err(|source| ProbeError::Listen { port, source })?,
    };
    let figures = Arc::new(Figures::default());
    let router = Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/metrics", get(metrics))
        .with_state(figures.clone());
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        served = axum::serve(listener, router) => served.map_err(|source| ProbeError::Serve { source }),
        () = keep_probing(&settings, &figures) => Ok(()),
    }
}

/// Named as Prometheus' own black-box exporter names them.
#[derive(Default)]
struct Figures {
    success: Family<[(&'static str, &'static str); 1], Gauge>,
    duration: Family<[(&'static str, &'static str); 1], Gauge<f64, AtomicU64>>,
}

impl Figures {
    fn note(&self, service: &'static str, is_success: bool, took: Duration) {
        self.success.get_or_create(&[("service", service)]).set(is_success.into());
        self.duration.get_or_create(&[("service", service)]).set(took.as_secs_f64());
    }

    fn text(&self) -> String {
        let mut registry = Registry::default();
        registry.register("probe_success", "Whether the last round went well", self.success.clone());
        registry.register("probe_duration_seconds", "How long the last round took", self.duration.clone());
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

async fn metrics(State(figures): State<Arc<Figures>>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], figures.text())
}

async fn keep_probing(settings: &ProbeSettings, figures: &Figures) {
    let mut rounds = interval(Duration::from_secs(settings.period_seconds));
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let start = Instant::now();
        let written = bounded(write(settings, &settings.primary)).await;
        tell(figures, "rw", start, &written);
        if let Some(replicas) = &settings.replicas {
            let start = Instant::now();
            let read = bounded(read(settings, replicas)).await;
            tell(figures, "ro", start, &read);
        }
    }
}

async fn bounded(round: impl Future<Output = Result<(), RoundError>>) -> Result<(), RoundError> {
    timeout(LIMIT, round).await.unwrap_or(Err(RoundError::AwaitAnswer))
}

fn tell(figures: &Figures, service: &'static str, start: Instant, outcome: &Result<(), RoundError>) {
    if let Err(error) = outcome {
        tracing::warn!(service, error = logging::chain(error), "the probe failed");
    }
    figures.note(service, outcome.is_ok(), start.elapsed());
}

/// A connection of its own in each round, as the question is whether one can be had.
async fn write(settings: &ProbeSettings, host: &str) -> Result<(), RoundError> {
    let (mut connection, ground) = connect(settings, host).await?;
    let written = match connection.run(ground.write(), LIMIT).await {
        Err(error) if error.meaning() == Meaning::Missing => {
            connection.run(ground.prepare(), LIMIT).await.map_err(RoundError::Ask)?;
            connection.run(ground.write(), LIMIT).await
        }
        other => other,
    };
    connection.close().await;
    written.map_err(RoundError::Ask)
}

async fn read(settings: &ProbeSettings, host: &str) -> Result<(), RoundError> {
    let (mut connection, ground) = connect(settings, host).await?;
    let rows = connection.rows(ground.read(), LIMIT).await;
    connection.close().await;
    if rows.map_err(RoundError::Ask)?.is_empty() { Err(RoundError::MissRow) } else { Ok(()) }
}

/// The account's files are read each time: a new password is taken up.
async fn connect(settings: &ProbeSettings, host: &str) -> Result<(Connection, Ground), RoundError> {
    let text = |file: &str| {
        let path = settings.account_path.join(file);
        std::fs::read_to_string(&path).map_err(|source| RoundError::ReadAccount { path, source })
    };
    let ground = Ground::new(&text("database")?).map_err(RoundError::UseDatabase)?;
    let password = settings.account_path.join("password");
    let door = Door::service((host, settings.mysql_port), &settings.authority, &password, &text("username")?);
    Ok((door.open().await.map_err(RoundError::Ask)?, ground))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f2_each_service_has_its_figures() {
        let figures = Figures::default();
        figures.note("rw", true, Duration::from_millis(12));
        figures.note("ro", false, LIMIT);
        let text = figures.text();
        for line in [
            "probe_success{service=\"rw\"} 1",
            "probe_success{service=\"ro\"} 0",
            "probe_duration_seconds{service=\"rw\"} 0.012",
            "probe_duration_seconds{service=\"ro\"} 5.0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
