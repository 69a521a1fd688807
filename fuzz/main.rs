//! libFuzzer's door: hands every input to the target that CHANCERY_FUZZ_TARGET names. `run.sh` sets it.
#![no_main]

#[path = "targets/mod.rs"]
mod targets;

use std::{env, process, sync::OnceLock};

use libfuzzer_sys::fuzz_target;

static RUN: OnceLock<targets::Run> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let run = RUN.get_or_init(|| {
        let wanted = env::var("CHANCERY_FUZZ_TARGET").unwrap_or_default();
        let found = targets::ALL.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, run)| *run).unwrap_or_else(|| {
            let names: Vec<_> = targets::ALL.iter().map(|(name, _)| *name).collect();
            eprintln!("CHANCERY_FUZZ_TARGET is {wanted:?}; one of {}", names.join(", "));
            process::exit(2);
        })
    });
    run(data);
});
