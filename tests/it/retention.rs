//! The oldest partitions of a log go as the site says, when nothing speaks against it; what is left reads, counts
//! and proves as before, and nothing that is gone is left out without a word.
use std::time::{Duration, Instant};

use chancery::proto::v1::{
    ApplyRetentionRequest, ApplyRetentionResponse, CountEventsRequest, GetEventRequest,
    GetInclusionProofRequest, GetRetentionRequest, NewEvent, PlaceLegalHoldRequest, QueryRequest,
    ReleaseLegalHoldRequest, Retention, RetentionState, proof_service_client::ProofServiceClient,
    query_response::Payload, retention_service_client::RetentionServiceClient,
};
use ct_merkle::{InclusionProof, RootHash, digest};
use tokio::time::sleep;
use tonic::{Code, transport::Channel};

use crate::harness::{
    KINDS, Kind, TestStore, block_on,
    calls::{Audit, Refusal, accept, append, atomic, from_producer, query, results},
    cli::run,
    database::Database,
    events,
    server::{Server, chancery},
    signing::{signing, verifier},
};

/// Events of a partition: the fewest that there can be.
const PART: u64 = 1 << 14;
const POLICY: &str = "[retention.main]\npartition_events = 16384\n\
    [retention.main.families]\ncms_audit = 30\ntoken_server = 10\n";
const DAY: i64 = 86_400_000_000;
/// Nothing takes as long, on however busy a machine.
const MOST: Duration = Duration::from_secs(120);

fn start(store: &TestStore) -> Server {
    let path = store.folder.path().join("retention.toml");
    std::fs::write(&path, POLICY).expect("a configuration file");
    signing(store, &["--config", path.to_str().expect("a path")])
}

/// Appends to main until it has so many events.
async fn fill(audit: &mut Audit, size: u64) -> Vec<NewEvent> {
    let mut sent = Vec::new();
    loop {
        let have = sent.len() as u64;
        if have == size {
            return sent;
        }
        let batch: Vec<_> = (have..size.min(have + 1000))
            .map(|number| match number % 3 {
                0 => events::token("CONSENT_GIVEN"),
                _ => events::hold(&format!("device-{}", number % 100)),
            })
            .collect();
        accept(audit, atomic(batch.clone())).await;
        sent.extend(batch);
    }
}

async fn client(server: &Server) -> RetentionServiceClient<Channel> {
    RetentionServiceClient::new(server.channel().await)
}

async fn standing(server: &Server) -> Retention {
    let answer = client(server).await.get_retention(GetRetentionRequest::default()).await;
    answer.expect("an answer").into_inner().retention.expect("a log")
}

async fn apply(server: &Server) -> ApplyRetentionResponse {
    let request = ApplyRetentionRequest { reason: "a test".to_owned(), ..ApplyRetentionRequest::default() };
    client(server).await.apply_retention(request).await.expect("an answer").into_inner()
}

