//! Time, ids and salts as parameters: the only place that asks the operating system for them, so that every
//! rule about time can be tested with a clock that stands still or jumps.
use std::cell::RefCell;

use uuid::Uuid;

/// 128 random bits.
pub type Salt = [u8; 16];

/// A source of time, of event ids and of salts.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now_micros(&self) -> i64;
    /// A fresh UUIDv7.
    fn new_id(&self) -> Uuid;
    /// 16 bytes that nobody can guess: a salt.
    fn new_salt(&self) -> Salt;
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

    fn new_salt(&self) -> Salt {
        thread_local! {
            static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { bytes: [0; DRAW], used: DRAW }) };
        }
        DRAWN.with_borrow_mut(Drawn::next)
    }
}

/// Bytes that are asked of the operating system at a time: a call of it takes longer than 256 salts.
const DRAW: usize = 4096;

/// Random bytes of one thread, each given out once.
struct Drawn {
    bytes: [u8; DRAW],
    used: usize,
}

impl Drawn {
    fn next(&mut self) -> Salt {
        if self.used == DRAW {
            // Unwrap safety: a system without randomness has none later either, and a salt that can be guessed
            // must never be used.
            #[expect(clippy::expect_used, reason = "no server without randomness")]
            getrandom::fill(&mut self.bytes).expect("random bytes of the operating system");
            self.used = 0;
        }
        let mut salt = Salt::default();
        let given = &mut self.bytes[self.used..self.used + salt.len()];
        salt.copy_from_slice(given);
        // An erased salt must not lie about in memory.
        given.fill(0);
        self.used += salt.len();
        salt
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_salt_comes_twice() {
        let drawn: HashSet<Salt> = (0..3 * DRAW / 16).map(|_| SystemClock.new_salt()).collect();
        assert_eq!(drawn.len(), 3 * DRAW / 16);
        assert!(!drawn.contains(&Salt::default()));
    }
}
