//! The connection to a server: its flags, its limits, and the producer name on every call.
//!
//! Does: connect, make clients, bound unary calls in time. Does not: retry; `append/send.rs` does.
//! Called by: every client command.
use std::{
    future::Future,
    io::ErrorKind,
    net::IpAddr,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use clap::Args;
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Uri},
};

use super::{
    failure::{Failure, connection_lost},
    greet::Target,
    time,
    tls::{self, TlsArgs},
};
use crate::proto::v1::{
    admin_service_client::AdminServiceClient, audit_service_client::AuditServiceClient,
    catalog_service_client::CatalogServiceClient, producer_service_client::ProducerServiceClient,
    proof_service_client::ProofServiceClient, quarantine_service_client::QuarantineServiceClient,
    retention_service_client::RetentionServiceClient,
};

/// Where a server listens unless it is told otherwise.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:50051";

/// Largest answer this client decodes: an AppendResponse of 1000 events with a long error each stays
/// far below it, and so does a page of 1000 catalog entries.
pub const DECODE_LIMIT: usize = 64 << 20;

/// HTTP/2 windows. A stream of events must not wait for window updates: 4 MiB is about 2 ms of work for
/// this client.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// A peer that vanished is noticed after two of these, on a stream that may be silent for long.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Flags of every command that talks to a server.
#[derive(Args, Clone, Debug)]
pub struct ConnectArgs {
    /// Server to talk to.
    #[arg(long, global = true, value_name = "URL", env = "CHANCERY_SERVER", default_value = DEFAULT_SERVER, value_parser = address)]
    pub server: String,
    #[command(flatten)]
    pub tls: TlsArgs,
    /// Producer to act as, sent as x-chancery-producer on every call. (`--producer` of query and count
    /// is a filter.)
    #[arg(long = "as", global = true, value_name = "PRODUCER", env = "CHANCERY_PRODUCER")]
    pub identity: Option<String>,
    /// File with the bearer token of every call. The token itself can be given in the environment instead, as
    /// CHANCERY_TOKEN.
    #[arg(long, global = true, value_name = "FILE", env = "CHANCERY_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Longest wait for the answer of one call that is not a stream.
    #[arg(long, global = true, value_name = "SPAN", default_value = "30s", value_parser = time::some_span)]
    pub timeout: Duration,
}

/// The producer flag of commands that write, where the name is free for it.
#[derive(Args, Clone, Debug)]
pub struct ProducerArgs {
    /// The same as --as: producer to send the events as.
    #[arg(long, value_name = "PRODUCER")]
    pub producer: Option<String>,
}

impl ProducerArgs {
    /// The connection's flags with this producer in them.
    pub fn applied(&self, connect: &ConnectArgs) -> ConnectArgs {
        let identity = self.producer.clone().or_else(|| connect.identity.clone());
        ConnectArgs { identity, ..connect.clone() }
    }
}

/// A channel that names the producer on every call.
pub type Service = InterceptedService<Channel, Headers>;

/// Adds x-chancery-producer and authorization.
#[derive(Clone, Debug)]
pub struct Headers {
    producer: Option<MetadataValue<Ascii>>,
    token: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(producer) = &self.producer {
            request.metadata_mut().insert("x-chancery-producer", producer.clone());
        }
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// An open connection.
#[derive(Clone, Debug)]
pub struct Connection {
    service: Service,
    timeout: Duration,
}

impl ConnectArgs {
    /// Connects, so that a wrong address is told before any input is read.
    pub async fn open(&self) -> Result<Connection, Failure> {
        let producer = self.identity.as_deref().map(str::parse).transpose();
        let producer =
            producer.map_err(|_| Failure::Usage("a producer name is printable ASCII".to_owned()))?;
        let token = self.token()?;
        let endpoint = Endpoint::from_shared(self.server.clone())
            .map_err(|error| Failure::Usage(format!("--server {}: {error}", self.server)))?
            .connect_timeout(Duration::from_secs(10))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let endpoint = match self.server.starts_with("https:") {
            true => endpoint
                .tls_config(self.tls.config()?)
                .map_err(|error| Failure::Usage(format!("TLS: {}", root_cause(&error))))?,
            // Whoever gives them believes that nobody reads along.
            false if self.tls.is_given() => {
                return Err(Failure::Usage(
                    "--ca and --certificate go with https:// servers only".to_owned(),
                ));
            }
            false => endpoint,
        };
        if token.is_some() && !self.server.starts_with("https:") && !is_loopback(endpoint.uri()) {
            return Err(Failure::Usage(format!(
                "--server {}: a token is sent over TLS only, or to this machine: use https://",
                self.server
            )));
        }
        *OPENED.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clone());
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| Failure::Unreachable(self.server.clone(), root_cause(&error)))?;
        let service = InterceptedService::new(channel, Headers { producer, token });
        Ok(Connection { service, timeout: self.timeout })
    }
}

