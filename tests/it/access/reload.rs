//! The access file is read again while calls run: whose line did not change goes on, whose line changed comes back.
use std::{fs, time::Duration};

use chancery::clock::{Clock as _, SystemClock};
use chancery::proto::v1::{QueryRequest, QueryResponse, query_response::Payload};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use super::heard;
use crate::harness::{
    KINDS, Kind, TestStore,
    access::{self, by},
    block_on,
    calls::{Audit, Refusal, accept, atomic, refuse},
    events,
    issuer::{Signer, now, set, settings, with},
    server::Server,
    stream::Stream,
    until,
};

/// Longer than anything here may take.
const LONG: Duration = Duration::from_secs(30);
const ALWAYS: &str = "
[producer.steady]
logs = [\"*\"]
families = [\"*\"]
[reader.steady]
logs = [\"main\"]
families = [\"*\"]
";
const READS: &str = "
[reader.swapped]
logs = [\"main\"]
families = [\"*\"]
";
const SENDS: &str = "
[producer.swapped]
logs = [\"main\"]
families = [\"*\"]
";

/// Replaces the access file, and waits until the server has read it for the `times`-th time.
async fn reload(store: &TestStore, server: &Server, text: &str, times: usize) {
    fs::write(store.folder.path().join("access.toml"), text).expect("a file");
    server.signal("HUP");
    until("the file was read", || async {
        server.log().matches("the access file was read again").count() >= times
    })
    .await;
}

async fn follow(audit: &mut Audit, name: &str) -> Result<Streaming<QueryResponse>, Status> {
    let request = QueryRequest { follow: true, ..QueryRequest::default() };
    audit.query(by(name, request)).await.map(tonic::Response::into_inner)
}

/// Reads until an event of this position has come.
async fn until_position(stream: &mut Streaming<QueryResponse>, wanted: u64) -> Result<(), Status> {
    loop {
        let message = timeout(LONG, stream.message()).await.expect("in time")?.expect("a message");
        if let Some(Payload::Event(event)) = message.payload
            && event.position == Some(wanted)
        {
            return Ok(());
        }
    }
}

/// Reads until the stream ends with a status.
async fn ended(stream: &mut Streaming<QueryResponse>) -> Refusal {
    loop {
        match timeout(LONG, stream.message()).await.expect("in time") {
            Ok(message) => assert!(message.is_some(), "it ended without a status"),
            Err(status) => return Refusal::of(&status),
        }
    }
}

#[test]
fn roles_are_swapped_under_load_and_only_whose_line_changed_comes_back() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let names = ["steady", "swapped"];
        let (reads, sends) = (
            access::file(&format!("{ALWAYS}{READS}"), &names),
            access::file(&format!("{ALWAYS}{SENDS}"), &names),
        );
        let server = access::server(&store, &reads, "");
        block_on(async {
            let (mut audit, mut other) = (server.audit().await, server.audit().await);
            let mut steady =
                Stream::with(&mut audit, |batches| by("steady", batches)).await.expect("a stream");
            steady.answer().await.settings.expect("settings");
            let mut following = follow(&mut audit, "steady").await.expect("a query");
            let (mut batch, mut position) = (0, 0);
            for round in 0..4_usize {
                // Batches go on while the file changes under them.
                let as_reader = round % 2 == 0;
                let mut swapped_query = None;
                let mut swapped_stream = None;
                if as_reader {
                    let mut query = follow(&mut other, "swapped").await.expect("it reads");
                    if position > 0 {
                        until_position(&mut query, position - 1).await.expect("history");
                    }
                    let refusal = refuse(&mut other, by("swapped", atomic(vec![events::hold("d")]))).await;
                    assert_eq!(refusal.reason, "ROLE_REQUIRED");
                    swapped_query = Some(query);
                } else {
                    assert_eq!(
                        Refusal::of(&follow(&mut other, "swapped").await.expect_err("no reader")).reason,
                        "ROLE_REQUIRED"
                    );
                    let stream = Stream::with(&mut other, |batches| by("swapped", batches)).await;
                    let mut stream = stream.expect("it sends");
                    stream.answer().await.settings.expect("settings");
                    swapped_stream = Some(stream);
                }
                for _ in 0..5 {
                    batch += 1;
                    steady.send(batch, vec![events::hold("device-1")]).await;
                }
                reload(&store, &server, if as_reader { &sends } else { &reads }, round + 1).await;
                for _ in 0..5 {
                    batch += 1;
                    steady.send(batch, vec![events::hold("device-2")]).await;
                }
                if let Some(mut query) = swapped_query {
                    let refusal = ended(&mut query).await;
                    assert_eq!(
                        (refusal.code, refusal.reason.as_str()),
                        (Code::Unavailable, "ACCESS_CHANGED")
                    );
                }
                if let Some(mut stream) = swapped_stream {
                    let status = loop {
                        match stream.next().await {
                            Ok(answer) => assert!(answer.is_some(), "it ended without a status"),
                            Err(status) => break status,
                        }
                    };
                    assert_eq!(Refusal::of(&status).reason, "ACCESS_CHANGED");
                }
                // Nothing of the steady ones is lost, doubled or ended.
                loop {
                    let answer = steady.answer().await;
                    if answer.acked_through == batch {
                        break;
                    }
                }
                position = batch;
                until_position(&mut following, position - 1).await.expect("it goes on");
            }
            assert_eq!(position, 40, "{kind:?}");
        });
    }
}

#[test]
fn a_file_with_a_mistake_changes_nothing() {
    let store = TestStore::new(Kind::Sqlite);
    let good = access::file(ALWAYS, &["steady"]);
    let server = access::server(&store, &good, "");
    block_on(async {
        let mut audit = server.audit().await;
        let mut following = follow(&mut audit, "steady").await.expect("a query");
        for (times, wrong) in (1..).zip(["[reader", "[reader.x]\nlogs = [\"main\"]\n", "[writer.x]\n"]) {
            fs::write(store.folder.path().join("access.toml"), wrong).expect("a file");
            server.signal("HUP");
            until("the file was refused", || async {
                server.log().matches("the access file was not taken").count() >= times
            })
            .await;
            accept(&mut audit, by("steady", atomic(vec![events::hold("device")]))).await;
            until_position(&mut following, times as u64 - 1).await.expect("it goes on");
        }
    });
}

#[test]
fn a_token_that_is_taken_away_ends_its_streams_and_is_refused() {
    let store = TestStore::new(Kind::Sqlite);
    let server = access::server(&store, &access::file(ALWAYS, &["steady"]), "");
    block_on(async {
        let mut audit = server.audit().await;
        let mut following = follow(&mut audit, "steady").await.expect("a query");
        // The line stays; its token is another one.
        let mut other = access::file(ALWAYS, &[]);
        let digest: String = Sha256::digest("another").iter().map(|byte| format!("{byte:02x}")).collect();
        other.push_str(&format!("\n[[token]]\nname = \"steady\"\nsha256 = \"{digest}\"\n"));
        reload(&store, &server, &other, 1).await;
        assert_eq!(ended(&mut following).await.reason, "ACCESS_CHANGED");
        super::refused(&heard(&server, &access::token("steady")).await.expect_err("taken away"));
        heard(&server, "another").await.expect("the new one");
    });
}

#[test]
fn a_stream_ends_when_its_token_does() {
    let store = TestStore::new(Kind::Sqlite);
    let signer = Signer::new("one");
    let keys = store.folder.path().join("keys.json");
    fs::write(&keys, set(&[&signer])).expect("a file");
    let text = access::file(ALWAYS, &["steady"]);
    let ends = jiff::Timestamp::from_microsecond(SystemClock.now_micros() + 5_000_000).expect("a time");
    let server = access::server(
        &store,
        &format!("{text}expires = {ends}\n"),
        &settings(keys.to_str().expect("a path"), "leeway_seconds = 0"),
    );
    block_on(async {
        let mut audit = server.audit().await;
        let mut of_token = follow(&mut audit, "steady").await.expect("a query");
        let signed = signer.sign(&with("steady", "exp", serde_json::json!(now() + 3)));
        let request = QueryRequest { follow: true, ..QueryRequest::default() };
        let query = audit.query(super::bearing(&signed, request)).await.expect("a query");
        for mut stream in [
            query.into_inner(),
            std::mem::replace(&mut of_token, follow(&mut audit, "steady").await.expect("a query")),
        ] {
            let refusal = ended(&mut stream).await;
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::Unauthenticated, "CREDENTIAL_EXPIRED")
            );
        }
        for token in [signed, access::token("steady")] {
            super::refused(&heard(&server, &token).await.expect_err("it has ended"));
        }
    });
    let causes = super::causes(&server, 2);
    assert_eq!(causes, ["the token: it has expired", "the token has expired"]);
}

#[test]
fn a_producer_with_other_rates_keeps_its_stream() {
    let store = TestStore::new(Kind::Sqlite);
    let lines = |rate: u64| {
        let line =
            format!("[producer.ann]\nlogs = [\"main\"]\nfamilies = [\"*\"]\nevents_per_second = {rate}\n");
        access::file(&line, &["ann"])
    };
    let server = access::server(&store, &lines(50_000), "");
    block_on(async {
        let mut audit = server.audit().await;
        let mut stream = Stream::with(&mut audit, |batches| by("ann", batches)).await.expect("a stream");
        stream.answer().await.settings.expect("settings");
        reload(&store, &server, &lines(60_000), 1).await;
        stream.send(1, vec![events::hold("device-1")]).await;
        while stream.answer().await.acked_through < 1 {}
    });
}
