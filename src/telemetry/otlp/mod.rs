//! Telemetry over OTLP: spans, log lines and metrics go to a receiver over gRPC. docs/telemetry.md says what they hold.
//!
//! All of it happens in one thread of its own with a runtime of its own, which shares nothing with those that serve
//! calls but three bounded places: what finds its queue full is dropped and counted, so nobody ever waits for
//! telemetry; and the last of it can be sent while every other thread is at an end or stuck. What is logged in that
//! thread is not sent, or it would tell of itself for ever. Called by: `app`.
mod channel;
mod figures;
mod lines;
mod outlet;
mod queue;
mod settings;
mod spans;

use std::{sync::Arc, time::Duration};

use opentelemetry::{Context, KeyValue, trace::TracerProvider as _};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_sdk::{
    Resource,
    logs::{SdkLogger, SdkLoggerProvider},
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::SdkTracerProvider,
};
use outlet::Outlet;
pub use settings::ExportSettings;
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::Subscriber;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use super::{Metrics, Signal};
use crate::clock::Clock;

/// How long the end of the process waits until everything is sent.
pub const FLUSH: Duration = Duration::from_secs(2);
/// Whose log lines are not sent: those that tell of every frame of every connection, such as the exporter's.
const NOT_SENT: [&str; 6] = ["h2", "hyper", "tonic", "tower", "rustls", "opentelemetry"];

/// Sends telemetry for as long as the process lives.
pub struct Exporter {
    lines: SdkLoggerProvider,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Exporter {
    /// Begins to send.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        settings: ExportSettings,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> std::io::Result<Self> {
        let resource = resource(clock.new_id().to_string());
        let (spans, finished) = queue::queue(spans::MOST_WAITING, Signal::traces, &metrics);
        let tracer = SdkTracerProvider::builder()
            .with_sampler(spans::BySampledCall::new(settings.ratio))
            .with_resource(resource.clone())
            .with_span_processor(spans::Finished(spans))
            .build();
        super::spans::install(tracer.tracer("chancery"));
        let (lines, logged) = queue::queue(lines::MOST_WAITING, Signal::logs, &metrics);
        let lines = SdkLoggerProvider::builder()
            .with_resource(resource.clone())
            .with_log_processor(lines::Logged(lines))
            .build();
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let sender = Sender { settings, metrics, clock, resource, finished, logged, stop: stop.clone() };
        let at_its_end = ended.clone().drop_guard();
        std::thread::Builder::new().name("telemetry".to_owned()).spawn(move || {
            let _ended = at_its_end;
            sender.run(&runtime);
        })?;
        Ok(Self { lines, stop, ended })
    }

    /// Takes the log lines of the process.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let bridge: OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger> =
            OpenTelemetryTracingBridge::new(&self.lines);
        bridge.with_filter(filter_fn(|about| {
            let name = about.target().split([':', '_']).next().unwrap_or_default();
            !NOT_SENT.contains(&name)
        }))
    }

    /// Sends what waits, for so long at most, and nothing from then on. Only the first call does it.
    pub async fn finish(&self, most: Duration) {
        if self.stop.is_cancelled() {
            return;
        }
        self.stop.cancel();
        if timeout(most, self.ended.cancelled()).await.is_err() {
            tracing::warn!("not all telemetry was sent before the end");
        }
    }
}

/// What the thread of telemetry works with.
struct Sender {
    settings: ExportSettings,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    resource: Resource,
    finished: queue::Waiting<opentelemetry_sdk::trace::SpanData>,
    logged: queue::Waiting<opentelemetry_sdk::logs::SdkLogRecord>,
    stop: CancellationToken,
}

impl Sender {
    fn run(self, runtime: &Runtime) {
        let _untold = Context::enter_telemetry_suppressed_scope();
        let Self { settings, metrics, clock, resource, finished, logged, stop } = self;
        let resource = ResourceAttributesWithSchema::from(&resource);
        runtime.block_on(async {
            let channel = channel::open(&settings);
            let outlet = |signal| Outlet::new(signal, Arc::clone(&metrics), settings.clone(), stop.clone());
            let spans = spans::send(finished, channel.clone(), outlet(Signal::traces), &resource);
            let lines = lines::send(logged, channel.clone(), outlet(Signal::logs), &resource);
            let figures =
                figures::send(channel, outlet(Signal::metrics), &metrics, clock.as_ref(), &resource);
            tokio::join!(spans, lines, figures);
        });
    }
}

/// What all telemetry of this process says of it. The operator's words win.
fn resource(instance: String) -> Resource {
    let own = [
        KeyValue::new("service.name", "chancery"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance),
    ];
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(own)
        .with_detector(Box::new(EnvResourceDetector::new()));
    let name = std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty());
    match name {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}