/// Waits until a log's first partitions could go, were they old enough.
async fn ready(store: &TestStore, below: u64) {
    let mut database = Database::open(store).await;
    let began = Instant::now();
    for what in [
        "SELECT coalesce(max(tree_size), 0) FROM checkpoints WHERE log = 'main'",
        "SELECT coalesce(max(tile) + 1, 0) * 256 FROM tiles WHERE log = 'main' AND level = 0",
        "SELECT coalesce(max(indexed), 0) FROM index_heads WHERE log = 'main'",
    ] {
        while u64::try_from(database.number(what).await).expect("a size") < below {
            assert!(began.elapsed() < MOST, "{what}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Makes some events as old as if they had been received so many days ago.
async fn age(store: &TestStore, positions: std::ops::Range<u64>, days: i64) {
    let (from, to) = (positions.start, positions.end);
    let at = i64::try_from(std::time::UNIX_EPOCH.elapsed().expect("a clock").as_micros()).expect("a time");
    let statement = format!(
        "UPDATE events SET received_at = {} WHERE log = 'main' AND position >= {from} AND position < {to}",
        at - days * DAY
    );
    Database::open(store).await.run(&statement).await;
}

/// Waits until the events below a position are not in the database any more.
async fn dropped(store: &TestStore, below: u64) {
    let mut database = Database::open(store).await;
    let began = Instant::now();
    let left = format!("SELECT count(*) FROM events WHERE log = 'main' AND position < {below}");
    while database.number(&left).await > 0 {
        assert!(began.elapsed() < MOST, "the events are still there");
        sleep(Duration::from_millis(100)).await;
    }
}

fn pruned(status: &tonic::Status, oldest: u64) {
    let refusal = Refusal::of(status);
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::OutOfRange, "POSITION_PRUNED"));
    assert_eq!(refusal.metadata["oldest_position"], oldest.to_string());
}

/// Counts by hour and code are those of the events that are read.
async fn assert_counts(audit: &mut Audit, oldest: u64) {
    let read = query(audit, QueryRequest::default()).await;
    assert_eq!(read.positions().first(), Some(&oldest));
    assert_eq!(read.summary.oldest_position, oldest);
    for group_by in [vec![], vec!["code".to_owned()], vec!["producer".to_owned(), "family".to_owned()]] {
        let request = CountEventsRequest { group_by: group_by.clone(), ..CountEventsRequest::default() };
        let counted = audit.count_events(request).await.expect("counts").into_inner();
        assert_eq!((counted.total, counted.oldest_position), (read.events.len() as u64, oldest));
        for row in counted.rows.iter().filter(|_| group_by == ["code"]) {
            let of_code = read.events.iter().filter(|event| event.code == row.group["code"]).count();
            assert_eq!(row.count, of_code as u64, "{row:?}");
        }
    }
}

#[test]
fn a_partition_goes_when_its_last_event_may_and_leaves_no_gap_without_a_word() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = start(&store);
        let sent = block_on(async {
            let mut audit = server.audit().await;
            let sent = fill(&mut audit, 2 * PART + 100).await;
            let other = chancery::proto::v1::AppendRequest {
                log: "other".to_owned(),
                ..atomic(vec![events::hold("device-1")])
            };
            append(&mut audit, other).await;
            ready(&store, 2 * PART).await;
            assert_eq!(standing(&server).await.state(), RetentionState::Kept, "{kind:?}");
            assert!(apply(&server).await.event_position.is_none());

            sent
        });
        let hold_id = events::fresh_id();
        block_on(async {
            let hold = PlaceLegalHoldRequest {
                hold_id: hold_id.clone(),
                reason: "case".to_owned(),
                ..PlaceLegalHoldRequest::default()
            };
            let mut legal = client(&server).await;
            for _ in 0..2 {
                let placed = legal.place_legal_hold(from_producer("legal", hold.clone())).await;
                assert_eq!(placed.expect("a hold").into_inner().hold.expect("a hold").placed_by, "legal");
            }
        });
        drop(server);
        // The consents could go, the rest of the partition not yet. A server looks through a partition once.
        block_on(age(&store, 0..PART, 20));
        let server = start(&store);
        block_on(async {
            let kept = standing(&server).await;
            assert_eq!((kept.state(), kept.removable_below), (RetentionState::Kept, 0), "{kind:?}");
        });
        drop(server);
        block_on(age(&store, 0..PART, 31));
        let server = start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            assert!(apply(&server).await.event_position.is_none());
            let held = standing(&server).await;
            assert_eq!((held.state(), held.holds.len()), (RetentionState::Held, 1));
            let release = ReleaseLegalHoldRequest { hold_id, ..ReleaseLegalHoldRequest::default() };
            let mut legal = client(&server).await;
            legal.release_legal_hold(from_producer("judge", release)).await.expect("a release");
            assert_eq!(standing(&server).await.removable_below, PART);

            let token =
                query(&mut audit, QueryRequest { limit: 10, ..QueryRequest::default() }).await.last_token;
            let stream = audit.query(QueryRequest::default()).await.expect("a query");
            let applied = apply(&server).await;
            let told = applied.event_position.expect("an event");
            assert_eq!(told, 2 * PART + 100);
            let get = |position| GetEventRequest { position: Some(position), ..GetEventRequest::default() };
            let event = audit.get_event(get(told)).await.expect("the event").into_inner().event;
            let event = event.expect("the event");
            assert_eq!(event.code, "RETENTION_APPLIED");
            let of = |name: &str| {
                event.attributes.iter().find(|each| each.name == name).expect("an attribute").value.clone()
            };
            assert_eq!((of("first_position"), of("minimum_position")), ("0".to_owned(), PART.to_string()));
            assert!(of("tree_size").parse::<u64>().expect("a size") >= PART);
            assert!(apply(&server).await.event_position.is_none(), "once");

            // What is gone is told, before and after the partition is dropped.
            for round in 0..2 {
                pruned(&audit.get_event(get(PART - 1)).await.expect_err("it is gone"), PART);
                let by_id = GetEventRequest {
                    producer: "anonymous".to_owned(),
                    event_id: sent[5].event_id.clone(),
                    ..GetEventRequest::default()
                };
                pruned(&audit.get_event(by_id).await.expect_err("it is gone"), PART);
                let resumed = QueryRequest { resume_token: token.clone(), ..QueryRequest::default() };
                let mut resumed = audit.query(resumed).await.expect("a stream").into_inner();
                pruned(&resumed.message().await.expect_err("it is gone"), PART);
                let named = QueryRequest { r#where: "position < 100".to_owned(), ..QueryRequest::default() };
                let mut named = audit.query(named).await.expect("a stream").into_inner();
                pruned(&named.message().await.expect_err("it is gone"), PART);
                let count = CountEventsRequest {
                    r#where: "position < 100".to_owned(),
                    ..CountEventsRequest::default()
                };
                pruned(&audit.count_events(count).await.expect_err("it is gone"), PART);
                assert_counts(&mut audit, PART).await;
                let again = append(&mut audit, atomic(vec![sent[7].clone()])).await;
                assert_eq!(again.results[0].position, Some(7), "{:?}", results(&again));
                if round == 0 {
                    dropped(&store, PART).await;
                }
            }
            // What is left leads to the signed root, and the log itself tells of what is not.
            let key = verifier(&store, "main").to_string();
            let verified = run(&mut server.cli(&["verify", "--key", &key]), "");
            assert_eq!(verified.code, 0, "{kind:?} {verified:?}");
            assert!(verified.out.contains(&PART.to_string()), "{verified:?}");

            // The query that had begun before has left out nothing without a word.
            let mut stream = stream.into_inner();
            let mut next = 0;
            let end = loop {
                match stream.message().await {
                    Ok(Some(message)) => {
                        if let Some(Payload::Event(event)) = message.payload {
                            assert_eq!(event.position, Some(next));
                            next += 1;
                        }
                    }
                    Ok(None) => break None,
                    Err(status) => break Some(status),
                }
            };
            match end {
                None => assert!(next > 2 * PART, "{kind:?}"),
                Some(status) if status.code() == Code::OutOfRange => pruned(&status, PART),
                Some(status) => assert_eq!(Refusal::of(&status).reason, "SLOW_READER"),
            }

            proofs(&server, PART).await;
            if kind == Kind::Postgres {
                let mut database = Database::open(&store).await;
                let parts = database
                    .texts(
                        "SELECT DISTINCT tableoid::regclass::text FROM events WHERE log = 'main' ORDER BY 1",
                    )
                    .await;
                assert!(parts.iter().all(|part| part.starts_with("events_log_")), "{parts:?}");
                let gone = "SELECT relname::text FROM pg_class WHERE relname LIKE 'events_log_%_p0' AND relkind = 'r'";
                assert!(database.texts(gone).await.is_empty());
                assert_eq!(database.number("SELECT count(*) FROM events WHERE log = 'other'").await, 1);
            }
        });
        drop(server);
        let server = start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::hold("device-1")])).await;
            assert_counts(&mut audit, PART).await;
        });
        verified(&store, &server);
    }
}

