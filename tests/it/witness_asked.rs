//! A server has its checkpoints cosigned, and no witness delays them.
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chancery::note::{self, VerifierKey};
use tokio::net::TcpListener;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    metrics::metrics,
    signing::{NAME, checkpoint, grow, key, note, signing, verifier},
    until,
    witness::{Log, Witness},
};

/// Whether a note has the signatures of all these keys.
fn has(note: &str, keys: &[VerifierKey]) -> bool {
    let opened = note::open(note, keys).expect("a signed note");
    keys.iter().all(|key| opened.signatures.iter().any(|signed| signed.key == *key))
}

#[test]
fn every_witness_cosigns_and_one_that_was_away_goes_on() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        key(&store);
        let logs = [verifier(&store, "main"), verifier(&store, "cards")];
        let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        let first = Witness::named(folders[0].path(), "witness.example.com/a", "127.0.0.1:0", &logs);
        let mut second = Witness::named(folders[1].path(), "witness.example.com/b", "127.0.0.1:0", &logs);
        let flags = [&first, &second].map(|witness| format!("{}={}", witness.url, witness.key));
        let server = signing(&store, &["--witness", &flags[0], "--witness", &flags[1]]);
        block_on(async {
            for (log, events) in [("main", 1), ("main", 300), ("cards", 2)] {
                let (size, _) = grow(&server, log, events).await;
                let keys = [verifier(&store, log), first.key.clone(), second.key.clone()];
                note(&store, log, size, |note| has(note, &keys)).await;
            }
            // One is away, and the other cosigns.
            let address = second.address().to_owned();
            second.end("KILL");
            let (size, _) = grow(&server, "main", 5).await;
            note(&store, "main", size, |note| has(note, &[verifier(&store, "main"), first.key.clone()]))
                .await;
            until("it is missed", || async {
                failures(&server, "witness.example.com/b", "unreachable").await > 0.0
            })
            .await;
            // When it is back it cosigns the newest.
            let second = Witness::named(folders[1].path(), "", &address, &logs);
            note(&store, "main", size, |note| has(note, &[verifier(&store, "main"), second.key.clone()]))
                .await;
            let samples = metrics(&server).await;
            assert!(samples["chancery_witness_cosigned_total{witness=\"witness.example.com/a\"}"] >= 4.0);
            assert_eq!(failures(&server, "witness.example.com/a", "conflict").await, 0.0);
        });
    }
}

async fn failures(server: &crate::harness::server::Server, witness: &str, cause: &str) -> f64 {
    let name = format!("chancery_witness_failures_total{{witness=\"{witness}\",cause=\"{cause}\"}}");
    metrics(server).await[&name]
}

#[test]
fn a_witness_that_hangs_delays_no_checkpoint() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let folder = tempfile::tempdir().expect("a folder");
        block_on(async {
            // It takes connections and never answers.
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let taken = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&taken);
            let hanging = tokio::spawn(async move {
                let mut open = Vec::new();
                while let Ok((stream, _)) = listener.accept().await {
                    counter.fetch_add(1, Ordering::SeqCst);
                    open.push(stream);
                }
            });
            key(&store);
            let good = Witness::start(folder.path(), &[verifier(&store, "main")]);
            let hangs = Witness::key_of(folder.path(), "hanging.example.com");
            let flags = [format!("http://{address}={hangs}"), format!("{}={}", good.url, good.key)];
            let server = signing(&store, &["--witness", &flags[0], "--witness", &flags[1]]);
            let (size, _) = grow(&server, "main", 1).await;
            checkpoint(&store, "main", size).await;
            until("it was asked", || async { taken.load(Ordering::SeqCst) == 1 }).await;
            for _ in 0..6 {
                let (size, _) = grow(&server, "main", 1).await;
                // Signed, and cosigned by the other one.
                note(&store, "main", size, |note| has(note, &[verifier(&store, "main"), good.key.clone()]))
                    .await;
            }
            // Had any of the seven waited for it, it would have been asked, and waited for, once for each.
            let asked = taken.load(Ordering::SeqCst);
            assert!(asked < 7, "{kind:?}: asked {asked} times");
            hanging.abort();
        });
    }
}

#[test]
fn what_a_witness_refuses_is_counted_and_said_once() {
    let store = TestStore::new(Kind::Sqlite);
    let folder = tempfile::tempdir().expect("a folder");
    // It knows another log only.
    let stranger = Witness::start(folder.path(), &[Log::new("main").verifier()]);
    assert!(stranger.key.name() != NAME);
    // Its key is another one than configured.
    let other = Witness::key_of(folder.path(), "witness.example.com/w1");
    let flags = [format!("{}={}", stranger.url, stranger.key)];
    let server = signing(&store, &["--witness", &flags[0]]);
    block_on(async {
        let (size, _) = grow(&server, "main", 1).await;
        checkpoint(&store, "main", size).await;
        let name = stranger.key.name().to_owned();
        // Asked again for every head, and after a while.
        until("it is counted", || async { failures(&server, &name, "unknown_log").await >= 2.0 }).await;
        assert_eq!(server.log().matches("a checkpoint was not cosigned").count(), 1, "{}", server.log());
    });
    drop(server);
    let logs = [verifier(&store, "main")];
    let folder = tempfile::tempdir().expect("a folder");
    let witness = Witness::start(folder.path(), &logs);
    let server = signing(&store, &["--witness", &format!("{}={other}", witness.url)]);
    block_on(async {
        let (size, _) = grow(&server, "main", 1).await;
        until("it is counted", || async { failures(&server, other.name(), "bad_answer").await >= 1.0 }).await;
        let kept = note(&store, "main", size, |_| true).await;
        assert_eq!(kept.lines().count(), 5, "an unverified line was kept: {kept}");
    });
}
