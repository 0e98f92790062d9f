//! The first data of a cluster, made beside the place of the member's own: by statements, by a dump, or by a copy of another
//! cluster. Whole or not at all: nobody sees any of it before a server booted from it.

mod copy;
mod dump;
mod script;

use crate::backup::check;
use crate::goal::{GoalError, accounts};
use crate::load::LoadError;
use crate::mysql::quote::QuoteError;
use crate::mysql::{Connection, ScriptFailure, SqlError, statements};
use crate::settings::{Settings, SettingsError};
use crate::supervise::initialize::{self, InitializeError};
use crate::supervise::reap::Reaper;
use crate::supervise::script::Script;
use crate::supervise::staging::{Purpose, Staging, StagingError};
use crate::vault::VaultError;
use porpoise_core::beginning::Origin;
use porpoise_core::protocol::AgentConfig;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bound of a statement that only sets or reads something.
const BRIEF: Duration = Duration::from_secs(10);

/// What can go wrong on the way to the first data.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum BeginError {
    /// There is data that was not made for this.
    #[error("refuse a volume with data: begin with a new cluster, or remove the volume claim")]
    RefuseVolume,
    /// The directory cannot be prepared, or what it takes cannot be written.
    #[error("prepare the new data directory")]
    PrepareDirectory {
        /// Cause.
        #[source]
        source: InitializeError,
    },
    /// No server runs on it.
    #[error("run a server on the new data")]
    RunServer {
        /// Cause.
        #[source]
        source: StagingError,
    },
    /// The server on it does not do what it should.
    #[error("set up the new data")]
    SetUp {
        /// Cause.
        #[source]
        source: SqlError,
    },
    /// A value cannot be written in SQL.
    #[error("quote {what}")]
    QuoteValue {
        /// Of what.
        what: &'static str,
        /// Cause.
        #[source]
        source: QuoteError,
    },
    /// The accounts cannot be made.
    #[error("make the accounts")]
    MakeAccounts {
        /// Cause.
        #[source]
        source: Box<GoalError>,
    },
    /// A statement of the spec failed.
    #[error("statement {number} of {part}: {failure}; correct it there, or delete the cluster")]
    RunStatement {
        /// Which of them, from 1.
        number: u64,
        /// Where it stands.
        part: String,
        /// What MySQL says.
        failure: ScriptFailure,
    },
    /// Nobody can be copied.
    #[error("find a member to copy")]
    FindDonor,
    /// A member was not copied.
    #[error("copy {donor}: {failure}")]
    CopyMember {
        /// The member.
        donor: String,
        /// What MySQL says.
        failure: ScriptFailure,
    },
    /// What it takes to reach a volume cannot be read.
    #[error("read the agent's own settings")]
    ReadSettings {
        /// Cause.
        #[source]
        source: SettingsError,
    },
    /// The stored dump cannot be read.
    #[error("fetch the dump")]
    FetchDump {
        /// Cause.
        #[source]
        source: VaultError,
    },
    /// The dump does not load.
    #[error(
        "import the dump: make another one without what fails and name it in spec.bootstrap.import, or delete the cluster"
    )]
    LoadDump {
        /// Cause.
        #[source]
        source: LoadError,
    },
    /// There is not a single transaction in it.
    #[error("find transactions in the new data")]
    FindTransactions,
    /// The finished directory cannot be put into place.
    #[error("put the new data into place")]
    SwapData {
        /// Cause.
        #[source]
        source: InitializeError,
    },
}

impl BeginError {
    /// Whether trying again fails the same way until somebody changes something.
    pub fn is_for_good(&self) -> bool {
        match self {
            Self::RefuseVolume | Self::RunStatement { .. } => true,
            Self::FetchDump { source } => source.is_for_good(),
            Self::LoadDump { source } => source.is_refusal(),
            Self::PrepareDirectory { .. }
            | Self::RunServer { .. }
            | Self::SetUp { .. }
            | Self::QuoteValue { .. }
            | Self::MakeAccounts { .. }
            | Self::FindDonor
            | Self::CopyMember { .. }
            | Self::ReadSettings { .. }
            | Self::FindTransactions
            | Self::SwapData { .. } => false,
        }
    }
}

/// What the first data is made with.
pub(crate) struct Scene<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) config: &'a AgentConfig,
    pub(crate) reaper: &'a Reaper,
    /// The directory that becomes the data.
    pub(crate) data: PathBuf,
    /// Is told how far it is.
    pub(crate) say: &'a (dyn Fn(&str) + Sync),
}

