//! The bar that shows how far a long reading of events has come.
//!
//! Called by: `export`, `verify`.
use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over so many events; hidden unless a person is looking at standard error.
pub fn events(total: u64) -> ProgressBar {
    of(total, "{bar:30} {human_pos} of {human_len} events, {per_sec}, {eta} left")
}

/// A bar over so many bytes.
pub fn bytes(total: u64) -> ProgressBar {
    of(total, "{bar:30} {bytes} of {total_bytes}, {eta} left")
}

fn of(total: u64, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) if io::stderr().is_terminal() => ProgressBar::new(total).with_style(style),
        _ => ProgressBar::hidden(),
    }
}
