//! A client inside a node's network namespace: Service addresses work there, without a Pod's start-up cost.

use super::mysql::Account;
use super::namespace::Namespace;
use anyhow::{Context, Result, anyhow};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use nix::sched::{CloneFlags, setns};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{ConnectOptions, Connection, MySqlConnection};
use std::path::Path;
use std::time::{Duration, Instant};

/// The network that we are in ourselves, for [`in_network`].
pub(crate) const OWN_NETWORK: &str = "/proc/self/ns/net";

const ATTEMPT: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(25);

/// Runs `body` on a thread of its own inside the network namespace, with a runtime of its own.
pub fn in_network<T: Send + 'static, F: Future<Output = Result<T>>>(
    network: &Path,
    body: impl FnOnce() -> F + Send + 'static,
) -> std::thread::JoinHandle<Result<T>> {
    let network = network.to_owned();
    std::thread::spawn(move || {
        let file = std::fs::File::open(&network)
            .with_context(|| format!("open the network {}", network.display()))?;
        setns(&file, CloneFlags::CLONE_NEWNET).context("enter the network")?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(body())
    })
}

/// What a thread of [`in_network`] came to.
pub async fn joined<T: Send + 'static>(thread: std::thread::JoinHandle<Result<T>>) -> Result<T> {
    let ended = tokio::task::spawn_blocking(move || thread.join()).await.context("wait for the clients")?;
    ended.map_err(|_| anyhow!("the clients' thread failed"))?
}

/// Address of a Service.
pub async fn service_address(namespace: &Namespace, service: &str) -> Result<String> {
    let services: Api<Service> = Api::namespaced(namespace.client(), namespace.name());
    let spec = services.get(service).await?.spec.context("a Service has a spec")?;
    spec.cluster_ip.context("a Service has an address")
}

/// Tries to write a row until one is accepted; answers when that was.
pub async fn first_write(account: Account, limit: Duration) -> Result<Instant> {
    let begin = Instant::now();
    let mut last = anyhow!("no attempt was made");
    while begin.elapsed() < limit {
        match tokio::time::timeout(ATTEMPT, write(&account)).await {
            Ok(Ok(())) => return Ok(Instant::now()),
            Ok(Err(error)) => last = error.into(),
            Err(_) => last = anyhow!("an attempt took over {ATTEMPT:?}"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(last.context(format!("no write was accepted within {limit:?}")))
}

async fn write(account: &Account) -> Result<(), sqlx::Error> {
    let mut connection = connect(account).await?;
    sqlx::raw_sql("CREATE TABLE IF NOT EXISTS first_write (at TIMESTAMP(6))")
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql("INSERT INTO first_write VALUES (NOW(6))").execute(&mut connection).await?;
    connection.close().await
}

/// Connects as the account, with TLS.
pub async fn connect(account: &Account) -> Result<MySqlConnection, sqlx::Error> {
    MySqlConnectOptions::new()
        .host(&account.host)
        .port(account.port)
        .username(&account.user)
        .password(&account.password)
        .database(&account.database)
        .ssl_mode(MySqlSslMode::Required)
        .disable_statement_logging()
        .connect()
        .await
}
