//! A small bundle, and everything that can be done to it: each gives the verdict that is named for it.
use super::*;
use crate::{
    event::leaf_hash,
    note::{Cosigner, Key},
    tree::{Branch, Frontier, TreeHead},
    verify::{Believed, Trust, Verdict},
};

const EVENTS: u64 = 5;

fn record(position: u64) -> Vec<u8> {
    format!("record {position} of a log").into_bytes()
}

fn key(seed: u8) -> Key {
    Key::new("audit.example.com", &[seed; 32]).expect("a key")
}

fn witness() -> Cosigner {
    Cosigner::new("witness.example.com", &[9; 32]).expect("a key")
}

fn grown(size: u64, record: impl Fn(u64) -> Vec<u8> + Copy) -> Branch {
    let mut tree = Branch::of(&Frontier::default());
    (0..size).for_each(|position| tree.push(&leaf_hash(&record(position))));
    tree
}

fn signed(head: &TreeHead) -> String {
    let note = key(1).sign(&"main".parse_log(), head);
    let opened = crate::note::read(&note).expect("a checkpoint");
    crate::note::joined(&note, [&*witness().cosign(&opened, 1_800_000_000)]).expect("a note")
}

/// A log's name without naming its type, which `verify` does not know.
trait ParseLog {
    fn parse_log(&self) -> crate::event::LogName;
}

impl ParseLog for str {
    fn parse_log(&self) -> crate::event::LogName {
        crate::event::LogName::parse(self).expect("a log")
    }
}

fn policy() -> Policy {
    let log = key(1).verifier(&"main".parse_log());
    Policy::new(vec![log], vec![witness().verifier()], Some(1)).expect("a policy")
}

fn trust() -> Trust {
    Trust::new(policy()).expect("keys")
}

/// The whole log of so many events as a bundle.
fn bundle_of(
    size: u64,
    record: impl Fn(u64) -> Vec<u8> + Copy,
    extends: Option<(TreeHead, Vec<Hash>)>,
) -> String {
    let tree = grown(size, record);
    let checkpoint = signed(&tree.head());
    let header = Header { log: "main".to_owned(), positions: 0..size, policy: policy(), checkpoint, extends };
    let mut writer = Writer::begin(Vec::new(), &header).expect("a Vec");
    for position in 0..size {
        let path = tree.path(position).expect("a leaf");
        writer.event(position, &record(position), &[], &path).expect("a Vec");
    }
    String::from_utf8(writer.end().expect("a Vec")).expect("text")
}

fn bundle() -> String {
    bundle_of(EVENTS, record, None)
}

fn run(bundle: impl AsRef<[u8]>, trust: &Trust, last: Option<&Believed>) -> Result<Checked, Stop> {
    check(bundle.as_ref(), trust, last, &mut |_| Ok(()))
}

/// The verdict, and the positions that are named first.
fn verdict(ended: &Result<Checked, Stop>) -> (Verdict, Option<Range<u64>>) {
    match ended {
        Ok(checked) => {
            let worst =
                checked.findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Valid);
            let first = checked.findings.iter().find(|finding| finding.verdict == worst);
            (worst, first.and_then(|finding| finding.positions.clone()))
        }
        Err(Stop::Found(finding, _)) => (finding.verdict, finding.positions.clone()),
        Err(stop) => panic!("{stop:?}"),
    }
}

fn judged(bundle: impl AsRef<[u8]>) -> (Verdict, Option<Range<u64>>) {
    verdict(&run(bundle, &trust(), None))
}

/// The bundle with a last line that fits, as somebody would leave it who alters one on purpose.
fn resealed(bundle: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let at = bundle.rfind(END).expect("a last line");
    let sum: Hash = Sha256::digest(&bundle[..at]).into();
    format!("{}{END}{}\n", &bundle[..at], crate::verify::base64(&sum))
}

/// The text of the event at a position.
fn entry(bundle: &str, position: u64) -> Range<usize> {
    let start = bundle.find(&format!("event {position}\n")).expect("an event");
    let end = bundle[start..].find("\n\n").expect("its end") + start + 2;
    start..end
}

fn without(bundle: &str, position: u64) -> String {
    let range = entry(bundle, position);
    resealed(&format!("{}{}", &bundle[..range.start], &bundle[range.end..]))
}

