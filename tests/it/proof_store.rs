//! What a store keeps of trees: each tile and checkpoint once, found by its key, and nothing of it
//! overwritten but the cosignatures.
use std::fs;

use chancery::{
    event::LogName,
    store::{self, NewTile, StoredCheckpoint, TILE_BYTES, WantedCheckpoint},
    tree::TreeHead,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::harness::{KINDS, Kind, TestStore, block_on, root};

fn log(name: &str) -> LogName {
    LogName::parse(name).expect("a log")
}

fn tile(level: u8, tile: u64, byte: u8) -> NewTile {
    NewTile { level, tile, root: [byte; 32], hashes: vec![byte; TILE_BYTES] }
}

#[test]
fn a_tile_is_kept_once_and_found_by_its_place() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            let (main, other) = (log("main"), log("other"));
            assert_eq!(store.full_tiles(&main, 0).await.expect("a number"), 0);
            store.add_tiles(&main, &[tile(0, 0, 1), tile(0, 1, 2), tile(1, 0, 3)]).await.expect("kept");
            // The second writer of a tile is late, and one of its tiles is new.
            store.add_tiles(&main, &[tile(0, 1, 9), tile(0, 2, 4)]).await.expect("kept");
            store.add_tiles(&other, &[tile(0, 0, 5)]).await.expect("kept");
            assert_eq!(store.full_tiles(&main, 0).await.expect("a number"), 3);
            assert_eq!(store.full_tiles(&main, 1).await.expect("a number"), 1);
            assert_eq!(store.full_tiles(&main, 2).await.expect("a number"), 0);
            assert_eq!(store.full_tiles(&other, 0).await.expect("a number"), 1);
            let found = store.tiles(&main, &[(1, 0), (0, 7), (0, 1), (0, 1)]).await.expect("tiles");
            let bytes = |byte: u8| Some(vec![byte; TILE_BYTES]);
            assert_eq!(found, [bytes(3), None, bytes(2), bytes(2)], "{kind:?}");
            assert_eq!(store.tiles(&main, &[]).await.expect("tiles"), []);
            let roots = store.tile_roots(&main, 0, 1..3).await.expect("roots");
            assert_eq!(roots, [[2; 32], [4; 32]], "{kind:?}");
            // Fewer where the last ones are not written yet; but a gap is damage.
            assert_eq!(store.tile_roots(&main, 0, 1..9).await.expect("roots").len(), 2, "{kind:?}");
            assert_eq!(store.tile_roots(&main, 1, 1..9).await.expect("roots"), [[0_u8; 32]; 0], "{kind:?}");
            store.add_tiles(&other, &[tile(0, 2, 5)]).await.expect("kept");
            assert!(store.tile_roots(&other, 0, 0..3).await.is_err(), "{kind:?}");
            assert!(store.tile_roots(&other, 0, 1..3).await.is_err(), "{kind:?}");
            let short = NewTile { hashes: vec![0; 64], ..tile(0, 3, 0) };
            assert!(store.add_tiles(&main, &[short]).await.is_err());
            store.close().await;
        });
    }
}

