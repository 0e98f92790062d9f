//! What every pass may use.

use crate::agents::Agents;
use crate::board::Board;
use crate::facts::Caches;
use crate::kubernetes::Clients;
use crate::lease::Leadership;
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::news::News;
use crate::requeue::Requeue;
use crate::watch::Touches;
use kube::runtime::events::Recorder;
use porpoise_core::validate::Settings;
use std::sync::Arc;

/// Shared by all passes. No pass holds a lock across an await.
pub struct Context {
    /// Connections to the API server.
    pub clients: Clients,
    /// What the operator was configured with.
    pub settings: Settings,
    /// Identity of this process, as it stands in records.
    pub identity: String,
    /// What the watches have seen.
    pub caches: Arc<Caches>,
    /// Calls to agents.
    pub agents: Agents,
    /// News of the members.
    pub news: News,
    /// Has clusters looked at.
    pub touches: Touches,
    /// What is remembered between passes; losing it costs time, never safety.
    pub memories: Memories,
    /// What is remembered of backups.
    pub backup_memories: Memories,
    /// Whether this process leads, right now.
    pub leadership: Leadership,
    /// When to come back.
    pub requeue: Requeue,
    /// The one writer of Events: it counts repetitions.
    pub recorder: Recorder,
    /// Numbers.
    pub metrics: Metrics,
    /// What the process knows about itself.
    pub board: Arc<Board>,
}
