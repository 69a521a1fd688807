//! Metrics of signed checkpoints and of their witnesses. Called by: `proof::signer` and `proof::witness`.
use std::{
    sync::{Mutex, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use super::{asked::Told, register::counter};

/// Why a witness did not cosign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are words in lower case")]
pub enum WitnessFailure {
    /// No answer, or that of a server that is not well.
    unreachable,
    /// It does not know the log or its key.
    unknown_log,
    /// It does not take the proof.
    not_proved,
    /// It has cosigned another tree of this size.
    conflict,
    /// It has cosigned a larger tree.
    ahead,
    /// What it answered is no cosignature of its key.
    bad_answer,
    /// The proof or the note could not be read from the store, or the note could not be stored.
    store,
}

impl WitnessFailure {
    const ALL: [Self; 7] = [
        Self::unreachable,
        Self::unknown_log,
        Self::not_proved,
        Self::conflict,
        Self::ahead,
        Self::bad_answer,
        Self::store,
    ];
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByWitness {
    witness: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ByFailure {
    witness: String,
    cause: WitnessFailure,
}

/// What has waited for a checkpoint, and what waits.
#[derive(Default)]
struct Waits {
    past: Duration,
    since: Option<Instant>,
}

/// Every metric of checkpoints.
pub struct CheckpointMetrics {
    lag: Gauge<f64, AtomicU64>,
    waits: Mutex<Waits>,
    unsigned: Gauge,
    signed: Counter,
    halted: Gauge,
    cosigned: Family<ByWitness, Counter>,
    failures: Family<ByFailure, Counter>,
    verified_until: Told,
    verify_failures: Counter,
}

impl CheckpointMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let lag = Gauge::<f64, AtomicU64>::default();
        registry.register_with_unit(
            "checkpoint_lag",
            "How long the oldest commit has waited for a checkpoint, as this signer sees it",
            Unit::Seconds,
            lag.clone(),
        );
        let signed = Counter::default();
        registry.register("checkpoints_signed", "Checkpoints signed by this replica", signed.clone());
        let halted = Gauge::default();
        registry.register(
            "checkpoint_halted_logs",
            "Logs of which nothing is signed any more, because they do not extend what was signed",
            halted.clone(),
        );
        let cosigned = Family::<ByWitness, Counter>::default();
        registry.register("witness_cosigned", "Checkpoints that a witness has cosigned", cosigned.clone());
        let failures = Family::<ByFailure, Counter>::default();
        registry.register(
            "witness_failures",
            "Checkpoints that a witness has not cosigned",
            failures.clone(),
        );
        let unsigned = Gauge::default();
        registry.register(
            "checkpoint_unsigned_logs",
            "Logs of which nothing is signed because there are too many",
            unsigned.clone(),
        );
        let verified_until = Told::default();
        let help = "When this signer last found that every log extends what was signed";
        registry.register_with_unit(
            "chain_verified_until_timestamp",
            help,
            Unit::Seconds,
            verified_until.clone(),
        );
        let verify_failures = counter(
            registry,
            "chain_verify_failures",
            "Times that a log was found not to extend what was signed",
        );
        let waits = Mutex::default();
        Self { lag, waits, unsigned, signed, halted, cosigned, failures, verified_until, verify_failures }
    }

    /// Every log was found to extend what was signed of it, at this time in microseconds since 1970.
    pub fn verified(&self, at: i64) {
        self.verified_until.set(u64::try_from(at / 1_000_000).unwrap_or_default());
    }

    /// A log was found not to.
    pub fn verify_failed(&self) {
        self.verify_failures.inc();
    }

    /// How long the oldest commit has waited for a checkpoint, and since when one waits.
    pub fn lag(&self, past: Duration, since: Option<Instant>) {
        *self.waits.lock().unwrap_or_else(PoisonError::into_inner) = Waits { past, since };
    }

    /// A commit waits at least since then, as long as nothing else is told.
    pub fn waits_since(&self, since: Instant) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).since = Some(since);
    }

    /// Brings up to date what grows by itself, even while the signer hangs or has ended.
    pub(super) fn read(&self) {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = waits.since.map_or(waits.past, |since| since.elapsed().max(waits.past));
        self.lag.set(lag.as_secs_f64());
    }

    /// So many logs are not signed because there are too many.
    pub fn unsigned(&self, logs: usize) {
        self.unsigned.set(i64::try_from(logs).unwrap_or(i64::MAX));
    }

    /// A checkpoint was signed.
    pub fn signed(&self) {
        self.signed.inc();
    }

    /// So many logs are halted.
    pub fn halted(&self, logs: usize) {
        self.halted.set(i64::try_from(logs).unwrap_or(i64::MAX));
    }

    /// There is a witness of this name. From the first on, so that an alert on an increase sees it.
    pub fn witness(&self, name: &str) {
        drop(self.cosigned.get_or_create(&ByWitness { witness: name.to_owned() }));
        for cause in WitnessFailure::ALL {
            drop(self.failures.get_or_create(&ByFailure { witness: name.to_owned(), cause }));
        }
    }

    /// A witness has cosigned a checkpoint.
    pub fn cosigned(&self, name: &str) {
        self.cosigned.get_or_create(&ByWitness { witness: name.to_owned() }).inc();
    }

    /// A witness has not cosigned a checkpoint.
    pub fn not_cosigned(&self, name: &str, cause: WitnessFailure) {
        self.failures.get_or_create(&ByFailure { witness: name.to_owned(), cause }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lag_grows_while_nobody_tells_of_it() {
        let metrics = CheckpointMetrics::new(&mut Registry::default());
        let read = || {
            metrics.read();
            metrics.lag.get()
        };
        metrics.lag(Duration::from_millis(3), None);
        assert_eq!((read(), read()), (0.003, 0.003));
        metrics.waits_since(Instant::now());
        let first = std::iter::repeat_with(read).find(|lag| *lag > 0.003).expect("it grows");
        let second = std::iter::repeat_with(read).find(|lag| *lag > first).expect("it grows on");
        metrics.lag(Duration::from_secs_f64(second), None);
        assert_eq!((read(), read()), (second, second));
    }
}
