//! The codec of the services: prost, with one check before it decodes.
//!
//! A `NewEvent` of two bytes becomes some 500 in memory, so a message of 4 MiB could become 2 GiB before
//! the limit on events is looked at. The events of a batch are therefore counted on the wire first. The
//! batches of a stream come by way of `handover`.
use std::{any::TypeId, marker::PhantomData};

use bytes::Buf as _;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use super::handover;
use crate::{event::limits::MAX_BATCH_EVENTS, grpc::status, proto::v1};

/// Encodes `T` and decodes `U`.
pub struct BoundedCodec<T, U> {
    types: PhantomData<(T, U)>,
}

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        Self { types: PhantomData }
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: prost::Message + Send + 'static,
    U: prost::Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        let settings = BufferSettings::default();
        BoundedDecoder { inner: ProstCodec::<T, U>::raw_decoder(settings) }
    }
}

/// Decodes `U`, unless it is a batch of too many events.
pub struct BoundedDecoder<U> {
    inner: ProstDecoder<U>,
}

impl<U: prost::Message + Default + 'static> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        if TypeId::of::<U>() == TypeId::of::<v1::AppendStreamRequest>() {
            let key = source.try_get_u64().ok();
            let message = key.and_then(handover::take).ok_or_else(status::internal)?;
            refuse_too_many::<U>(&message)?;
            return U::decode(message).map(Some).map_err(|_| status::malformed_message());
        }
        refuse_too_many::<U>(source.chunk())?;
        // tonic calls it an error of the server.
        self.inner.decode(source).map_err(|_| status::malformed_message())
    }
}

/// Ten times the limit still goes on, so that a stream answers a batch that is somewhat too large with
/// results; 10,000 empty events are 5 MiB.
fn refuse_too_many<U: 'static>(message: &[u8]) -> Result<(), Status> {
    match events_on_the_wire::<U>(message) {
        Some(count) if count > MAX_BATCH_EVENTS * 10 => Err(status::batch_too_large(count, MAX_BATCH_EVENTS)),
        _ => Ok(()),
    }
}

/// Events of an encoded batch, at least as many as decoding it would make; none where `U` is no batch.
pub fn events_on_the_wire<U: 'static>(message: &[u8]) -> Option<usize> {
    events_field::<U>().map(|field| count_fields(message, field))
}

/// The field of a batch that holds its events.
fn events_field<U: 'static>() -> Option<u32> {
    let batch = TypeId::of::<U>();
    if batch == TypeId::of::<v1::AppendRequest>() {
        Some(2)
    } else if batch == TypeId::of::<v1::AppendStreamRequest>() {
        Some(3)
    } else {
        None
    }
}

/// How often a field occurs at the top of an encoded message. Stops at anything malformed, which the
/// decoder will refuse; what the decoder skips is skipped by the same function, or the two would disagree.
fn count_fields(mut message: &[u8], field: u32) -> usize {
    let mut count = 0;
    while message.has_remaining() {
        let Ok((number, wire_type)) = decode_key(&mut message) else { break };
        // An event that is cut off is one that the decoder begins.
        count += usize::from(number == field);
        if skip_field(wire_type, number, &mut message, DecodeContext::default()).is_err() {
            break;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn events_are_counted_as_they_decode() {
        for count in [0, 1, 7, 1000] {
            let request = v1::AppendRequest {
                log: "main".to_owned(),
                events: vec![v1::NewEvent { correlation_id: "x".repeat(200), ..Default::default() }; count],
                mode: 2,
                validate_only: true,
            };
            assert_eq!(count_fields(&request.encode_to_vec(), 2), count);
        }
        assert_eq!(count_fields(&[0x12, 0x7f, 1], 2), 1, "a length beyond the end");
        assert_eq!(count_fields(&[0x12, 0].repeat(5000), 2), 5000);
        // A group that nobody knows is skipped by the decoder, and so it is here: field 15, with a 7 in it.
        let behind_a_group = [&[0x7b, 0x08, 0x07, 0x7c][..], &[0x12, 0].repeat(5000)].concat();
        assert_eq!(count_fields(&behind_a_group, 2), 5000);
        assert_eq!(v1::AppendRequest::decode(&behind_a_group[..]).expect("a batch").events.len(), 5000);
    }
}