#[test]
fn a_bundle_is_valid_and_shows_every_event() {
    let bundle = bundle();
    let mut seen = Vec::new();
    let checked = check(bundle.as_bytes(), &trust(), None, &mut |entry| {
        seen.push((entry.position, entry.record.to_vec()));
        Ok(())
    });
    let checked = checked.expect("a bundle");
    assert_eq!((checked.events, &checked.positions, &checked.findings), (EVENTS, &(0..EVENTS), &Vec::new()));
    assert_eq!(checked.checkpoint.origin, "audit.example.com/main");
    assert_eq!(checked.checkpoint.cosigned, ["witness.example.com"]);
    assert_eq!(seen, (0..EVENTS).map(|position| (position, record(position))).collect::<Vec<_>>());
}

/// A bundle with every part that there can be.
fn full() -> String {
    with_values([Some("ann"), None], true, false)
}

#[test]
fn every_single_bit_counts() {
    use Verdict::{Missing, Tampered, Untrusted};
    let bundle = full();
    assert_eq!(judged(&bundle), (Verdict::Valid, None));
    let place = |what: &str| bundle.find(what).expect(what);
    let (policy, checkpoint) = (place("policy\n"), place("checkpoint\n"));
    let (extends, first) = (place("extends "), entry(&bundle, 0).start);
    assert!(bundle.matches("\npersonal ").count() == 2 && policy < checkpoint && extends < first);
    for at in 0..bundle.len() * 8 {
        let mut altered = bundle.clone().into_bytes();
        altered[at / 8] ^= 1 << (at % 8);
        let (found, _) = judged(&altered);
        let expected: &[Verdict] = match at / 8 {
            // Another range, of which events may be missing.
            byte if byte < policy => &[Tampered, Missing],
            // Keys and signatures of others are ignored, and then too few are left.
            byte if byte < extends => &[Tampered, Untrusted],
            byte if byte < first => &[Tampered],
            byte if byte < bundle.rfind(END).expect("a last line") => &[Tampered, Missing],
            _ => &[Tampered],
        };
        let byte = char::from(bundle.as_bytes()[at / 8]);
        assert!(expected.contains(&found), "bit {at} of {byte:?}: {found}");
    }
}

/// The sum in the last line is for accidents: whoever alters a bundle on purpose alters the sum too.
#[test]
fn every_single_bit_counts_also_when_the_sum_is_made_to_fit() {
    let bundle = full();
    let values = bundle.rfind("\npersonal ").expect("erased values") + 1;
    let erased = values..values + bundle[values..].find('\n').expect("a line");
    let end = bundle.rfind(END).expect("a last line");
    for at in 0..end * 8 {
        let mut altered = bundle.clone().into_bytes();
        altered[at / 8] ^= 1 << (at % 8);
        // What is no text has no sum to be altered.
        let Ok(altered) = String::from_utf8(altered) else { continue };
        let ended = run(resealed(&altered), &trust(), None);
        let (found, _) = verdict(&ended);
        if erased.contains(&(at / 8)) {
            // Name and place of what was erased are the exporter's word: nothing but another word passes.
            let same = ended.is_ok_and(|checked| (checked.values.valid, checked.values.erased) == (1, 1));
            assert!(found == Verdict::Tampered || same, "bit {at}: {altered}");
            continue;
        }
        // A bundle of fewer events is a bundle: the one bit that can say so makes it a worse one, not a better.
        assert_ne!(found, Verdict::Valid, "bit {at}: {altered}");
    }
}

#[test]
fn a_record_that_was_altered_is_found_by_its_position() {
    let bundle = bundle();
    for position in 0..EVENTS {
        let altered = bundle.replace(
            &crate::verify::base64(&record(position)),
            &crate::verify::base64(format!("Record {position} of a log").as_bytes()),
        );
        assert_eq!(judged(resealed(&altered)), (Verdict::Tampered, Some(position..position + 1)));
    }
}

#[test]
fn entries_that_change_places_are_found() {
    let bundle = bundle();
    let (first, second) = (entry(&bundle, 1), entry(&bundle, 2));
    let swapped = format!(
        "{}{}{}{}",
        &bundle[..first.start],
        &bundle[second.clone()],
        &bundle[first],
        &bundle[second.end..]
    );
    assert_eq!(judged(resealed(&swapped)), (Verdict::Tampered, Some(1..2)));
    // Also when only the records do.
    let (one, two) = (crate::verify::base64(&record(1)), crate::verify::base64(&record(2)));
    let swapped = bundle.replace(&one, "*").replace(&two, &one).replace('*', &two);
    assert_eq!(judged(resealed(&swapped)), (Verdict::Tampered, Some(1..2)));
    // One that comes twice stands where another one should.
    let twice = format!("{}{}", &bundle[..entry(&bundle, 2).end], &bundle[entry(&bundle, 2).start..]);
    assert_eq!(judged(resealed(&twice)), (Verdict::Tampered, Some(2..3)));
}

