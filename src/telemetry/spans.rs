//! Spans: one for every call, one for every group of events that is committed, and those of what a
//! database does for either. What
//! they say is listed in docs/telemetry.md; values of events are nowhere in them. They are made only when telemetry is
//! exported ([`super::Exporter`]); without it nothing here does more than look whether it is.
//!
//! Spans are made with OpenTelemetry's own interface and not out of `tracing`'s spans: what is logged while one is open
//! would otherwise become part of it. Called by: `server::trace`, `ingest`,
//! `store`, and who goes on in another task.
use std::{
    future::{Future, poll_fn},
    net::IpAddr,
    pin::pin,
    sync::OnceLock,
};

use http::HeaderMap;
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{
        Link as SpanLink, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState,
        Tracer as _,
    },
};
use opentelemetry_sdk::{propagation::TraceContextPropagator, trace::SdkTracer};
use tonic::Code;

use super::calls::{OTHER, is_server_error, status_name};

/// Links of one group's span: 64 of some 100 bytes. A group has at most 1,024 batches.
const MOST_LINKS: usize = 64;
/// Bytes of the trace state that a caller may have the server carry: what the standard asks everybody to carry.
const MOST_STATE: usize = 512;
/// Bytes of the name under which a caller has reached the server: what a name of a host may have.
const MOST_ADDRESS: usize = 253;

/// Makes every span of the process; not there as long as nothing is exported.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// From now on spans are made.
pub(super) fn install(tracer: SdkTracer) {
    // Several servers in one process share the first one's, as they share the log.
    let _ = TRACER.set(tracer);
}

/// The trace of the call that runs now, in hexadecimal digits, if it is sampled.
pub fn trace_id() -> Option<String> {
    current(|known| known.trace_id().to_string())
}

fn current<T>(read: impl FnOnce(&SpanContext) -> T) -> Option<T> {
    TRACER.get()?;
    Context::map_current(|context| {
        let span = context.span();
        let known = span.span_context();
        known.is_sampled().then(|| read(known))
    })
}

/// A span in which work is done. It ends when it is dropped.
pub struct Span(Context);

impl Span {
    /// Makes it the current one until what this returns is dropped, on this thread.
    pub fn enter(&self) -> impl Sized + use<> {
        self.0.clone().attach()
    }

    fn of(span: opentelemetry_sdk::trace::Span) -> Option<Self> {
        span.is_recording().then(|| Self(Context::new().with_span(span)))
    }

    /// What is done in it has failed.
    pub fn fail(&self, error: &'static str) {
        fail(&self.0, error);
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // Others may hold its context for longer.
        self.0.span().end();
    }
}

fn fail(context: &Context, error: &'static str) {
    let span = context.span();
    span.set_attribute(KeyValue::new("error.type", error));
    span.set_status(Status::error(""));
}

/// The current span, if there is one, is one of something that failed.
pub fn failed(error: &'static str) {
    if TRACER.get().is_some() {
        Context::map_current(|context| fail(context, error));
    }
}

/// Work in a span, where there is one.
pub async fn within<F: Future>(span: Option<&Span>, work: F) -> F::Output {
    match span {
        Some(span) => polled_in(&span.0, work).await,
        None => work.await,
    }
}

/// Work that goes on in another task, and belongs to the current span all the same.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let context = current(|_| Context::current());
    async move {
        match context {
            Some(context) => polled_in(&context, work).await,
            None => work.await,
        }
    }
}

async fn polled_in<F: Future>(context: &Context, work: F) -> F::Output {
    let mut work = pin!(work);
    poll_fn(|task| {
        let _entered = context.clone().attach();
        work.as_mut().poll(task)
    })
    .await
}

/// What is known of a call when it begins.
pub struct Call<'a> {
    /// None: there is no such method.
    pub method: Option<&'static str>,
    pub headers: &'a HeaderMap,
    /// Under which name and port the caller has reached the server.
    pub server: Option<(&'a str, Option<u16>)>,
    pub client: Option<IpAddr>,
}

