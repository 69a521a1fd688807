//! Statements that depend on a filter, an order or a grouping, for both databases: text from fixed
//! pieces, values as bind parameters only. `$n` placeholders work in both.
mod index;
mod predicate;

use std::fmt::Write as _;

pub use index::{moments, rollup};
use uuid::Uuid;

use super::{CountRequest, PageRequest, ProducerPage, QuarantineCursor, QuarantineFilter, QuarantinePage};
use crate::event::LogName;

/// What differs between the two databases' SQL.
#[derive(Clone, Copy)]
pub struct Dialect {
    /// Function that finds a substring: text, substring, 0 when absent.
    pub find: &'static str,
    /// Folds ASCII letters of its argument to lower case, and no others: before and after it.
    pub lower: (&'static str, &'static str),
    /// Function that makes a character of its code point.
    pub character: &'static str,
    /// How a list of numbers becomes rows.
    pub lists: Lists,
}

/// A list of any length as one bind parameter, so that it takes one statement whatever the length.
#[derive(Clone, Copy)]
pub enum Lists {
    /// PostgreSQL: an array.
    Array,
    /// SQLite: a text, `[1,2,3]`.
    Json,
}

/// A bind parameter.
pub enum Bind {
    Text(String),
    Number(i64),
    Numbers(Vec<i64>),
    /// An event id.
    Id(Uuid),
    Bytes(Vec<u8>),
}

/// A statement under construction.
pub struct Statement {
    pub text: String,
    pub binds: Vec<Bind>,
    dialect: Dialect,
}

impl Statement {
    fn new(dialect: Dialect, text: &str) -> Self {
        Self { text: text.to_owned(), binds: Vec::new(), dialect }
    }

    fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    fn bind(&mut self, value: Bind) -> &mut Self {
        self.binds.push(value);
        // Writing to a String cannot fail.
        let _ = write!(self.text, "${}", self.binds.len());
        self
    }

    fn number(&mut self, value: i64) -> &mut Self {
        self.bind(Bind::Number(value))
    }

    fn text(&mut self, value: &str) -> &mut Self {
        self.bind(Bind::Text(value.to_owned()))
    }

    fn list(&mut self, column: &str, binds: impl Iterator<Item = Bind>) {
        self.push(column).push(" IN (");
        for (at, bind) in binds.enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.bind(bind);
        }
        self.push(")");
    }

    fn quarantined(&mut self, log: &LogName, filter: &QuarantineFilter, after: Option<&QuarantineCursor>) {
        self.push("log = ").text(log.as_str());
        if !filter.discarded {
            self.push(" AND discarded_at IS NULL");
        }
        for (column, values) in [("producer", &filter.producers), ("reason", &filter.reasons)] {
            if !values.is_empty() {
                self.push(" AND ").list(column, values.iter().map(|value| Bind::Text(value.clone())));
            }
        }
        if let Some(QuarantineCursor { received_at, row }) = after {
            self.push(" AND (").push(QUARANTINE_ORDER).push(") > (").number(*received_at).push(", ");
            self.text(row.key.producer.as_str()).push(", ").bind(Bind::Id(row.key.event_id)).push(", ");
            self.bind(Bind::Bytes(row.content_hash.to_vec())).push(")");
        }
    }
}

/// One page of events.
pub fn page(dialect: Dialect, request: &PageRequest<'_>) -> Statement {
    let text = "-- page: events that match a filter, by keyset\nSELECT position, occurred_at, record, leaf_hash, personal";
    let mut statement = Statement::new(dialect, text);
    statement.page(request);
    statement
}

/// Counts. The columns are the bucket, where asked for, the groups in their order, and the count.
pub fn count(dialect: Dialect, request: &CountRequest<'_>) -> Statement {
    let mut statement = Statement::new(dialect, "-- count: events that match a filter, by group\nSELECT ");
    let mut order = Vec::new();
    if let Some(width) = request.bucket {
        // Times are not negative, so integer division rounds down.
        statement.push("occurred_at / ").number(width).push(" * ").number(width).push(" AS bucket, ");
        order.push("bucket");
    }
    for column in request.group_by {
        statement.push(column.name()).push(", ");
        order.push(column.name());
    }
    statement.push("count(*)");
    statement.events(request.log, request.positions, (request.floor, request.head), "");
    statement.push(" AND ").predicate(request.predicate);
    if !order.is_empty() {
        let columns = order.join(", ");
        statement.push(" GROUP BY ").push(&columns).push(" ORDER BY ").push(&columns);
    }
    statement.push(" LIMIT ").number(i64::from(request.limit));
    statement
}

