//! The leader Lease: who works, so that two operators do not do everything twice.
//!
//! It is for efficiency only; what keeps data safe is the term (ha.md §2). The rules:
//!
//! 1. The holder's clock is never compared with ours. A record that differs from the last one seen starts a local,
//!    monotonic count; when the Lease's duration has passed without a change, it has expired.
//! 2. Every write carries the resourceVersion that was read. 409 means: read again.
//! 3. A record that stands for a few renewals, of a holder whose process does not answer, is free at once: the leader and a
//!    primary may be lost together, and a failover does not wait for a Lease (ha.md §2).
//! 4. A leader that could not renew within the deadline has lost, also when it finds out late, after a pause.

use crate::kubernetes::{CallError, STRICT_LIMIT, existing, within};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use rand::Rng;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Annotation with the address at which the holder can be asked whether it lives.
const ADDRESS: &str = "mysql.porpoise.dev/address";
/// Time to answer that.
const ANSWER: Duration = Duration::from_millis(500);

/// Why leadership ended.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum LeaseError {
    /// The Lease was not renewed in time; another process may lead already.
    #[error("renew the Lease {name} within {deadline:?}")]
    RenewLease {
        /// The Lease.
        name: String,
        /// The limit.
        deadline: Duration,
    },
    /// Somebody else holds it.
    #[error("keep the Lease {name}: {holder} holds it")]
    KeepLease {
        /// The Lease.
        name: String,
        /// The holder.
        holder: String,
    },
}

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// A Lease that has not changed for this long has expired.
    pub duration: Duration,
    /// A leader that has not renewed for this long gives up. With one call's limit it stays below `duration`.
    pub deadline: Duration,
    /// Pause between renewals.
    pub retry: Duration,
    /// Pause between looks of a candidate.
    pub look: Duration,
    /// A Lease that has not changed for this long makes a candidate ask its holder.
    pub doubt: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            look: Duration::from_millis(500),
            doubt: Duration::from_secs(3),
        }
    }
}

/// Whether this process leads. Cheap to ask before each write.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
}

impl Leadership {
    /// Holds until the returned sender says otherwise.
    pub fn channel() -> (watch::Sender<Option<Instant>>, Self) {
        let (sender, until) = watch::channel(None);
        (sender, Self { until })
    }

    /// True while the last renewal is younger than the deadline: also right after the process was paused.
    pub fn is_held(&self) -> bool {
        self.until.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until this process leads.
    pub async fn acquired(&mut self) {
        // The sender lives as long as the process; without it nothing can be led.
        if self.until.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// One candidate for one Lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    until: watch::Sender<Option<Instant>>,
    reachable_at: Option<SocketAddr>,
    seen: Option<Seen>,
}

/// A record and since when it stands, by our own clock.
struct Seen {
    lease: Lease,
    since: Instant,
}

impl Candidate {
    /// A candidate with its own `identity`; `until` tells the rest of the process.
    pub fn new(
        api: Api<Lease>,
        name: &str,
        identity: &str,
        timing: Timing,
        until: watch::Sender<Option<Instant>>,
    ) -> Self {
        let (name, identity) = (name.to_owned(), identity.to_owned());
        Self { api, name, identity, timing, until, reachable_at: None, seen: None }
    }

    /// The same, with the address at which other candidates may ask whether this process lives.
    #[must_use]
    pub fn reachable_at(self, address: Option<SocketAddr>) -> Self {
        Self { reachable_at: address, ..self }
    }

    /// Waits for the Lease, then keeps it until it is lost or `shutdown` ends; then gives it back.
    pub async fn lead(mut self, shutdown: impl Future<Output = ()>) -> Result<(), LeaseError> {
        tokio::pin!(shutdown);
        let mut held = tokio::select! {
            () = &mut shutdown => return Ok(()),
            held = self.acquire() => held,
        };
        tracing::info!(lease = self.name, identity = self.identity, "leading");
        let lost = tokio::select! {
            () = &mut shutdown => None,
            lost = self.keep(&mut held) => Some(lost),
        };
        self.until.send_replace(None);
        if let Some(error) = lost {
            return Err(error);
        }
        self.release(held).await;
        Ok(())
    }

    async fn acquire(&mut self) -> Lease {
        loop {
            let asked = Instant::now();
            match self.try_acquire().await {
                Ok(Some(lease)) => {
                    self.until.send_replace(Some(asked + self.timing.deadline));
                    return lease;
                }
                Ok(None) => {}
                Err(error) if error.is_conflict() => tracing::debug!("another candidate was faster"),
                Err(error) => {
                    tracing::warn!(error = crate::kubernetes::chain(&error), "cannot take the Lease");
                }
            }
            sleep(jittered(self.timing.look)).await;
        }
    }

    async fn try_acquire(&mut self) -> Result<Option<Lease>, CallError> {
        let Some(lease) = existing(within(STRICT_LIMIT, self.api.get(&self.name)).await)? else {
            let lease = Lease {
                metadata: self.mark(ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }),
                spec: Some(self.claim(None)),
            };
            return within(STRICT_LIMIT, self.api.create(&PostParams::default(), &lease)).await.map(Some);
        };
        if !self.is_free(&lease) && !self.is_abandoned(&lease).await {
            return Ok(None);
        }
        let spec = Some(self.claim(lease.spec.as_ref()));
        self.write(&Lease { spec, metadata: self.mark(lease.metadata) }).await.map(Some)
    }

    /// Whether the Lease may be taken: nobody holds it, we do, or it has not changed for its own duration.
    fn is_free(&mut self, lease: &Lease) -> bool {
        let holder = holder(lease);
        if holder.is_empty() || holder == self.identity {
            return true;
        }
        let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds);
        let duration = seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let unchanged = self.seen.as_ref().filter(|seen| seen.lease.spec == lease.spec);
        if let Some(seen) = unchanged {
            return seen.since.elapsed() >= duration.unwrap_or_default().max(self.timing.duration);
        }
        self.seen = Some(Seen { lease: lease.clone(), since: Instant::now() });
        false
    }

