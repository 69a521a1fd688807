//! New certificates and authorities are taken up by a signal, or by themselves when the files change. What is open
//! goes on; what is new goes by the new ones; a bad file changes nothing.
use std::time::Duration;

use chancery::proto::v1::{
    QueryRequest, QueryResponse, audit_service_client::AuditServiceClient, query_response::Payload,
};
use tonic::{Status, Streaming};

use super::{Site, logged};
use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{accept, atomic},
    certificates::{Authority, Issued, OVER, write},
    events,
    metrics::metrics,
    server::{Server, Trust},
    stream::Stream,
};

const TAKEN_UP: &str = "new connections are made with the certificates that were read now";

/// A following query, caught up.
async fn follow(server: &Server) -> Streaming<QueryResponse> {
    let request = QueryRequest { follow: true, ..QueryRequest::default() };
    let mut stream = server.audit().await.query(request).await.expect("a query").into_inner();
    while !matches!(
        stream.message().await.expect("no error").expect("a message").payload,
        Some(Payload::CaughtUp(_))
    ) {}
    stream
}

/// The correlation id of the next event that it brings.
async fn arrived(stream: &mut Streaming<QueryResponse>) -> String {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(30), stream.message()).await.expect("in time");
        if let Some(Payload::Event(event)) = message.expect("no error").expect("a message").payload {
            return event.device;
        }
    }
}

/// An append over a new connection.
async fn call(server: &Server, ca: &str, identity: &Issued) -> Result<(), Status> {
    let trust = Trust { ca: ca.to_owned(), identity: Some(identity.clone()) };
    let channel = trust.endpoint(&server.url()).connect().await;
    let channel = channel.map_err(|error| Status::unavailable(format!("{error:?}")))?;
    AuditServiceClient::new(channel).append(atomic(vec![events::hold("new")])).await.map(drop)
}

#[test]
fn open_streams_go_on_and_new_connections_go_by_the_new_files() {
    for kind in KINDS {
        for by_signal in [true, false] {
            let store = TestStore::new(kind);
            let site = Site::new(&store);
            let uris = ["spiffe://example.com/cms"];
            let old = site.authority.client(&uris);
            let server = site.start_mutual(old.clone());
            block_on(async {
                let mut stream = Stream::open(&server).await;
                stream.answer().await.settings.expect("settings");
                let mut following = follow(&server).await;
                let mut before = server.audit().await;
                accept(&mut before, atomic(vec![events::hold("before")])).await;
                assert_eq!(arrived(&mut following).await, "before");

                let next = Authority::new();
                next.server(&["localhost", "127.0.0.1"]).write(store.folder.path(), "server");
                write(&site.client_ca, &next.pem());
                if by_signal {
                    server.signal("HUP");
                }
                logged(&server, TAKEN_UP);

                stream.send(1, vec![events::hold("stream")]).await;
                assert_eq!(stream.answer().await.acked_through, 1);
                assert_eq!(arrived(&mut following).await, "stream");
                accept(&mut before, atomic(vec![events::hold("after")])).await;
                assert_eq!(arrived(&mut following).await, "after");

                let new = next.client(&uris);
                call(&server, &site.authority.pem(), &old).await.expect_err("another server certificate");
                call(&server, &next.pem(), &old).await.expect_err("another authority for clients");
                call(&server, &next.pem(), &new).await.expect("an append");
                assert_eq!(arrived(&mut following).await, "new");
            });
        }
    }
}

#[test]
fn a_bad_file_keeps_the_old_certificates_and_is_told() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let client = site.authority.client(&["spiffe://example.com/cms"]);
    let server = site.start_mutual(client.clone());
    let (certificate, key) = (
        std::fs::read_to_string(&site.certificate).expect("a file"),
        std::fs::read_to_string(&site.key).expect("a file"),
    );
    let ca = site.authority.pem();
    block_on(async {
        let names = ["localhost", "127.0.0.1"];
        let expired = site.authority.server_lasting(&names, OVER);
        let wrong: [(&dyn Fn(), &str); 4] = [
            (&|| write(&site.certificate, "hello"), "is not PEM"),
            (&|| write(&site.key, &site.authority.server(&names).key), "is not the key of the certificate"),
            (&|| drop(expired.write(store.folder.path(), "server")), "the certificate expired on 2021-01-01"),
            (&|| write(&site.client_ca, &client.certificate), "has no certificate of an authority"),
        ];
        for (at, (spoil, says)) in (1..).zip(wrong) {
            spoil();
            server.signal("HUP");
            logged(&server, says);
            let line = server.log().lines().find(|line| line.contains(says)).map(str::to_owned);
            assert!(
                line.is_some_and(|line| line.contains("ERROR") && line.contains("stay in force")),
                "{says}"
            );
            call(&server, &ca, &client).await.expect("an append by the old certificates");
            write(&site.certificate, &certificate);
            write(&site.key, &key);
            write(&site.client_ca, &ca);
            // One for the signal, and one for the change when it was noticed before the files were whole again.
            assert!(metrics(&server).await["chancery_tls_reload_failures_total"] >= f64::from(at));
        }
        server.signal("HUP");
        logged(&server, TAKEN_UP);
        call(&server, &ca, &client).await.expect("an append");
    });
}

/// Without TLS there is nothing to reload, and the signal ends nothing.
#[test]
fn the_signal_is_taken_by_every_server() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    server.signal("HUP");
    logged(&server, "SIGHUP");
    block_on(async {
        accept(&mut server.audit().await, atomic(vec![events::hold("x")])).await;
    });
}
