//! Headers that are too long, too many, packed, or no headers.
use super::{
    attacked,
    raw::{
        APPEND, CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FIRST_KEPT, HEADERS,
        PROTOCOL_ERROR, Raw, call, frame, header,
    },
};

/// `:status 431`: its name by number, the value in Huffman's code.
const TOO_LARGE: &[u8] = &[0x48, 0x83, 0x69, 0x90, 0xff];

/// Asserts that a call of these headers is answered by 431 alone.
async fn too_large(raw: &mut Raw, headers: &[u8]) {
    assert!(raw.send(headers).await);
    let answer = raw.until(HEADERS).await.pop().expect("headers");
    assert_eq!((&answer.payload[..], answer.flags), (TOO_LARGE, END_HEADERS | END_STREAM));
}

#[test]
fn headers_above_16_kib_are_refused() {
    attacked(|server| async move {
        let long = vec![b'x'; 10_000];
        let first = [call(APPEND), header(b"a", &long, false)].concat();
        let headers = [
            frame(HEADERS, END_STREAM, 1, &first),
            frame(CONTINUATION, END_HEADERS, 1, &header(b"b", &long, false)),
        ];
        too_large(&mut Raw::open(&server, &[]).await, &headers.concat()).await;
        // Of many, each counts 32 bytes more than it has: there are at most 512.
        let many: Vec<u8> =
            (0..600).flat_map(|number| header(format!("a{number}").as_bytes(), b"b", false)).collect();
        let headers = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[call(APPEND), many].concat());
        too_large(&mut Raw::open(&server, &[]).await, &headers).await;
    });
}

/// One header of 3.9 KB is kept in the table, and then named 12,000 times in a byte each: 47 MB out of 16 KB.
#[test]
fn packed_headers_end_their_connection() {
    attacked(|server| async move {
        for _ in 0..10 {
            let mut raw = Raw::open(&server, &[]).await;
            let kept = header(b"packed", &[b'x'; 3_900], true);
            let bomb = [call(APPEND), kept, vec![FIRST_KEPT; 12_000]].concat();
            assert!(bomb.len() <= 16_384);
            raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).await;
            assert_eq!(raw.ended().await, ENHANCE_YOUR_CALM);
        }
    });
}

#[test]
fn what_is_no_header_ends_its_connection() {
    attacked(|server| async move {
        for (name, value) in [
            (&b"a"[..], &b"b\0c"[..]),
            (b"a\0", b"b"),
            (b"a", b"b\r\nc: d"),
            (b"Upper", b"a"),
            (b"", b"a"),
            (b":unknown", b"a"),
        ] {
            let mut raw = Raw::open(&server, &[]).await;
            let block = [call(APPEND), header(name, value, false)].concat();
            raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)).await;
            assert_eq!(raw.ended().await, PROTOCOL_ERROR, "{name:?}: {value:?}");
        }
    });
}