#[test]
fn entries_that_were_dropped_are_missing() {
    let bundle = bundle();
    for position in 0..EVENTS {
        assert_eq!(judged(without(&bundle, position)), (Verdict::Missing, Some(position..position + 1)));
    }
    let two = without(&without(&bundle, 2), 3);
    assert_eq!(judged(two), (Verdict::Missing, Some(2..4)));
}

#[test]
fn a_file_that_was_cut_off_lacks_what_is_not_there() {
    let bundle = bundle();
    let first = entry(&bundle, 0).start;
    for length in 0..bundle.len() {
        let expected = match (0..EVENTS).find(|position| length < entry(&bundle, *position).end) {
            _ if length < first => (Verdict::Tampered, None),
            Some(position) => (Verdict::Missing, Some(position..EVENTS)),
            None => (Verdict::Tampered, None),
        };
        assert_eq!(judged(&bundle.as_bytes()[..length]), expected, "{length} of {}", bundle.len());
    }
}

#[test]
fn what_follows_the_end_is_found() {
    for more in ["\n", "x", "event 5\n", "\0"] {
        assert_eq!(judged(bundle() + more).0, Verdict::Tampered, "{more:?}");
    }
    assert_eq!(judged(bundle() + &bundle()).0, Verdict::Tampered);
}

#[test]
fn another_key_is_not_trusted() {
    let other = Policy::new(vec![key(2).verifier(&"main".parse_log())], Vec::new(), None).expect("a policy");
    let other = Trust::new(other).expect("a key");
    assert_eq!(verdict(&run(bundle(), &other, None)).0, Verdict::Untrusted);
    // Nor is the right key's name with another key behind it, or the key of another log.
    let elsewhere = key(1).verifier(&"other".parse_log());
    let elsewhere =
        Trust::new(Policy::new(vec![elsewhere], Vec::new(), None).expect("a policy")).expect("a key");
    assert_eq!(verdict(&run(bundle(), &elsewhere, None)).0, Verdict::Untrusted);
}

#[test]
fn too_few_witnesses_are_not_enough() {
    let strict = |names: &[&str]| {
        let keys =
            names.iter().map(|name| Cosigner::new(name, &[name.len() as u8; 32]).expect("a key").verifier());
        let log = key(1).verifier(&"main".parse_log());
        let policy =
            Policy::new(vec![log], [witness().verifier()].into_iter().chain(keys).collect(), Some(2));
        Trust::new(policy.expect("a policy")).expect("a key")
    };
    let ended = run(bundle(), &strict(&["b.example.com"]), None);
    assert_eq!(verdict(&ended).0, Verdict::Untrusted);
}

fn believed(size: u64, record: impl Fn(u64) -> Vec<u8> + Copy) -> Believed {
    trust().believe(&signed(&grown(size, record).head())).expect("a checkpoint")
}

/// A smaller tree and the proof of RFC 6962 that a larger one continues it.
fn extension(from: u64, to: u64, record: impl Fn(u64) -> Vec<u8> + Copy) -> (TreeHead, Vec<Hash>) {
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    (0..to).for_each(|position| tree.push(record(position)));
    let proof = tree.prove_consistency(usize::try_from(to - from).expect("a size"));
    let (hashes, _) = proof.as_bytes().as_chunks::<32>();
    (grown(from, record).head(), hashes.to_vec())
}

#[test]
fn an_older_checkpoint_that_is_shown_again_is_stale() {
    let seen = believed(EVENTS + 1, record);
    assert_eq!(verdict(&run(bundle(), &trust(), Some(&seen))).0, Verdict::Stale);
}

#[test]
fn the_checkpoint_must_continue_the_last_one() {
    for from in 1..EVENTS {
        let bundle = bundle_of(EVENTS, record, Some(extension(from, EVENTS, record)));
        let joined = run(&bundle, &trust(), Some(&believed(from, record)));
        assert_eq!(verdict(&joined).0, Verdict::Valid, "{from}");
        // A proof of another size proves nothing about this one, and is not passed over.
        let unjoined = run(&bundle, &trust(), Some(&believed(from % (EVENTS - 1) + 1, record)));
        assert!(matches!(unjoined, Err(Stop::Unjoined(_))), "{unjoined:?}");
    }
    assert!(matches!(run(bundle(), &trust(), Some(&believed(3, record))), Err(Stop::Unjoined(3))));
    assert_eq!(verdict(&run(bundle(), &trust(), Some(&believed(EVENTS, record)))).0, Verdict::Valid);
}

