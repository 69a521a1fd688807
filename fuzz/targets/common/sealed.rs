//! What targets that seal events share: the catalog, a clock that stands still, and the examples of the project.
use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use chancery::{
    catalog::{Catalog, Suggestions},
    clock::{Clock, Salt},
    event::{LogName, ParsedEvent, Producer, Receipt, RefusedEvent, SealedEvent, admit, leaf_hash, seal},
    proto::v1::{Event, NewEvent},
};
use prost::Message as _;
use uuid::Uuid;

/// Microseconds since 1970 at which every event is received: in the year 2033.
pub const NOW: i64 = 2_000_000_000_000_000;

const EXAMPLES: [&str; 4] = [
    include_str!("../../../examples/cms_audit.ndjson"),
    include_str!("../../../examples/cms_notification.ndjson"),
    include_str!("../../../examples/as_audit.ndjson"),
    include_str!("../../../examples/token_server.ndjson"),
];

/// The catalog that is embedded.
pub static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::load([], Default::default()).expect("the embedded catalog"));

/// Stands still. Its ids and salts are counted, so that an input does the same every time.
pub struct Still(AtomicU64);

impl Still {
    pub const fn new() -> Self {
        Self(AtomicU64::new(1))
    }

    fn next(&self) -> u128 {
        let number = u128::from(self.0.fetch_add(1, Ordering::Relaxed));
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}

impl Clock for Still {
    fn now_micros(&self) -> i64 {
        NOW
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(self.next())
    }

    fn new_salt(&self) -> Salt {
        self.next().to_be_bytes()
    }
}

/// The examples of the project, in their files' order.
pub fn examples() -> impl Iterator<Item = NewEvent> {
    let lines = EXAMPLES.iter().flat_map(|text| text.lines());
    lines.map(|line| serde_json::from_str(line).expect("an event"))
}

/// Parses and admits an event; the outer error says that it could never be accepted.
pub fn admitted(
    event: NewEvent,
    clock: &Still,
) -> Result<Result<SealedEvent, Box<RefusedEvent>>, chancery::catalog::rejection::Rejection> {
    let parsed = ParsedEvent::parse(event, clock)?;
    let log = LogName::parse("").expect("a log");
    let receipt = Receipt { log: &log, producer: &Producer::anonymous(), received_at: NOW, clock };
    let valid = admit(&CATALOG, parsed, &mut Suggestions::default());
    Ok(valid.map(|valid| seal(valid, &receipt)))
}

/// A sealed event as it goes over the wire from a position.
pub fn wire(record: &[u8], personal: &[u8], position: u64) -> Vec<u8> {
    let tail = Event {
        position: Some(position),
        leaf_hash: leaf_hash(record).to_vec().into(),
        record_size: u32::try_from(record.len()).expect("a record"),
        ..Event::default()
    };
    [record, personal, &tail.encode_to_vec()].concat()
}
