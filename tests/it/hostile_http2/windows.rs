//! Windows that are too large, or never open; frames where none may be.
use super::{
    attacked,
    raw::{
        APPEND, DATA, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HEADERS,
        INITIAL_WINDOW_SIZE, PREFACE, PROTOCOL_ERROR, PUSH_PROMISE, QUERY, RST_STREAM, Raw, SETTINGS,
        WINDOW_UPDATE, call, frame, stream,
    },
};
use crate::harness::metrics::metrics;

const MOST: [u8; 4] = 0x7fff_ffff_u32.to_be_bytes();

#[test]
fn a_window_above_its_limit_ends_the_connection_or_the_stream() {
    attacked(|server| async move {
        let mut raw = Raw::open(&server, &[]).await;
        raw.send(&frame(WINDOW_UPDATE, 0, 0, &MOST).repeat(2)).await;
        assert_eq!(raw.ended().await, FLOW_CONTROL_ERROR);

        let mut raw = Raw::open(&server, &[]).await;
        let open = frame(HEADERS, END_HEADERS, 1, &call(APPEND));
        raw.send(&[open, frame(WINDOW_UPDATE, 0, 1, &MOST).repeat(2)].concat()).await;
        let reset = raw.until(RST_STREAM).await.pop().expect("a reset");
        assert_eq!((reset.stream, reset.code()), (1, FLOW_CONTROL_ERROR));
        raw.settle().await;

        for (number, setting) in [(INITIAL_WINDOW_SIZE, 1 << 31), (5, 1)] {
            let mut raw = Raw::open(&server, &[(number, setting)]).await;
            assert_eq!(raw.ended().await, PROTOCOL_ERROR, "setting {number}");
        }
        let mut raw = Raw::open(&server, &[]).await;
        raw.send(&frame(WINDOW_UPDATE, 0, 0, &[0; 4])).await;
        assert_eq!(raw.ended().await, PROTOCOL_ERROR);
    });
}

/// 128 queries over each of three connections whose windows stay shut: no answer is made ahead of them.
#[test]
fn queries_behind_shut_windows_take_bounded_memory() {
    attacked(|server| async move {
        let mut deaf = Vec::new();
        for _ in 0..3 {
            let mut raw = Raw::open(&server, &[(INITIAL_WINDOW_SIZE, 0)]).await;
            for number in 0..128 {
                let id = stream(number);
                // An empty `QueryRequest`: everything.
                let query =
                    [frame(HEADERS, END_HEADERS, id, &call(QUERY)), frame(DATA, END_STREAM, id, &[0; 5])];
                assert!(raw.send(&query.concat()).await);
            }
            raw.settle().await;
            deaf.push(raw);
        }
        // As many as may run, and the others were refused.
        assert!(metrics(&server).await["chancery_query_active_streams"] <= 256.0);
        drop(deaf);
    });
}

#[test]
fn frames_where_none_may_be_end_the_connection() {
    attacked(|server| async move {
        for (what, frames, code) in [
            ("an even stream", frame(HEADERS, END_HEADERS, 2, &call(APPEND)), PROTOCOL_ERROR),
            ("data of no stream", frame(DATA, END_STREAM, 1, b"x"), PROTOCOL_ERROR),
            ("a promise", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), PROTOCOL_ERROR),
            ("settings of a stream", frame(SETTINGS, 0, 1, &[]), PROTOCOL_ERROR),
            ("half a setting", frame(SETTINGS, 0, 0, &[0; 5]), PROTOCOL_ERROR),
            ("a frame above the announced 16 KiB", frame(DATA, 0, 1, &[0; 20_000]), FRAME_SIZE_ERROR),
            ("a second preface", PREFACE.to_vec(), FRAME_SIZE_ERROR),
            ("noise", vec![0xff; 1_000], FRAME_SIZE_ERROR),
        ] {
            let mut raw = Raw::open(&server, &[]).await;
            raw.send(&frames).await;
            assert_eq!(raw.ended().await, code, "{what}");
        }
    });
}

/// What is not HTTP/2 at all is not answered, and closed: HTTP/1.1, TLS, noise.
#[test]
fn another_protocol_is_closed() {
    attacked(|server| async move {
        for bytes in
            [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00", &[0xff; 1_000]]
        {
            let mut raw = Raw::silent(&server).await;
            assert!(raw.send(bytes).await);
            let frames = raw.rest().await;
            assert!(frames.iter().all(|frame| frame.kind == SETTINGS || frame.kind == 7), "{frames:?}");
        }
    });
}
