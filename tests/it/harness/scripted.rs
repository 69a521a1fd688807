//! A server that answers every Query with the same messages, whatever is asked: for what the real one does only
//! after minutes, or on its way out.
use std::{
    net::{SocketAddr, TcpListener},
    pin::Pin,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use chancery::{
    grpc::spliced::{GetEventMessage, QueryMessage},
    proto::{
        servers::audit_service_server::{AuditService, AuditServiceServer},
        v1::{self, QueryRequest, QueryResponse},
    },
};
use futures::{Stream, StreamExt as _, stream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use super::server::chancery;

/// What the server does next.
#[derive(Clone)]
pub enum Step {
    Say(QueryResponse),
    /// Says the same for ever, every 10 milliseconds.
    Repeat(QueryResponse),
    /// Says nothing more, and stays.
    Stay,
    Fail(Status),
}

/// A running one.
pub struct Scripted {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<QueryRequest>>>,
    // Its tasks end with it.
    _runtime: tokio::runtime::Runtime,
}

impl Scripted {
    /// Starts a server with this answer.
    pub fn start(script: Vec<Step>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::default();
        let service = AuditServiceServer::new(Service { script, asked: Arc::clone(&asked) });
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            Server::builder().add_service(service).serve_with_incoming(incoming).await
        });
        Self { address, asked, _runtime: runtime }
    }

    /// The CLI, pointed at this server.
    pub fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = chancery();
        command.env("CHANCERY_SERVER", format!("http://{}", self.address)).args(arguments);
        command
    }

    /// The one request that came.
    pub fn request(&self) -> QueryRequest {
        let asked = self.asked.lock().expect("the requests");
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked[0].clone()
    }
}

struct Service {
    script: Vec<Step>,
    asked: Arc<Mutex<Vec<QueryRequest>>>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AuditService for Service {
    async fn append(&self, _: Request<v1::AppendRequest>) -> Result<Response<v1::AppendResponse>, Status> {
        Err(Status::unimplemented("queries only"))
    }

    type AppendStreamStream = Answers<v1::AppendStreamResponse>;

    async fn append_stream(
        &self,
        _: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        Err(Status::unimplemented("queries only"))
    }

    type QueryStream = Answers<QueryMessage>;

    async fn query(&self, request: Request<QueryRequest>) -> Result<Response<Self::QueryStream>, Status> {
        self.asked.lock().expect("the requests").push(request.into_inner());
        let steps = stream::iter(self.script.clone()).flat_map(|step| -> Answers<QueryResponse> {
            match step {
                Step::Say(message) => Box::pin(stream::iter([Ok(message)])),
                Step::Fail(status) => Box::pin(stream::iter([Err(status)])),
                Step::Stay => Box::pin(stream::pending()),
                Step::Repeat(message) => Box::pin(stream::repeat(message).then(|message| async {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    Ok(message)
                })),
            }
        });
        let answers = steps.map(|answer| answer.map(|message| QueryMessage::Other(Box::new(message))));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn get_event(&self, _: Request<v1::GetEventRequest>) -> Result<Response<GetEventMessage>, Status> {
        Err(Status::unimplemented("queries only"))
    }

    async fn count_events(
        &self,
        _: Request<v1::CountEventsRequest>,
    ) -> Result<Response<v1::CountEventsResponse>, Status> {
        Err(Status::unimplemented("queries only"))
    }
}
