//! The unix socket in the Pod: for the preStop hook and for people who exec into the container.

use crate::member::{Member, Stance};
use crate::settings::Settings;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use porpoise_core::protocol::MemberState;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep, timeout};

/// How long the hook waits for the operator to move the primary away. The grace period is minutes (A20), and what
/// follows, the fenced shutdown, has its own bound.
const HANDOVER: Duration = Duration::from_secs(15);
/// The hook never takes longer than this, whatever the agent does.
const HOOK: Duration = Duration::from_secs(20);

/// Serves the socket for ever.
pub async fn serve(member: Arc<Member>) -> io::Result<()> {
    let path = member.settings.agent_socket();
    // Left over by an agent that was killed; there is one agent to a Pod.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    let router = Router::new().route("/state", get(state)).route("/drain", post(drain)).with_state(member);
    axum::serve(listener, router).await
}

async fn state(State(member): State<Arc<Member>>) -> Json<MemberState> {
    member.look_again(Duration::from_millis(300)).await;
    Json(member.state())
}

/// A replica is not ready from now on. A primary goes on until the operator, which sees the Pod's end coming, has moved
/// it away; with no operator the fenced shutdown follows after a while.
async fn drain(State(member): State<Arc<Member>>) -> &'static str {
    member.drain();
    let start = Instant::now();
    while start.elapsed() < HANDOVER {
        if !matches!(member.stance(), Stance::Primary { .. }) {
            return "drained\n";
        }
        sleep(Duration::from_millis(50)).await;
    }
    "still the primary\n"
}

/// Asks the agent to prepare for the end of the Pod.
pub async fn ask_to_drain(run_path: &Path) -> io::Result<String> {
    ask(run_path, "POST /drain", HOOK).await
}

/// Asks the agent for its state.
pub async fn ask_for_state(run_path: &Path) -> io::Result<String> {
    ask(run_path, "GET /state", Duration::from_secs(5)).await
}

async fn ask(run_path: &Path, what: &str, limit: Duration) -> io::Result<String> {
    let path = run_path.join(Settings::AGENT_SOCKET);
    let exchange = async {
        let mut stream = UnixStream::connect(&path).await?;
        let request = format!("{what} HTTP/1.0\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<String, io::Error>(answer)
    };
    let answer = timeout(limit, exchange).await??;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other("the agent gave no good answer")),
    }
}
