//! Metrics of calls, of any service. Called by: `server::calls`, and whoever sends callers away for the sake of others.
use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use tonic::Code;

use super::{
    closed::{Counters, closed},
    register::gauge,
};

closed! {
    /// Why something was refused, ended or told to wait for the sake of others.
    LoadShed {
        /// The producer's events per second.
        events_per_second,
        /// The producer's bytes per second.
        bytes_per_second,
        /// The server has no room for events.
        overloaded,
        /// The producer has its share of the room.
        producer_share,
        /// As many append streams are open as may.
        streams,
        /// A client that does not read its acks.
        slow_reader,
        /// As many queries run as may.
        queries,
        /// A client that does not read the answers of its query.
        slow_query_reader,
        /// As many calls run as may.
        calls,
    }
}

/// The method of a call to one that there is not.
pub(super) const OTHER: &str = "_OTHER";
/// The buckets that the conventions name.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The calls that events come by, and the failures of theirs that alerts look for: these are there from the first scrape
/// on, because an increase does not see a series that begins with it.
const APPENDS: [&str; 2] = ["chancery.v1.AuditService/Append", "chancery.v1.AuditService/AppendStream"];
const FAILURES: [Code; 5] =
    [Code::Internal, Code::Unknown, Code::DataLoss, Code::Unavailable, Code::DeadlineExceeded];

/// Names of status codes, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The name of a status code.
pub(super) const fn status_name(code: Code) -> &'static str {
    CODES[code as usize]
}

/// The labels of OpenTelemetry's conventions for calls.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Call {
    rpc_system_name: &'static str,
    rpc_method: &'static str,
    rpc_status_code: &'static str,
    /// Only of a call that the server failed; Prometheus knows no difference between an empty label and none.
    error_type: Option<&'static str>,
}

impl Call {
    fn new(method: &'static str, code: Code) -> Self {
        let name = status_name(code);
        Self {
            rpc_system_name: "grpc",
            rpc_method: method,
            rpc_status_code: name,
            error_type: is_server_error(code).then_some(name),
        }
    }
}

/// Whether a status says that the server failed, by the same conventions.
pub(super) const fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

/// Every metric of calls.
pub struct CallMetrics {
    active: Gauge,
    seconds: Family<Call, Histogram, fn() -> Histogram>,
    shed: Counters<LoadShed>,
}

impl CallMetrics {
    /// `plain` is for names that all servers have, `own` for those that only Chancery has.
    pub(super) fn new(plain: &mut Registry, own: &mut Registry) -> Self {
        let active = gauge(plain, "rpc_server_active_calls", "Calls that have not ended");
        let constructor: fn() -> Histogram = || Histogram::new(SECONDS);
        let seconds = Family::<Call, Histogram, fn() -> Histogram>::new_with_constructor(constructor);
        for (method, code) in APPENDS.iter().flat_map(|method| FAILURES.map(|code| (method, code))) {
            drop(seconds.get_or_create(&Call::new(method, code)));
        }
        let help = "Time from the headers of a call to the end of its answer";
        plain.register_with_unit("rpc_server_call_duration", help, Unit::Seconds, seconds.clone());
        let help = "Calls refused, streams refused, ended or told to wait for the sake of others, by cause";
        let shed = Counters::register(own, "load_shed", help, "cause");
        Self { active, seconds, shed }
    }

    /// A call begins or ends.
    pub fn active(&self, more: i64) {
        self.active.inc_by(more);
    }

    /// A call of a method, or of one that there is not, ended with a status.
    pub fn ended(&self, method: Option<&'static str>, code: Code, took: Duration) {
        let labels = Call::new(method.unwrap_or(OTHER), code);
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Something was refused, ended or told to wait.
    pub fn shed(&self, cause: LoadShed) {
        self.shed.add(cause, 1);
    }
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Metrics;

    #[test]
    fn failures_of_appends_are_there_before_the_first_one() {
        let text = Metrics::default().open_metrics();
        for method in ["Append", "AppendStream"] {
            for code in ["INTERNAL", "UNKNOWN", "DATA_LOSS", "UNAVAILABLE", "DEADLINE_EXCEEDED"] {
                let sample = format!(
                    "rpc_server_call_duration_seconds_count{{rpc_system_name=\"grpc\",\
                     rpc_method=\"chancery.v1.AuditService/{method}\",rpc_status_code=\"{code}\",\
                     error_type=\"{code}\"}} 0"
                );
                assert!(text.lines().any(|line| line == sample), "{sample} in\n{text}");
            }
        }
    }
}
