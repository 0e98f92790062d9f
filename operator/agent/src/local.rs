//! The unix socket in the Pod: for the preStop hook and for people who exec into the container.

use crate::drain::Drain;
use crate::member::Member;
use crate::settings::Settings;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use porpoise_core::names;
use porpoise_core::protocol::MemberState;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

/// The hook never takes longer than this, whatever the agent does: the rest of the grace period is mysqld's (C7).
const HOOK: Duration = Duration::from_secs(names::PRESTOP_SECONDS.unsigned_abs());

#[derive(Clone)]
struct Shared {
    member: Arc<Member>,
    drain: Drain,
}

/// Serves the socket for ever.
pub async fn serve(member: Arc<Member>, drain: Drain) -> io::Result<()> {
    let path = member.settings.agent_socket();
    // Left over by an agent that was killed; there is one agent to a Pod.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    let shared = Shared { member, drain };
    let router =
        Router::new().route("/state", get(state)).route("/drain", post(self::drain)).with_state(shared);
    axum::serve(listener, router).await
}

async fn state(State(shared): State<Shared>) -> Json<MemberState> {
    shared.member.look_again(Duration::from_millis(300)).await;
    Json(shared.member.state())
}

async fn drain(State(shared): State<Shared>) -> String {
    format!("{}\n", shared.drain.until_quiet(&shared.member).await)
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