/// What is left is what was signed, and the log tells of what is gone.
fn verified(store: &TestStore, server: &Server) {
    let key = verifier(store, "main").to_string();
    let ran = run(&mut server.cli(&["verify", "-o", "json", "--key", &key]), "");
    let row = &ran.json()[0];
    assert_eq!((ran.code, &row["verdict"]), (0, &"valid".into()), "{ran:?}");
    assert_eq!(row["firstPosition"], PART.to_string(), "{ran:?}");
    assert_eq!((&row["removedBelow"], &row["removedBy"]), (&PART.to_string().into(), &"32868".into()));
    assert!(ran.err.contains("16384 events below were removed by retention"), "{ran:?}");
    let bundle = store.folder.path().join("bundle");
    let bundle = bundle.to_str().expect("a path");
    let ran = run(&mut server.cli(&["export", "--from", "100", "--to", "200", "-o", bundle]), "");
    assert!(ran.code == 2 && ran.err.contains("the oldest that is left is 16384"), "{ran:?}");
    let ran = run(&mut server.cli(&["export", "--to", "16400", "-o", bundle]), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = run(chancery().args(["verify", bundle, "--key", &key]), "");
    assert!(ran.code == 0 && ran.err.contains("16 events"), "{ran:?}");
}

/// Events on both sides of the boundary are proven to be in the tree of today.
async fn proofs(server: &Server, boundary: u64) {
    let mut proof = ProofServiceClient::new(server.channel().await);
    for position in [0, 1, boundary - 1, boundary, 2 * boundary + 50] {
        let request = GetInclusionProofRequest { position, ..GetInclusionProofRequest::default() };
        let answer = proof.get_inclusion_proof(request).await.expect("a proof").into_inner();
        let tree = answer.checkpoint.expect("a tree");
        let hashes: Vec<_> = answer
            .hashes
            .iter()
            .map(|hash| digest::Output::<sha2::Sha256>::try_from(&hash[..]).expect("a hash"))
            .collect();
        let root = digest::Output::<sha2::Sha256>::try_from(&tree.root_hash[..]).expect("a root");
        let proof = InclusionProof::<sha2::Sha256>::from_digests(hashes.iter());
        // The record of what is gone is not there to be hashed: its leaf hash is, in the tile.
        if position >= boundary {
            let request = GetEventRequest { position: Some(position), ..GetEventRequest::default() };
            let event = server.audit().await.get_event(request).await.expect("an event").into_inner();
            assert_eq!(event.event.expect("an event").leaf_hash, answer.leaf_hash);
        }
        assert!(included(&RootHash::new(root, tree.tree_size), &answer.leaf_hash, position, &proof));
    }
}

/// The verifier hashes leaves itself, so a leaf hash is proven as what `tlog_tiles` takes it for.
fn included(
    root: &RootHash<sha2::Sha256>,
    leaf_hash: &[u8],
    position: u64,
    proof: &InclusionProof<sha2::Sha256>,
) -> bool {
    use tlog_tiles::tlog::{Hash, check_record};
    let hash = |bytes: &[u8]| Hash(bytes.try_into().expect("a hash"));
    let path = proof.as_bytes().chunks(32).map(hash).collect();
    check_record(&path, root.num_leaves(), hash(root.as_bytes()), position, hash(leaf_hash)).is_ok()
}

#[test]
fn what_the_policy_does_not_name_is_kept_for_ever() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            accept(&mut audit, atomic(vec![events::examples("as_audit").remove(0)])).await;
            fill(&mut audit, PART).await;
            ready(&store, PART).await;
            age(&store, 0..PART, 4000).await;
            assert_eq!(standing(&server).await.state(), RetentionState::KeptForEver, "{kind:?}");
            assert!(apply(&server).await.event_position.is_none());
            assert_counts(&mut audit, 0).await;
        });
    }
}

