//! The witness's one call over HTTP, with the statuses of the specification.
use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::post,
};
use tokio::{net::TcpListener, task::spawn_blocking, time::timeout};

use super::{Verdict, Witness, bounded::Bounded};
use crate::note::{SIZE_TYPE, Submission};

/// How long a request may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at a time, each with some 100 KiB at most. A log's server has one.
const MOST_CONNECTIONS: usize = 256;
/// How long a connection lasts at most, so that those who send nothing, or a byte now and then, make room.
const LIFE: Duration = Duration::from_secs(60);

/// Serves until `stop` resolves and the running calls have ended.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    witness: Arc<Witness>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new().route("/add-checkpoint", post(add_checkpoint)).with_state(witness);
    let listener = Bounded::new(listener, MOST_CONNECTIONS, LIFE);
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Body) -> Response {
    let body = match timeout(PATIENCE, to_bytes(body, Submission::MOST_BYTES)).await {
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "the request is too large\n").into_response(),
        Ok(Ok(body)) => body,
    };
    let Ok(text) = String::from_utf8(body.to_vec()) else {
        return answer(Verdict::Malformed);
    };
    // On a thread of its own, which goes on when the caller hangs up: what was begun is finished.
    match spawn_blocking(move || witness.add(&text)).await {
        Ok(Ok(verdict)) => answer(verdict),
        Ok(Err(error)) => {
            tracing::error!(%error, "a head could not be written, and nothing was cosigned");
            (StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot write\n").into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a submission could not be judged");
            (StatusCode::INTERNAL_SERVER_ERROR, "the witness failed\n").into_response()
        }
    }
}

fn answer(verdict: Verdict) -> Response {
    match verdict {
        Verdict::Cosigned(lines) => lines.into_response(),
        Verdict::Malformed => {
            (StatusCode::BAD_REQUEST, "not an old size, a proof and a checkpoint\n").into_response()
        }
        Verdict::Unsigned => {
            (StatusCode::FORBIDDEN, "no known key of the log has signed the checkpoint\n").into_response()
        }
        Verdict::UnknownLog => (StatusCode::NOT_FOUND, "no such log is witnessed here\n").into_response(),
        Verdict::Conflict(size) => {
            (StatusCode::CONFLICT, [(CONTENT_TYPE, SIZE_TYPE)], format!("{size}\n")).into_response()
        }
        Verdict::NotProved => {
            (StatusCode::UNPROCESSABLE_ENTITY, "the checkpoint is not proved to extend the last one\n")
                .into_response()
        }
    }
}
