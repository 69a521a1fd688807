//! What the process takes, what its runtimes do, and what it is. Called by: `app`, which knows.
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};
use tokio::runtime::{Handle, RuntimeMetrics};

use super::{
    asked::{Asked, AskedTotal},
    closed::{Counters, Label, closed},
    register::{Real, asked, timestamp},
};

closed! {
    /// What is told of the process to a receiver of OpenTelemetry.
    Signal {
        traces,
        metrics,
        logs,
    }
}

/// What the program was built from, and for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Build {
    version: &'static str,
    /// `unknown` where the sources did not tell.
    commit: &'static str,
    /// `sqlite` or `postgresql`.
    backend: &'static str,
}

type ByRuntime<T> = Family<Label<&'static str>, T>;

/// Every metric of the process.
pub struct ProcessMetrics {
    started: Real,
    /// Whether the server takes calls, as `/readyz` says.
    pub ready: Asked,
    workers: ByRuntime<Asked>,
    tasks: ByRuntime<Asked>,
    queued: ByRuntime<Asked>,
    busy: ByRuntime<AskedTotal>,
    parks: ByRuntime<AskedTotal>,
    build: Family<Build, Gauge>,
    config: Family<Label<String>, Gauge>,
    dropped: Counters<Signal>,
}

impl ProcessMetrics {
    /// `plain` is for names that all servers have, `own` for those that only Chancery has.
    pub(super) fn new(plain: &mut Registry, own: &mut Registry) -> Self {
        let cpu = AskedTotal::default();
        cpu.answer(cpu_seconds);
        plain.register("process_cpu_seconds", "Processor time that the process has taken", cpu);
        let help = "Memory that the process takes";
        asked(plain, "process_resident_memory_bytes", help).answer(resident_bytes);
        asked(plain, "process_open_fds", "Files and connections that are open").answer(open_files);
        asked(plain, "process_max_fds", "Files and connections that may be open").answer(most_files);
        let build = Family::default();
        own.register("build_info", "What the program was built from and runs on, always 1", build.clone());
        let config = Family::default();
        own.register(
            "config_hash_info",
            "A hash of the settings without their secrets, always 1",
            config.clone(),
        );
        let help = "Spans, metrics and log lines that were not told to the receiver of OpenTelemetry";
        Self {
            ready: asked(own, "ready", "Whether the server takes calls, as /readyz says"),
            started: timestamp(plain, "process_start_time", "When the process began"),
            workers: by_runtime(plain, "tokio_workers", "Threads of a runtime"),
            tasks: by_runtime(plain, "tokio_alive_tasks", "Tasks of a runtime that have not ended"),
            queued: by_runtime(
                plain,
                "tokio_global_queue_depth",
                "Tasks of a runtime that wait for any of its threads",
            ),
            busy: by_runtime(plain, "tokio_worker_busy_seconds", "Time that threads of a runtime were busy"),
            parks: by_runtime(
                plain,
                "tokio_worker_parks",
                "Times that threads of a runtime had nothing to do",
            ),
            build,
            config,
            dropped: Counters::register(own, "telemetry_dropped", help, "signal"),
        }
    }

    /// The process began then, in microseconds since 1970, and its store is of this kind.
    pub fn begin(&self, at: i64, backend: &'static str) {
        self.started.set(at as f64 / 1e6);
        let build = Build { version: env!("CARGO_PKG_VERSION"), commit: env!("CHANCERY_COMMIT"), backend };
        self.build.get_or_create(&build).set(1);
    }

    /// The hash of the settings.
    pub fn config(&self, hash: String) {
        self.config.get_or_create(&[("hash", hash)]).set(1);
    }

    /// There is a runtime of this name.
    pub fn runtime(&self, name: &'static str, runtime: &Handle) {
        let metrics = runtime.metrics();
        let gauge = |family: &ByRuntime<Asked>, ask: fn(&RuntimeMetrics) -> usize| {
            let metrics = metrics.clone();
            family.get_or_create(&[("runtime", name)]).answer(move || Some(ask(&metrics) as f64));
        };
        gauge(&self.workers, RuntimeMetrics::num_workers);
        gauge(&self.tasks, RuntimeMetrics::num_alive_tasks);
        gauge(&self.queued, RuntimeMetrics::global_queue_depth);
        let total = |family: &ByRuntime<AskedTotal>, ask: fn(&RuntimeMetrics, usize) -> f64| {
            let metrics = metrics.clone();
            let sum = move || Some((0..metrics.num_workers()).map(|worker| ask(&metrics, worker)).sum());
            family.get_or_create(&[("runtime", name)]).answer(sum);
        };
        total(&self.busy, |metrics, worker| metrics.worker_total_busy_duration(worker).as_secs_f64());
        total(&self.parks, |metrics, worker| metrics.worker_park_count(worker) as f64);
    }

    /// Something could not be told to the receiver of OpenTelemetry.
    pub fn telemetry_dropped(&self, signal: Signal, count: usize) {
        self.dropped.add(signal, count);
    }
}

fn by_runtime<T>(registry: &mut Registry, name: &str, help: &str) -> ByRuntime<T>
where
    T: prometheus_client::encoding::EncodeMetric
        + prometheus_client::metrics::TypedMetric
        + Default
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let family = ByRuntime::<T>::default();
    registry.register(name, help, family.clone());
    family
}

fn cpu_seconds() -> Option<f64> {
    let taken = clock_gettime(ClockId::ProcessCPUTime);
    Some(taken.tv_sec as f64 + taken.tv_nsec as f64 / 1e9)
}

fn most_files() -> Option<f64> {
    getrlimit(Resource::Nofile).current.map(|files| files as f64)
}

#[cfg(target_os = "linux")]
fn open_files() -> Option<f64> {
    // One of them is the folder itself.
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

#[cfg(target_os = "linux")]
fn resident_bytes() -> Option<f64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some((resident * rustix::param::page_size() as u64) as f64)
}

#[cfg(not(target_os = "linux"))]
const fn open_files() -> Option<f64> {
    None
}

#[cfg(not(target_os = "linux"))]
const fn resident_bytes() -> Option<f64> {
    None
}