/// The same log up to position `at`, and another one from there on.
fn parting(at: u64) -> impl Fn(u64) -> Vec<u8> + Copy {
    move |position| if position < at { record(position) } else { format!("other {position}").into_bytes() }
}

#[test]
fn a_log_that_parts_from_what_was_seen_is_a_fork() {
    for at in 0..EVENTS {
        let seen = believed(EVENTS, parting(at));
        assert_eq!(verdict(&run(bundle(), &trust(), Some(&seen))).0, Verdict::Forked, "at {at}");
        for from in 1..EVENTS {
            let bundle = bundle_of(EVENTS, record, Some(extension(from, EVENTS, record)));
            let ended = run(&bundle, &trust(), Some(&believed(from, parting(at))));
            // What was seen ended before the two parted.
            let expected = if from <= at { Verdict::Valid } else { Verdict::Forked };
            assert_eq!(verdict(&ended).0, expected, "at {at}, seen {from}");
        }
    }
}

/// A proof that was damaged accuses nobody, whoever is asked and whatever was seen.
#[test]
fn a_damaged_proof_is_no_fork() {
    for from in 1..EVENTS {
        let (first, proof) = extension(from, EVENTS, record);
        for at in 0..=proof.len() {
            let (mut first, mut proof) = (first, proof.clone());
            match proof.get_mut(at) {
                Some(hash) => hash[7] ^= 1,
                None => first.root[7] ^= 1,
            }
            let bundle = bundle_of(EVENTS, record, Some((first, proof)));
            for last in [None, Some(believed(from, record)), Some(believed(from, parting(0)))] {
                let ended = run(&bundle, &trust(), last.as_ref());
                assert_eq!(verdict(&ended), (Verdict::Tampered, None), "{from} {at}");
                assert!(matches!(ended, Err(Stop::Found(found, _)) if found.field == "proof"));
            }
        }
    }
    // Nor does one of a size from which nothing is to be proven pass.
    for size in [0, EVENTS] {
        let bundle = bundle_of(EVENTS, record, Some((grown(size, record).head(), Vec::new())));
        assert_eq!(judged(bundle), (Verdict::Tampered, None), "{size}");
    }
}

#[test]
fn a_proof_of_one_event_stands_alone() {
    let mut proof = String::new();
    let ended = check(bundle().as_bytes(), &trust(), None, &mut |entry| {
        if entry.position == 3 {
            proof = tlog_proof(entry.position, entry.path, entry.checkpoint);
        }
        Ok(())
    });
    let checked = ended.expect("a bundle");
    let lines: Vec<_> = proof.lines().collect();
    assert_eq!(lines[..2], ["c2sp.org/tlog-proof@v1", "index 3"]);
    let (_, note) = proof.split_once("\n\n").expect("a checkpoint");
    assert_eq!(note, checked.checkpoint.note);
}

#[test]
fn a_part_of_a_log_is_a_bundle_too() {
    let tree = grown(40, record);
    let checkpoint = signed(&tree.head());
    let header =
        Header { log: "main".to_owned(), positions: 7..12, policy: policy(), checkpoint, extends: None };
    let mut writer = Writer::begin(Vec::new(), &header).expect("a Vec");
    for position in 7..12 {
        writer.event(position, &record(position), &[], &tree.path(position).expect("a leaf")).expect("a Vec");
    }
    assert_eq!(judged(writer.end().expect("a Vec")).0, Verdict::Valid);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(512))]

    /// Any bytes, and any bytes in the place of some of a bundle's.
    #[test]
    fn nothing_makes_it_panic_or_passes(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..200),
        at in proptest::prelude::any::<proptest::sample::Index>(),
    ) {
        proptest::prop_assert_ne!(judged(&bytes).0, Verdict::Valid);
        let bundle = bundle().into_bytes();
        let from = at.index(bundle.len());
        let to = (from + bytes.len()).min(bundle.len());
        let altered = [&bundle[..from], &bytes, &bundle[to..]].concat();
        proptest::prop_assert!(altered == bundle || judged(&altered).0 != Verdict::Valid);
    }
}

