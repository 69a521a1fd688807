//! Signed notes, and the other texts that logs and witnesses exchange. Nothing opens but what was signed, and only as
//! it was; whatever is read renders to the same bytes.
//!
//! The first byte chooses: a text as it comes; a note after some edits; a note whose body is any text, signed in its
//! own right by a key that is trusted.
use std::sync::LazyLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use chancery::{
    event::LogName,
    note::{Checkpoint, Cosigner, Key, Kind, Submission, VerifierKey, joined, log_of, open, read},
    tree::TreeHead,
};
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

use super::common::edits::edited;

const NAME: &str = "audit.example.com/a";
/// Time of the cosignatures.
const TIME: u64 = 1_800_000_000;

/// Everything that any key of this target ever signed, and the keys.
struct Site {
    key: Key,
    keys: Vec<VerifierKey>,
    /// Cosigned, of two logs.
    notes: Vec<String>,
    checkpoints: Vec<Checkpoint>,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let key = Key::new(NAME, &[1; 32]).expect("a key");
    let witness = Cosigner::new("witness.example/w1", &[2; 32]).expect("a key");
    let logs = ["main", "other"].map(|log| LogName::parse(log).expect("a log"));
    let mut notes = Vec::new();
    for (log, size) in [(&logs[0], 1), (&logs[0], 20_852_163), (&logs[1], 7)] {
        let note = key.sign(log, &TreeHead { size, root: [9; 32] });
        let line = witness.cosign(&read(&note).expect("a checkpoint"), TIME);
        notes.push(joined(&note, [line.as_str()]).expect("a note"));
    }
    let checkpoints = notes.iter().map(|note| read(note).expect("a checkpoint")).collect();
    let keys = logs.iter().map(|log| key.verifier(log)).chain([witness.verifier()]).collect();
    Site { key, keys, notes, checkpoints }
});

/// A choice and a text.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let note = |number: u8| &SITE.notes[usize::from(number) % SITE.notes.len()];
    match choice % 3 {
        0 => {
            let Ok(text) = str::from_utf8(rest) else { return };
            reads(text);
            opens(text);
            texts(text);
        }
        1 => {
            let Ok(text) = String::from_utf8(edited(note(choice / 3).as_bytes(), rest)) else { return };
            reads(&text);
            opens(&text);
            joins(note(choice / 3), &text);
        }
        _ => {
            let Ok(text) = str::from_utf8(rest) else { return };
            signed(text);
        }
    }
}

/// What is read says itself: its body is its three lines and what may follow them.
fn reads(text: &str) {
    let Ok(checkpoint) = read(text) else { return };
    let Checkpoint { origin, head, .. } = &checkpoint;
    let first = format!("{origin}\n{}\n{}\n", head.size, BASE64_STANDARD.encode(head.root));
    assert!(checkpoint.body().starts_with(&first), "{text:?}");
    assert!(text.starts_with(&format!("{}\n\u{2014} ", checkpoint.body())), "{text:?}");
    assert!(!origin.is_empty() && head.size <= 1 << 62, "{text:?}");
}

/// What opens is one of the checkpoints that were signed, and each signature is of the key that it names.
fn opens(text: &str) {
    let Ok(opened) = open(text, &SITE.keys) else { return };
    assert_eq!(read(text).as_ref(), Ok(&opened.checkpoint));
    assert!(SITE.checkpoints.contains(&opened.checkpoint), "nobody signed {text:?}");
    let logs = opened.signatures.iter().filter(|signed| signed.key.kind() == Kind::Log);
    assert!(logs.clone().count() == 1, "{text:?}");
    assert!(logs.clone().all(|signed| signed.key.name() == opened.checkpoint.origin), "{text:?}");
    for signed in &opened.signatures {
        let once = opened.signatures.iter().filter(|other| other.key == signed.key).count();
        assert!(once == 1 && text.contains(&signed.line), "{text:?}");
        assert_eq!(signed.time, (signed.key.kind() == Kind::Witness).then_some(TIME), "{text:?}");
        let known = SITE.notes.iter().any(|note| note.contains(&signed.line));
        assert!(known, "nobody wrote {:?}", signed.line);
    }
}

/// Lines of signatures that are joined to a note leave what it says, and none is lost.
fn joins(note: &str, other: &str) {
    let lines: Vec<_> = other.split_inclusive('\n').filter(|line| line.starts_with('\u{2014}')).collect();
    let Ok(text) = joined(note, lines.iter().copied()) else { return };
    assert_eq!(read(&text), read(note));
    assert!(text.starts_with(note) && lines.iter().all(|line| text.contains(line)), "{text:?}");
    assert_eq!(joined(&text, lines.iter().copied()), Ok(text.clone()), "a second time adds nothing");
}

/// A key signs any body here, as a server never would: what is not a checkpoint of its log, to the byte, is refused.
fn signed(body: &str) {
    static SIGNERS: LazyLock<Vec<(StandardSigner, StandardVerifier)>> = LazyLock::new(|| {
        let signers = ["main", "other"].map(|log| {
            // A key whose name is the origin of one log, in the form of the format's library.
            let origin = format!("{NAME}/{log}");
            let text = Key::new(&origin, &[1; 32]).expect("a key").private_text();
            let public = SITE.key.verifier(&LogName::parse(log).expect("a log")).to_string();
            (
                StandardSigner::new(&text).expect("a key"),
                StandardVerifier::new(&public).expect("a verifier key"),
            )
        });
        signers.into()
    });
    for (number, (signer, verifier)) in SIGNERS.iter().enumerate() {
        let Ok(mut note) = Note::new(body.as_bytes(), &[]) else { return };
        note.add_sigs(&[signer]).expect("signed");
        let list = VerifierList::new(vec![Box::new(verifier.clone())]);
        assert!(note.verify(&list).is_ok(), "the library of the format takes its own");
        let text = String::from_utf8(note.to_bytes()).expect("text");
        reads(&text);
        let ours = body.starts_with(&format!("{}\n", SITE.keys[number].name()));
        match (read(&text), open(&text, &SITE.keys)) {
            (Ok(checkpoint), Ok(opened)) => {
                assert!(ours && opened.checkpoint == checkpoint && checkpoint.body() == body, "{text:?}");
            }
            (Ok(_), Err(error)) => assert!(!ours, "{error}: {text:?}"),
            (Err(_), opened) => assert!(opened.is_err(), "{text:?}"),
        }
    }
}

/// Texts that are read, and written again.
fn texts(text: &str) {
    if let Ok(submission) = Submission::parse(text) {
        assert_eq!(submission.text(), text);
        assert!(submission.proof.len() <= 63);
    }
    if let Some(size) = Submission::known_size(text) {
        assert_eq!(size.to_string(), text.strip_suffix('\n').unwrap_or(text));
    }
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.to_string(), text);
        assert_eq!(VerifierKey::parse(&key.to_string()), Ok(key));
    }
    if let Ok(key) = Key::parse(text) {
        assert_eq!(key.private_text(), text);
    }
    if let Ok(key) = Cosigner::parse(text) {
        assert_eq!(key.private_text(), text);
    }
    if let Some(log) = log_of(text) {
        assert!(text.ends_with(&format!("/{log}")), "{text:?}");
    }
}
