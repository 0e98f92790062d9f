//! Settings that a running mysqld takes: set on every member by its own agent, so that a change restarts nothing (C12).
//!
//! The operator lists them in `agent.json`, for the Pods of one template. `SET GLOBAL` stays out of the binlog, so every member
//! does it for itself: before clients are let in and before anything is applied, after a change, and again when somebody else
//! changed one, which is looked at now and then. A key that was removed gets what `my.cnf` says without it, else mysqld's
//! default. Nothing here is an error of a goal: a server that refuses a value goes on with the one it has.
//!
//! Source: MySQL 9.7 Reference Manual, "Dynamic System Variables"; the tests `c12_...`.

use super::{BRIEF, Pursuit};
use crate::logging;
use crate::mysql::quote::QuoteError;
use crate::mysql::rows::Row;
use crate::mysql::{Connection, SqlError, Statement, statements};
use porpoise_core::mycnf;
use porpoise_core::protocol::{AgentConfig, Variable};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Bound of setting all of them: a goal waits for it.
const LIMIT: Duration = Duration::from_secs(5);
/// Between two looks at what the server has.
const PERIOD: Duration = Duration::from_secs(30);

/// Values by name.
type Values = BTreeMap<String, String>;

/// What is known about the settings of the running mysqld.
#[derive(Default)]
pub(super) struct Known {
    run: Option<u64>,
    wanted: Values,
    /// What was set in this run, and is to be set back when it is wanted no more.
    touched: BTreeSet<String>,
    /// Whether everything was set or refused.
    is_done: bool,
    /// What the server had then.
    left: Values,
    /// When that is looked at again.
    due: Option<Instant>,
}

/// What is to be done in one go.
struct Work {
    wanted: Values,
    /// Values of keys that were removed; none: mysqld's default.
    removed: BTreeMap<String, Option<String>>,
}

/// What came of it.
#[derive(Default)]
struct Done {
    left: Values,
    errors: Values,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
enum VariableError {
    #[error("run a step")]
    RunStep {
        #[source]
        source: SqlError,
    },
    #[error("quote a setting")]
    QuoteSetting {
        #[source]
        source: QuoteError,
    },
    #[error("set everything within {LIMIT:?}")]
    Finish,
}

impl VariableError {
    fn step(source: SqlError) -> Self {
        Self::RunStep { source }
    }

    fn quote(source: QuoteError) -> Self {
        Self::QuoteSetting { source }
    }
}

/// Sets what is listed and not set yet.
pub(super) async fn ensure(pursuit: &Pursuit, run: u64, config: AgentConfig) {
    if !pursuit.member.settings.is_own(&config) || is_known(pursuit, run, &config) {
        return;
    }
    match timeout(LIMIT, keep(pursuit, run, &config)).await.unwrap_or(Err(VariableError::Finish)) {
        Ok(true) => note(pursuit, run, config.variables, true),
        Ok(false) => {}
        Err(error) => {
            tracing::warn!(error = logging::chain(&error), "settings are not known to be set");
            // Not at every look: a goal waits for each try.
            note(pursuit, run, config.variables, false);
        }
    }
}

fn is_known(pursuit: &Pursuit, run: u64, config: &AgentConfig) -> bool {
    let mut memory = pursuit.memory();
    let known = &mut memory.variables;
    if known.run != Some(run) {
        *known = Known { run: Some(run), ..Known::default() };
    }
    known.wanted == config.variables && known.due.is_some_and(|due| Instant::now() < due)
}

fn note(pursuit: &Pursuit, run: u64, wanted: Values, is_done: bool) {
    let mut memory = pursuit.memory();
    let known = &mut memory.variables;
    if known.run == Some(run) {
        if is_done {
            known.touched = wanted.keys().cloned().collect();
        }
        known.wanted = wanted;
        known.is_done = is_done;
        known.due = Some(Instant::now() + PERIOD);
    }
}

/// Sets everything, unless the server has what it had when that was done last. False: this is not the moment.
async fn keep(pursuit: &Pursuit, run: u64, config: &AgentConfig) -> Result<bool, VariableError> {
    let Some(work) = Work::new(pursuit, config) else {
        return Ok(false);
    };
    let is_done = {
        let known = &pursuit.memory().variables;
        known.is_done && known.wanted == config.variables
    };
    if is_done && (work.wanted.is_empty() || !is_adrift(pursuit).await?) {
        return Ok(true);
    }
    pursuit.memory().variables.touched.extend(work.wanted.keys().cloned());
    let done = work.carry_out(pursuit).await?;
    pursuit.memory().variables.left.clone_from(&done.left);
    pursuit.member.tell_variables(run, done.told(&work.wanted));
    Ok(true)
}

/// Whether somebody else changed something.
async fn is_adrift(pursuit: &Pursuit) -> Result<bool, VariableError> {
    let (wanted, left) = {
        let known = &pursuit.memory().variables;
        (known.wanted.clone(), known.left.clone())
    };
    let names = statements::variables(wanted.keys().map(String::as_str)).map_err(VariableError::quote)?;
    let rows = pursuit.admin.rows(names, BRIEF).await.map_err(VariableError::step)?;
    let is_adrift = values(&rows)? != left;
    if is_adrift {
        tracing::info!("settings differ from the configuration: they are set back");
    }
    Ok(is_adrift)
}

fn values(rows: &[Row]) -> Result<Values, VariableError> {
    let pair = |row: &Row| {
        let (name, value) = (row.text("name")?, row.text("value")?);
        Ok((name.unwrap_or_default(), value.unwrap_or_default()))
    };
    rows.iter().map(pair).collect::<Result<_, SqlError>>().map_err(VariableError::step)
}

impl Work {
    /// None while the volume shows two templates at once, as it may for a moment.
    fn new(pursuit: &Pursuit, config: &AgentConfig) -> Option<Self> {
        let touched = pursuit.memory().variables.touched.clone();
        let removed = match pursuit.member.settings.my_cnfs() {
            Ok((kept, Some(newest))) => removed(&kept, &newest, touched),
            Ok((_, None)) => return None,
            Err(error) => {
                tracing::warn!(error = logging::chain(&error), "removed settings stay as they are");
                BTreeMap::new()
            }
        };
        Some(Self { wanted: config.variables.clone(), removed })
    }

