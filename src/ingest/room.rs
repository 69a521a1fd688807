//! Whether the store's disk has room for what is to be written. One number that appends look at; `app::disk` sets it.
use std::sync::atomic::{AtomicU8, Ordering};

/// How much room there is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// Enough.
    Enough,
    /// Below the watermark: callers append nothing any more.
    Low,
    /// Below half of it: the self-audit waits too.
    Reserve,
}

/// Who asks for room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Events of callers.
    Events,
    /// The self-audit. What is read while nothing can be appended must still be told of: half a watermark of 256 MiB holds
    /// some 200,000 such entries.
    SelfAudit,
    /// What makes room, or tells of it: retention and erasure.
    Must,
}

/// The room.
pub struct Room(AtomicU8);

impl Default for Room {
    fn default() -> Self {
        Self(AtomicU8::new(Level::Enough as u8))
    }
}

impl Room {
    /// There is so much now.
    pub fn set(&self, level: Level) {
        self.0.store(level as u8, Ordering::Relaxed);
    }

    /// From now on the self-audit may have all that there is.
    pub fn spend(&self) {
        self.0.fetch_min(Level::Low as u8, Ordering::Relaxed);
    }

    /// Whether there is room for this.
    pub fn has(&self, need: Need) -> bool {
        let level = self.0.load(Ordering::Relaxed);
        match need {
            Need::Events => level < Level::Low as u8,
            Need::SelfAudit => level < Level::Reserve as u8,
            Need::Must => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_stop_first_then_the_self_audit_and_what_makes_room_never() {
        let room = Room::default();
        for (level, events, self_audit) in
            [(Level::Enough, true, true), (Level::Low, false, true), (Level::Reserve, false, false)]
        {
            room.set(level);
            let has = [Need::Events, Need::SelfAudit, Need::Must].map(|need| room.has(need));
            assert_eq!(has, [events, self_audit, true], "{level:?}");
        }
        room.spend();
        assert!(room.has(Need::SelfAudit) && !room.has(Need::Events));
    }
}