    /// Whether its holder has missed renewals and does not answer either.
    async fn is_abandoned(&self, lease: &Lease) -> bool {
        let stands = self.seen.as_ref().is_some_and(|seen| seen.since.elapsed() >= self.timing.doubt);
        let address = lease.metadata.annotations.as_ref().and_then(|all| all.get(ADDRESS)?.parse().ok());
        match address.filter(|_| stands) {
            Some(address) => !answers(address).await,
            None => false,
        }
    }

    /// Says where this process can be asked.
    fn mark(&self, mut metadata: ObjectMeta) -> ObjectMeta {
        let annotations = metadata.annotations.get_or_insert_default();
        match self.reachable_at {
            Some(address) => annotations.insert(ADDRESS.to_owned(), address.to_string()),
            None => annotations.remove(ADDRESS),
        };
        metadata
    }

    /// Renews until that fails for too long. Never ends otherwise.
    async fn keep(&mut self, held: &mut Lease) -> LeaseError {
        loop {
            sleep(self.pause()).await;
            // Checked before the call: after a pause of the process another one may lead, and our write would tell it lies.
            let until = *self.until.borrow();
            let Some(until) = until.filter(|until| Instant::now() < *until) else {
                return self.too_late();
            };
            let asked = Instant::now();
            match timeout_at(until, self.renew(held)).await {
                Ok(Ok(())) => {
                    self.until.send_replace(Some(asked + self.timing.deadline));
                }
                Ok(Err(Some(lost))) => return lost,
                Ok(Err(None)) => {}
                Err(_) => return self.too_late(),
            }
        }
    }

    fn too_late(&self) -> LeaseError {
        LeaseError::RenewLease { name: self.name.clone(), deadline: self.timing.deadline }
    }

    /// One renewal. `Err(None)`: try again.
    async fn renew(&self, held: &mut Lease) -> Result<(), Option<LeaseError>> {
        let mut renewed = held.clone();
        renewed.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
        match self.write(&renewed).await {
            Ok(lease) => *held = lease,
            Err(error) if error.is_conflict() => return self.look_again(held).await,
            Err(error) => {
                tracing::warn!(error = crate::kubernetes::chain(&error), "cannot renew the Lease");
                return Err(None);
            }
        }
        Ok(())
    }

    /// After a conflict: a write of ours whose answer was lost, or somebody else's label, or somebody else's Lease.
    async fn look_again(&self, held: &mut Lease) -> Result<(), Option<LeaseError>> {
        match within(STRICT_LIMIT, self.api.get(&self.name)).await {
            Ok(lease) if holder(&lease) == self.identity => {
                *held = lease;
                Err(None)
            }
            Ok(lease) => Err(Some(LeaseError::KeepLease {
                name: self.name.clone(),
                holder: holder(&lease).to_owned(),
            })),
            Err(error) => {
                tracing::warn!(error = crate::kubernetes::chain(&error), "cannot read the Lease");
                Err(None)
            }
        }
    }

    async fn release(&self, mut held: Lease) {
        let spec = held.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match self.write(&held).await {
            Ok(_) => tracing::info!(lease = self.name, "gave the Lease back"),
            Err(error) => {
                tracing::warn!(error = crate::kubernetes::chain(&error), "cannot give the Lease back");
            }
        }
    }

    /// Replaces the Lease, if it is still the one that was read.
    async fn write(&self, lease: &Lease) -> Result<Lease, CallError> {
        within(STRICT_LIMIT, self.api.replace(&self.name, &PostParams::default(), lease)).await
    }

    fn claim(&self, former: Option<&LeaseSpec>) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        let transitions = former.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.timing.duration.as_secs()).ok(),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(if former.is_some() { transitions.saturating_add(1) } else { 0 }),
            ..LeaseSpec::default()
        }
    }

    fn pause(&self) -> Duration {
        jittered(self.timing.retry)
    }
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.8..=1.2))
}

/// Whether a process answers at its `/livez`. A connection alone would also be made by the kernel of one that hangs.
async fn answers(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await?;
        stream.read_u8().await
    };
    matches!(timeout(ANSWER, ask).await, Ok(Ok(_)))
}

fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
