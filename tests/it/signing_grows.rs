//! A checkpoint of every log that grew is signed, stored, and is the tree of the acks.
use chancery::{proto::v1::GetCheckpointRequest, tree::TreeHead};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    metrics::metrics,
    server::Server,
    signing::{checkpoint, grow, signing, sizes, state, verifier},
    until,
};

#[test]
fn checkpoints_follow_growth_and_are_the_trees_of_the_acks() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        block_on(async {
            // Across the first full tile, and in two logs.
            for (log, events) in [("main", 1), ("main", 200), ("cards", 3), ("main", 300), ("cards", 1)] {
                let (size, root) = grow(&server, log, events).await;
                let opened = checkpoint(&store, log, size).await;
                assert_eq!(opened.checkpoint.head.size, size);
                assert_eq!(opened.checkpoint.head.root[..], root[..], "{kind:?} {log} {size}");
                assert_eq!(opened.checkpoint.origin, format!("audit.example.com/test/{log}"));
                assert_eq!(opened.signatures[0].key, verifier(&store, log));
                let kept = std::fs::read_to_string(state(&store).join(format!("{log}.checkpoint")));
                let kept = kept.expect("a state");
                assert_eq!(chancery::note::read(&kept), Ok(opened.checkpoint));
                let request = GetCheckpointRequest { log: log.to_owned(), ..GetCheckpointRequest::default() };
                let served = server.proofs().await.get_checkpoint(request).await.expect("a checkpoint");
                let served = served.into_inner().checkpoint.expect("a checkpoint");
                assert_eq!((served.signed_note, served.tree_size), (kept, size));
            }
            let samples = metrics(&server).await;
            assert!(samples["chancery_checkpoints_signed_total"] >= 5.0);
            assert_eq!(samples["chancery_checkpoint_halted_logs"], 0.0);
            until("no lag without growth", || async {
                metrics(&server).await["chancery_checkpoint_lag_seconds"] == 0.0
            })
            .await;
            assert!(!server.log().contains("no checkpoint"), "{}", server.log());
            // What does not grow is not signed again.
            assert_eq!(sizes(&store, "cards").await, ["3", "4"]);
        });
    }
}

#[test]
fn what_was_appended_last_is_signed_before_the_server_ends() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = signing(&store, &[]);
        block_on(async {
            let (size, root) = grow(&server, "main", 7).await;
            server.signal("TERM");
            assert_eq!(server.wait(std::time::Duration::from_secs(30)).code(), Some(0), "{}", server.log());
            assert_eq!(sizes(&store, "main").await.last(), Some(&size.to_string()), "{kind:?}");
            let head = checkpoint(&store, "main", size).await.checkpoint.head;
            assert_eq!(head, TreeHead { size, root: root.try_into().expect("a hash") });
        });
    }
}

#[test]
fn replicas_with_the_same_key_and_a_folder_each_agree() {
    let store = TestStore::new(Kind::Postgres);
    let other = store.folder.path().join("other");
    let servers =
        [signing(&store, &[]), signing(&store, &["--signer-state", other.to_str().expect("a path")])];
    block_on(async {
        for server in servers.iter().cycle().take(6) {
            let (size, root) = grow(server, "main", 5).await;
            assert_eq!(checkpoint(&store, "main", size).await.checkpoint.head.root[..], root[..]);
        }
        let size = sizes(&store, "main").await.pop().expect("a checkpoint");
        for folder in [state(&store), other.clone()] {
            let path = folder.join("main.checkpoint");
            let reached = format!("\n{size}\n");
            crate::harness::signing::file(&path, |text| text.contains(&reached)).await;
        }
        for server in &servers {
            assert_eq!(metrics(server).await["chancery_checkpoint_halted_logs"], 0.0);
        }
    });
}

#[test]
fn without_a_key_nothing_is_signed_and_the_server_says_so_once() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async {
        grow(&server, "main", 3).await;
        until("the warning", || async { server.log().contains("there is no signing key") }).await;
        assert_eq!(server.log().matches("there is no signing key").count(), 1);
        assert_eq!(sizes(&store, "main").await, [""; 0]);
        assert!(!state(&store).exists());
    });
}
