//! COPY of finished rows: what PostgreSQL can do at most, to measure appends by.
//!
//! Not used to append: see `append`. A COPY that is dropped half-way leaves its connection out of step, so
//! whoever calls this drops the connection after any error, as after every other one.
use futures::StreamExt as _;
use sqlx::PgConnection;

use super::{
    super::{LogName, StoreError, broken, to_sql},
    failed,
};
use crate::ingest::sequencer::Plan;

const EVENTS: &str = "COPY events (log, position, record, leaf_hash, family, code, name, category, outcome, \
    producer, actor, subject, device, correlation_id, occurred_at, received_at, attributes, severity, personal) \
    FROM STDIN (FORMAT binary)";
const KEYS: &str =
    "COPY event_keys (log, producer, event_id, position, content_hash) FROM STDIN (FORMAT binary)";

/// Rows in the binary format.
struct Rows(Vec<u8>);

impl Rows {
    fn new() -> Self {
        // Signature; no flags; no header extension.
        Self([b"PGCOPY\n\xff\r\n\0".as_slice(), &[0; 8]].concat())
    }

    fn row(&mut self, fields: &[&[u8]]) -> Result<(), StoreError> {
        self.0.extend_from_slice(&i16::try_from(fields.len()).map_err(broken)?.to_be_bytes());
        for field in fields {
            self.0.extend_from_slice(&i32::try_from(field.len()).map_err(broken)?.to_be_bytes());
            self.0.extend_from_slice(field);
        }
        Ok(())
    }

    async fn send(mut self, connection: &mut PgConnection, statement: &str) -> Result<(), StoreError> {
        self.0.extend_from_slice(&(-1_i16).to_be_bytes());
        let mut copy = connection.copy_in_raw(statement).await.map_err(failed)?;
        copy.send(self.0).await.map_err(failed)?;
        copy.finish().await.map_err(failed)?;
        Ok(())
    }
}

/// The events of a plan and their keys, ready to be sent.
pub struct Copy {
    events: Rows,
    keys: Rows,
}

impl Copy {
    /// Encodes the rows of a plan.
    pub fn of(log: &LogName, plan: &Plan<'_>) -> Result<Self, StoreError> {
        let (mut events, mut keys) = (Rows::new(), Rows::new());
        for placed in &plan.placed {
            let columns = placed.event.columns();
            let position = to_sql(placed.position).to_be_bytes();
            let enumerator = |number: i32| i16::try_from(number).map(i16::to_be_bytes).map_err(broken);
            events.row(&[
                log.as_str().as_bytes(),
                &position,
                placed.event.record(),
                placed.event.leaf_hash(),
                &enumerator(columns.family)?,
                columns.code.as_bytes(),
                columns.name.as_bytes(),
                columns.category.as_bytes(),
                &enumerator(columns.outcome)?,
                columns.producer.as_bytes(),
                columns.actor.as_bytes(),
                columns.subject.as_bytes(),
                columns.device.as_bytes(),
                columns.correlation_id.as_bytes(),
                &columns.occurred_at.to_be_bytes(),
                &columns.received_at.to_be_bytes(),
                columns.attributes.as_bytes(),
                &columns.severity.to_be_bytes(),
                placed.event.personal(),
            ])?;
            keys.row(&[
                log.as_str().as_bytes(),
                placed.producer.as_str().as_bytes(),
                placed.event.event_id().as_bytes(),
                &position,
                placed.event.content_hash(),
            ])?;
        }
        Ok(Self { events, keys })
    }

    /// Sends them.
    pub async fn send(self, connection: &mut PgConnection) -> Result<(), StoreError> {
        self.keys.send(connection, KEYS).await?;
        self.events.send(connection, EVENTS).await
    }
}

/// Reads the records of a log, and what lies beside them, by COPY, to the end, and counts them. A log name is of `a-z 0-9 - _ .` only, so
/// it can stand in the text, which COPY must do without parameters.
pub async fn read(connection: &mut PgConnection, log: &LogName) -> Result<u64, StoreError> {
    let text = format!(
        "COPY (SELECT record, personal FROM events WHERE log = '{log}' ORDER BY position) TO STDOUT (FORMAT binary)"
    );
    let mut rows = connection.copy_out_raw(&text).await.map_err(failed)?;
    let mut messages: u64 = 0;
    while let Some(message) = rows.next().await {
        message.map_err(failed)?;
        messages += 1;
    }
    // A message for each row, the first with the header in front of it, and one for the trailer.
    Ok(messages.saturating_sub(1))
}
