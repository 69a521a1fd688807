//! Small conversions between the contract and the inside.
use std::collections::BTreeMap;

use tonic::Status;

use super::{audit::group_column, status};
use crate::{
    event::timestamp,
    proto::v1,
    query::predicate::{EnumColumn, enum_name},
    store::{Counted, GroupColumn},
};

/// The columns of `group_by`.
pub fn group_by(names: &[String]) -> Result<Vec<GroupColumn>, Status> {
    let mut columns = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let field = format!("group_by[{at}]");
        let Some(column) = group_column(name) else {
            let description = "is none of family, code, name, category, outcome, producer";
            return Err(status::invalid("INVALID_GROUP", &field, description));
        };
        if columns.contains(&column) {
            return Err(status::invalid("INVALID_GROUP", &field, "stands there twice"));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// The width of a bucket in microseconds.
pub fn bucket(bucket: Option<&pbjson_types::Duration>) -> Result<Option<i64>, Status> {
    let Some(bucket) = bucket else { return Ok(None) };
    // 100 years: above that a bucket is no bucket, and microseconds could overflow.
    if bucket.seconds < 1 || bucket.nanos != 0 || bucket.seconds > 100 * 366 * 24 * 3600 {
        let description = "is not a whole number of seconds between 1 second and 100 years";
        return Err(status::invalid("INVALID_BUCKET", "bucket", description));
    }
    Ok(Some(bucket.seconds * 1_000_000))
}

/// One counted group as a row.
pub fn count_row(counted: Counted, group_by: &[GroupColumn]) -> v1::CountRow {
    let mut group = BTreeMap::new();
    for (column, value) in group_by.iter().zip(counted.group) {
        let named = |column, value: &str| {
            value.parse().map_or_else(|_| value.to_owned(), |number| enum_name(column, number))
        };
        let value = match column {
            GroupColumn::Family => named(EnumColumn::Family, &value),
            GroupColumn::Outcome => named(EnumColumn::Outcome, &value),
            _ => value,
        };
        group.insert(column.name().to_owned(), value);
    }
    v1::CountRow { group, bucket_start: counted.bucket.map(timestamp), count: counted.count }
}