/// The span of a call, from its headers to its status.
pub struct CallSpan {
    span: Span,
    ended: bool,
}

impl CallSpan {
    /// None: it is not sampled.
    pub fn begin(call: Call<'_>) -> Option<Self> {
        let tracer = TRACER.get()?;
        let parent =
            TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(call.headers));
        let builder = tracer.span_builder(call.method.unwrap_or("grpc")).with_kind(SpanKind::Server);
        let mut span = tracer.build_with_context(builder, &parent);
        if span.is_recording() {
            span.set_attribute(KeyValue::new("rpc.system.name", "grpc"));
            span.set_attribute(KeyValue::new("rpc.method", call.method.unwrap_or(OTHER)));
            if let Some((address, port)) = call.server.filter(|(address, _)| address.len() <= MOST_ADDRESS) {
                span.set_attribute(KeyValue::new("server.address", address.to_owned()));
                if let Some(port) = port {
                    span.set_attribute(KeyValue::new("server.port", i64::from(port)));
                }
            }
            if let Some(client) = call.client {
                span.set_attribute(KeyValue::new("client.address", client.to_string()));
            }
        }
        Some(Self { span: Span::of(span)?, ended: false })
    }

    /// Makes it the current one until what this returns is dropped, on this thread.
    pub fn enter(&self) -> impl Sized + use<> {
        self.span.enter()
    }

    /// Work in it.
    pub async fn polled<F: Future>(&self, work: F) -> F::Output {
        polled_in(&self.span.0, work).await
    }

    /// The call has this status.
    pub fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.ended, true) {
            let (name, span) = (status_name(code), self.span.0.span());
            span.set_attribute(KeyValue::new("rpc.status_code", name));
            if is_server_error(code) {
                self.span.fail(name);
            }
            span.end();
        }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        // A call without a status is one whose caller went away.
        self.end(Code::Cancelled);
    }
}

/// The headers of a call, as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key)?.to_str().ok()?;
        (value.len() <= MOST_STATE).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// The span of a call, for those who do something for it later.
#[derive(Clone, Debug)]
pub struct Link(SpanContext);

impl Link {
    /// To the current span, if it is sampled.
    pub fn current() -> Option<Self> {
        // Without the caller's state, which a link has no need of and which may be long.
        current(|known| {
            Self(SpanContext::new(
                known.trace_id(),
                known.span_id(),
                known.trace_flags(),
                known.is_remote(),
                TraceState::NONE,
            ))
        })
    }
}

/// The span of a group of batches that one transaction commits. Where no call of it is sampled there is none.
pub fn group(log: &str, mut links: Vec<Link>, batches: usize, events: usize) -> Option<Span> {
    let tracer = TRACER.get().filter(|_| !links.is_empty())?;
    let left_out = links.len().saturating_sub(MOST_LINKS);
    links.truncate(MOST_LINKS);
    let builder = tracer
        .span_builder("commit group")
        .with_kind(SpanKind::Internal)
        .with_links(links.into_iter().map(|Link(call)| SpanLink::with_context(call)).collect());
    let mut span = tracer.build_with_context(builder, &Context::new());
    span.set_attribute(KeyValue::new("chancery.log", log.to_owned()));
    for (name, number) in [
        ("chancery.group.batches", batches),
        ("chancery.group.events", events),
        ("chancery.group.links_left_out", left_out),
    ] {
        span.set_attribute(KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX)));
    }
    Span::of(span)
}

/// The span of something that a database is asked to do for the current one.
pub fn statement(system: &'static str, operation: &'static str) -> Option<Span> {
    let (tracer, parent) = TRACER.get().zip(current(|_| Context::current()))?;
    let builder = tracer.span_builder(operation).with_kind(SpanKind::Client);
    let mut span = tracer.build_with_context(builder, &parent);
    span.set_attribute(KeyValue::new("db.system.name", system));
    span.set_attribute(KeyValue::new("db.operation.name", operation));
    Span::of(span)
}
