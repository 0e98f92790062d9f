//! Components of mysqld that the cluster's configuration lists: loaded before anything is applied and before clients are let
//! in (ha.md H18).
//!
//! `INSTALL COMPONENT` stays out of the binlog, so every member does it for itself. It leaves a row in `mysql.component`, by
//! which mysqld loads the component at each start, and which a clone copies. So there is something to do once in the life of
//! a volume and after a change of the list. Nothing here is an error of a goal: a member that lacks a component goes on.
//!
//! Nothing is uninstalled: what was received and is not applied yet may need it, here or on another member.
//!
//! Source: MySQL 9.7 Reference Manual, "INSTALL COMPONENT Statement"; the tests `h18_...`.

use super::{BRIEF, GoalError, Pursuit, THREADS};
use crate::logging;
use crate::mysql::{Door, Session, SqlError, statements};
use crate::observe::Facts;
use porpoise_core::protocol::Component;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// Bound of loading one: a component may do something of its own when it is loaded.
const LOAD: Duration = Duration::from_secs(10);
/// Between two tries on a primary: a backup lock may have been in the way.
const RETRY: Duration = Duration::from_secs(30);

/// Why components are not loaded, by their names.
type Failures = BTreeMap<String, String>;

/// What is known about the components of the running mysqld.
#[derive(Default)]
pub(super) struct Known {
    run: Option<u64>,
    wanted: Vec<String>,
    /// When what failed is tried again; nothing failed without it.
    again: Option<Instant>,
    /// What failed behind closed writes. That is not tried again before the list changes: the applier is stopped for it.
    given_up: Failures,
}

/// What a server has and what it can have.
struct Shelf {
    registered: BTreeSet<String>,
    directory: PathBuf,
}

impl Shelf {
    async fn look(pursuit: &Pursuit) -> Result<Self, SqlError> {
        let mut registered = BTreeSet::new();
        for row in pursuit.admin.rows(statements::components(), BRIEF).await? {
            registered.extend(row.text("urn")?);
        }
        let rows = pursuit.admin.rows(statements::plugin_directory(), BRIEF).await?;
        let directory = rows.first().map_or(Ok(None), |row| row.text("directory"))?;
        Ok(Self { registered, directory: directory.unwrap_or_default().into() })
    }

    /// Whether it can be loaded and is not.
    fn offers(&self, name: &str) -> bool {
        self.has_file(name) && !self.has(name)
    }

    fn has(&self, name: &str) -> bool {
        self.registered.contains(&statements::component_urn(name))
    }

    fn has_file(&self, name: &str) -> bool {
        self.directory.join(format!("component_{name}.so")).exists()
    }

    /// mysqld starts without a registered component whose file is gone, so the file counts first.
    fn told(&self, name: &str, failure: Option<&String>) -> Component {
        let error = match failure {
            _ if !self.has_file(name) => {
                format!("there is no component_{name}.so in {}", self.directory.display())
            }
            Some(failure) if !self.has(name) => failure.clone(),
            Some(_) | None => String::new(),
        };
        Component { name: name.to_owned(), error }
    }
}

