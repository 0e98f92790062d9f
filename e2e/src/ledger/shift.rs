//! Some clients on one node for some time.

use super::clock::{At, Clock};
use super::entry::History;
use super::writer::Writer;
use crate::scenario::{Account, Seen, in_network, joined, until};
use anyhow::Result;
use futures::future::join_all;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How fast clients write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// So many writes a second, of all clients together.
    PerSecond(u32),
    /// Each client as fast as its answers come.
    Saturate,
}

impl Pace {
    /// Time between two writes of one of `writers` clients.
    fn every(self, writers: u32) -> Option<Duration> {
        match self {
            Self::PerSecond(rate) => Some(Duration::from_secs(1) * writers / rate.max(1)),
            Self::Saturate => None,
        }
    }
}

/// What is known about clients while they write.
#[derive(Debug, Default)]
pub struct Pulse {
    over: AtomicBool,
    acknowledged: AtomicU64,
    newest: AtomicU64,
}

impl Pulse {
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(super) fn acknowledged(&self, start: At) {
        let start = u64::try_from(start.as_nanos()).unwrap_or(u64::MAX);
        self.newest.fetch_max(start, Ordering::Relaxed);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    /// How many writes were acknowledged.
    pub fn count(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// When the acknowledged write that began last began.
    pub fn newest(&self) -> At {
        At::from_nanos(self.newest.load(Ordering::Relaxed))
    }
}

/// Clients at work.
pub struct Shift {
    pulse: Arc<Pulse>,
    thread: JoinHandle<Result<History>>,
}

impl Shift {
    /// Starts `writers` clients, numbered from `first`, in a network. One that has lost its server goes to the next of the
    /// accounts.
    pub(crate) fn start(
        network: &Path,
        accounts: &[Account],
        clock: Clock,
        first: u32,
        writers: u32,
        pace: Pace,
    ) -> Self {
        let pulse = Arc::new(Pulse::default());
        let every = pace.every(writers);
        let clients: Vec<Writer> = (first..first + writers)
            .map(|number| Writer {
                number,
                accounts: accounts.to_vec(),
                clock,
                every,
                pulse: Arc::clone(&pulse),
            })
            .collect();
        let thread = in_network(network, move || async move {
            let mut history = History::default();
            for one in join_all(clients.into_iter().map(Writer::run)).await {
                history.extend(one);
            }
            Ok(history)
        });
        Self { pulse, thread }
    }

    /// What is known so far.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// Waits until so many writes are acknowledged: the clients are at their pace.
    pub async fn until_steady(&self, writes: u64, limit: Duration) -> Result<()> {
        until(&format!("clients have written {writes} rows"), limit, async || {
            let count = self.pulse.count();
            if count >= writes { Ok(Seen::Done(())) } else { Ok(Seen::Not(format!("{count} rows"))) }
        })
        .await
    }

    /// Waits until a write that began after `fault` is acknowledged.
    pub async fn until_resumed(&self, fault: At, limit: Duration) -> Result<()> {
        until("a client's write is acknowledged again", limit, async || {
            let newest = self.pulse.newest();
            let seen = || format!("the last one began at {newest:?}, the fault was at {fault:?}");
            if newest > fault { Ok(Seen::Done(())) } else { Ok(Seen::Not(seen())) }
        })
        .await
    }

    /// Ends the shift; answers what the clients noted.
    pub async fn end(self) -> Result<History> {
        let Self { pulse, thread } = self;
        pulse.over.store(true, Ordering::Relaxed);
        joined(thread).await
    }
}
