//! A crash between the signer's file and the store leaves no gap, and a lost folder is taken up from the store.
use std::fs;

use chancery::note;

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    database::Database,
    signing::{checkpoint, file, grow, note, signing, sizes, state, verifier},
};

/// Makes the store refuse checkpoints, and nothing else.
async fn refuse(database: &mut Database, kind: Kind) {
    match kind {
        Kind::Sqlite => {
            database
                .run(
                    "CREATE TRIGGER refuse BEFORE INSERT ON checkpoints BEGIN SELECT RAISE(ABORT, 'no'); END",
                )
                .await;
        }
        Kind::Postgres => {
            database
                .run("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
                .await;
            database
                .run("CREATE TRIGGER refuse BEFORE INSERT ON checkpoints FOR EACH ROW EXECUTE FUNCTION refuse()")
                .await;
        }
    }
}

async fn allow(database: &mut Database, kind: Kind) {
    match kind {
        Kind::Sqlite => database.run("DROP TRIGGER refuse").await,
        Kind::Postgres => database.run("DROP TRIGGER refuse ON checkpoints").await,
    }
}

#[test]
fn a_kill_between_the_file_and_the_store_leaves_no_gap() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = signing(&store, &[]);
            let (first, _) = grow(&server, "main", 2).await;
            checkpoint(&store, "main", first).await;
            let mut database = Database::open(&store).await;
            refuse(&mut database, kind).await;
            let (size, root) = grow(&server, "main", 2).await;
            let signed = file(&state(&store).join("main.checkpoint"), |text| {
                note::read(text).is_ok_and(|checkpoint| checkpoint.head.size == size)
            })
            .await;
            server.signal("KILL");
            drop(server);
            assert!(!sizes(&store, "main").await.contains(&size.to_string()));
            allow(&mut database, kind).await;
            // Nothing grows: what was signed is stored all the same, to the byte.
            let server = signing(&store, &[]);
            assert_eq!(note(&store, "main", size, |_| true).await, signed, "{kind:?}");
            let opened = checkpoint(&store, "main", size).await;
            assert_eq!(opened.checkpoint.head.root[..], root[..]);
            drop(server);
        });
    }
}

/// The store fails while the server runs on: what is signed in between reaches the store later.
#[test]
fn a_checkpoint_that_the_store_refused_is_stored_when_it_takes_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = signing(&store, &[]);
        block_on(async {
            let mut database = Database::open(&store).await;
            refuse(&mut database, kind).await;
            let (size, _) = grow(&server, "main", 2).await;
            file(&state(&store).join("main.checkpoint"), |_| true).await;
            allow(&mut database, kind).await;
            checkpoint(&store, "main", size).await;
        });
    }
}

#[test]
fn a_log_without_a_file_is_taken_up_from_the_store_with_a_warning() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        block_on(async {
            let server = signing(&store, &[]);
            let (first, _) = grow(&server, "main", 2).await;
            checkpoint(&store, "main", first).await;
            server.signal("KILL");
            drop(server);
            fs::remove_dir_all(state(&store)).expect("removed");
            let server = signing(&store, &[]);
            let taken = file(&state(&store).join("main.checkpoint"), |_| true).await;
            let opened = note::open(&taken, &[verifier(&store, "main")]).expect("the head");
            assert_eq!(opened.checkpoint.head.size, first);
            let (size, _) = grow(&server, "main", 2).await;
            checkpoint(&store, "main", size).await;
            assert_eq!(
                server.log().matches("the newest one of this key in the store is taken").count(),
                1,
                "{}",
                server.log()
            );
        });
    }
}
