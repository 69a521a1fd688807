//! A connection does not live for ever: by and by new calls need a certificate of that time, and what is still open
//! is ended so that it can go on elsewhere. The server's clocks are set forward, its timers with them.
use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::{Site, logged, path};
use crate::{
    faults::clock::library,
    harness::{
        KINDS, TestStore, block_on,
        calls::{Audit, Refusal, accept, atomic},
        certificates::{Authority, write},
        events,
        server::{Server, Trust},
        stream::Stream,
    },
};

/// How far ahead the clocks of a server are, in minutes.
struct Ahead(PathBuf);

impl Ahead {
    fn set(&self, minutes: u32) {
        // A reader must not see half of it.
        let new = self.0.with_extension("new");
        fs::write(&new, format!("+{}\n", minutes * 60)).expect("a file");
        fs::rename(&new, &self.0).expect("a file");
    }
}

#[test]
fn calls_then_streams_end_with_the_age_of_their_connection() {
    let store = TestStore::new(KINDS[0]);
    let site = Site::new(&store);
    let ahead = Ahead(store.folder.path().join("ahead"));
    ahead.set(0);
    let environment = [
        format!("LD_PRELOAD={}", library().display()),
        format!("FAKETIME_TIMESTAMP_FILE={}", path(&ahead.0)),
        "FAKETIME_NO_CACHE=1".to_owned(),
    ];
    let wrapper: Vec<_> = std::iter::once("env").chain(environment.iter().map(String::as_str)).collect();
    let old = Trust { identity: Some(site.authority.client(&["spiffe://example.com/cms"])), ..site.trust() };
    let server = Server::start_under(&store, &wrapper, &site.mutual()).trusting(old);
    block_on(async {
        let mut audit = server.audit().await;
        accept(&mut audit, atomic(vec![events::hold("first")])).await;
        let mut stream = Stream::with(&mut audit, tonic::Request::new).await.expect("a stream");
        stream.answer().await.settings.expect("settings");
        // A stream that would never end, over a connection of the same age.
        let channel = server.channel().await;
        let watch = HealthClient::new(channel).watch(HealthCheckRequest::default()).await;
        let mut watch = watch.expect("a watch").into_inner();
        watch.message().await.expect("no error").expect("a status");

        // Its certificate is trusted no more.
        let next = Authority::new();
        write(&site.client_ca, &next.pem());
        server.signal("HUP");
        logged(&server, "new connections are made with");
        let new = Trust { identity: Some(next.client(&["spiffe://example.com/cms"])), ..site.trust() };
        let connect = || async {
            let channel = new.endpoint(&server.url()).connect().await.expect("a connection");
            Audit::new(channel)
        };
        ahead.set(26);
        accept(&mut connect().await, atomic(vec![events::hold("new")])).await;
        accept(&mut audit, atomic(vec![events::hold("old")])).await;

        ahead.set(34);
        let began = Instant::now();
        // The same channel makes another connection by itself, which is refused.
        while audit.append(atomic(vec![events::hold("late")])).await.is_ok() {
            assert!(began.elapsed() < Duration::from_secs(30), "the old certificate still makes calls");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        accept(&mut connect().await, atomic(vec![events::hold("new")])).await;
        stream.send(1, vec![events::hold("stream")]).await;
        assert_eq!(stream.answer().await.acked_through, 1, "what is open goes on");

        ahead.set(62);
        assert_eq!(stream.answer().await.drain.map(|drain| drain.reason).as_deref(), Some("STREAM_AGE"));
        accept(&mut connect().await, atomic(vec![events::hold("new")])).await;
        let silence = tokio::time::timeout(Duration::from_secs(2), watch.message()).await;
        assert!(silence.is_err(), "what is open goes on: {silence:?}");

        // Ages are spread by the number of the connection: the second one's streams end after 88 minutes.
        ahead.set(90);
        let end = tokio::time::timeout(Duration::from_secs(30), watch.message()).await.expect("in time");
        let refusal = Refusal::of(&end.expect_err("the end"));
        assert_eq!((refusal.code, refusal.reason.as_str()), (Code::Unavailable, "CONNECTION_AGE"));
        assert!(refusal.retry_after.is_some());
        accept(&mut connect().await, atomic(vec![events::hold("new")])).await;
    });
}
