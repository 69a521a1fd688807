//! Every input that fuzzing has left in `fuzz/corpus` still keeps what its target promises (docs/fuzzing.md).
#[path = "../../fuzz/targets/mod.rs"]
mod targets;

use std::{
    fs,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
};

use crate::harness::root;

/// Bytes of all corpora: they are cloned with the project.
const MOST_BYTES: usize = 1 << 20;

/// Names of what is in a folder, sorted.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = format!("fuzz/corpus/{target}");
    let paths = names(&folder).into_iter().map(|name| root().join(&folder).join(name));
    paths.map(|path| (path.clone(), fs::read(path).expect("an input"))).collect()
}

#[test]
fn every_target_has_a_file_and_a_corpus() {
    let targets: Vec<_> = targets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    let files: Vec<_> = names("fuzz/targets")
        .into_iter()
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "mod")
        .collect();
    assert_eq!(targets, files, "targets of fuzz/targets/mod.rs, sorted, and files beside it");
    assert_eq!(targets, names("fuzz/corpus"), "targets and corpora");
    let mut bytes = 0;
    for target in &targets {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "the corpus of {target} is empty");
        bytes += inputs.iter().map(|(_, input)| input.len()).sum::<usize>();
    }
    assert!(bytes <= MOST_BYTES, "the corpora have {bytes} bytes; at most {MOST_BYTES}");
}

#[test]
fn what_was_found_is_found_no_more() {
    let mut failed = Vec::new();
    for (target, run) in targets::ALL {
        for (path, input) in inputs(target) {
            if panic::catch_unwind(AssertUnwindSafe(|| run(&input))).is_err() {
                failed.push(path);
            }
        }
    }
    assert!(failed.is_empty(), "run these with fuzz/run.sh: {failed:#?}");
}
