//! What the quarantine holds of a person: counted, never changed.
use std::time::Duration;

use tokio::time::Instant;

use crate::{
    event::LogName,
    store::{QuarantineFilter, QuarantinePage, Store, StoreError},
};

/// Rows of one statement: of 256 KiB at most each, 16 MiB.
const PAGE: u32 = 64;
/// How long is counted. An erasure's answer does not wait any longer.
const TIME: Duration = Duration::from_secs(5);

/// Rows of the quarantine whose event holds a text, discarded ones too. `None`: there are more than can be looked
/// through in five seconds.
///
/// # Errors
/// The store cannot be read.
pub async fn mentions(store: &dyn Store, log: &LogName, text: &str) -> Result<Option<u64>, StoreError> {
    let until = Instant::now() + TIME;
    let filter = QuarantineFilter { discarded: true, ..QuarantineFilter::default() };
    let finder = memchr::memmem::Finder::new(text);
    let (mut count, mut after) = (0, None);
    loop {
        let page = QuarantinePage { log, filter: &filter, after: after.as_ref(), limit: PAGE };
        let rows = store.quarantined(&page).await?;
        count += rows.iter().filter(|row| finder.find(&row.submitted).is_some()).count() as u64;
        let full = rows.len() >= PAGE as usize;
        match rows.into_iter().next_back() {
            Some(last) if full => after = Some(last.cursor),
            _ => return Ok(Some(count)),
        }
        if Instant::now() >= until {
            return Ok(None);
        }
    }
}