#[test]
fn a_log_that_lies_among_others_is_moved_when_the_operator_says_so() {
    let store = TestStore::new(Kind::Postgres);
    let read = |server: &Server| {
        block_on(async {
            let mut audit = server.audit().await;
            query(&mut audit, QueryRequest::default()).await.events
        })
    };
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        fill(&mut audit, 2500).await;
    });
    let before = read(&server);
    drop(server);
    let path = store.folder.path().join("retention.toml");
    std::fs::write(&path, POLICY).expect("a configuration file");
    let config = ["serve", "--store", &store.url, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let refused = chancery().args(config).arg("--config").arg(&path).output().expect("chancery serve");
    assert_eq!(refused.status.code(), Some(2));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("chancery partition main"), "{text}");
    for _ in 0..2 {
        let moved = ["partition", "main", "--partition-events", "16384", "--store", &store.url];
        let moved = chancery().args(moved).output().expect("chancery partition");
        assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
        assert!(String::from_utf8_lossy(&moved.stdout).contains("16384"));
    }
    let server = start(&store);
    assert_eq!(read(&server), before);
    block_on(async {
        let mut database = Database::open(&store).await;
        assert_eq!(database.number("SELECT count(*) FROM events_shared WHERE log = 'main'").await, 0);
        let mut audit = server.audit().await;
        assert_eq!(accept(&mut audit, atomic(vec![events::hold("device-1")])).await, [2500]);
    });
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async {
        let mut client = client(&server).await;
        let place = |log: &str, hold_id: &str, reason: &str| PlaceLegalHoldRequest {
            log: log.to_owned(),
            hold_id: hold_id.to_owned(),
            reason: reason.to_owned(),
        };
        let id = events::fresh_id();
        for (request, reason) in [
            (place("main", &id, "case"), "LOG_NOT_FOUND"),
            (place("main", "4711", "case"), "INVALID_HOLD_ID"),
            (place("main", &id, ""), "INVALID_REASON"),
            (place("main", &id, &"x".repeat(1001)), "INVALID_REASON"),
            (place("Main", &id, "case"), "INVALID_LOG"),
        ] {
            let status = client.place_legal_hold(request).await.expect_err(reason);
            assert_eq!(Refusal::of(&status).reason, reason);
        }
        let release = ReleaseLegalHoldRequest { hold_id: id, ..ReleaseLegalHoldRequest::default() };
        let status = client.release_legal_hold(release).await.expect_err("no hold");
        assert_eq!(Refusal::of(&status).reason, "HOLD_NOT_FOUND");
        let standing = standing(&server).await;
        assert_eq!((standing.state(), standing.policy.as_str()), (RetentionState::NoPolicy, ""));
    });
}
