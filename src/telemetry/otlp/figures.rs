//! Metrics on their way out: the same that the admin port serves, under the same names. They are read from the one
//! registry, in the form that Prometheus has for programs, and put into that of OTLP. Called by: `telemetry::otlp`.
use std::time::Duration;

use opentelemetry::trace::TraceId;
use opentelemetry_proto::{
    tonic::{
        collector::metrics::v1::{ExportMetricsServiceRequest, metrics_service_client::MetricsServiceClient},
        common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
        metrics::v1::{
            AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
            ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data, number_data_point,
        },
        resource::v1::Resource,
    },
    transform::common::tonic::ResourceAttributesWithSchema,
};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{
    self as read, MetricFamily, MetricType,
};
use tokio::time::{MissedTickBehavior, interval};
use tonic::transport::Channel;

use super::outlet::Outlet;
use crate::{clock::Clock, telemetry::Metrics};

/// How often they are sent.
const EVERY: Duration = Duration::from_secs(15);

/// Sends them until it is stopped, and then once more.
pub(super) async fn send(
    channel: Channel,
    mut outlet: Outlet,
    metrics: &Metrics,
    clock: &dyn Clock,
    resource: &ResourceAttributesWithSchema,
) {
    let client = MetricsServiceClient::new(channel);
    let stop = outlet.stop.clone();
    let now = || u64::try_from(clock.now_micros()).unwrap_or_default() * 1_000;
    let began = now();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = ticks.tick() => {}
        }
        let last = stop.is_cancelled();
        let times = Times { began, now: now() };
        let metrics: Vec<_> = metrics.read().into_iter().filter_map(|family| times.metric(family)).collect();
        let items = metrics.iter().map(points).sum();
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource { attributes: resource.attributes.0.clone(), ..Default::default() }),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope { name: "chancery".to_owned(), ..Default::default() }),
                    metrics,
                    ..Default::default()
                }],
                ..Default::default()
            }],
        };
        let export = async |request| {
            let answer = client.clone().export(request).await?.into_inner();
            Ok(answer.partial_success.map_or(0, |partial| partial.rejected_data_points))
        };
        // The next ones say all that these do.
        outlet.send(request, items, &[], export).await;
        if last {
            return;
        }
    }
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        _ => 0,
    }
}

/// Of all points of one request, in nanoseconds since 1970.
struct Times {
    began: u64,
    now: u64,
}

impl Times {
    /// A metric, which has the name that it has in Prometheus: receivers that know the unit and the kind add no second
    /// suffix of them. None: nobody has counted anything of it yet.
    fn metric(&self, family: MetricFamily) -> Option<Metric> {
        let cumulative = AggregationTemporality::Cumulative as i32;
        let kind = family.r#type();
        let numbers = |metrics: &[read::Metric]| metrics.iter().map(|metric| self.number(metric)).collect();
        let data = match kind {
            _ if family.metric.is_empty() => return None,
            MetricType::Histogram => Data::Histogram(Histogram {
                data_points: family.metric.iter().filter_map(|metric| self.histogram(metric)).collect(),
                aggregation_temporality: cumulative,
            }),
            MetricType::Counter => Data::Sum(Sum {
                data_points: numbers(&family.metric),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            _ => Data::Gauge(Gauge { data_points: numbers(&family.metric) }),
        };
        let unit = match family.unit.as_str() {
            "seconds" => "s",
            "bytes" => "By",
            _ => "",
        };
        Some(Metric {
            name: family.name,
            description: family.help,
            unit: unit.to_owned(),
            data: Some(data),
            ..Default::default()
        })
    }

    fn number(&self, metric: &read::Metric) -> NumberDataPoint {
        let counted = metric.counter.as_ref().map(|counter| counter.value);
        let value = counted.or_else(|| metric.gauge.as_ref().map(|gauge| gauge.value)).unwrap_or_default();
        NumberDataPoint {
            attributes: attributes(&metric.label),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            value: Some(number_data_point::Value::AsDouble(value)),
            ..Default::default()
        }
    }

    fn histogram(&self, metric: &read::Metric) -> Option<HistogramDataPoint> {
        let histogram = metric.histogram.as_ref()?;
        // The last has no bound.
        let (_, bounded) = histogram.bucket.split_last()?;
        // There each counts those below it too.
        let below = std::iter::once(0).chain(bounded.iter().map(|bucket| bucket.cumulative_count));
        let each = histogram.bucket.iter().zip(below);
        Some(HistogramDataPoint {
            attributes: attributes(&metric.label),
            start_time_unix_nano: self.began,
            time_unix_nano: self.now,
            count: histogram.sample_count,
            sum: Some(histogram.sample_sum),
            bucket_counts: each
                .map(|(bucket, below)| bucket.cumulative_count.saturating_sub(below))
                .collect(),
            explicit_bounds: bounded.iter().map(|bucket| bucket.upper_bound).collect(),
            exemplars: histogram.bucket.iter().filter_map(|bucket| self.exemplar(bucket)).collect(),
            ..Default::default()
        })
    }

    /// That of a trace; others there are none.
    fn exemplar(&self, bucket: &read::Bucket) -> Option<Exemplar> {
        let exemplar = bucket.exemplar.as_ref()?;
        let trace = exemplar.label.iter().find(|label| label.name == "trace_id")?;
        let trace = TraceId::from_hex(&trace.value).ok()?;
        Some(Exemplar {
            time_unix_nano: self.now,
            trace_id: trace.to_bytes().to_vec(),
            value: Some(exemplar::Value::AsDouble(exemplar.value)),
            ..Default::default()
        })
    }
}

fn attributes(labels: &[read::LabelPair]) -> Vec<KeyValue> {
    let text = |text: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let pair = |label: &read::LabelPair| KeyValue {
        key: label.name.clone(),
        value: text(&label.value),
        ..Default::default()
    };
    labels.iter().map(pair).collect()
}
