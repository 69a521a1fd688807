//! `chancery bench sink`: a receiver that takes whatever telemetry it is sent and drops it, so that what sending costs
//! a server can be measured where no collector is.
//!
//! Does: answer every call with an empty message, and count. Does not: look into what it takes.
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, extract::State};
use bytes::Bytes;
use clap::Args;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, body::Body, server::Grpc, service::Routes, transport::Server};
use tower::service_fn;

use super::raw::{Frame, RawCodec};
use crate::cli::{exit::Exit, failure::Failure, interrupt::Interrupt, output::say};

/// Flags of `chancery bench sink`.
#[derive(Args, Clone, Debug)]
pub struct BenchSinkArgs {
    /// Where it listens. Port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4317")]
    listen: SocketAddr,
}

#[derive(Default)]
struct Taken {
    calls: AtomicU64,
    bytes: AtomicU64,
}

/// Runs the command, until it is told to end.
pub async fn run(args: BenchSinkArgs) -> Result<Exit, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Unreachable(args.listen.to_string(), format!("cannot listen: {error}"))
    };
    let told = Interrupt::watch().map_err(|error| failed(&error))?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| failed(&error))?;
    say(&format!("listening on {}", listener.local_addr().map_err(|error| failed(&error))?));
    let taken = Arc::new(Taken::default());
    let routes = Routes::from(Router::new().fallback(take).with_state(Arc::clone(&taken)));
    // Senders keep their connections, so there is no end to wait for.
    tokio::select! {
        ended = Server::builder().add_routes(routes).serve_with_incoming(TcpListenerStream::new(listener)) => {
            ended.map_err(|error| failed(&error))?;
        }
        () = told.told() => {}
    }
    let (calls, bytes) = (taken.calls.load(Ordering::Relaxed), taken.bytes.load(Ordering::Relaxed));
    say(&format!("took {calls} calls with {bytes} bytes"));
    Ok(Exit::Done)
}

async fn take(State(taken): State<Arc<Taken>>, request: axum::extract::Request) -> http::Response<Body> {
    let counted = service_fn(async |message: Request<Bytes>| {
        taken.calls.fetch_add(1, Ordering::Relaxed);
        taken.bytes.fetch_add(message.get_ref().len() as u64, Ordering::Relaxed);
        Ok::<_, Status>(Response::new(Frame::from(Bytes::new())))
    });
    Grpc::new(RawCodec).unary(counted, request).await
}
