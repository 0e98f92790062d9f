//! What goes on in the cluster while the fault comes.

use super::fault::Fault;
use super::scene::Scene;
use crate::ledger::{Pace, on_each_member, pod_account};
use crate::scenario::{Account, Seen, connect, until};
use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, MySqlConnection, Row};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Writes a second of all the ledger's clients together, unless they saturate.
pub(crate) const RATE: u32 = 200;
const BRIEF: Duration = Duration::from_secs(10);
const MEGABYTES: usize = 100;
/// A thousand numbers, for tables that need many rows at once.
const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)";

/// What clients do. The ledger's own always write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Load {
    /// Some writes, evenly spread.
    Steady,
    /// As many writes as get through.
    Saturated,
    /// A transaction is open that has written. A planned change of the primary waits for its commit; after any other it must
    /// be gone.
    OpenTransaction,
    /// A table is being rebuilt: afterwards it is old or new, on all members alike.
    AlterTable,
    /// A transaction of 100 MB is being committed: afterwards it is there or not, as a whole, on all members alike.
    LargeTransaction,
    /// A transaction is prepared for `XA COMMIT`: that must still be possible.
    XaPrepared,
    /// The application's password is being set, to the same, again and again: logins must go on.
    AccountStatement,
}

/// What goes on beside the ledger.
pub(super) struct Aside {
    load: Load,
    round: u32,
    /// Kept open through the fault.
    _held: Option<MySqlConnection>,
    task: Option<JoinHandle<Result<()>>>,
}

impl Load {
    /// Its name, on command lines and in results.
    pub fn word(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value().map_or_else(|| format!("{self:?}"), |value| value.get_name().to_owned())
    }

    /// How fast the ledger's clients write.
    pub(super) fn pace(self) -> Pace {
        match self {
            Self::Saturated => Pace::Saturate,
            Self::Steady
            | Self::OpenTransaction
            | Self::AlterTable
            | Self::LargeTransaction
            | Self::XaPrepared
            | Self::AccountStatement => Pace::PerSecond(RATE),
        }
    }

    /// After how many writes the ledger's clients are at their pace, and replicas that cannot keep it have a backlog.
    pub(super) fn steady(self) -> u64 {
        if self == Self::Saturated { 3000 } else { 60 }
    }

    /// Begins it on the primary; when this returns, it is under way.
    pub(super) async fn begin(self, scene: &Scene<'_>, fault: Fault, primary: &str) -> Result<Aside> {
        let round = scene.round;
        let account = pod_account(&scene.database, primary).await?;
        let (held, task) = match self {
            Self::Steady | Self::Saturated => (None, None),
            Self::OpenTransaction if fault.is_planned() => {
                (None, Some(commit_later(open_transaction(&account, round).await?).await?))
            }
            Self::OpenTransaction => (Some(open_transaction(&account, round).await?), None),
            Self::XaPrepared => (Some(prepare(&account, round).await?), None),
            Self::AlterTable => (None, Some(alter_table(&account, round).await?)),
            Self::LargeTransaction => (None, Some(large_transaction(&account, round).await?)),
            Self::AccountStatement => (None, Some(set_password(&account).await?)),
        };
        Ok(Aside { load: self, round, _held: held, task })
    }
}

impl Aside {
    /// Looks, in the Healthy cluster, at what became of it.
    pub(super) async fn finish(mut self, scene: &Scene<'_>) -> Result<()> {
        let was_waited_for = self.load == Load::OpenTransaction && self.task.is_some();
        let was_answered = match self.task.take() {
            Some(task) => answered(task).await,
            None => false,
        };
        ensure!(was_answered || !was_waited_for, "a planned change of the primary broke off a transaction");
        let round = self.round;
        match self.load {
            Load::Steady | Load::Saturated | Load::AccountStatement => Ok(()),
            Load::OpenTransaction => {
                let rows = if was_answered { "1" } else { "0" };
                same(scene, &format!("SELECT COUNT(*) FROM aside WHERE round = {round}"), &[rows]).await
            }
            Load::XaPrepared => {
                let mut primary =
                    connect(&pod_account(&scene.database, &scene.primary().await?).await?).await?;
                run(&mut primary, &format!("XA COMMIT 'porpoise-{round}'"))
                    .await
                    .context("commit what was prepared")?;
                same(scene, &format!("SELECT COUNT(*) FROM aside WHERE round = {round}"), &["1"]).await
            }
            Load::AlterTable => {
                let columns = "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'rebuilt'";
                let query = format!("{columns} AND column_name = 'c{round}'");
                same(scene, &query, if was_answered { &["1"] } else { &["0", "1"] }).await
            }
            Load::LargeTransaction => {
                let query = format!("SELECT COUNT(*) FROM large WHERE round = {round}");
                let whole = MEGABYTES.to_string();
                let allowed = [whole.as_str(), "0"];
                same(scene, &query, if was_answered { &allowed[..1] } else { &allowed }).await
            }
        }
    }
}

/// Whether the statement was acknowledged. One that still waits is on a server that nobody listens to any more.
async fn answered(task: JoinHandle<Result<()>>) -> bool {
    let abort = task.abort_handle();
    let ended = timeout(Duration::from_secs(1), task).await;
    abort.abort();
    matches!(ended, Ok(Ok(Ok(()))))
}

