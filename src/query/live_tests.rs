//! What a feed keeps in memory.
use super::*;

fn batch(first: u64, families: &[(EventFamily, &str)]) -> Batch {
    let event = |(position, (family, code)): (u64, &(EventFamily, &str))| {
        let stored = StoredEvent {
            position,
            occurred_at: 0,
            record: vec![1; 100],
            personal: b"a name".to_vec(),
            leaf_hash: [0; 32],
        };
        let columns = Columns { family: *family as i32, code: (*code).to_owned(), ..Columns::default() };
        LiveEvent::Read(Box::new((stored, columns)))
    };
    Batch::new(first, (first..).zip(families).map(event).collect())
}

/// What lies before an erasure may hold what it erases, so nobody gets it from memory any more.
#[test]
fn a_feed_forgets_what_lies_before_an_erasure() {
    let (commits, _waiting) = mpsc::channel(1);
    let feed = Feed {
        log: LogName::parse("").expect("a log"),
        ring: Mutex::default(),
        known: watch::Sender::new(None),
        commits,
        polled: watch::Sender::new(None),
        count: Arc::new(AtomicUsize::new(1)),
    };
    let token = (EventFamily::TokenServer, "SUBJECT_ERASED");
    feed.push(batch(0, &[token, token]));
    assert_eq!(feed.since(0).map(|batches| batches.len()), Some(1), "a code of another family is no erasure");
    feed.push(batch(2, &[token, (EventFamily::Chancery, "SUBJECT_ERASED"), token]));
    assert!(feed.since(0).is_none() && feed.since(4).is_none());
    assert_eq!(feed.since(5).map(|batches| batches.len()), Some(0));
    feed.push(batch(5, &[(EventFamily::Chancery, "RETENTION_APPLIED")]));
    assert_eq!(feed.since(5).map(|batches| batches.len()), Some(1));
    assert_eq!(feed.ring().bytes, batch(5, &[token]).bytes);
}
