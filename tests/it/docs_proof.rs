//! docs/proof.md: its verdicts and exit codes are those of the program, and its checkpoint is one.
use chancery::verify::{Policy, Trust, Verdict, VerifierKey};

use crate::{
    documents::{blocks, code_words, table},
    harness::{cli::run, root, server::chancery},
};

const PAGE: &str = "docs/proof.md";

#[test]
fn every_verdict_has_its_row_and_its_exit_code() {
    let help = run(chancery().arg("--help"), "").out;
    let rows = table(PAGE, "## Verdicts");
    let named: Vec<_> =
        rows.iter().map(|row| code_words(&row[0]).next().expect("a verdict").to_owned()).collect();
    assert_eq!(named, Verdict::ALL.map(Verdict::name));
    for (row, name) in rows.iter().zip(&named) {
        let meaning = if name == "valid" { "done".to_owned() } else { format!("{name}: ") };
        assert!(help.contains(&format!("  {}  {meaning}", row[1])), "{name} is not {}: {help}", row[1]);
    }
}

#[test]
fn its_checkpoint_is_signed_and_cosigned() {
    let keys = blocks(PAGE).into_iter().find(|block| block.text.starts_with("log ")).expect("the keys");
    let policy = Policy::parse(&keys.text).expect("a policy");
    let note =
        blocks(PAGE).into_iter().find(|block| block.text.contains("\n\n\u{2014} ")).expect("a checkpoint");
    let believed = Trust::new(policy).expect("a key").believe(&note.text).expect("a believed checkpoint");
    assert_eq!((believed.log.as_str(), believed.cosigned.len()), ("main", 1));
    // The walk through it names the same key.
    let text = std::fs::read_to_string(root().join(PAGE)).expect("the page");
    let key = keys.text.split_whitespace().nth(1).expect("a key");
    assert!(VerifierKey::parse(key).is_ok() && text.matches(key).count() > 1, "{key}");
}
