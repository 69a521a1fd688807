//! Metrics of signed checkpoints and of their witnesses. Called by: `proof::signer` and `proof::witness`.
use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

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

/// Every metric of checkpoints.
pub struct CheckpointMetrics {
    lag: Gauge<f64, AtomicU64>,
    signed: Counter,
    halted: Gauge,
    cosigned: Family<ByWitness, Counter>,
    failures: Family<ByFailure, Counter>,
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
        Self { lag, signed, halted, cosigned, failures }
    }

    /// How long the oldest commit has waited for a checkpoint.
    pub fn lag(&self, lag: Duration) {
        self.lag.set(lag.as_secs_f64());
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
