//! Metrics of numbers that are somebody else's: asked for when they are scraped, or told now and then. None has a
//! sample before there is a number: a 0 would be one.
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

type Ask = Box<dyn Fn() -> Option<f64> + Send + Sync>;

/// Who is asked for a number. They must answer at once: they may look at memory or at what the kernel tells, and wait
/// for nothing.
#[derive(Clone, Default)]
struct Source(Arc<OnceLock<Ask>>);

impl Source {
    fn ask(&self) -> Option<f64> {
        self.0.get().and_then(|ask| ask())
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").finish_non_exhaustive()
    }
}

/// A gauge that is asked for.
#[derive(Clone, Default, Debug)]
pub struct Asked(Source);

impl Asked {
    /// Says who answers. The first who does stays.
    pub fn answer(&self, ask: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        let _ = self.0.0.set(Box::new(ask));
    }
}

impl TypedMetric for Asked {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for Asked {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.ask().map_or(Ok(()), |number| encoder.encode_gauge(&number))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// A counter that is asked for.
#[derive(Clone, Default, Debug)]
pub struct AskedTotal(Source);

impl AskedTotal {
    /// Says who answers. The first who does stays.
    pub fn answer(&self, ask: impl Fn() -> Option<f64> + Send + Sync + 'static) {
        let _ = self.0.0.set(Box::new(ask));
    }
}

impl TypedMetric for AskedTotal {
    const TYPE: MetricType = MetricType::Counter;
}

impl EncodeMetric for AskedTotal {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        self.0.ask().map_or(Ok(()), |number| encoder.encode_counter::<NoLabelSet, _, f64>(&number, None))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// A gauge that is told, a whole number.
#[derive(Clone, Debug)]
pub struct Told(Arc<AtomicU64>);

impl Told {
    /// No number yet.
    const NOTHING: u64 = u64::MAX;

    /// Tells it.
    pub fn set(&self, number: u64) {
        self.0.store(number.min(Self::NOTHING - 1), Ordering::Relaxed);
    }
}

impl Default for Told {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(Self::NOTHING)))
    }
}

impl EncodeMetric for Told {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self.0.load(Ordering::Relaxed) {
            Self::NOTHING => Ok(()),
            // Exact up to 2^53: of bytes, 9 PB.
            number => encoder.encode_gauge(&(number as f64)),
        }
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}
