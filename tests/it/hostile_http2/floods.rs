//! More of something than anybody needs: streams, resets, CONTINUATION, empty DATA, PING, SETTINGS.
use std::time::Duration;

use super::{
    attacked,
    raw::{
        APPEND, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS,
        MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE, PING, PROTOCOL_ERROR, REFUSED_STREAM, RST_STREAM, Raw,
        SETTINGS, call, frame, header, stream,
    },
};
use crate::harness::metrics::metrics;

/// What the server announces, and refuses when it is not respected.
#[test]
fn a_stream_beyond_the_announced_128_is_refused() {
    attacked(|server| async move {
        let mut raw = Raw::open(&server, &[]).await;
        let settings = raw.until(SETTINGS).await.pop().expect("settings").settings();
        assert!(settings.contains(&(MAX_CONCURRENT_STREAMS, 128)), "{settings:?}");
        assert!(settings.contains(&(MAX_HEADER_LIST_SIZE, 16_384)), "{settings:?}");
        for number in 0..200 {
            assert!(raw.send(&frame(HEADERS, END_HEADERS, stream(number), &call(APPEND))).await);
        }
        let frames = raw.settle().await;
        let refused: Vec<_> = frames.iter().filter(|frame| frame.kind == RST_STREAM).collect();
        assert!(refused.iter().all(|frame| frame.code() == REFUSED_STREAM), "{refused:?}");
        let streams: Vec<_> = refused.iter().map(|frame| frame.stream).collect();
        assert_eq!(streams, (128..200).map(stream).collect::<Vec<_>>());
        // The others go on; they are counted when they are taken up.
        while metrics(&server).await["rpc_server_active_calls"] < 128.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(raw);
    });
}

/// CVE-2023-44487: 5,000 calls, each with a whole event, each given up at once. The handlers that run are those of the
/// few calls that were taken up before.
#[test]
fn calls_that_are_reset_at_once_end_their_connection() {
    attacked(|server| async move {
        for _ in 0..5 {
            let mut raw = Raw::open(&server, &[]).await;
            let flood: Vec<u8> = (0..1_000)
                .flat_map(|number| {
                    let id = stream(number);
                    let call = frame(HEADERS, END_HEADERS, id, &call(APPEND));
                    let event = frame(DATA, END_STREAM, id, &[0, 0, 0, 0, 2, 0x12, 0]);
                    [call, event, frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()
                })
                .collect();
            raw.send(&flood).await;
            assert_eq!(raw.ended().await, ENHANCE_YOUR_CALM);
        }
        // At most 128 are open at a time, and 20 wait to be taken up.
        let metrics = metrics(&server).await;
        let handled = metrics.get("chancery_ingest_events_total{result=\"rejected\"}").copied();
        assert!(handled.unwrap_or_default() <= 5.0 * 148.0, "{handled:?} of 5,000");
    });
}

/// RUSTSEC-2024-0003: what the server itself must reset, 256 times.
#[test]
fn streams_that_the_server_must_reset_end_their_connection() {
    attacked(|server| async move {
        let mut raw = Raw::open(&server, &[]).await;
        let malformed = [call(APPEND), header(b"connection", b"x", false)].concat();
        let flood: Vec<u8> = (0..2_000)
            .flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, stream(number), &malformed))
            .collect();
        raw.send(&flood).await;
        let frames = raw.rest().await;
        let resets: Vec<_> = frames.iter().filter(|frame| frame.kind == RST_STREAM).collect();
        assert!(resets.len() <= 256, "{}", resets.len());
        assert!(resets.iter().all(|frame| frame.code() == PROTOCOL_ERROR), "{resets:?}");
        let last = frames.last().expect("a frame");
        assert_eq!(last.code(), ENHANCE_YOUR_CALM, "{last:?}");
    });
}

/// Sends a thousand frames a thousand times, which the server does not take.
async fn floods(raw: &mut Raw, flood: &[u8]) {
    let mut sent = 0;
    while sent < 1_000 && raw.send(flood).await {
        sent += 1;
    }
    assert!(sent < 1_000, "a million frames were taken");
    assert_eq!(raw.ended().await, ENHANCE_YOUR_CALM);
}

/// RUSTSEC-2024-0332: headers that never end, with something in every frame or nothing.
#[test]
fn headers_that_never_end_end_their_connection() {
    attacked(|server| async move {
        for piece in [header(b"a", b"b", false), Vec::new()] {
            let mut raw = Raw::open(&server, &[]).await;
            assert!(raw.send(&frame(HEADERS, 0, 1, &call(APPEND))).await);
            let flood = frame(CONTINUATION, 0, 1, &piece).repeat(1_000);
            floods(&mut raw, &flood).await;
        }
    });
}

/// RUSTSEC-2026-0258: DATA without data costs no window.
#[test]
fn empty_data_ends_its_connection() {
    attacked(|server| async move {
        let mut raw = Raw::open(&server, &[]).await;
        assert!(raw.send(&frame(HEADERS, END_HEADERS, 1, &call(APPEND))).await);
        let flood = frame(DATA, 0, 1, &[]).repeat(1_000);
        floods(&mut raw, &flood).await;
    });
}

/// 1,000,000 frames that ask for an answer, of which none is read. The server reads no further than it can answer.
#[test]
fn questions_whose_answers_nobody_reads_take_no_memory() {
    attacked(|server| async move {
        for question in [frame(PING, 0, 0, b"12345678"), frame(SETTINGS, 0, 0, &[])] {
            let mut raw = Raw::open(&server, &[]).await;
            let flood = question.repeat(10_000);
            for _ in 0..100 {
                if !raw.stuff(&flood, Duration::from_secs(2)).await {
                    break;
                }
            }
            drop(raw);
        }
    });
}
