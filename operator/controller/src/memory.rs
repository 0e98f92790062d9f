//! What is remembered of each cluster between passes. Losing it costs time, never safety.

use jiff::Timestamp;
use porpoise_core::backup::{FoundSecrets, JobView, NamedBackup, SecretNeed};
use porpoise_core::view::{Ages, OriginLook, RestoreLook, Trouble};
use porpoise_link::client::STATE_LIMIT;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Time for an instance that was silent the last time.
const IMPATIENT: Duration = Duration::from_millis(100);
/// A silent instance gets its full time this often.
const FULL_PATIENCE_EVERY: Duration = Duration::from_secs(3);
/// The same Event is written again after this time.
const TELL_AGAIN: Duration = Duration::from_mins(5);

/// Memories by UID of the cluster.
#[derive(Default)]
pub struct Memories {
    clusters: Mutex<HashMap<String, Memory>>,
}

/// What is remembered of one cluster.
#[derive(Default)]
pub struct Memory {
    /// When each instance's agent last answered; when it was first asked, if it never did.
    pub answered: HashMap<String, Instant>,
    /// When a silent instance was last given the full time to answer.
    pub patient: HashMap<String, Instant>,
    /// The last pass found something to do that needs a record read from the API server itself.
    pub needs_fresh_record: bool,
    /// When the Secrets are looked at again.
    pub secrets_due: Option<Instant>,
    /// The volume claim for backups that is as it should be, by name and bytes, and when it is looked at again.
    pub backups_claim: Option<((String, u64), Instant)>,
    /// Events that were written lately.
    pub told: HashMap<String, Instant>,
    /// Names of objects that belong to something else.
    pub taken: BTreeSet<String>,
    /// Why the stored object cannot be read, as it was said last.
    pub unreadable: Option<String>,
    /// Passes that failed, one after the other.
    pub failures: u32,
    /// Since when some Pod is missing or not ready.
    pub unready_since: Option<Instant>,
    /// Troubles found in Events, and when.
    pub troubles: Option<(Instant, Vec<Trouble>)>,
    /// Whether the namespace was being deleted, and when that was asked.
    pub namespace: Option<(Instant, bool)>,
    /// The stored backup that is restored or imported, and when that was read.
    pub restore: Option<(Instant, NamedBackup, RestoreLook)>,
    /// Whether Kubernetes serves snapshots of volumes, and when that was asked.
    pub serves_snapshots: Option<(Instant, bool)>,
    /// The Job that tries an update on a copy, and when it was read.
    pub rehearsal: Option<(Instant, JobView)>,
    /// Where any other `spec.bootstrap` of a generation led, and when that was looked up.
    pub origin: Option<(Instant, Option<i64>, OriginLook)>,
    /// The Secrets that it takes to archive the binlog.
    pub archive: Option<ArchiveSecrets>,
    /// When an agent did not take what it was told about the archive, and why.
    pub archive_refusal: Option<(Instant, String)>,
    /// Objects that were found equal to what was wanted: by title, their resourceVersion and the digest of the wish.
    pub settled: HashMap<String, (String, String)>,
    /// When the endpoint of writes was changed.
    pub endpoint_moved: Option<Instant>,
    /// When each moment that stands in the object was first seen here.
    pub moments: HashMap<Timestamp, Instant>,
    /// The state that the metrics show, with namespace and name.
    pub state: Option<(String, String, &'static str)>,
}

/// Secrets that were read for the archive. Not to be printed.
#[derive(Clone)]
pub struct ArchiveSecrets {
    /// When they are read again.
    pub due: Instant,
    /// What was asked for.
    pub needs: Vec<SecretNeed>,
    /// What was found, or which one cannot be read.
    pub found: Result<FoundSecrets, String>,
}

impl Memories {
    /// Looks at or changes the memory of a cluster.
    pub fn of<A>(&self, uid: &str, use_it: impl FnOnce(&mut Memory) -> A) -> A {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        match clusters.get_mut(uid) {
            Some(memory) => use_it(memory),
            None => use_it(clusters.entry(uid.to_owned()).or_default()),
        }
    }

