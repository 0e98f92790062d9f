//! A primary that cannot show that its writes are acknowledged turns its clients away (ha.md §2): somebody else may be
//! primary by now, and what is read here may be old.
//!
//! Every acknowledged commit is a sign; a server without clients' commits gets a write of its own once a second. That
//! write is durable, so a disk that hangs shows the same way. Time is the monotonic clock: setting the wall clock fences
//! nobody.

use super::seal::turn_away;
use super::{Pursuit, Reign};
use crate::mysql::{Session, statements};
use crate::observe::Facts;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// T of ha.md §2.
const UNACKNOWLEDGED: Duration = Duration::from_secs(3);
/// Without a client's commit for this long the agent writes itself.
const QUIET: Duration = Duration::from_secs(1);
/// Between two looks.
const PERIOD: Duration = Duration::from_millis(250);
/// Time for turning clients away; a server that needs longer is killed.
const FENCE: Duration = Duration::from_secs(1);
/// Row of the heartbeat table for these writes.
const LANE: u32 = 0;

/// When the last sign was seen, in one reign.
struct Signs {
    run: u64,
    acknowledged: i64,
    at: Instant,
    written: Option<Instant>,
}

impl Pursuit {
    /// Watches over the primary for ever, if this member is one.
    pub async fn keep_fencing(&self) {
        let watcher = Session::start(self.door.clone());
        let writer = Session::start(self.door.clone());
        let mut signs: Option<Signs> = None;
        loop {
            sleep(PERIOD).await;
            let reign = self.memory().reign.clone().filter(must_prove);
            signs = match reign {
                Some(reign) => Some(self.watch(&reign, signs.take(), &watcher, &writer).await),
                None => None,
            };
        }
    }

    async fn watch(&self, reign: &Reign, signs: Option<Signs>, watcher: &Session, writer: &Session) -> Signs {
        let fresh = || Signs { run: reign.run, acknowledged: -1, at: Instant::now(), written: None };
        let mut signs = signs.filter(|signs| signs.run == reign.run).unwrap_or_else(fresh);
        if let Ok(facts) = Facts::read(watcher, PERIOD * 2).await
            && facts.acknowledged != signs.acknowledged
        {
            signs = Signs { acknowledged: facts.acknowledged, at: Instant::now(), ..signs };
        }
        if signs.at.elapsed() >= UNACKNOWLEDGED {
            self.fence(reign.run).await;
            return fresh();
        }
        if signs.at.elapsed() >= QUIET && signs.written.is_none_or(|at| at.elapsed() >= QUIET) {
            signs.written = Some(Instant::now());
            let writer = writer.clone();
            // Whether it is acknowledged is seen in the count.
            tokio::spawn(async move { writer.run(statements::beat(LANE), UNACKNOWLEDGED).await });
        }
        signs
    }

    /// The claim's proof is taken back first, so that nobody lets clients in again before a new one. Whoever is letting them
    /// in right now holds the gate; its statements come before these.
    async fn fence(&self, run: u64) {
        tracing::warn!(
            seconds = UNACKNOWLEDGED.as_secs(),
            "no write was acknowledged: clients are turned away"
        );
        {
            let mut memory = self.memory();
            let Some(reign) = memory.reign.as_mut().filter(|reign| reign.run == run) else {
                return;
            };
            (reign.proven_k, reign.admitting) = (None, false);
        }
        super::promote::stand(self, run);
        let turned_away = timeout(FENCE, async {
            let _gate = self.gate.lock().await;
            turn_away(self).await
        });
        if !matches!(turned_away.await, Ok(Ok(()))) && self.supervisor.now().run() == Some(run) {
            tracing::warn!("mysqld does not turn clients away: killing it");
            self.supervisor.kill();
        }
    }
}

/// With k = 0 nobody else can be promoted, so there is nothing to fence against.
fn must_prove(reign: &Reign) -> bool {
    reign.admitting && reign.proven_k.is_some_and(|k| k > 0)
}
