//! The statements of `spec.bootstrap.initSql`, run by a server that serves nobody.
//!
//! They run as `root@localhost`, which is locked before and after: views and routines get a definer that stays, and nothing is
//! granted that MySQL itself would not have. Cut off in the middle, all of it begins anew: nobody was promised anything.

use super::{BRIEF, BeginError, Scene, close, open};
use crate::goal::accounts;
use crate::mysql::{Connection, Door, ScriptFailure, statements};
use porpoise_core::beginning::ScriptPart;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Bound of all statements together.
const LIMIT: Duration = Duration::from_hours(4);

pub(super) async fn run(scene: &Scene<'_>, parts: &[ScriptPart]) -> Result<(), BeginError> {
    let setting_up = |source| BeginError::SetUp { source };
    let (server, mut agent) = open(scene).await?;
    // What stands in my.cnf for members holds here too.
    agent.run(statements::set_read_only(false), BRIEF).await.map_err(setting_up)?;
    let making = |source| BeginError::MakeAccounts { source: Box::new(source) };
    let first = accounts::first(scene.settings, scene.config).map_err(making)?;
    for statement in first.statements {
        agent.run(statement, BRIEF).await.map_err(setting_up)?;
    }
    as_root(scene, &server.door().as_user("root"), first.database.as_deref(), parts).await?;
    close(server, agent).await
}

/// One session for all of them, as a client's: with the server's own `sql_mode`, in the application's database.
async fn as_root(
    scene: &Scene<'_>,
    door: &Door,
    database: Option<&str>,
    parts: &[ScriptPart],
) -> Result<(), BeginError> {
    let setting_up = |source| BeginError::SetUp { source };
    let mut root = door.open().await.map_err(setting_up)?;
    root.run(statements::client_session(), BRIEF).await.map_err(setting_up)?;
    if let Some(database) = database {
        let quoting = |source| BeginError::QuoteValue { what: "the application's database", source };
        root.run(statements::use_database(database).map_err(quoting)?, BRIEF).await.map_err(setting_up)?;
    }
    let end = Instant::now() + LIMIT;
    for (index, part) in parts.iter().enumerate() {
        (scene.say)(&format!("running {} ({} of {})", part.name, index + 1, parts.len()));
        one(&mut root, part, end).await?;
    }
    root.close().await;
    Ok(())
}

async fn one(root: &mut Connection, part: &ScriptPart, end: Instant) -> Result<(), BeginError> {
    let mut finished = 0;
    let failed = match timeout_at(end, root.script(statements::script(&part.text), &mut finished)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(failure)) if part.secret => failure.without_words(),
        Ok(Err(failure)) => failure,
        Err(_) => ScriptFailure::too_long(LIMIT),
    };
    Err(BeginError::RunStatement { number: finished + 1, part: part.name.clone(), failure: failed })
}
