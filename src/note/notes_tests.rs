//! What is signed here is taken by the library of the format, and the other way round; what was altered is not.
use base64::prelude::{BASE64_STANDARD, Engine as _};
use proptest::prelude::*;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

use super::*;
use crate::{event::LogName, tree::TreeHead};

const NAME: &str = "audit.example.com/chancery";
const HEAD: TreeHead = TreeHead { size: 20_852_163, root: [9; 32] };

fn key() -> Key {
    Key::new(NAME, &[1; 32]).expect("a key")
}

fn witness() -> Cosigner {
    Cosigner::new("witness.example/w1", &[2; 32]).expect("a key")
}

fn main() -> LogName {
    LogName::parse("main").expect("a name")
}

/// A note of `main` that the witness has cosigned.
fn cosigned() -> String {
    let note = key().sign(&main(), &HEAD);
    let line = witness().cosign(&read(&note).expect("a checkpoint"), 1_679_315_147);
    joined(&note, [line.as_str()]).expect("a note")
}

#[test]
fn the_library_of_the_format_takes_what_is_signed_here() {
    let (note, text) = (key().sign(&main(), &HEAD), key().verifier(&main()).to_string());
    assert!(note.starts_with("audit.example.com/chancery/main\n20852163\nCQkJ"), "{note}");
    let verifier = StandardVerifier::new(&text).expect("a verifier key");
    let read = Note::from_bytes(note.as_bytes()).expect("a note");
    let (verified, others) = read.verify(&VerifierList::new(vec![Box::new(verifier)])).expect("verified");
    assert_eq!((verified.len(), others.len()), (1, 0));
}

#[test]
fn what_the_library_of_the_format_signs_is_taken_here() {
    let signer = StandardSigner::new(&key().private_text()).expect("a private key of the format");
    let body = format!("{NAME}\n5\n{}\n", BASE64_STANDARD.encode([3; 32]));
    let mut note = Note::new(body.as_bytes(), &[]).expect("a note");
    note.add_sigs(&[&signer]).expect("signed");
    let (name, seed) = (NAME.rsplit_once('/').expect("two parts"), [1; 32]);
    let verifier = Key::new(name.0, &seed).expect("a key").verifier(&LogName::parse(name.1).expect("a log"));
    let note = String::from_utf8(note.to_bytes()).expect("text");
    let opened = open(&note, std::slice::from_ref(&verifier)).expect("opened");
    assert_eq!(opened.checkpoint.head, TreeHead { size: 5, root: [3; 32] });
    assert_eq!(opened.signatures[0].key, verifier);
}

#[test]
fn a_cosignature_is_over_the_time_and_the_body() {
    let checkpoint = read(&key().sign(&main(), &HEAD)).expect("a checkpoint");
    let line = witness().cosign(&checkpoint, 1_679_315_147);
    let bytes = line.strip_prefix("\u{2014} witness.example/w1 ").expect("the name").trim_end();
    let bytes = BASE64_STANDARD.decode(bytes).expect("base64");
    assert_eq!(bytes.len(), 4 + 8 + 64);
    assert_eq!(bytes[4..12], 1_679_315_147_u64.to_be_bytes());
    let message = format!("cosignature/v1\ntime 1679315147\n{}", checkpoint.body());
    let public = ed25519_dalek::SigningKey::from_bytes(&[2; 32]).verifying_key();
    let signature = ed25519_dalek::Signature::from_slice(&bytes[12..]).expect("64 bytes");
    assert!(public.verify_strict(message.as_bytes(), &signature).is_ok());
}

#[test]
fn a_note_is_opened_by_its_logs_key_and_tells_who_cosigned() {
    let (log, witness) = (key().verifier(&main()), witness().verifier());
    let opened = open(&cosigned(), &[witness.clone(), log.clone()]).expect("opened");
    assert_eq!(opened.checkpoint.head, HEAD);
    assert_eq!(log_of(&opened.checkpoint.origin), Some(main()));
    let signed: Vec<_> = opened.signatures.iter().map(|signed| (&signed.key, signed.time)).collect();
    assert_eq!(signed, [(&log, None), (&witness, Some(1_679_315_147))]);
    // A stranger's signature changes nothing, and a witness's alone is not enough.
    assert_eq!(open(&cosigned(), &[log]).expect("opened").signatures.len(), 1);
    let origin = format!("{NAME}/main");
    assert_eq!(open(&cosigned(), &[witness]), Err(NoteError::Unsigned { origin: origin.clone() }));
    let other = Key::new(NAME, &[8; 32]).expect("a key").verifier(&main());
    assert_eq!(open(&cosigned(), &[other]), Err(NoteError::Unsigned { origin }));
}

