//! Time and ids as parameters: the only place that asks the operating system for either, so that every
//! rule about time can be tested with a clock that stands still or jumps.
use uuid::Uuid;

/// A source of time and of event ids.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now_micros(&self) -> i64;
    /// A fresh UUIDv7.
    fn new_id(&self) -> Uuid;
}

/// The operating system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now_micros(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that makes random ids")]
    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
