//! The ledger of one cluster: its table, its clients' shifts, and what its members hold in the end.

use super::clock::{At, Clock, Meetings};
use super::entry::History;
use super::judge::{Evidence, Reign, Table};
use super::shift::{Pace, Shift};
use super::verdict::{Tally, Verdict};
use crate::scenario::{Account, Database, HEALTHY_WITHIN, PORT, Seen, connect, service_address, until};
use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use porpoise_crds::Phase;
use sqlx::{AssertSqlSafe, MySqlConnection, Row};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Unique rows, each with the mark of the server that wrote it.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS ledger (writer INT UNSIGNED, sequence BIGINT UNSIGNED, \
                     server CHAR(36) CHARACTER SET ascii, PRIMARY KEY (writer, sequence))";
const CAUGHT_UP: Duration = Duration::from_mins(2);

/// The ledger of one cluster.
pub struct Ledger {
    clock: Clock,
    meetings: Meetings,
    service: Account,
    history: History,
    writers: u32,
}

impl Ledger {
    /// Makes the table in a Healthy cluster.
    ///
    /// # Errors
    /// When its primary does not take it.
    pub async fn open(database: &Database<'_>) -> Result<Self> {
        let namespace = database.namespace;
        let account = Account::app(namespace, &database.name).await?;
        let service = account.at(&service_address(namespace, &database.name).await?);
        until("the primary takes the ledger's table", HEALTHY_WITHIN, async || {
            let primary = database.status().await?.primary.context("a primary")?;
            let mut connection = connect(&account.at(&address(database, &primary).await?)).await?;
            sqlx::raw_sql(TABLE).execute(&mut connection).await?;
            Ok(Seen::Done(()))
        })
        .await?;
        let (clock, mut meetings) = (Clock::start(), Meetings::default());
        meetings.note(clock);
        Ok(Self { clock, meetings, service, history: History::default(), writers: 0 })
    }

    /// Its clock.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The application's account at the rw Service.
    pub fn service(&self) -> &Account {
        &self.service
    }

    /// Starts clients in the network of a node.
    pub fn shift(&mut self, network: &Path, writers: u32, pace: Pace) -> Shift {
        self.meetings.note(self.clock);
        let first = self.writers;
        self.writers += writers;
        Shift::start(network, std::slice::from_ref(&self.service), self.clock, first, writers, pace)
    }

    /// Takes over what the clients of a shift noted.
    pub fn close(&mut self, shift: History) {
        self.history.extend(shift);
    }

    /// What clients were told so far.
    pub fn tally(&self) -> Tally {
        Tally::of(&self.history)
    }

    /// Waits until the cluster is Healthy and every member has caught up, reads them all, and judges. No shift may be on.
    ///
    /// # Errors
    /// When a member cannot be read. Broken promises are no error but in the verdict.
    pub async fn judge(&self, database: &Database<'_>) -> Result<Verdict> {
        let mut members = BTreeMap::new();
        for (name, mut connection) in caught_up(database).await? {
            let table = rows(&mut connection).await.with_context(|| format!("read {name}"))?;
            members.insert(name, table);
        }
        let primary = database.status().await?.primary.context("a Healthy cluster has a primary")?;
        let reigns = self.reigns(database, &primary).await?;
        Ok(Verdict::of(&Evidence { history: &self.history, members, reigns }))
    }

    /// Every term record, from the table of the agents. The application may not read it; the account for backups may.
    pub async fn reigns(&self, database: &Database<'_>, member: &str) -> Result<Vec<Reign>> {
        let account = backup_account(database).await?.at(&address(database, member).await?);
        let mut connection = connect(&account).await?;
        let query =
            "SELECT term, instance, CAST(UNIX_TIMESTAMP(at) * 1000000 AS UNSIGNED) FROM term ORDER BY term";
        let rows = sqlx::raw_sql(query).fetch_all(&mut connection).await.context("read the term records")?;
        let reign = |row: &sqlx::mysql::MySqlRow| -> Result<Reign, sqlx::Error> {
            let since: At = self.meetings.at(row.try_get(2)?);
            Ok(Reign { term: row.try_get(0)?, instance: row.try_get(1)?, since })
        };
        Ok(rows.iter().map(reign).collect::<Result<_, _>>()?)
    }
}

