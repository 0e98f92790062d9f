//! The life of the process: connect, keep caches warm, lead, work, let go.

use crate::arguments::Configuration;
use crate::context::Context;
use crate::kinds::CONTROLLER;
use crate::kubernetes::{Clients, ConnectError, chain};
use crate::lease::{Candidate, Leadership, LeaseError, Timing};
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::news::News;
use crate::next::after_error;
use crate::reconcile::reconcile;
use crate::report::http::{self, ServePagesError};
use crate::requeue::Requeue;
use crate::watch::{BackupStore, ClusterStore, Watches};
use crate::{agents, board, permissions, reconcile_backup, report};
use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::runtime::controller::{Config, Controller, Error};
use kube::runtime::events::{Recorder, Reporter};
use std::sync::Arc;
use std::time::Duration;

/// What is remembered of clusters is compared with those that exist this often.
const TIDY_PERIOD: Duration = Duration::from_mins(5);
/// Backups that are looked at at the same time: few are in motion, and each look is a handful of calls.
const BACKUPS_AT_ONCE: u16 = 8;
/// Gaps in permissions are looked for this often, until there are none.
const REVIEW_PERIOD: Duration = Duration::from_mins(1);

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No connection.
    #[error("connect to the API server")]
    Connect(#[source] ConnectError),
    /// No probes and metrics.
    #[error("serve probes and metrics")]
    ServePages(#[source] ServePagesError),
    /// Leadership is lost: another process may lead, so this one ends.
    #[error("lead")]
    Lead(#[source] LeaseError),
    /// The queue of clusters ended, which it never does.
    #[error("go on: the queue of clusters ended")]
    GoOn,
}

/// Runs until `shutdown` ends.
pub async fn run(configuration: Configuration, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let clients = Clients::connect().await.map_err(RunError::Connect)?;
    let board = Arc::<board::Board>::default();
    let watches = Watches::start(&clients.general, &configuration.scope, &board);
    let (until, leadership) = Leadership::channel();
    let leases: Api<Lease> = Api::namespaced(clients.strict.clone(), &configuration.lease_namespace);
    let candidate =
        Candidate::new(leases, &configuration.lease_name, &configuration.identity, Timing::default(), until)
            .reachable_at(configuration.reachable_at);
    let context = Arc::new(context(&configuration, clients, &watches, board, leadership));
    http::serve(&configuration.metrics_address, context.clone()).await.map_err(RunError::ServePages)?;
    tokio::spawn(review(context.clone(), configuration.clone()));
    tokio::select! {
        ended = candidate.lead(shutdown) => ended.map_err(RunError::Lead),
        () = work(context, watches, configuration.concurrency) => Err(RunError::GoOn),
    }
}

fn context(
    configuration: &Configuration,
    clients: Clients,
    watches: &Watches,
    board: Arc<board::Board>,
    leadership: Leadership,
) -> Context {
    let reporter =
        Reporter { controller: CONTROLLER.to_owned(), instance: Some(configuration.identity.clone()) };
    Context {
        recorder: Recorder::new(clients.general.clone(), reporter),
        clients,
        settings: configuration.settings.clone(),
        identity: configuration.identity.clone(),
        caches: watches.caches.clone(),
        agents: agents::Agents::default(),
        news: News::default(),
        touches: watches.touches(),
        memories: Memories::default(),
        backup_memories: Memories::default(),
        leadership,
        requeue: Requeue::default(),
        metrics: Metrics::default(),
        board,
    }
}

/// Waits for leadership, then looks after clusters and backups.
async fn work(context: Arc<Context>, mut watches: Watches, concurrency: u16) {
    let mut leadership = context.leadership.clone();
    watches.stand_by(async move { leadership.acquired().await }).await;
    context.board.note(|notes| notes.leading = true);
    tokio::spawn(tidy(context.clone(), watches.clusters.clone(), watches.backups.clone()));
    let (clusters, backups) = (watches.clusters.reader(), watches.backups.reader());
    let (of_clusters, of_backups) = watches.into_triggers();
    let clusters = Controller::for_stream(futures::stream::pending(), clusters)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(of_clusters)
        .run(reconcile, |object, error, context| after_error(&object, error, &context), context.clone())
        .for_each(|result| async { log(result) });
    let backups = Controller::for_stream(futures::stream::pending(), backups)
        .with_config(Config::default().concurrency(BACKUPS_AT_ONCE))
        .reconcile_on(of_backups)
        .run(reconcile_backup::reconcile, reconcile_backup::after_error, context)
        .for_each(|result| async { log(result) });
    // Neither ends; should one do so, the process ends with it and another takes over.
    tokio::select! {
        () = clusters => {}
        () = backups => {}
    }
}

fn log<R, E, A>(result: Result<R, Error<E, A>>)
where
    E: std::error::Error + 'static,
    A: std::error::Error + 'static,
{
    match result {
        // A touched cluster that does not exist: what belonged to it outlives it for a moment, or by intent. A failed pass
        // was logged with its cluster already.
        Ok(_) | Err(Error::ObjectNotFound(_) | Error::ReconcilerFailed(..)) => {}
        Err(error) => tracing::warn!(error = chain(&error), "queue"),
    }
}

/// Forgets clusters that went without this process taking part, such as by a finalizer that somebody removed.
async fn tidy(context: Arc<Context>, clusters: Arc<ClusterStore>, backups: Arc<BackupStore>) {
    loop {
        tokio::time::sleep(TIDY_PERIOD).await;
        let existing = clusters.uids();
        for uid in context.memories.uids().iter().filter(|uid| !existing.contains(*uid)) {
            report::gone(&context, uid);
        }
        let existing = backups.uids();
        for uid in context.backup_memories.uids().iter().filter(|uid| !existing.contains(*uid)) {
            report::backup_gone(&context, uid);
        }
    }
}

/// Looks for gaps in the operator's permissions until there are none.
async fn review(context: Arc<Context>, configuration: Configuration) {
    loop {
        let namespace = &configuration.lease_namespace;
        let gaps = permissions::missing(&context.clients.general, &configuration.scope, namespace).await;
        for gap in &gaps {
            tracing::error!(gap, "permission is missing");
        }
        let complete = gaps.is_empty();
        context.board.note(|notes| notes.missing_permissions = gaps);
        if complete {
            return;
        }
        tokio::time::sleep(REVIEW_PERIOD).await;
    }
}
