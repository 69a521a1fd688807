//! A bundle, as an auditor is handed one. It is damaged, and that is told, or it is verified, and never both: what it
//! shows are records of the log at their positions, with the values that they commit to or without any.
//!
//! The first byte chooses: bytes as they come; a bundle after some edits; the same with a last line that fits again,
//! as somebody would leave it who alters one on purpose.
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chancery::{
    event::{LogName, leaf_hash},
    note::{Cosigner, Key, joined, read},
    tree::{Branch, Frontier},
    verify::{
        Policy, Trust, Verdict,
        bundle::{Checked, Header, Stop, Writer, check},
    },
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::{Digest as _, Sha256};

use super::common::{
    edits::edited,
    sealed::{Still, admitted, examples},
};

/// Leaves of the smaller tree that the bundle names.
const FIRST: u64 = 2;
/// Begins the last line.
const END: &[u8] = b"sha256 ";

/// A log, and all of it as a bundle.
struct Log {
    /// Record and what lies beside it, by position.
    events: Vec<(Vec<u8>, Vec<u8>)>,
    trust: Trust,
    bundle: Vec<u8>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let clock = Still::new();
    let sealed = examples().step_by(60).filter_map(|event| admitted(event, &clock).ok()?.ok());
    let events: Vec<_> =
        sealed.map(|sealed| (sealed.record().to_vec(), sealed.personal().to_vec())).collect();
    let (mut tree, mut other) =
        (Branch::of(&Frontier::default()), MemoryBackedTree::<Sha256, Vec<u8>>::new());
    let mut first = tree.head();
    for (record, _) in &events {
        tree.push(&leaf_hash(record));
        other.push(record.clone());
        first = if tree.head().size == FIRST { tree.head() } else { first };
    }
    let proof = other.prove_consistency(events.len() - 2).as_bytes().as_chunks::<32>().0.to_vec();

    let log = LogName::parse("main").expect("a log");
    let key = Key::new("audit.example.com", &[1; 32]).expect("a key");
    let witness = Cosigner::new("witness.example.com", &[9; 32]).expect("a key");
    let note = key.sign(&log, &tree.head());
    let line = witness.cosign(&read(&note).expect("a checkpoint"), 1_800_000_000);
    let policy = Policy::new(vec![key.verifier(&log)], vec![witness.verifier()], Some(1)).expect("a policy");
    let header = Header {
        log: "main".to_owned(),
        positions: 0..events.len() as u64,
        policy: policy.clone(),
        checkpoint: joined(&note, [line.as_str()]).expect("a note"),
        extends: Some((first, proof)),
    };
    let mut writer = Writer::begin(Vec::new(), &header).expect("a Vec");
    for (position, (record, beside)) in (0..).zip(&events) {
        let path = tree.path(position).expect("a leaf");
        writer.event(position, record, beside, &path).expect("a Vec");
    }
    let bundle = writer.end().expect("a Vec");
    Log { events, trust: Trust::new(policy).expect("keys"), bundle }
});

/// A choice and bytes.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let log = &*LOG;
    match choice % 3 {
        0 => drop(checked(rest)),
        1 => {
            let altered = edited(&log.bundle, rest);
            if valid(&checked(&altered)) {
                assert!(altered == log.bundle, "valid, and altered: {:?}", String::from_utf8_lossy(&altered));
            } else {
                assert!(altered != log.bundle, "the bundle itself is not valid");
            }
        }
        _ => drop(checked(&resealed(edited(&log.bundle, rest)))),
    }
}

/// Checks a bundle and everything that it shows.
fn checked(bundle: &[u8]) -> Result<Checked, Stop> {
    let log = &*LOG;
    let mut shown = Vec::new();
    let ended = check(bundle, &log.trust, None, &mut |entry| {
        let (record, beside) = usize::try_from(entry.position)
            .ok()
            .and_then(|position| log.events.get(position))
            .unwrap_or_else(|| panic!("the log has no position {}", entry.position));
        assert_eq!(entry.record, record, "another record at {}", entry.position);
        assert!(entry.beside.is_empty() || entry.beside == beside, "other values at {}", entry.position);
        shown.push(entry.position);
        Ok(())
    });
    assert!(shown.is_sorted_by(|one, other| one < other), "{shown:?}");
    match &ended {
        Ok(checked) => {
            assert_eq!(checked.events, shown.len() as u64);
            assert!(shown.iter().all(|position| checked.positions.contains(position)), "{shown:?}");
            assert!(checked.findings.iter().all(|finding| finding.verdict != Verdict::Valid));
            let all = checked.positions.end - checked.positions.start;
            assert!(!valid(&ended) || checked.events == all, "valid, and {} of {all}", checked.events);
            assert_eq!(checked.values.erased, 0);
        }
        Err(Stop::Found(finding, _)) => {
            assert!(finding.verdict != Verdict::Valid && !finding.evidence.is_empty(), "{finding:?}");
        }
        Err(stop) => panic!("{stop:?}"),
    }
    ended
}

fn valid(ended: &Result<Checked, Stop>) -> bool {
    ended.as_ref().is_ok_and(|checked| checked.findings.is_empty())
}

/// With the sum of what stands before the last line, if there still is one.
fn resealed(mut bundle: Vec<u8>) -> Vec<u8> {
    let Some(at) = bundle.windows(END.len()).rposition(|window| window == END) else { return bundle };
    bundle.truncate(at);
    let sum = BASE64_STANDARD.encode(Sha256::digest(&bundle));
    bundle.extend(format!("sha256 {sum}\n").bytes());
    bundle
}
