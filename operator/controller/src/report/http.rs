//! `/livez`, `/readyz` and `/metrics`, plain HTTP.

use crate::context::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Router, response::IntoResponse};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Why these pages cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServePagesError {
    /// The address cannot be used.
    #[error("listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// Serves the pages in the background until the process ends.
pub async fn serve(address: &str, context: Arc<Context>) -> Result<(), ServePagesError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServePagesError::Listen { address: address.to_owned(), source })?;
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router(context)).await {
            tracing::error!(%error, "metrics and probes are not served any more");
        }
    });
    Ok(())
}

fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(context)
}

/// A standby is ready too: its caches are warm.
async fn ready(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let obstacles = context.board.notes().obstacles();
    if obstacles.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, obstacles.join("\n") + "\n")
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let format = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([("content-type", format)], context.metrics.text(&context.board))
}