/// Makes the data beside its place. The member's memory is made for one mysqld: no other one may run beside it.
pub(crate) async fn make(scene: &Scene<'_>, origin: &Origin) -> Result<(), BeginError> {
    match origin {
        Origin::Script { parts } => script::run(scene, parts).await?,
        Origin::Cluster { cluster, donors, key } => copy::from_best(scene, cluster, donors, key).await?,
        Origin::Dump { source } => dump::load(scene, source).await?,
        Origin::File { source, database } => dump::load_file(scene, source, database.as_deref()).await?,
    }
    verify(scene, &logins(scene, origin)?).await
}

/// Statements that set the accounts of the finished data. Whoever knows passwords of the cluster that was copied shall not get
/// in here, not even for the while that a change of passwords leaves to everybody.
fn logins(scene: &Scene<'_>, origin: &Origin) -> Result<String, BeginError> {
    let own = initialize::own_account(scene.settings);
    let mut text = own.map_err(|source| BeginError::PrepareDirectory { source })?;
    if matches!(origin, Origin::Cluster { .. } | Origin::Dump { .. } | Origin::File { .. }) {
        let accounts = accounts::script(scene.settings, scene.config);
        text += &accounts.map_err(|source| BeginError::MakeAccounts { source: Box::new(source) })?;
    }
    Ok(text)
}

/// A blank data directory. What an earlier try left is removed.
async fn blank(scene: &Scene<'_>) -> Result<(), BeginError> {
    let preparing = |source| BeginError::PrepareDirectory { source };
    initialize::remove(&scene.data).map_err(preparing)?;
    let beside = Settings { data_path: scene.data.clone(), ..scene.settings.clone() };
    initialize::initialize(&beside, scene.reaper).await.map_err(preparing)
}

/// A server on blank data that lets root in, and a connection of the agent's.
async fn open(scene: &Scene<'_>) -> Result<(Staging, Connection), BeginError> {
    blank(scene).await?;
    let root = initialize::open_root(scene.settings);
    let server = boot(scene, &root.map_err(|source| BeginError::PrepareDirectory { source })?).await?;
    let agent = server.door().open().await.map_err(|source| BeginError::SetUp { source })?;
    Ok((server, agent))
}

/// Lets root in no more and stops the server. Statements of others may have named a source to follow: it is forgotten. The mark
/// stands for all that was written without a binlog: members that lack it cannot follow, so they copy.
async fn close(server: Staging, mut agent: Connection) -> Result<(), BeginError> {
    let forgetting = [statements::stop_replica(), statements::forget_source()];
    for statement in
        [statements::close_root()].into_iter().chain(forgetting).chain([statements::mark_beginning()])
    {
        agent.run(statement, BRIEF).await.map_err(|source| BeginError::SetUp { source })?;
    }
    agent.close().await;
    server.stop().await.map_err(|source| BeginError::RunServer { source })
}

/// Boots what was made, with the agent's own account set anew, whatever became of it: it is the account that goes on.
async fn verify(scene: &Scene<'_>, logins: &str) -> Result<(), BeginError> {
    let server = boot(scene, logins).await?;
    let setting_up = |source| BeginError::SetUp { source };
    let mut connection = server.door().open().await.map_err(setting_up)?;
    let (_, found) = check::identity(&mut connection).await.map_err(setting_up)?;
    connection.close().await;
    server.stop().await.map_err(|source| BeginError::RunServer { source })?;
    // Without any, the next look would take the member for a blank one, and the others would follow instead of copying it.
    if found.is_empty() { Err(BeginError::FindTransactions) } else { Ok(()) }
}

/// A server on the new data; `script` is run before anybody gets in, and is gone afterwards.
async fn boot(scene: &Scene<'_>, script: &str) -> Result<Staging, BeginError> {
    let preparing = |source| BeginError::PrepareDirectory { source };
    let script = Script::write(scene.settings, "begin.sql", script).map_err(preparing)?;
    let server =
        Staging::boot(scene.settings, scene.reaper, (Purpose::Fill, &scene.data), Some(script.path())).await;
    script.remove().map_err(preparing)?;
    server.map_err(|source| BeginError::RunServer { source })
}

/// The place where new data is made.
pub(crate) fn beside(data: &Path) -> PathBuf {
    data.with_extension("restoring")
}
