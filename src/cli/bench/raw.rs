//! A codec that leaves messages as bytes: requests are encoded before the clock runs, and answers are
//! counted without being decoded.
//!
//! Called by: `bench/load.rs`, `bench/query.rs`, `bench/sink.rs`.
use bytes::{Buf as _, BufMut as _, Bytes};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// An encoded message, in two parts that need not be copied together.
pub struct Frame {
    /// Goes first.
    pub head: Bytes,
    /// Follows.
    pub body: Bytes,
}

impl From<Bytes> for Frame {
    fn from(body: Bytes) -> Self {
        Self { head: Bytes::new(), body }
    }
}

/// Bytes in, bytes out.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Encode = Frame;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Frame;
    type Error = Status;

    fn encode(&mut self, message: Frame, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message.head);
        out.put(message.body);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
