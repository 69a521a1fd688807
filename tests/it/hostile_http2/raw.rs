//! HTTP/2 written by hand: frames that no library would send, and what comes back.
use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::harness::server::Server;

/// After so long a test gives up waiting for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Types of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
/// Flags of frames.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// Codes of errors.
pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const ENHANCE_YOUR_CALM: u32 = 11;
/// Numbers of settings.
pub const MAX_CONCURRENT_STREAMS: u16 = 3;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const MAX_HEADER_LIST_SIZE: u16 = 6;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const APPEND: &str = "/chancery.v1.AuditService/Append";
pub const QUERY: &str = "/chancery.v1.AuditService/Query";

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or a GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("a code"))
    }

    /// Number and value of each of the settings.
    pub fn settings(&self) -> Vec<(u16, u32)> {
        let pair = |each: &[u8; 6]| {
            (u16::from_be_bytes([each[0], each[1]]), u32::from_be_bytes([each[2], each[3], each[4], each[5]]))
        };
        self.payload.as_chunks().0.iter().map(pair).collect()
    }
}

/// A connection.
pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Opens one, with these settings of the client's.
    pub async fn open(server: &Server, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self::silent(server).await;
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        assert!(raw.send(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()).await);
        raw
    }

    /// Opens one, and says nothing.
    pub async fn silent(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.address).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self { stream, buffer: Vec::new() }
    }

    /// Sends bytes; false when the server has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.expect("a server that reads").is_ok()
    }

    /// Sends bytes until the server reads no more, or takes this long.
    pub async fn stuff(&mut self, bytes: &[u8], patience: Duration) -> bool {
        matches!(timeout(patience, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// The next frame; none when the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((head, rest)) = self.buffer.split_first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if rest.len() >= length {
                    let frame = Frame {
                        kind: head[3],
                        flags: head[4],
                        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                        payload: rest[..length].to_vec(),
                    };
                    self.buffer.drain(..9 + length);
                    return Some(frame);
                }
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            match read.expect("an answer of the server") {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Frames up to the first of this type, that one included.
    pub async fn until(&mut self, kind: u8) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("ended without {kind}: {frames:?}"));
            let last = frame.kind == kind;
            frames.push(frame);
            if last {
                return frames;
            }
        }
    }

    /// Frames up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }

    /// The code of the GOAWAY with which the server ends the connection.
    pub async fn ended(&mut self) -> u32 {
        let frames = self.rest().await;
        let last = frames.iter().rfind(|frame| frame.kind == GOAWAY);
        last.unwrap_or_else(|| panic!("ended without a GOAWAY: {frames:?}")).code()
    }

    /// Waits until the server has taken up everything that was sent.
    pub async fn settle(&mut self) -> Vec<Frame> {
        assert!(self.send(&frame(PING, 0, 0, b"are you?")).await, "the connection is closed");
        self.until(PING).await
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A number as HPACK writes it, in the last `bits` of its first byte.
fn integer(number: usize, bits: u32, first: u8) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if number < most {
        return vec![first | u8::try_from(number).expect("below 128")];
    }
    let (mut bytes, mut left) = (vec![first | u8::try_from(most).expect("below 256")], number - most);
    while left >= 128 {
        bytes.push(u8::try_from(left % 128).expect("below 128") | 128);
        left /= 128;
    }
    bytes.push(u8::try_from(left).expect("below 128"));
    bytes
}

/// A header as HPACK writes it, uncompressed; kept in the table when `kept`.
pub fn header(name: &[u8], value: &[u8], kept: bool) -> Vec<u8> {
    let first = if kept { 0x40 } else { 0 };
    let mut bytes = vec![first];
    for text in [name, value] {
        bytes.extend(integer(text.len(), 7, 0));
        bytes.extend_from_slice(text);
    }
    bytes
}

/// The first entry that was kept, by its number alone.
pub const FIRST_KEPT: u8 = 0x80 | 62;

/// The headers of a gRPC call of this path.
pub fn call(path: &str) -> Vec<u8> {
    // POST and http, by their numbers.
    let mut block = vec![0x83, 0x86];
    for (name, value) in
        [(":path", path), (":authority", "x"), ("content-type", "application/grpc"), ("te", "trailers")]
    {
        block.extend(header(name.as_bytes(), value.as_bytes(), false));
    }
    block
}

/// Streams of a client have odd numbers.
pub const fn stream(number: u32) -> u32 {
    2 * number + 1
}