    /// UIDs of all clusters that are remembered.
    pub fn uids(&self) -> Vec<String> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Forgets a cluster that is gone.
    pub fn forget(&self, uid: &str) {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

impl Memory {
    /// An agent answered.
    pub fn heard(&mut self, instance: &str) {
        self.answered.insert(instance.to_owned(), Instant::now());
        self.patient.remove(instance);
    }

    /// How long to wait for an answer: an instance that was silent is not waited for in every pass, or a lost node would
    /// slow down the very passes that replace it. Now and then it gets its full time, in case it is only slow.
    pub fn patience(&mut self, instance: &str) -> Duration {
        match self.patient.get(instance) {
            Some(asked) if asked.elapsed() < FULL_PATIENCE_EVERY => IMPATIENT,
            _ => STATE_LIMIT,
        }
    }

    /// How long these moments have been known. Others are forgotten.
    pub fn ages(&mut self, moments: &[Timestamp]) -> Ages {
        let now = Instant::now();
        self.moments.retain(|moment, _| moments.contains(moment));
        moments.iter().map(|moment| (*moment, now - *self.moments.entry(*moment).or_insert(now))).collect()
    }

    /// Something that it takes to archive is missing: it is looked for again after this time at the latest.
    pub fn look_for_archive_within(&mut self, pause: Duration) {
        if let Some(known) = &mut self.archive {
            known.due = known.due.min(Instant::now() + pause);
        }
    }

    /// Whether this Event is news. The same one is told again after a while only.
    pub fn is_news(&mut self, event: &str) -> bool {
        let now = Instant::now();
        self.told.retain(|_, told| now - *told < TELL_AGAIN);
        self.told.insert(event.to_owned(), now).is_none()
    }

    /// An agent did not answer: how long it has been silent, counted from the first time it was asked.
    pub fn silent_for(&mut self, instance: &str) -> Duration {
        let now = Instant::now();
        if self.patience(instance) == STATE_LIMIT {
            self.patient.insert(instance.to_owned(), now);
        }
        now - *self.answered.entry(instance.to_owned()).or_insert(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_instance_gets_little_time_but_now_and_then_all_of_it() {
        let mut memory = Memory::default();
        assert_eq!(memory.patience("shop-0"), STATE_LIMIT);
        memory.silent_for("shop-0");
        assert_eq!(memory.patience("shop-0"), IMPATIENT);
        memory.silent_for("shop-0");
        tokio::time::advance(FULL_PATIENCE_EVERY).await;
        assert_eq!(memory.patience("shop-0"), STATE_LIMIT);
        memory.silent_for("shop-0");
        assert_eq!(memory.patience("shop-0"), IMPATIENT);
        memory.heard("shop-0");
        assert_eq!(memory.patience("shop-0"), STATE_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_is_as_old_as_it_is_known_whatever_the_clock_says() {
        let mut memory = Memory::default();
        let (past, future) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let ages = memory.ages(&[past, future]);
        assert_eq!((ages.of(past), ages.of(future)), (Duration::ZERO, Duration::ZERO));
        tokio::time::advance(Duration::from_secs(9)).await;
        let ages = memory.ages(&[future]);
        assert_eq!((ages.of(past), ages.of(future)), (Duration::ZERO, Duration::from_secs(9)));
        assert_eq!(memory.ages(&[past]).of(past), Duration::ZERO, "forgotten and seen anew");
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_event_is_news_only_after_a_while() {
        let mut memory = Memory::default();
        assert!(memory.is_news("a") && memory.is_news("b") && !memory.is_news("a"));
        tokio::time::advance(TELL_AGAIN).await;
        assert!(memory.is_news("a"));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_answer_else_from_the_first_question() {
        let memories = Memories::default();
        let silent = |instance: &str| memories.of("uid", |memory| memory.silent_for(instance));
        assert_eq!(silent("shop-0"), Duration::ZERO);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(silent("shop-0"), Duration::from_secs(3));
        memories.of("uid", |memory| memory.heard("shop-0"));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(silent("shop-0"), Duration::from_secs(1));
        memories.forget("uid");
        assert_eq!(silent("shop-0"), Duration::ZERO);
    }
}
