//! The agent's life: find out whose volume it is, keep mysqld, take orders, stop in order.

use crate::archive::keep;
use crate::disk;
use crate::drain::Drain;
use crate::goal::{Pursuit, shutdown};
use crate::governor;
use crate::identity::{self, Ownership};
use crate::local;
use crate::logging;
use crate::member::Member;
use crate::mysql::{Door, Session, statements};
use crate::observe;
use crate::occupancy::{self, Occupancy};
use crate::probe::{self, Beat};
use crate::promise;
use crate::pulse;
use crate::serve;
use crate::settings::{Settings, SettingsError};
use crate::supervise::Supervisor;
use crate::supervise::reap::Reaper;
use crate::tail::archive;
use crate::transactions;
use porpoise_core::member::{Promise, Volume};
use porpoise_core::names;
use porpoise_core::protocol::AgentConfig;
use porpoise_link::server::{self, ServeError, ServerTls};
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// Between two looks at files that Kubernetes changes.
const REREAD: Duration = Duration::from_secs(5);

/// What keeps the agent from working at all.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum RunError {
    /// Environment or `agent.json`.
    #[error("read the settings")]
    ReadSettings {
        /// Cause.
        #[source]
        source: SettingsError,
    },
    /// Signals cannot be handled.
    #[error("handle signals")]
    HandleSignals {
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A port is taken.
    #[error("listen on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A server ended.
    #[error("serve {what}")]
    Serve {
        /// Which.
        what: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The server with mutual TLS did not start.
    #[error("serve orders")]
    ServeOrders {
        /// Cause.
        #[source]
        source: ServeError,
    },
}

/// Runs until SIGTERM or SIGINT, then stops mysqld in order.
pub async fn run(settings: Settings) -> Result<(), RunError> {
    let reading = |source| RunError::ReadSettings { source };
    let config = settings.config().map_err(reading)?;
    let server_id = settings.server_id().map_err(reading)?;
    let signals = |source| RunError::HandleSignals { source };
    let mut terminate = signal(SignalKind::terminate()).map_err(signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(signals)?;
    let reaper = Reaper::start().map_err(signals)?;
    let parts = Parts::build(settings, config, server_id, reaper);
    parts.supervise();
    let (stop, stopping) = watch::channel(false);
    let outcome = tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        outcome = parts.serve(stopping) => outcome,
        outcome = parts.work() => outcome,
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    parts.stop().await;
    outcome
}

/// Everything that lives as long as the agent.
struct Parts {
    member: Arc<Member>,
    supervisor: Arc<Supervisor>,
    pursuit: Arc<Pursuit>,
    watcher: Session,
    listener: Session,
    governor: Session,
    teller: Session,
    archivist: Session,
    drain: Drain,
    beat: Beat,
    /// Held for the life of the agent: nobody else works on the volume.
    alone: OnceLock<Option<File>>,
}

impl Parts {
    fn build(settings: Settings, config: AgentConfig, server_id: u32, reaper: Reaper) -> Self {
        let door = Door::new(
            &settings.mysql_socket(),
            &settings.accounts_path.join("agent"),
            &names::account_user("agent"),
        );
        let alone = OnceLock::new();
        let (volume, promise) = match occupancy::take(&settings.state_path) {
            Occupancy::Alone(file) => {
                alone.get_or_init(|| file);
                volume(&settings, &config, server_id)
            }
            Occupancy::Shared => {
                tracing::error!("another process works on the volume; waiting until it is gone");
                (Volume::InUse, Promise::default())
            }
        };
        let supervisor = Supervisor::new(settings.clone(), config.clone(), server_id, reaper, door.clone());
        let supervisor = Arc::new(supervisor);
        supervisor.want(matches!(volume, Volume::Ours(_)));
        let tails = archive::list(&settings.state_path).unwrap_or_default();
        let member = Arc::new(Member::new(settings, config, supervisor.clone(), volume, promise));
        member.tell_tails(tails);
        let pursuit = Arc::new(Pursuit::new(member.clone(), supervisor.clone(), door.clone()));
        let [watcher, listener, governor, teller, archivist] =
            std::array::from_fn(|_| Session::start(door.clone()));
        let (drain, beat) = (Drain::new(door), Beat::default());
        Self {
            member,
            supervisor,
            pursuit,
            watcher,
            listener,
            governor,
            teller,
            archivist,
            drain,
            beat,
            alone,
        }
    }

    /// Keeps mysqld, in a task of its own: it goes on while the agent stops, and sees mysqld end.
    fn supervise(&self) {
        let (supervisor, beat) = (self.supervisor.clone(), self.beat.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = supervisor.keep() => {}
                () = beat.keep() => {}
            }
        });
    }

    /// Observes and pursues. Ends only by being dropped.
    async fn work(&self) -> Result<(), RunError> {
        tokio::join!(
            observe::keep_looking(&self.member, &self.supervisor, &self.watcher),
            Box::pin(self.pursuit.pursue()),
            self.pursuit.keep_fencing(),
            Box::pin(self.pursuit.keep_key()),
            pulse::keep_listening(&self.member, &self.listener),
            governor::keep_governing(&self.member, &self.governor),
            disk::keep_probing(&self.member),
            transactions::keep_listing(&self.member, &self.teller),
            Box::pin(keep::keep_archiving(&self.member, &self.archivist)),
            self.reload_certificates(),
            self.occupy(),
            self.reread_lag(),
        );
        Ok(())
    }

    async fn serve(&self, mut stopping: watch::Receiver<bool>) -> Result<(), RunError> {
        let settings = &self.member.settings;
        let orders = listen(settings, settings.agent_port).await?;
        let probes = listen(settings, settings.probe_port).await?;
        let files = ServerTls {
            cert: settings.tls_path.join("tls.crt"),
            key: settings.tls_path.join("tls.key"),
            ca: settings.tls_path.join("ca.crt"),
        };
        let stopped = async move {
            let _ = stopping.wait_for(|is_stopping| *is_stopping).await;
        };
        tokio::select! {
            outcome = server::serve(orders, files, serve::router(self.member.clone()), stopped) => {
                outcome.map_err(|source| RunError::ServeOrders { source })
            }
            outcome = axum::serve(probes, probe::router(self.member.clone(), self.beat.clone())) => {
                outcome.map_err(|source| RunError::Serve { what: "probes", source })
            }
            outcome = local::serve(self.member.clone(), self.drain.clone()) => {
                outcome.map_err(|source| RunError::Serve { what: "the unix socket", source })
            }
        }
    }

    /// Stops mysqld, within bounds.
    async fn stop(&self) {
        let limit = Duration::from_secs(self.member.config.shutdown_seconds.saturating_add(30));
        if timeout(limit, shutdown::stop(&self.pursuit)).await.is_err() {
            self.supervisor.kill();
        }
    }

    /// Takes the volume over from another process that worked on it when the agent began.
    async fn occupy(&self) {
        let settings = &self.member.settings;
        let (None, Ok(server_id)) = (self.alone.get(), settings.server_id()) else { return };
        let file = occupancy::wait(&settings.state_path).await;
        self.alone.get_or_init(|| file);
        let (volume, promise) = volume(settings, &self.member.config, server_id);
        let tails = archive::list(&settings.state_path).unwrap_or_default();
        self.member.settle(volume, promise, tails);
    }

    /// The volume of the ConfigMap follows the object; how far a replica may be behind is taken up without a restart.
    async fn reread_lag(&self) {
        loop {
            sleep(REREAD).await;
            if let Ok(config) = self.member.settings.config() {
                self.member.bound_lag(config.ready_lag_seconds);
            }
        }
    }

    /// mysqld reads its certificate files again when they change. The agent's own server does so by itself.
    async fn reload_certificates(&self) {
        let mut known = self.certificate_age();
        loop {
            sleep(REREAD).await;
            let now = self.certificate_age();
            if now == known || self.supervisor.now().run().is_none() {
                continue;
            }
            match self.watcher.run(statements::reload_tls(), Duration::from_secs(5)).await {
                Ok(()) => {
                    tracing::info!("mysqld has read its certificate again");
                    known = now;
                }
                Err(error) => {
                    tracing::warn!(error = logging::chain(&error), "mysqld keeps its old certificate");
                }
            }
        }
    }

    fn certificate_age(&self) -> Vec<Option<SystemTime>> {
        let settings = &self.member.settings;
        let age = |path: std::path::PathBuf| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
        vec![
            age(settings.tls_path.join("tls.crt")),
            age(settings.tls_path.join("ca.crt")),
            age(settings.client_tls_path.join("tls.crt")),
        ]
    }
}

/// Whose volume it is and what was promised on it. What cannot be read is never guessed.
fn volume(settings: &Settings, config: &AgentConfig, server_id: u32) -> (Volume, Promise) {
    let promise = match promise::load(&settings.state_path) {
        Ok(promise) => promise,
        Err(error) => return (unusable(&error), Promise::default()),
    };
    let fresh = || uuid::Uuid::new_v4().to_string();
    let volume = match identity::establish(settings, config, server_id, fresh) {
        Ok(Ownership::Ours(identity)) => Volume::Ours(identity),
        Ok(Ownership::Foreign(identity)) => Volume::Foreign(identity),
        Err(error) => unusable(&error),
    };
    tracing::info!(?volume, ?promise, "volume");
    (volume, promise)
}

fn unusable(error: &dyn std::error::Error) -> Volume {
    let reason = logging::chain(error);
    tracing::error!(reason, "the volume cannot be used");
    Volume::Unusable(reason)
}

async fn listen(settings: &Settings, port: u16) -> Result<TcpListener, RunError> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in settings.listen_addresses() {
        match TcpListener::bind((address, port)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(RunError::Listen { port, source: last })
}
