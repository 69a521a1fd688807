//! A receiver of telemetry, as a collector is one, that keeps what it gets and can be unwell.
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::{
            ExportMetricsServiceRequest, ExportMetricsServiceResponse,
            metrics_service_server::{MetricsService, MetricsServiceServer},
        },
        trace::v1::{
            ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::Metric,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, Span},
};
use prost::Message;
use tokio::{net::TcpListener, time::sleep};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Identity, Server, ServerTlsConfig},
};

use super::certificates::Issued;

/// How a receiver is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// It takes every call and never answers.
    Hangs,
    /// It wants nothing from us.
    Refuses,
    /// It takes what is sent, and none of what is in it.
    Rejects,
}

/// What has arrived.
#[derive(Default)]
pub struct Received {
    pub spans: Vec<Span>,
    pub metrics: Vec<Metric>,
    pub lines: Vec<LogRecord>,
    /// Which part of the program each line is of.
    pub targets: Vec<String>,
    /// Every message as it was on the wire, those that were refused too.
    pub raw: Vec<u8>,
    pub resources: Vec<BTreeMap<String, String>>,
    pub headers: Vec<MetadataMap>,
}

impl Received {
    /// The spans of this name.
    pub fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The spans of this trace.
    pub fn of_trace(&self, trace_id: &[u8]) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.trace_id == trace_id).collect()
    }

    /// The lines of this text.
    pub fn saying(&self, text: &str) -> Vec<&LogRecord> {
        let says = |line: &&LogRecord| matches!(line.body.as_ref().and_then(|body| body.value.as_ref()), Some(Value::StringValue(body)) if body == text);
        self.lines.iter().filter(says).collect()
    }
}

/// Attributes as text, by name.
pub fn attributes(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: Option<&Value>| match value {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => panic!("an attribute of {other:?}"),
    };
    let of =
        |pair: &KeyValue| (pair.key.clone(), text(pair.value.as_ref().and_then(|any| any.value.as_ref())));
    pairs.iter().map(of).collect()
}

/// A running receiver, for as long as the runtime of the test runs.
#[derive(Clone)]
pub struct Receiver {
    pub address: SocketAddr,
    mood: Arc<AtomicU8>,
    received: Arc<Mutex<Received>>,
}

impl Receiver {
    /// A receiver without TLS.
    pub async fn start(mood: Mood) -> Self {
        Self::serve(mood, None).await
    }

    /// A receiver with this certificate.
    pub async fn with_tls(certificate: &Issued) -> Self {
        Self::serve(Mood::Well, Some(certificate)).await
    }

    async fn serve(mood: Mood, certificate: Option<&Issued>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let receiver = Self {
            address: listener.local_addr().expect("an address"),
            mood: Arc::new(AtomicU8::new(mood as u8)),
            received: Arc::default(),
        };
        let mut server = Server::builder();
        if let Some(Issued { certificate, key }) = certificate {
            let tls = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
            server = server.tls_config(tls).expect("a certificate");
        }
        let server = server
            .add_service(TraceServiceServer::new(receiver.clone()))
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .add_service(LogsServiceServer::new(receiver.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        receiver
    }

    /// Its URL without TLS.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it is so.
    pub fn becomes(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// What has arrived so far.
    pub fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().expect("what was received")
    }

    /// Waits until something has arrived.
    pub async fn until<T>(&self, what: &str, found: impl Fn(&Received) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = found(&self.received()) {
                return found;
            }
            if began.elapsed() > Duration::from_secs(60) {
                let received = self.received();
                panic!("never received: {what}\n{:#?}\n{:#?}", received.spans, received.lines);
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn take<M: Message>(
        &self,
        request: Request<M>,
        keep: impl FnOnce(&mut Received, M),
    ) -> Result<bool, Status> {
        let (headers, _, message) = request.into_parts();
        self.received().raw.extend(message.encode_to_vec());
        self.received().headers.push(headers);
        let mood = self.mood.load(Ordering::SeqCst);
        if mood == Mood::Hangs as u8 {
            std::future::pending::<()>().await;
        }
        if mood == Mood::Refuses as u8 {
            return Err(Status::permission_denied("not from you"));
        }
        let takes = mood != Mood::Rejects as u8;
        if takes {
            keep(&mut self.received(), message);
        }
        Ok(takes)
    }
}

fn resource(resource: Option<Resource>) -> BTreeMap<String, String> {
    attributes(&resource.expect("a resource").attributes)
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let keep = |received: &mut Received, message: ExportTraceServiceRequest| {
            for each in message.resource_spans {
                received.resources.push(resource(each.resource));
                received.spans.extend(each.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        };
        let spans =
            |each: &ResourceSpans| each.scope_spans.iter().map(|scope| scope.spans.len()).sum::<usize>();
        let all = request.get_ref().resource_spans.iter().map(spans).sum::<usize>();
        let mut answer = ExportTraceServiceResponse::default();
        if !self.take(request, keep).await? {
            let rejected_spans = i64::try_from(all).expect("a number");
            answer.partial_success = Some(ExportTracePartialSuccess { rejected_spans, ..Default::default() });
        }
        Ok(Response::new(answer))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let keep = |received: &mut Received, message: ExportMetricsServiceRequest| {
            received.metrics.clear();
            for each in message.resource_metrics {
                received.resources.push(resource(each.resource));
                received.metrics.extend(each.scope_metrics.into_iter().flat_map(|scope| scope.metrics));
            }
        };
        self.take(request, keep).await?;
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let keep = |received: &mut Received, message: ExportLogsServiceRequest| {
            for each in message.resource_logs {
                received.resources.push(resource(each.resource));
                for scope in each.scope_logs {
                    let target = scope.scope.expect("a scope").name;
                    received.targets.extend(scope.log_records.iter().map(|_| target.clone()));
                    received.lines.extend(scope.log_records);
                }
            }
        };
        self.take(request, keep).await?;
        Ok(Response::new(Default::default()))
    }
}