/// Address of a member's Pod.
async fn address(database: &Database<'_>, instance: &str) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(database.namespace.client(), database.namespace.name());
    let status = pods.get(instance).await?.status.context("a Pod has a status")?;
    status.pod_ip.with_context(|| format!("{instance} has no address"))
}

async fn backup_account(database: &Database<'_>) -> Result<Account> {
    let secrets: Api<Secret> = Api::namespaced(database.namespace.client(), database.namespace.name());
    let secret = secrets.get(&format!("{}-accounts", database.name)).await.context("read the accounts")?;
    let password =
        secret.data.and_then(|mut data| data.remove("backup")).context("an account for backups")?;
    Ok(Account {
        host: String::new(),
        port: PORT,
        user: "porpoise_backup".to_owned(),
        password: String::from_utf8(password.0)?,
        database: "porpoise".to_owned(),
    })
}

/// The application's account at a member's Pod.
pub(crate) async fn pod_account(database: &Database<'_>, instance: &str) -> Result<Account> {
    let account = Account::app(database.namespace, &database.name).await?;
    Ok(account.at(&address(database, instance).await?))
}

/// A connection to every member of a Healthy cluster, each when it has all that the primary had before.
async fn caught_up(database: &Database<'_>) -> Result<Vec<(String, MySqlConnection)>> {
    let status = database.until_phase(Phase::Healthy).await?;
    let primary = status.primary.context("a Healthy cluster has a primary")?;
    let goal = executed(&pod_account(database, &primary).await?).await?;
    let mut members = Vec::new();
    for one in &status.instances {
        let account = pod_account(database, &one.name).await?;
        let member = has(&account, &goal).await.with_context(|| format!("catch up: {}", one.name))?;
        members.push((one.name.clone(), member));
    }
    Ok(members)
}

/// The one number or text that each member answers, when it has caught up.
pub(crate) async fn on_each_member(database: &Database<'_>, query: &str) -> Result<BTreeMap<String, String>> {
    let mut answers = BTreeMap::new();
    for (name, mut connection) in caught_up(database).await? {
        let query = AssertSqlSafe(format!("SELECT CAST(({query}) AS CHAR)"));
        let row = sqlx::raw_sql(query).fetch_one(&mut connection).await?;
        answers.insert(name, row.try_get::<String, _>(0)?);
    }
    Ok(answers)
}

/// What each of these members holds when it has all that the primary had before; without Kubernetes.
pub(crate) async fn tables(members: &[Account], primary: &Account) -> Result<BTreeMap<String, Table>> {
    let goal = executed(primary).await?;
    let mut tables = BTreeMap::new();
    for account in members {
        let mut connection = has(account, &goal).await?;
        tables.insert(format!("{}:{}", account.host, account.port), rows(&mut connection).await?);
    }
    Ok(tables)
}

/// What the primary has executed.
async fn executed(account: &Account) -> Result<String> {
    let mut connection = connect(account).await.context("connect to the primary")?;
    let row = sqlx::raw_sql("SELECT @@global.gtid_executed").fetch_one(&mut connection).await?;
    Ok(row.try_get::<String, _>(0)?.replace('\n', ""))
}

/// Waits until a member has all of `goal`.
async fn has(account: &Account, goal: &str) -> Result<MySqlConnection> {
    let mut connection = connect(account).await?;
    let seconds = CAUGHT_UP.as_secs();
    let wait = AssertSqlSafe(format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{goal}', {seconds})"));
    let late: i64 = sqlx::raw_sql(wait).fetch_one(&mut connection).await?.try_get(0)?;
    ensure!(late == 0, "it did not catch up within {CAUGHT_UP:?}");
    Ok(connection)
}

async fn rows(connection: &mut MySqlConnection) -> Result<Table> {
    let mut servers: HashSet<Arc<str>> = HashSet::new();
    let mut table = Table::new();
    let mut rows = sqlx::raw_sql("SELECT writer, sequence, server FROM ledger").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let name: &str = row.try_get(2)?;
        let server = servers.get(name).cloned().unwrap_or_else(|| name.into());
        servers.insert(Arc::clone(&server));
        table.insert((row.try_get(0)?, row.try_get(1)?), server);
    }
    Ok(table)
}
