//! Orders and state over mutual TLS.

use crate::member::Member;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use porpoise_core::backup::ArchiveOrder;
use porpoise_core::names::ClusterNames;
use porpoise_core::protocol::{MemberState, Order, OrderAnswer};
use porpoise_link::client::NEWS_WAIT;
use porpoise_link::server::Caller;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer waits for fresh facts.
const FRESH: Duration = Duration::from_millis(300);

/// The routes of the agent's port.
pub fn router(member: Arc<Member>) -> Router {
    Router::new()
        .route(porpoise_link::STATE_PATH, get(state))
        .route(porpoise_link::ORDER_PATH, post(order))
        .route(porpoise_link::ARCHIVE_PATH, post(archive))
        .with_state(member)
}

/// What a caller knows already.
#[derive(serde::Deserialize)]
struct Known {
    after: Option<u64>,
    process: Option<String>,
}

/// Whoever has a certificate of the cluster's CA may ask: the operator and the other members.
async fn state(State(member): State<Arc<Member>>, Query(known): Query<Known>) -> Json<MemberState> {
    match (known.after, known.process) {
        (Some(after), Some(process)) => member.news(&process, after, NEWS_WAIT).await,
        _ => member.look_again(FRESH).await,
    }
    Json(member.state())
}

/// Only the operator gives orders.
async fn order(
    State(member): State<Arc<Member>>,
    Extension(Caller(caller)): Extension<Caller>,
    Json(order): Json<Order>,
) -> Result<Json<OrderAnswer>, StatusCode> {
    only_operator(&caller)?;
    Ok(Json(member.take(order).await))
}

/// Only the operator says what is archived, and where.
async fn archive(
    State(member): State<Arc<Member>>,
    Extension(Caller(caller)): Extension<Caller>,
    Json(order): Json<ArchiveOrder>,
) -> Result<Json<OrderAnswer>, StatusCode> {
    only_operator(&caller)?;
    Ok(Json(member.take_archive(order)))
}

fn only_operator(caller: &str) -> Result<(), StatusCode> {
    if caller == ClusterNames::operator_identity() {
        return Ok(());
    }
    tracing::warn!(caller, "order of somebody who may not give any");
    Err(StatusCode::FORBIDDEN)
}
