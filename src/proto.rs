//! The generated contract: messages, servers and clients of `chancery.v1`, with the protobuf JSON
//! mapping as serde implementations. Nothing here is written by hand; `build.rs` makes it.
#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated code")]

/// `google.rpc`, for the per-event error of an append.
pub mod google {
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
        include!(concat!(env!("OUT_DIR"), "/google.rpc.serde.rs"));
    }
}

/// `chancery.v1`.
pub mod chancery {
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/chancery.v1.rs"));
        include!(concat!(env!("OUT_DIR"), "/chancery.v1.serde.rs"));
    }
}

pub use chancery::v1;

/// The services of `chancery.v1` as the server implements them.
pub mod servers {
    include!(concat!(env!("OUT_DIR"), "/servers/chancery.v1.rs"));
}

/// The compiled descriptors with comments, as gRPC reflection serves them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
