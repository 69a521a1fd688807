//! Which events a page or a count reads, and the statements that only the index makes possible.
use super::{Bind, Dialect, Lists, Statement};
use crate::{
    event::LogName,
    index::segment::HOUR,
    store::{PageRequest, PageStart, RollupRequest, Times, to_sql},
};

impl Statement {
    /// FROM and WHERE: events of a log between two positions, or at some positions.
    pub(super) fn events(
        &mut self,
        log: &LogName,
        positions: Option<&[u64]>,
        (floor, head): (u64, u64),
        order: &str,
    ) {
        let list = |positions: &[u64]| Bind::Numbers(positions.iter().copied().map(to_sql).collect());
        match (positions, self.dialect.lists) {
            (None, _) => {
                self.begin(log);
                // One bound each way: of two lower bounds SQLite takes the first for its index, and reads
                // every page from there.
                self.push(" AND position >= ").number(to_sql(floor));
                self.push(" AND position < ").number(to_sql(head));
                if matches!(self.dialect.lists, Lists::Array) {
                    // A column that no index has: where nothing but positions and times is needed, PostgreSQL would
                    // read the whole index by time rather than a few rows.
                    self.push(" AND family >= 0");
                }
                self.end(order);
            }
            // Each position is a look-up of its own in the one partition that may hold it, which LIMIT keeps
            // so: without statistics `= ANY` would be a filter on all events of the log.
            (Some(positions), Lists::Array) => {
                self.push(" FROM unnest(").bind(list(positions)).push("::bigint[]) AS wanted (value)");
                self.push(" CROSS JOIN LATERAL (SELECT * FROM events WHERE log = ").text(log.as_str());
                self.push(" AND position = wanted.value LIMIT 1) AS events WHERE 1 = 1");
            }
            // CROSS JOIN keeps the positions outermost, so that each costs one look-up by primary key.
            (Some(positions), Lists::Json) => {
                self.push(" FROM json_each(").bind(list(positions)).push(") AS wanted CROSS JOIN events");
                self.push(" WHERE log = ").text(log.as_str()).push(" AND position = wanted.value");
            }
        }
    }

    /// Begins the bounds of what is read, which `end` ends. In PostgreSQL they are a query of their own, with
    /// an OFFSET that keeps the filter out of it: it might make another index look better, and how much that
    /// reads is a guess.
    fn begin(&mut self, log: &LogName) {
        match self.dialect.lists {
            Lists::Array => self.push(" FROM (SELECT * FROM events WHERE log = "),
            Lists::Json => self.push(" FROM events WHERE log = "),
        };
        self.text(log.as_str());
    }

    fn end(&mut self, order: &str) {
        if matches!(self.dialect.lists, Lists::Array) {
            if !order.is_empty() {
                self.push(" ORDER BY ").push(order);
            }
            self.push(" OFFSET 0) AS events WHERE 1 = 1");
        }
    }

    /// Everything of a page behind its columns.
    pub(super) fn page(&mut self, request: &PageRequest<'_>) {
        let (floor, ceiling, order) = match request.start {
            PageStart::From(position) => (position.max(request.floor), request.head, "position"),
            PageStart::Below(position) => (request.floor, position.min(request.head), "position DESC"),
            PageStart::Earlier { .. } => (request.floor, request.head, "occurred_at DESC, position DESC"),
        };
        if let PageStart::Earlier { occurred_at, position } = request.start {
            self.begin(request.log);
            self.push(" AND (occurred_at, position) < (").number(occurred_at).push(", ");
            self.number(to_sql(position)).push(")");
            if let Some((occurred_at, position)) = request.until {
                self.push(" AND (occurred_at, position) >= (").number(occurred_at).push(", ");
                self.number(to_sql(position)).push(")");
            }
            self.end(order);
            // The unary plus keeps the planner on the index by time.
            self.push(" AND +position < ").number(to_sql(ceiling));
        } else {
            self.events(request.log, request.positions, (floor, ceiling), order);
        }
        self.push(" AND ").predicate(request.predicate);
        self.push(" ORDER BY ").push(order).push(" LIMIT ").number(i64::from(request.limit));
    }

    fn occurred(&mut self, times: Times) {
        if times.from > i64::MIN {
            self.push(" AND occurred_at >= ").number(times.from);
        }
        if times.to < i64::MAX {
            self.push(" AND occurred_at < ").number(times.to);
        }
    }
}

/// Times and positions of a page of events.
pub fn moments(dialect: Dialect, request: &PageRequest<'_>) -> Statement {
    let text = "-- moments: times and positions of events that match a filter\nSELECT occurred_at, position";
    let mut statement = Statement::new(dialect, text);
    statement.page(request);
    statement
}

