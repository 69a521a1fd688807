//! Sizes that bound one event. The contract's comments repeat them.

/// Bytes of one encoded event. Its record holds it twice, as source and as attributes, so a row stays
/// below about 200 KiB.
pub const MAX_EVENT_BYTES: usize = 64 * 1024;
/// Events of one batch.
pub const MAX_BATCH_EVENTS: usize = 1000;
/// Bytes of one gRPC message from a client: 64 of the largest events, or 1000 of 4 KiB.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of a code, action, type, map key or parameter code.
pub const MAX_CODE_BYTES: usize = 128;
/// Bytes of a correlation id: the AS column holds 200 characters.
pub const MAX_CORRELATION_BYTES: usize = 256;
/// Bytes of any other text.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Bytes of the raw parameters of an AS record: the column holds 3,000 characters, a JSON form with
/// escapes is longer.
pub const MAX_RAW_PARAMETER_BYTES: usize = 32 * 1024;
/// Entries of a map or of the parameter list.
pub const MAX_ENTRIES: usize = crate::catalog::as_parameters::MOST;
/// How far ahead of the server's clock an event may claim to have happened, in microseconds: 366 days.
pub const MAX_AHEAD_MICROS: i64 = 366 * 24 * 3600 * 1_000_000;