#[test]
fn the_key_of_one_log_does_not_vouch_for_another() {
    let cards = LogName::parse("cards").expect("a name");
    let body = read(&key().sign(&main(), &HEAD)).expect("a checkpoint").body().replace("/main\n", "/cards\n");
    // Signed as `main`, though it speaks of `cards`.
    let mut note = Note::new(body.as_bytes(), &[]).expect("a note");
    let signature =
        ed25519_dalek::Signer::sign(&ed25519_dalek::SigningKey::from_bytes(&[1; 32]), body.as_bytes());
    let main = key().verifier(&main());
    let signature =
        signed_note::Signature::new(main.name().to_owned(), main.id(), signature.to_bytes().to_vec());
    note = Note::new(note.text(), &[signature.expect("a signature")]).expect("a note");
    let text = String::from_utf8(note.to_bytes()).expect("text");
    assert!(matches!(open(&text, std::slice::from_ref(&main)), Err(NoteError::Foreign { .. })));
    assert!(matches!(open(&text, &[key().verifier(&cards)]), Err(NoteError::Unsigned { .. })));
}

#[test]
fn flipped_bits_of_a_cosigned_note_are_seen() {
    let keys = [key().verifier(&main()), witness().verifier()];
    let note = cosigned();
    let whole = open(&note, &keys).expect("opened");
    // The lowest bit, and the one between upper and lower case.
    for at in (0..note.len()).flat_map(|byte| [byte * 8, byte * 8 + 5]) {
        let mut bytes = note.clone().into_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert_ne!(open(&text, &keys).as_ref(), Ok(&whole), "bit {at}");
    }
}

#[test]
fn keys_are_read_as_they_were_written_and_refused_when_altered() {
    let (key, witness) = (key(), witness());
    assert_eq!(Key::parse(&key.private_text()).expect("a key").private_text(), key.private_text());
    assert_eq!(Cosigner::parse(&witness.private_text()).expect("a key").verifier(), witness.verifier());
    for verifier in [key.verifier(&main()), witness.verifier()] {
        assert_eq!(VerifierKey::parse(&verifier.to_string()), Ok(verifier.clone()));
        let altered = verifier.to_string().replace("example", "examples");
        assert_eq!(VerifierKey::parse(&altered), Err(KeyError::Id));
    }
    assert!(matches!(Key::parse(&witness.private_text()), Err(KeyError::NotALog)));
    assert!(matches!(Cosigner::parse(&key.private_text()), Err(KeyError::NotAWitness)));
    assert!(matches!(Key::parse(&key.verifier(&main()).to_string()), Err(KeyError::NotAPrivateKey)));
    assert_eq!(VerifierKey::parse(&key.private_text()), Err(KeyError::NotAVerifierKey));
    for name in ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7f}b", &"a".repeat(256)] {
        assert!(matches!(Key::new(name, &[0; 32]), Err(KeyError::Name)), "{name:?}");
    }
    assert!(!format!("{key:?}{witness:?}").contains(&BASE64_STANDARD.encode([1; 32])[..8]));
}

#[test]
fn what_is_almost_a_checkpoint_is_refused() {
    let note = key().sign(&main(), &HEAD);
    let huge = note.replace("20852163", "18446744073709551615");
    for bad in [
        "".to_owned(),
        note.replace("20852163", "020852163"),
        note.replace("\n20852163", "\n+20852163"),
        huge,
        note.replace("CQkJ", "CQk"),
        note.replace('\n', "\r\n"),
        note.trim_end().to_owned(),
        format!("\n{note}"),
        format!("{note}\n"),
        note.replace("\n\n", "\n\n\n"),
        note.replace("\u{2014}", "-"),
        format!("{note}{}", "x".repeat(MOST_BYTES)),
    ] {
        assert_eq!(read(&bad), Err(NoteError::Malformed), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_renders_back_and_nothing_panics(text in "\\PC{0,20}|[a-z0-9+/= \n\u{2014}]{0,200}") {
        if let Ok(checkpoint) = read(&text) {
            prop_assert!(text.starts_with(checkpoint.body()));
        }
        let _ = (Key::parse(&text).is_ok(), Cosigner::parse(&text).is_ok(), log_of(&text));
        if let Ok(key) = VerifierKey::parse(&text) {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn a_note_with_bytes_changed_is_refused_or_says_the_same(at in 0..260_usize, with in "[a-zA-Z0-9+/=\n \u{2014}]{0,3}") {
        let note = cosigned();
        let keys = [key().verifier(&main()), witness().verifier()];
        let Some((head, tail)) = note.split_at_checked(at.min(note.len())) else { return Ok(()) };
        let altered = format!("{head}{with}{tail}");
        if let Ok(opened) = open(&altered, &keys) {
            prop_assert_eq!(opened.checkpoint.head, HEAD);
        }
    }
}