/// Counts of what is indexed: whole hours from the rollup, and the hours that a range cuts from their
/// events. The first column is how far the log is indexed; then come those of a count, all NULL when
/// nothing matches.
pub fn rollup(dialect: Dialect, request: &RollupRequest<'_>) -> Statement {
    let RollupRequest { count, occurred } = request;
    let mut columns: Vec<&str> = count.group_by.iter().map(|column| column.name()).collect();
    let text = "-- rollup: counts of all events that are indexed\nWITH done AS (SELECT coalesce((SELECT indexed FROM index_heads WHERE log = ";
    let mut statement = Statement::new(dialect, text);
    statement.text(count.log.as_str()).push("), 0) AS indexed), parts AS (");
    let groups: String = columns.iter().map(|column| format!("{column}, ")).collect();
    let bucket = |statement: &mut Statement, time: &str| {
        if let Some(width) = count.bucket {
            statement.push(time).push(" / ").number(width).push(" * ").number(width).push(" AS bucket, ");
        }
        statement.push(&groups);
    };
    let (hours, edges) = hours(*occurred);
    statement.push("SELECT ");
    bucket(&mut statement, &format!("hour * {HOUR}"));
    statement.push("count AS events FROM event_counts WHERE log = ").text(count.log.as_str());
    if hours.from > i64::MIN {
        statement.push(" AND hour >= ").number(hours.from);
    }
    if hours.to < i64::MAX {
        statement.push(" AND hour < ").number(hours.to);
    }
    statement.push(" AND ").predicate(count.predicate);
    for edge in edges {
        statement.push(" UNION ALL SELECT ");
        bucket(&mut statement, "occurred_at");
        statement.push("1 AS events FROM events WHERE log = ").text(count.log.as_str());
        statement.occurred(edge);
        // The unary plus keeps the planner on the index by time.
        statement.push(" AND +position < (SELECT indexed FROM done) AND ").predicate(count.predicate);
        if count.floor > 0 {
            statement.push(" AND +position >= ").number(to_sql(count.floor));
        }
    }
    if count.bucket.is_some() {
        columns.insert(0, "bucket");
    }
    let columns = columns.join(", ");
    let comma = if columns.is_empty() { "" } else { ", " };
    statement.push("), counted AS (SELECT ").push(&columns).push(comma);
    statement.push("CAST(sum(events) AS BIGINT) AS events FROM parts");
    if !columns.is_empty() {
        statement.push(" GROUP BY ").push(&columns);
    }
    statement.push(" ORDER BY ").push(if columns.is_empty() { "1" } else { &columns });
    statement.push(" LIMIT ").number(i64::from(count.limit));
    statement.push(") SELECT done.indexed, ").push(&columns).push(comma);
    statement.push("events FROM done LEFT JOIN counted ON 1 = 1");
    statement
}

/// The whole hours of a range, and what is left of it before and after them.
fn hours(times: Times) -> (Times, Vec<Times>) {
    let Times { from, to } = times;
    let first = match from {
        i64::MIN => i64::MIN,
        from => from.div_euclid(HOUR) + i64::from(from.rem_euclid(HOUR) > 0),
    };
    let last = match to {
        i64::MAX => i64::MAX,
        to => to.div_euclid(HOUR),
    };
    if from >= to {
        return (Times { from: 0, to: 0 }, Vec::new());
    }
    if first > last {
        // Inside of one hour.
        return (Times { from: 0, to: 0 }, vec![times]);
    }
    let mut edges = Vec::new();
    if from > i64::MIN && from < first.saturating_mul(HOUR) {
        edges.push(Times { from, to: first.saturating_mul(HOUR) });
    }
    if to < i64::MAX && last.saturating_mul(HOUR) < to {
        edges.push(Times { from: last.saturating_mul(HOUR), to });
    }
    (Times { from: first, to: last }, edges)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound(open: i64) -> impl Strategy<Value = i64> {
        prop_oneof![Just(open), 0..4 * HOUR, (0_i64..5).prop_map(|hours| hours * HOUR)]
    }

    proptest! {
        /// Every time of a range is in exactly one part of it, and no other time is in any.
        #[test]
        fn hours_and_edges_are_the_range(
            from in bound(i64::MIN), to in bound(i64::MAX), probes in prop::collection::vec(-HOUR..6 * HOUR, 50),
        ) {
            let (whole, edges) = hours(Times { from, to });
            let near = [from, to].into_iter().flat_map(|time| [time.saturating_sub(1), time, time.saturating_add(1)]);
            for time in near.chain((-1..6).map(|hour| hour * HOUR)).chain(probes) {
                if time == i64::MIN || time == i64::MAX {
                    continue;
                }
                let hour = time.div_euclid(HOUR);
                let parts = usize::from((whole.from..whole.to).contains(&hour))
                    + edges.iter().filter(|edge| (edge.from..edge.to).contains(&time)).count();
                let inside = (from..to).contains(&time);
                prop_assert_eq!(parts, usize::from(inside), "{} of {:?} {:?}", time, whole, edges);
            }
        }
    }
}