/// A record that commits to one value, and the value beside it; none: it was erased.
fn personal(value: Option<&str>) -> (Vec<u8>, Vec<u8>) {
    crate::verify::values::testing::record_and_beside("ann", value)
}

/// Two events with values, and the log's own word of an erasure behind them when it is told; a part of a longer log
/// when `more`.
fn with_values(values: [Option<&str>; 2], told: bool, more: bool) -> String {
    let own = crate::verify::told::testing::record(if told { "SUBJECT_ERASED" } else { "OTHER" }, 0);
    let records = [personal(None).0, personal(None).0, own, record(3)];
    let events = if more { 3 } else { 4 };
    let mut tree = Branch::of(&Frontier::default());
    records.iter().for_each(|record| tree.push(&leaf_hash(record)));
    let mut smaller = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
    records.iter().for_each(|record| smaller.push(record.clone()));
    let proof = smaller.prove_consistency(3).as_bytes().as_chunks::<32>().0.to_vec();
    let mut first = Branch::of(&Frontier::default());
    first.push(&leaf_hash(&records[0]));
    let checkpoint = signed(&tree.head());
    let extends = Some((first.head(), proof));
    let header =
        Header { log: "main".to_owned(), positions: 0..events, policy: policy(), checkpoint, extends };
    let mut writer = Writer::begin(Vec::new(), &header).expect("a Vec");
    for (position, record) in (0..events).zip(&records) {
        let beside = usize::try_from(position).ok().and_then(|at| values.get(at));
        let beside = beside.map_or_else(Vec::new, |value| personal(*value).1);
        writer.event(position, record, &beside, &tree.path(position).expect("a leaf")).expect("a Vec");
    }
    String::from_utf8(writer.end().expect("a Vec")).expect("text")
}

#[test]
fn personal_values_are_checked_too_and_may_be_left_out() {
    let (here, gone) = (Some("ann"), None);
    for (values, valid, erased) in [([here, here], 2, 0), ([here, gone], 1, 1), ([gone, gone], 0, 2)] {
        let ended = run(with_values(values, true, false), &trust(), None);
        assert_eq!(verdict(&ended), (Verdict::Valid, None));
        let found = ended.expect("a bundle").values;
        assert_eq!((found.valid, found.erased, found.withheld), (valid, erased, 0));
    }
    let whole = with_values([here, here], true, false);
    let line = whole.lines().find(|line| line.starts_with("personal ")).expect("values");
    let ended = run(resealed(&whole.replace(&format!("{line}\n"), "")), &trust(), None);
    assert_eq!(verdict(&ended), (Verdict::Valid, None));
    assert_eq!(ended.expect("a bundle").values.withheld, 2);
    let ended = run(with_values([here, Some("eve")], true, false), &trust(), None);
    assert_eq!(verdict(&ended), (Verdict::Tampered, Some(1..2)));
    assert_eq!(ended.expect("a bundle").findings[0].field, "personal");
}

/// Whoever writes the erased form over a value leaves no event behind: only an erasure does.
#[test]
fn what_is_erased_without_an_erasure_is_tampered_when_the_log_was_read_to_its_end() {
    let ended = run(with_values([Some("ann"), None], false, false), &trust(), None);
    assert_eq!(verdict(&ended), (Verdict::Tampered, Some(1..2)));
    let findings = ended.expect("a bundle").findings;
    assert!(findings.len() == 1 && findings[0].field == "personal", "{findings:?}");
    // In a part of the log the erasure may come later: it is said, and judges nothing.
    let ended = run(with_values([Some("ann"), None], false, true), &trust(), None);
    assert_eq!(verdict(&ended), (Verdict::Valid, None));
    assert_eq!(ended.expect("a bundle").told.open().texts(), ["1"]);
    let ended = run(with_values([Some("ann"), None], true, true), &trust(), None);
    let told = ended.expect("a bundle").told;
    assert_eq!((told.open().count, told.erased().texts()), (0, vec!["1".to_owned()]));
}

/// What is extracted was checked before.
#[test]
fn values_that_are_not_the_records_are_not_shown() {
    let bundle = with_values([Some("ann"), Some("eve")], true, false);
    let mut shown = Vec::new();
    let ended = check(bundle.as_bytes(), &trust(), None, &mut |entry| {
        shown.push(!entry.beside.is_empty());
        Ok(())
    });
    assert_eq!((verdict(&ended).0, shown), (Verdict::Tampered, vec![true, false, false, false]));
}