/// All members give the same answer, and it is one of these.
async fn same(scene: &Scene<'_>, query: &str, allowed: &[&str]) -> Result<()> {
    let answers = on_each_member(&scene.database, query).await?;
    let first = answers.values().next().cloned().unwrap_or_default();
    let agree = answers.values().all(|answer| *answer == first);
    ensure!(agree && allowed.contains(&first.as_str()), "{query}: {answers:?}, allowed is {allowed:?}");
    Ok(())
}

async fn run(connection: &mut MySqlConnection, statement: &str) -> Result<()> {
    let run = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection);
    timeout(BRIEF, run).await.with_context(|| format!("{statement} took over {BRIEF:?}"))??;
    Ok(())
}

async fn open_transaction(account: &Account, round: u32) -> Result<MySqlConnection> {
    let mut connection = connect(account).await?;
    run(&mut connection, "CREATE TABLE IF NOT EXISTS aside (round INT PRIMARY KEY)").await?;
    run(&mut connection, "BEGIN").await?;
    run(&mut connection, &format!("INSERT INTO aside VALUES ({round})")).await?;
    Ok(connection)
}

/// When this returns the transaction is a long one; it is committed some seconds later.
async fn commit_later(mut connection: MySqlConnection) -> Result<JoinHandle<Result<()>>> {
    run(&mut connection, "DO SLEEP(3)").await?;
    Ok(tokio::spawn(async move {
        run(&mut connection, "DO SLEEP(3)").await?;
        run(&mut connection, "COMMIT").await
    }))
}

async fn prepare(account: &Account, round: u32) -> Result<MySqlConnection> {
    let mut connection = connect(account).await?;
    run(&mut connection, "CREATE TABLE IF NOT EXISTS aside (round INT PRIMARY KEY)").await?;
    run(&mut connection, &format!("XA START 'porpoise-{round}'")).await?;
    run(&mut connection, &format!("INSERT INTO aside VALUES ({round})")).await?;
    run(&mut connection, &format!("XA END 'porpoise-{round}'")).await?;
    run(&mut connection, &format!("XA PREPARE 'porpoise-{round}'")).await?;
    Ok(connection)
}

async fn alter_table(account: &Account, round: u32) -> Result<JoinHandle<Result<()>>> {
    let mut connection = connect(account).await?;
    run(
        &mut connection,
        "CREATE TABLE IF NOT EXISTS rebuilt (a INT, b INT, note CHAR(40), PRIMARY KEY (a, b))",
    )
    .await?;
    let fill = format!(
        "INSERT IGNORE INTO rebuilt (a, b, note) {NUMBERS} SELECT x.i, y.i, UUID() FROM n x JOIN n y ON y.i <= 100"
    );
    run(&mut connection, &fill).await?;
    let statement = format!("ALTER TABLE rebuilt ADD COLUMN c{round} INT, ALGORITHM=COPY");
    under_way(account, connection, statement, "ALTER").await
}

async fn large_transaction(account: &Account, round: u32) -> Result<JoinHandle<Result<()>>> {
    let mut connection = connect(account).await?;
    let table =
        "CREATE TABLE IF NOT EXISTS large (round INT, part INT, body LONGBLOB, PRIMARY KEY (round, part))";
    run(&mut connection, table).await?;
    run(&mut connection, "BEGIN").await?;
    let fill = format!(
        "INSERT INTO large {NUMBERS} SELECT {round}, i, REPEAT('x', 1000000) FROM n WHERE i <= {MEGABYTES}"
    );
    run(&mut connection, &fill).await?;
    under_way(account, connection, "COMMIT".to_owned(), "COMMIT").await
}

/// Sends a statement and waits until the server works at it, or has answered already.
async fn under_way(
    account: &Account,
    mut connection: MySqlConnection,
    statement: String,
    beginning: &str,
) -> Result<JoinHandle<Result<()>>> {
    let mut onlooker = connect(account).await?;
    let task = tokio::spawn(async move {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(())
    });
    until(&format!("{beginning} is under way"), BRIEF, async || {
        let rows = sqlx::raw_sql("SHOW PROCESSLIST").fetch_all(&mut onlooker).await?;
        let statements =
            rows.iter().filter_map(|row| row.try_get::<Option<String>, _>("Info").ok().flatten());
        let is_seen = statements.into_iter().any(|info| info.starts_with(beginning));
        if is_seen || task.is_finished() {
            Ok(Seen::Done(()))
        } else {
            Ok(Seen::Not("no such statement".to_owned()))
        }
    })
    .await?;
    Ok(task)
}

async fn set_password(account: &Account) -> Result<JoinHandle<Result<()>>> {
    let mut connection = connect(account).await?;
    // Generated passwords are letters and digits.
    let statement = format!("ALTER USER USER() IDENTIFIED BY '{}'", account.password);
    run(&mut connection, &statement)
        .await
        .map_err(|_| anyhow::anyhow!("the application may not set its password"))?;
    Ok(tokio::spawn(async move {
        loop {
            sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(&mut connection).await?;
        }
    }))
}