#[test]
fn a_checkpoint_is_kept_once_and_its_note_takes_cosignatures() {
    for kind in KINDS {
        let test = TestStore::new(kind);
        block_on(async {
            let store = store::connect(&test.url.parse().expect("a URL")).await.expect("a store");
            let (main, other) = (log("main"), log("other"));
            let checkpoint = |size: u64, byte: u8| StoredCheckpoint {
                tree: TreeHead { size, root: [byte; 32] },
                signed_note: format!("note {byte}"),
                signed_at: 7,
            };
            let get = async |wanted| store.checkpoint(&main, wanted).await.expect("an answer");
            assert_eq!(get(WantedCheckpoint::Newest).await, None);
            for (size, byte) in [(5, 1), (900, 2), (900, 3), (70, 4)] {
                store.add_checkpoint(&main, &checkpoint(size, byte)).await.expect("kept");
            }
            store.add_checkpoint(&other, &checkpoint(6, 9)).await.expect("kept");
            assert_eq!(get(WantedCheckpoint::Newest).await, Some(checkpoint(900, 2)), "{kind:?}");
            for (least, found) in [(0, 5), (5, 5), (6, 70), (71, 900)] {
                let size = get(WantedCheckpoint::AtLeast(least)).await.map(|found| found.tree.size);
                assert_eq!(size, Some(found), "{kind:?} {least}");
            }
            assert_eq!(get(WantedCheckpoint::AtLeast(901)).await, None);
            assert_eq!(get(WantedCheckpoint::Exactly(70)).await, Some(checkpoint(70, 4)));
            assert_eq!(get(WantedCheckpoint::Exactly(71)).await, None);
            for (below, found) in [(5, None), (6, Some(5)), (900, Some(70)), (901, Some(900))] {
                let size = get(WantedCheckpoint::Below(below)).await.map(|found| found.tree.size);
                assert_eq!(size, found, "{kind:?} {below}");
            }
            // Of two that read the same note and add to it, the second one reads again.
            let cosigned =
                |line: &str| StoredCheckpoint { signed_note: format!("note 4, {line}"), ..checkpoint(70, 4) };
            let (one, other_one) = (cosigned("one"), cosigned("other"));
            assert!(store.replace_checkpoint(&main, &one, "note 4").await.expect("an answer"));
            assert!(!store.replace_checkpoint(&main, &other_one, "note 4").await.expect("an answer"));
            assert_eq!(get(WantedCheckpoint::Exactly(70)).await, Some(one), "{kind:?}");
            assert!(!store.add_checkpoint(&main, &checkpoint(70, 5)).await.expect("an answer"));
            // Of a key that begins anew.
            let anew = checkpoint(70, 6);
            assert!(store.replace_checkpoint(&main, &anew, "note 4, one").await.expect("an answer"));
            assert_eq!(get(WantedCheckpoint::Exactly(70)).await, Some(anew), "{kind:?}");
            store.close().await;
        });
    }
}

/// For SQLite see `src/store/sqlite/plans_tests.rs`.
#[test]
fn tiles_and_checkpoints_are_looked_up_by_their_keys() {
    let test = TestStore::new(Kind::Postgres);
    block_on(async {
        let mut connection = PgConnection::connect(&test.url).await.expect("the database");
        // As the sessions of the server have it.
        for setting in ["enable_seqscan", "enable_bitmapscan"] {
            sqlx::query(AssertSqlSafe(format!("SET {setting} = off")))
                .execute(&mut connection)
                .await
                .expect("set");
        }
        for (name, arguments, key) in [
            ("full_tiles", "'main', 0::smallint", "tiles_pkey"),
            ("tiles", "'main', '{0,1}', '{5,6}'", "tiles_pkey"),
            ("tile_roots", "'main', 0::smallint, 5, 9", "tiles_pkey"),
            ("checkpoint_newest", "'main'", "checkpoints_pkey"),
            ("checkpoint_from", "'main', 5", "checkpoints_pkey"),
            ("checkpoint_at", "'main', 5", "checkpoints_pkey"),
            ("checkpoint_below", "'main', 5", "checkpoints_pkey"),
            ("checkpoint_replace", "'main', 5, '', 'note', 7, 'former'", "checkpoints_pkey"),
        ] {
            let text =
                fs::read_to_string(root().join(format!("src/store/postgres/{name}.sql"))).expect("SQL");
            let run = AssertSqlSafe(format!("PREPARE {name} AS {text}"));
            sqlx::raw_sql(run).execute(&mut connection).await.expect("prepared");
            let explain = AssertSqlSafe(format!("EXPLAIN EXECUTE {name} ({arguments})"));
            let rows = sqlx::raw_sql(explain).fetch_all(&mut connection).await.expect("a plan");
            let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            let plan = plan.join("\n");
            assert!(plan.contains(&format!("using {key} on ")), "{name}: {plan}");
            assert!(!plan.contains("Sort"), "{name}: {plan}");
        }
    });
}