impl ConnectArgs {
    /// The value of the header that shows who is calling.
    fn token(&self) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::Usage(format!("--token-file {}: {error}", path.display())))?;
                Some(text)
            }
            None => std::env::var("CHANCERY_TOKEN").ok(),
        };
        let Some(token) = token else { return Ok(None) };
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.trim())
            .parse()
            .map_err(|_| Failure::Usage("a token is one line of printable ASCII".to_owned()))?;
        // Not shown wherever headers are.
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The address of a server.
fn address(text: &str) -> Result<String, &'static str> {
    url(text, "the address of a server begins with http:// or https://")
}

/// A URL of http or https, or what is wrong. What does not begin with https:// is not reached by TLS: a scheme that only
/// looks like it is none.
pub(super) fn url(text: &str, wrong: &'static str) -> Result<String, &'static str> {
    let known = ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    known.then(|| text.to_owned()).ok_or(wrong)
}

/// Whether an address is of this machine only.
fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let address = host.parse().is_ok_and(|address: IpAddr| address.to_canonical().is_loopback());
    address || host.eq_ignore_ascii_case("localhost")
}

/// The flags of the last connection, for [`explained`].
static OPENED: Mutex<Option<ConnectArgs>> = Mutex::new(None);
/// How long it may take to find out why a call failed.
const DOUBT: Duration = Duration::from_secs(5);

/// What a server says that wants TLS, or that is none for gRPC.
const NOT_CLEAR: &str =
    "the answer is no HTTP/2 in clear text: a server with TLS is reached by https:// with --ca";

/// Says more of a call whose connection was lost: a server that refuses the caller's certificate does so when the
/// handshake is over for the client, and what it says is lost with the call; one that wants TLS sends an alert in the
/// middle of what is no TLS.
pub async fn explained(failure: Failure) -> Failure {
    let args = OPENED.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(args) = args else { return failure };
    match &failure {
        Failure::Call(status) if connection_lost(status) => {}
        _ => return failure,
    }
    let Ok(target) = Target::of(&args).await else { return failure };
    match tokio::time::timeout(DOUBT, target.greet()).await {
        Ok(Err(error)) if error.kind() == ErrorKind::InvalidData && !target.is_secure() => {
            Failure::Unreachable(args.server, NOT_CLEAR.to_owned())
        }
        Ok(Err(error)) => match tls::explained(&error) {
            Some(why) => Failure::Unreachable(args.server, why),
            None => failure,
        },
        Ok(Ok(())) | Err(_) => failure,
    }
}

impl Connection {
    /// The bare service, for calls with a codec of their own.
    pub fn service(&self) -> Service {
        self.service.clone()
    }

    /// A client of AdminService.
    pub fn admin(&self) -> AdminServiceClient<Service> {
        AdminServiceClient::new(self.service()).max_decoding_message_size(DECODE_LIMIT)
    }

    /// A client of AuditService.
    pub fn audit(&self) -> AuditServiceClient<Service> {
        AuditServiceClient::new(self.service()).max_decoding_message_size(DECODE_LIMIT)
    }

    /// A client of CatalogService.
    pub fn catalog(&self) -> CatalogServiceClient<Service> {
        CatalogServiceClient::new(self.service()).max_decoding_message_size(DECODE_LIMIT)
    }

    /// A client of ProducerService.
    pub fn producers(&self) -> ProducerServiceClient<Service> {
        ProducerServiceClient::new(self.service()).max_decoding_message_size(DECODE_LIMIT)
    }

    /// A client of ProofService.
    pub fn proof(&self) -> ProofServiceClient<Service> {
        ProofServiceClient::new(self.service()).max_decoding_message_size(DECODE_LIMIT)
    }

    /// A client of QuarantineService.
    pub fn quarantine(&self) -> QuarantineServiceClient<Service> {
        QuarantineServiceClient::new(self.service()).max_decoding_message_size(DECODE_LIMIT)
    }

    /// A client of RetentionService.
    pub fn retention(&self) -> RetentionServiceClient<Service> {
        RetentionServiceClient::new(self.service()).max_decoding_message_size(DECODE_LIMIT)
    }

    /// Waits for a unary answer, at most `--timeout`.
    pub async fn unary<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Box<Status>> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map(Response::into_inner).map_err(Box::new),
            Err(_) => {
                let message = format!("no answer within {:?} (--timeout)", self.timeout);
                Err(Box::new(Status::deadline_exceeded(message)))
            }
        }
    }
}

/// tonic's own text is "transport error"; the operating system's, at the end of the chain, says why.
pub(super) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(why) = tls::explained(error) {
        return why;
    }
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
