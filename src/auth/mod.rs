//! Who a caller is.
mod certificate;

pub use certificate::{Certificate, Unreadable};
