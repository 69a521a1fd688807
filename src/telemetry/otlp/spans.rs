//! Spans on their way out. Called by: `telemetry::otlp`.
use std::time::Duration;

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TraceState},
};
use opentelemetry_proto::{
    tonic::collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    transform::{
        common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample, Span, SpanData, SpanProcessor},
};
use tonic::transport::Channel;

use super::{
    ExportSettings,
    outlet::{Outlet, PAUSES},
    queue::{Queue, Waiting},
};

/// Spans that wait: 4,096 of 1 KiB, or of 7 KiB where every one is of a commit with all its links, 28 MiB. In the time
/// that a request gathers them, that is 40,000 spans per second.
pub(super) const MOST_WAITING: usize = 4_096;

/// What is sampled: what the caller says; of those that say nothing a share; and a group of which a call is.
#[derive(Clone, Debug)]
pub(super) struct BySampledCall(Sampler);

impl BySampledCall {
    pub(super) fn new(ratio: f64) -> Self {
        Self(ExportSettings::sampler(ratio))
    }
}

impl ShouldSample for BySampledCall {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if links.iter().any(|link| link.span_context.is_sampled()) {
            let (decision, trace_state) = (SamplingDecision::RecordAndSample, TraceState::NONE);
            return SamplingResult { decision, attributes: Vec::new(), trace_state };
        }
        self.0.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// Takes spans that have ended.
#[derive(Debug)]
pub(super) struct Finished(pub(super) Queue<SpanData>);

impl SpanProcessor for Finished {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.put(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends them until it is stopped.
pub(super) async fn send(
    mut waiting: Waiting<SpanData>,
    channel: Channel,
    mut outlet: Outlet,
    resource: &ResourceAttributesWithSchema,
) {
    let client = TraceServiceClient::new(channel);
    let stop = outlet.stop.clone();
    while let Some(spans) = waiting.next(&stop).await {
        let items = spans.len();
        let request =
            ExportTraceServiceRequest { resource_spans: group_spans_by_resource_and_scope(spans, resource) };
        let export = async |request| {
            let answer = client.clone().export(request).await?.into_inner();
            Ok(answer.partial_success.map_or(0, |partial| partial.rejected_spans))
        };
        outlet.send(request, items, &PAUSES, export).await;
    }
}
