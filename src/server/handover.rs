//! Hands the messages of append streams from `intake` to `codec`, past tonic's own buffer: that one grows
//! to the largest message of its stream and stays so for as long as the stream is open, which over all
//! streams would be gigabytes.
//!
//! What goes through tonic in place of a message is a key of eight bytes. tonic decodes a message in the
//! same poll that brought its last byte, on the same thread, so the message waits here for no longer than
//! that, and one place for each thread is enough. The key says that it is the right one.
use std::{
    cell::RefCell,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{BufMut as _, Bytes, BytesMut};

const KEY: u32 = 8;

static NEXT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static LEFT: RefCell<Option<(u64, Bytes)>> = const { RefCell::new(None) };
}

/// Leaves a message; returns the gRPC frame that stands for it.
pub fn leave(message: Bytes) -> Bytes {
    let key = NEXT.fetch_add(1, Ordering::Relaxed);
    LEFT.set(Some((key, message)));
    let mut frame = BytesMut::with_capacity(16);
    frame.put_u8(0);
    frame.put_u32(KEY);
    frame.put_u64(key);
    frame.freeze()
}

/// The message that was left under a key.
pub fn take(key: u64) -> Option<Bytes> {
    LEFT.take().filter(|(left, _)| *left == key).map(|(_, message)| message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_once_and_with_its_own_key() {
        let key = |frame: &Bytes| u64::from_be_bytes(frame[5..].try_into().expect("eight bytes"));
        let first = leave(Bytes::from_static(b"first"));
        assert_eq!(first[..5], [0, 0, 0, 0, 8]);
        assert_eq!(take(key(&first)).as_deref(), Some(b"first".as_slice()));
        assert_eq!(take(key(&first)), None);
        let second = leave(Bytes::from_static(b"second"));
        let third = leave(Bytes::from_static(b"third"));
        assert_eq!(take(key(&second)), None, "nobody gets the message of another stream");
        assert_eq!(take(key(&third)), None, "and it is not kept");
    }
}
