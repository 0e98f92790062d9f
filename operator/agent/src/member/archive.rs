//! What this member is told of the archive, and how far it is.

use super::Member;
use porpoise_core::backup::{ArchiveOrder, ArchiveSettings, ArchiveState};
use porpoise_core::protocol::OrderAnswer;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::sync::watch;

/// Upper bounds in seconds.
const DELAYS: [f64; 15] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 2.5, 5.0, 15.0, 60.0];

/// What the operator told last.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where and how.
    pub settings: Arc<ArchiveSettings>,
    /// Tells it from others.
    pub digest: String,
    /// What every backup that is kept holds.
    pub needless: Option<String>,
}

/// How far the archive is, as [`ArchiveState`] tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Everything before its unbroken part.
    pub begins: Option<String>,
    /// Everything committed before is stored (RFC 3339).
    pub reached_at: Option<String>,
    /// Why it does not get on.
    pub error: String,
    /// Why the unbroken part begins where it does.
    pub broken: String,
}

/// Figures of the archive since the agent began.
pub(super) struct ArchiveFigures {
    transactions: Counter,
    delay: Histogram,
}

impl Default for ArchiveFigures {
    fn default() -> Self {
        Self { transactions: Counter::default(), delay: Histogram::new(DELAYS) }
    }
}

impl Member {
    /// Takes what is to be archived. It changes nothing about who is primary, so it needs neither term nor promise.
    pub fn take_archive(&self, order: ArchiveOrder) -> OrderAnswer {
        let is_ours = order.cluster == self.config.cluster && order.instance == self.settings.instance;
        if !is_ours {
            let reason = format!("this is {} of cluster {}", self.settings.instance, self.config.cluster);
            return OrderAnswer::Refused { promised: self.promise().term, reason };
        }
        let needless = order.needless;
        let told = order.settings.map(|settings| Told {
            digest: settings.digest(),
            settings: Arc::new(settings),
            needless,
        });
        if told.is_none() {
            self.tell_archived(Archived::default());
        }
        self.archive.send_replace(told);
        self.tell();
        OrderAnswer::Accepted
    }

    /// What is to be archived, as it changes.
    pub fn told_archive(&self) -> watch::Receiver<Option<Told>> {
        self.archive.subscribe()
    }

    /// How far the archive is.
    pub fn tell_archived(&self, archived: Archived) {
        self.board().archived = archived;
    }

    /// It does not get on; how far it was stays true.
    pub fn archive_failed(&self, error: String) {
        self.board().archived.error = error;
    }

    /// Transactions were stored that were committed then, in microseconds since 1970.
    pub fn count_archived(&self, committed: &[u64], now: u64) {
        let figures = &self.archive_figures;
        figures.transactions.inc_by(committed.len() as u64);
        for at in committed {
            let micros = u32::try_from(now.saturating_sub(*at)).unwrap_or(u32::MAX);
            figures.delay.observe(f64::from(micros) / 1e6);
        }
    }

    /// Registers the figures.
    pub fn archive_metrics(&self, registry: &mut Registry) {
        let ArchiveFigures { transactions, delay } = &self.archive_figures;
        registry.register(
            "archived_transactions",
            "Transactions of clients stored in the archive",
            transactions.clone(),
        );
        let help = "Time from a commit to when it was stored in the archive";
        registry.register("archive_delay_seconds", help, delay.clone());
    }

    /// As the operator learns it.
    pub(super) fn archive_state(&self, archived: &Archived) -> Option<ArchiveState> {
        let told = self.archive.borrow().clone()?;
        let Archived { begins, reached_at, error, broken } = archived.clone();
        Some(ArchiveState { digest: told.digest, needless: told.needless, begins, reached_at, error, broken })
    }
}
