//! A client that opens ten thousand append streams.
use std::collections::BTreeMap;

use chancery::proto::v1::AppendResult;
use futures::future::join_all;
use tonic::Code;

use super::{Honest, bounded_memory};
use crate::harness::{
    KINDS, TestStore, block_on, calls::Refusal, events, metrics::conserved, server::Server, stream::Stream,
};

const CONNECTIONS: usize = 100;
/// Of one connection; 128 may be open at a time.
const STREAMS: usize = 100;

#[test]
fn ten_thousand_streams_are_refused_beyond_the_limits() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let honest = Honest::start(&server).await;
        let (mut open, mut refused) = (Vec::new(), BTreeMap::<_, usize>::new());
        for connection in 0..CONNECTIONS {
            let audit = server.audit().await;
            // Half of them in one name, half in ten.
            let producer =
                if connection % 2 == 0 { "one".to_owned() } else { format!("of-ten-{}", connection % 20) };
            let opening = (0..STREAMS).map(|_| {
                let (mut audit, producer) = (audit.clone(), producer.clone());
                async move { Stream::of(&mut audit, &producer).await }
            });
            for stream in join_all(opening).await {
                match stream {
                    Ok(stream) => open.push(stream),
                    Err(status) => {
                        let refusal = Refusal::of(&status);
                        let found = (refusal.code, refusal.reason.as_str());
                        assert_eq!(found, (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
                        assert!(refusal.retry_after.is_some(), "{refusal:?}");
                        *refused.entry(refusal.quotas.join(", ")).or_default() += 1;
                    }
                }
            }
        }
        honest.finish().await;
        eprintln!("{} open, refused: {refused:?}", open.len());
        assert_eq!(open.len(), 4096);
        assert!(refused["open append streams of producer one"] > 3900, "{refused:?}");
        assert!(refused["open append streams"] > 1000, "{refused:?}");
        bounded_memory(&server);
        // An open one works, and one that ends makes room.
        let mut stream = open.pop().expect("a stream");
        stream.answer().await.settings.expect("settings");
        stream.send(1, vec![events::hold("device-1")]).await;
        assert_eq!(stream.answer().await.results[0].result(), AppendResult::Accepted);
        drop(stream);
        let mut audit = server.audit().await;
        let began = std::time::Instant::now();
        while let Err(status) = Stream::of(&mut audit, "late").await {
            assert_eq!(Refusal::of(&status).reason, "TOO_MANY_STREAMS");
            assert!(began.elapsed() < std::time::Duration::from_secs(20), "the place was never given back");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        conserved(&server).await;
    });
}