/// Loads what is listed and not loaded yet.
pub(super) async fn ensure(pursuit: &Pursuit, run: u64, wanted: Vec<String>) {
    if is_known(pursuit, run, &wanted) {
        return;
    }
    match load(pursuit, &wanted).await {
        Ok(Some(components)) => {
            let is_complete = components.iter().all(|component| component.error.is_empty());
            let mut memory = pursuit.memory();
            memory.components.run = Some(run);
            memory.components.wanted = wanted;
            memory.components.again = (!is_complete).then(|| Instant::now() + RETRY);
            drop(memory);
            pursuit.member.tell_components(run, components);
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(error = logging::chain(&error), "components are not known"),
    }
}

fn is_known(pursuit: &Pursuit, run: u64, wanted: &[String]) -> bool {
    let memory = pursuit.memory();
    let known = &memory.components;
    known.run == Some(run) && known.wanted == wanted && known.again.is_none_or(|at| Instant::now() < at)
}

/// What became of each; nothing when this is not the moment.
async fn load(pursuit: &Pursuit, wanted: &[String]) -> Result<Option<Vec<Component>>, GoalError> {
    if wanted.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let shelf = Shelf::look(pursuit).await.map_err(GoalError::step)?;
    let mut failures = given_up(pursuit, wanted);
    let is_due = |name: &&String| shelf.offers(name) && !failures.contains_key(*name);
    let due: Vec<String> = wanted.iter().filter(is_due).cloned().collect();
    if !due.is_empty() {
        let Some(refused) = install(pursuit, due).await? else {
            return Ok(None);
        };
        failures.extend(refused);
    }
    Ok(Some(wanted.iter().map(|name| shelf.told(name, failures.get(name))).collect()))
}

/// Loads them one by one and says what failed. Nothing is done while the applier is busy: closing writes again would wait
/// for it.
async fn install(pursuit: &Pursuit, due: Vec<String>) -> Result<Option<Failures>, GoalError> {
    let facts = pursuit.look().await?;
    let is_closed = facts.is_read_only;
    if is_closed && facts.applier.is_active() {
        if !facts.applied_all {
            return Ok(None);
        }
        pursuit.admin.run(statements::stop_applier(), BRIEF).await.map_err(GoalError::step)?;
    }
    let work = Work { admin: pursuit.admin.clone(), door: pursuit.door.clone(), due };
    if !is_closed {
        return Ok(Some(work.install().await));
    }
    let begun = |name: &String| (name.clone(), "loading it was not finished".to_owned());
    // Given up before it is begun, so that one that takes mysqld down does so once.
    pursuit.memory().components.given_up.extend(work.due.iter().map(begun));
    let tried = work.due.clone();
    let guard = pursuit.exclusive.clone().lock_owned().await;
    // Not dropped in the middle by a new order, with writes half open: that one waits for the lock.
    let working = tokio::spawn(async move {
        let _guard = guard;
        work.behind_closed_writes(&facts).await
    });
    let Ok(done) = working.await else {
        return Ok(None);
    };
    let failures = done.map_err(GoalError::step)?;
    let mut memory = pursuit.memory();
    memory.components.given_up.retain(|name, _| !tried.contains(name));
    memory.components.given_up.extend(failures.clone());
    Ok(Some(failures))
}

/// What is not tried any more; everything is when the list changed.
fn given_up(pursuit: &Pursuit, wanted: &[String]) -> Failures {
    let mut memory = pursuit.memory();
    if memory.components.wanted != wanted {
        memory.components.given_up.clear();
    }
    memory.components.given_up.clone()
}

/// What is done in one go.
struct Work {
    admin: Session,
    door: Door,
    due: Vec<String>,
}

impl Work {
    /// `super_read_only` refuses the row in `mysql.component`, so it is lifted for a moment. `read_only` keeps clients out
    /// then, but not those with `CONNECTION_ADMIN`. Semi-sync does: whatever they commit waits for an acknowledgement that
    /// nobody gives, and holds up the closing, after which mysqld is killed.
    async fn behind_closed_writes(self, facts: &Facts) -> Result<Failures, SqlError> {
        if !facts.source_semi_sync {
            self.admin.run(statements::set_source_semi_sync(true), BRIEF).await?;
        }
        self.admin.run(statements::lift_super_read_only(), BRIEF).await?;
        let failures = self.install().await;
        self.admin.run(statements::set_read_only(true), BRIEF).await?;
        // Only now, or it would answer what waits (ha.md H5).
        if !facts.source_semi_sync {
            self.admin.run(statements::set_source_semi_sync(false), THREADS).await?;
        }
        Ok(failures)
    }

    async fn install(&self) -> Failures {
        let mut failures = Failures::new();
        for name in &self.due {
            match self.install_one(name).await {
                Ok(()) => tracing::info!(component = name, "component loaded"),
                Err(error) => {
                    tracing::warn!(component = name, error = logging::chain(&error), "component not loaded");
                    failures.insert(name.clone(), error.to_string());
                }
            }
        }
        failures
    }

    /// On a connection of its own: it may block, and the admin connection must not.
    async fn install_one(&self, name: &str) -> Result<(), SqlError> {
        let Ok(statement) = statements::install_component(name) else {
            return Err(SqlError::Lost {
                step: "install_component",
                reason: "the name has a NUL in it".into(),
            });
        };
        let mut connection = self.door.open().await?;
        connection.run(statement, LOAD).await?;
        connection.close().await;
        Ok(())
    }
}