/// What the list of the quarantine is ordered by.
const QUARANTINE_ORDER: &str = "received_at, producer, event_id, content_hash";

/// One page of the quarantine.
pub fn quarantine_page(dialect: Dialect, page: &QuarantinePage<'_>) -> Statement {
    let mut statement = Statement::new(
        dialect,
        "-- quarantine_page: rows of the quarantine, oldest first, by keyset\nSELECT received_at, producer, event_id, content_hash, reason, description, submitted, discarded_at, discarded_by, discard_reason FROM quarantine WHERE ",
    );
    statement.quarantined(page.log, page.filter, page.after);
    statement.push(" ORDER BY ").push(QUARANTINE_ORDER).push(" LIMIT ").number(i64::from(page.limit));
    statement
}

/// Number of rows of the quarantine.
pub fn quarantine_count(
    dialect: Dialect,
    log: &LogName,
    filter: &QuarantineFilter,
    after: Option<&QuarantineCursor>,
) -> Statement {
    let mut statement = Statement::new(
        dialect,
        "-- quarantine_count: number of rows of the quarantine\nSELECT count(*) FROM quarantine WHERE ",
    );
    statement.quarantined(log, filter, after);
    statement
}

/// One page of producers, each with the sums over its epochs.
pub fn producer_page(dialect: Dialect, page: &ProducerPage<'_>) -> Statement {
    let mut statement = Statement::new(
        dialect,
        "-- producer_page: producers by log and name, by keyset
        WITH page AS (SELECT * FROM producers WHERE 1 = 1",
    );
    if let Some(log) = page.log {
        statement.push(" AND log = ").text(log.as_str());
    }
    if let Some(producer) = page.producer {
        statement.push(" AND producer = ").text(producer.as_str());
    }
    if let Some(until) = page.seen_until {
        statement.push(" AND last_seen <= ").number(until);
    }
    if let Some((log, producer)) = page.after {
        statement.push(" AND (log, producer) > (").text(log).push(", ").text(producer).push(")");
    }
    statement.push(" ORDER BY log, producer LIMIT ").number(i64::from(page.limit)).push(")");
    // The halves of the numbers are added up apart: see `producers::producer`.
    let missing = "(epoch.last_sequence - epoch.first_sequence - (epoch.seen - 1))";
    let sum = |of: &str| format!("CAST(coalesce(sum({of}), 0) AS BIGINT)");
    let sums = ["epoch.gaps".to_owned(), format!("{missing} >> 32"), format!("{missing} & 4294967295")];
    let columns = "page.log, page.producer, page.first_seen, page.last_seen, page.last_position, page.events, page.quarantined";
    statement.push(" SELECT ").push(columns);
    for of in &sums {
        statement.push(", ").push(&sum(of));
    }
    statement
        .push(" FROM page LEFT JOIN producer_epochs AS epoch ON epoch.log = page.log AND epoch.producer = page.producer GROUP BY ")
        .push(columns)
        .push(" ORDER BY page.log, page.producer");
    statement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::LogName, query::predicate::Predicate, store::PageStart};

    /// Of two lower bounds SQLite takes the first for its index, and a page then reads the log from its
    /// beginning.
    #[test]
    fn a_page_has_one_bound_each_way() {
        let dialect =
            Dialect { find: "instr", lower: ("lower(", ")"), character: "char", lists: Lists::Json };
        let log = LogName::parse("main").expect("a log");
        for start in [PageStart::From(7), PageStart::Below(7)] {
            let predicate = Predicate::All(Vec::new());
            let request = PageRequest {
                log: &log,
                predicate: &predicate,
                start,
                floor: 3,
                head: 9,
                until: None,
                positions: None,
                limit: 1,
            };
            let text = page(dialect, &request).text;
            assert_eq!(text.matches("position >= ").count(), 1, "{text}");
            assert_eq!(text.matches("position < ").count(), 1, "{text}");
        }
    }
}
