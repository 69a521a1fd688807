//! The figures of a measurement: lines for people, one JSON object for programs.
//!
//! Called by: `bench/append.rs`, `bench/query.rs`, `bench/ceiling.rs`.
use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::cli::output;

/// The output flag.
#[derive(Args, Clone, Copy, Debug)]
pub struct ReportArgs {
    /// Output format.
    #[arg(short, long, value_enum, default_value = "table")]
    output: Form,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A line per figure.
    Table,
    /// One JSON object.
    Json,
}

/// Figures in the order in which they are printed. A name says its unit.
#[derive(Default)]
pub struct Report(Vec<(&'static str, Value)>);

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Report {
    /// Adds a figure.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push((name, value.into()));
    }

    /// Adds a figure with so many decimals.
    pub fn number(&mut self, name: &'static str, value: f64, decimals: i32) {
        let unit = 10_f64.powi(decimals);
        let rounded = (value * unit).round() / unit;
        match decimals {
            0 => self.set(name, rounded as u64),
            _ => self.set(name, rounded),
        }
    }

    /// Adds the percentiles of latencies in microseconds.
    pub fn latencies(&mut self, latencies: &Histogram<u64>) {
        for (name, quantile) in [("p50_ms", 0.5), ("p99_ms", 0.99), ("p999_ms", 0.999)] {
            self.number(name, latencies.value_at_quantile(quantile) as f64 / 1e3, 3);
        }
        self.number("max_ms", latencies.max() as f64 / 1e3, 3);
    }

    /// Prints everything.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn print(&self, args: ReportArgs) -> io::Result<()> {
        let mut out = output::stdout();
        match args.output {
            Form::Json => {
                serde_json::to_writer(&mut out, self)?;
                writeln!(out)?;
            }
            Form::Table => {
                let width = self.0.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
                for (name, value) in &self.0 {
                    match value {
                        Value::String(text) => writeln!(out, "{name:width$}  {text}")?,
                        other => writeln!(out, "{name:width$}  {other}")?,
                    }
                }
            }
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_milliseconds() {
        let mut latencies = Histogram::new(3).unwrap_or_else(|error| panic!("{error}"));
        for micros in 1..=1000 {
            let _ = latencies.record(micros * 1000);
        }
        let mut report = Report::default();
        report.latencies(&latencies);
        for (name, millis) in [("p50_ms", 500.0), ("p99_ms", 990.0), ("max_ms", 1000.0)] {
            let found = report.0.iter().find(|(each, _)| *each == name);
            let value = found.and_then(|(_, value)| value.as_f64()).unwrap_or_default();
            assert!((value - millis).abs() / millis < 0.002, "{name}: {value}");
        }
    }
}
