//! What is fuzzed: one file per target, one function that takes any bytes and fails by panicking. `fuzz/main.rs`
//! runs them under libFuzzer, `tests/it/fuzz_corpora.rs` over the corpora that are kept.
//!
//! A new target is a file here with `pub fn run(data: &[u8])`, its line in [`ALL`], and a corpus of its name.
mod append;
mod as_parameters;
mod bundle;
mod catalog_file;
mod common;
mod filter;
mod index_run;
mod note;
mod record;
mod resume_token;
mod r#where;

/// Takes one input. Panics when a promise is broken.
pub type Run = fn(&[u8]);

/// Every target by its name.
pub const ALL: &[(&str, Run)] = &[
    ("append", append::run),
    ("as_parameters", as_parameters::run),
    ("bundle", bundle::run),
    ("catalog_file", catalog_file::run),
    ("filter", filter::run),
    ("index_run", index_run::run),
    ("note", note::run),
    ("record", record::run),
    ("resume_token", resume_token::run),
    ("where", r#where::run),
];
