//! Scenarios on a small API server that knows one Lease, with paused time.

use super::*;
use crate::testing::{Call, Calls, refusal, server};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::advance;

/// The stored Lease. Every change gives it a new resourceVersion.
#[derive(Default)]
struct Stored {
    lease: Option<Value>,
    version: u64,
    deaf: bool,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Stored>>);

impl Server {
    fn client(&self) -> (kube::Client, Calls) {
        let stored = self.0.clone();
        server(move |call| answer(&mut stored.lock().unwrap(), call))
    }

    fn holder(&self) -> Option<String> {
        let stored = self.0.lock().unwrap();
        Some(stored.lease.as_ref()?["spec"]["holderIdentity"].as_str()?.to_owned())
    }

    /// Somebody labels the Lease.
    fn touch(&self) {
        let mut stored = self.0.lock().unwrap();
        let lease = stored.lease.clone().unwrap();
        store(&mut stored, lease);
    }

    /// The holder said where it can be asked.
    fn annotate(&self, address: &str) {
        let mut stored = self.0.lock().unwrap();
        let mut lease = stored.lease.clone().unwrap();
        lease["metadata"]["annotations"] = json!({ADDRESS: address});
        store(&mut stored, lease);
    }

    fn set_deaf(&self, deaf: bool) {
        self.0.lock().unwrap().deaf = deaf;
    }
}

fn answer(stored: &mut Stored, call: &Call) -> Option<(u16, Value)> {
    if stored.deaf {
        return None;
    }
    Some(match (call.method.as_str(), stored.lease.clone()) {
        ("GET", Some(lease)) => (200, lease),
        ("GET", None) => refusal(404, "NotFound"),
        ("POST", None) => (201, store(stored, call.body.clone())),
        ("POST", Some(_)) => refusal(409, "AlreadyExists"),
        ("PUT", Some(lease))
            if lease["metadata"]["resourceVersion"] == call.body["metadata"]["resourceVersion"] =>
        {
            (200, store(stored, call.body.clone()))
        }
        _ => refusal(409, "Conflict"),
    })
}

fn store(stored: &mut Stored, mut lease: Value) -> Value {
    stored.version += 1;
    lease["metadata"]["resourceVersion"] = json!(stored.version.to_string());
    stored.lease = Some(lease.clone());
    lease
}

/// A candidate that runs.
struct Running {
    leadership: Leadership,
    calls: Calls,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), LeaseError>>,
}

impl Running {
    fn start(server: &Server, identity: &str) -> Self {
        let (client, calls) = server.client();
        let (until, leadership) = Leadership::channel();
        let api = Api::namespaced(client, "porpoise");
        let candidate = Candidate::new(api, "operator", identity, Timing::default(), until);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async move {
            let _ = stopped.await;
        };
        Self { leadership, calls, stop: Some(stop), task: tokio::spawn(candidate.lead(shutdown)) }
    }

    fn leads(&self) -> bool {
        self.leadership.is_held()
    }

    /// Orderly end.
    async fn stop(mut self) -> Result<(), LeaseError> {
        drop(self.stop.take());
        self.task.await.unwrap()
    }

    /// As `kill -9`.
    fn kill(self) {
        self.task.abort();
    }

    fn writes(&self) -> usize {
        self.calls.all().iter().filter(|call| call.method != "GET").count()
    }
}

async fn seconds(count: u64) {
    // In small steps, as real time passes: a jump is what a paused process sees.
    for _ in 0..count * 10 {
        advance(Duration::from_millis(100)).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_candidates_one_leads_and_hands_over_at_once() {
    let server = Server::default();
    let (one, two) = (Running::start(&server, "one"), Running::start(&server, "two"));
    seconds(60).await;
    assert_ne!(one.leads(), two.leads());
    let (leader, other) = if one.leads() { (one, two) } else { (two, one) };
    leader.stop().await.unwrap();
    seconds(4).await;
    assert!(other.leads(), "a Lease that was given back is free");
}

#[tokio::test(start_paused = true)]
async fn a_dead_holder_is_waited_for_as_long_as_its_lease_lasts() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(30).await;
    one.kill();
    let two = Running::start(&server, "two");
    seconds(14).await;
    assert!(!two.leads());
    seconds(6).await;
    assert!(two.leads());
}

/// A26: a failover does not wait for the Lease of a leader that died with the primary.
#[tokio::test(start_paused = true)]
async fn a26_a_dead_holder_that_does_not_answer_is_not_waited_for() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(30).await;
    one.kill();
    // Nobody listens there.
    server.annotate("127.0.0.1:9");
    let two = Running::start(&server, "two");
    seconds(2).await;
    assert!(!two.leads(), "a holder may miss a renewal");
    seconds(4).await;
    assert!(two.leads());
}

#[tokio::test]
async fn only_a_process_that_speaks_answers() {
    let speaking = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (alive, hanging) = (speaking.local_addr().unwrap(), silent.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = speaking.accept().await.unwrap();
        stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await.unwrap();
    });
    assert!(answers(alive).await);
    assert!(!answers(hanging).await);
    drop(silent);
    assert!(!answers(hanging).await);
}

#[tokio::test(start_paused = true)]
async fn the_same_identity_takes_its_lease_back_at_once() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(5).await;
    one.kill();
    let again = Running::start(&server, "one");
    seconds(1).await;
    assert!(again.leads());
}

#[tokio::test(start_paused = true)]
async fn a_conflict_without_another_holder_ends_nothing() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(5).await;
    for _ in 0..5 {
        server.touch();
        seconds(5).await;
        assert!(one.leads());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_answers_gives_up_before_its_lease_expires() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(5).await;
    server.set_deaf(true);
    seconds(13).await;
    assert!(!one.leads());
    assert!(matches!(one.task.await.unwrap(), Err(LeaseError::RenewLease { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_wakes_after_expiry_stops_without_a_write() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(5).await;
    let writes = one.writes();
    // The whole process sleeps: time jumps, nothing runs in between.
    advance(Duration::from_mins(1)).await;
    assert!(!one.leads(), "known before any task has run");
    let calls = one.calls.clone();
    assert!(matches!(one.task.await.unwrap(), Err(LeaseError::RenewLease { .. })));
    assert_eq!(calls.all().iter().filter(|call| call.method != "GET").count(), writes);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_is_noticed_by_the_conflict() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(5).await;
    let mut stolen = server.0.lock().unwrap().lease.clone().unwrap();
    stolen["spec"]["holderIdentity"] = json!("thief");
    store(&mut server.0.lock().unwrap(), stolen);
    seconds(6).await;
    assert!(!one.leads());
    assert!(
        matches!(one.task.await.unwrap(), Err(LeaseError::KeepLease { holder, .. }) if holder == "thief")
    );
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_stopped_writes_nothing() {
    let server = Server::default();
    let one = Running::start(&server, "one");
    seconds(5).await;
    let two = Running::start(&server, "two");
    seconds(20).await;
    assert_eq!(two.writes(), 0);
    two.stop().await.unwrap();
    assert_eq!(server.holder().as_deref(), Some("one"));
    assert!(one.leads());
}