    fn is_nothing(&self) -> bool {
        self.wanted.is_empty() && self.removed.is_empty()
    }

    /// On a connection of its own: it may block, and the admin connection must not.
    async fn carry_out(&self, pursuit: &Pursuit) -> Result<Done, VariableError> {
        if self.is_nothing() {
            return Ok(Done::default());
        }
        let mut connection = pursuit.door.open().await.map_err(VariableError::step)?;
        connection.run(statements::lenient_mode(), BRIEF).await.map_err(VariableError::step)?;
        for (name, value) in &self.removed {
            let statement = match value {
                Some(value) => statements::set_variable(name, value),
                None => statements::reset_variable(name),
            };
            if let Some(error) = set(&mut connection, statement).await? {
                tracing::warn!(name, error, "a removed setting keeps its value");
            }
        }
        // Twice: one may be a bound of another.
        self.pass(&mut connection).await?;
        let done = self.pass(&mut connection).await?;
        connection.close().await;
        Ok(done)
    }

    async fn pass(&self, connection: &mut Connection) -> Result<Done, VariableError> {
        let mut done = Done::default();
        if self.wanted.is_empty() {
            return Ok(done);
        }
        for (name, value) in &self.wanted {
            if let Some(error) = set(connection, statements::set_variable(name, value)).await? {
                done.errors.insert(name.clone(), error);
            }
        }
        let names = self.wanted.keys().map(String::as_str);
        let names = statements::variables(names).map_err(VariableError::quote)?;
        done.left = values(&connection.rows(names, BRIEF).await.map_err(VariableError::step)?)?;
        Ok(done)
    }
}

/// Keys that this Pod began with or that were set since, and that nobody wants now, with what `my.cnf` says without them. In
/// Pods of one template nothing else of the user's settings ever differs.
fn removed(kept: &str, newest: &str, touched: BTreeSet<String>) -> BTreeMap<String, Option<String>> {
    let (began, wanted) = (mycnf::user_settings(kept), mycnf::user_settings(newest));
    let all = began.keys().map(|name| (*name).to_owned()).chain(touched);
    let gone = all.filter(|name| !wanted.contains_key(name.as_str()));
    gone.map(|name| {
        let value = mycnf::value_of(newest, &name).map(str::to_owned);
        (name, value)
    })
    .collect()
}

/// Sets one; MySQL's words if it is refused.
async fn set(
    connection: &mut Connection,
    statement: Result<Statement, QuoteError>,
) -> Result<Option<String>, VariableError> {
    let refusal = match connection.run(statement.map_err(VariableError::quote)?, LIMIT).await {
        Ok(()) => return Ok(None),
        Err(refusal @ SqlError::Refused { .. }) => refusal,
        Err(error) => return Err(VariableError::step(error)),
    };
    let rows = connection.rows(statements::errors(), BRIEF).await.map_err(VariableError::step)?;
    let words = rows.first().map_or(Ok(None), |row| row.text("Message")).map_err(VariableError::step)?;
    Ok(Some(words.unwrap_or_else(|| refusal.to_string())))
}

impl Done {
    fn told(&self, wanted: &Values) -> Vec<Variable> {
        let one = |(name, value): (&String, &String)| Variable {
            name: name.clone(),
            value: value.clone(),
            effective: self.left.get(name).cloned().unwrap_or_default(),
            error: self.errors.get(name).cloned().unwrap_or_default(),
        };
        wanted.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c12_a_removed_key_gets_what_the_file_says_without_it() {
        let kept = "# spec.mysql\nmax_connections=500\nsql_mode=ANSI\ntmp_table_size=1M\n\n# decided by porpoise\nport=3306\n";
        let newest = "# defaults\nmax_connections=151\n\n# spec.mysql\ntmp_table_size=2M\n\n# decided by porpoise\nport=3306\n";
        let touched = ["general_log", "tmp_table_size"].map(str::to_owned).into();
        let want = [("general_log", None), ("max_connections", Some("151")), ("sql_mode", None)];
        let want = want.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
        assert_eq!(removed(kept, newest, touched), want.into());
    }
}
