//! The filter flags that `query`, `count` and `bench query` share.
//!
//! Does: flags to `EventFilter`, with relative times made absolute once. Does not: check what only the
//! server knows, for example whether a code exists.
use clap::Args;
use jiff::Timestamp;

use super::{
    failure::Failure,
    names::{Family, Outcome},
    time,
};
use crate::proto::v1::{AttributeMatch, EventFilter, TimeRange};

/// Which events. Different flags must all hold; a flag given several times holds when one value does,
/// except --attribute, where all must.
#[derive(Args, Clone, Debug, Default)]
pub struct FilterArgs {
    /// Log to read.
    #[arg(long, default_value = "main")]
    pub log: String,
    /// Family; repeatable.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub family: Vec<Family>,
    /// Code in its canonical form, for example 20151; repeatable.
    #[arg(long, value_delimiter = ',')]
    pub code: Vec<String>,
    /// Category; repeatable.
    #[arg(long)]
    pub category: Vec<String>,
    /// Outcome; repeatable.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub outcome: Vec<Outcome>,
    /// What went wrong or was refused: the outcomes failure and denied.
    #[arg(long, conflicts_with = "outcome")]
    pub failures: bool,
    /// Producer that sent the event; repeatable.
    #[arg(long)]
    pub producer: Vec<String>,
    /// Who acted.
    #[arg(long)]
    pub actor: Option<String>,
    /// The user acted upon.
    #[arg(long)]
    pub subject: Option<String>,
    /// The device concerned.
    #[arg(long)]
    pub device: Option<String>,
    /// Correlation id.
    #[arg(long)]
    pub correlation_id: Option<String>,
    /// Happened at or after: RFC 3339, a date, today, or a span back like 30m, 2h, 7d. All in UTC.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Happened before.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Received by the server at or after.
    #[arg(long, value_name = "TIME")]
    pub received_since: Option<String>,
    /// Received by the server before.
    #[arg(long, value_name = "TIME")]
    pub received_until: Option<String>,
    /// Attribute with exactly this value; repeatable, all must match.
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    pub attribute: Vec<(String, String)>,
    /// Text anywhere in the code, name, category, actor, subject, device, correlation id or attributes.
    #[arg(long)]
    pub text: Option<String>,
    /// Expression of the filter language, which must hold too, for example 'code = 20018 AND NOT actor = "cms-1"'.
    /// OR binds tighter than AND.
    #[arg(long = "where", value_name = "EXPR")]
    pub expression: Option<String>,
}

impl FilterArgs {
    /// The filter, with relative times counted from `now`.
    pub fn filter(&self, now: Timestamp) -> Result<EventFilter, Failure> {
        Ok(EventFilter {
            families: self.family.iter().map(|it| it.proto() as i32).collect(),
            codes: self.code.clone(),
            categories: self.category.clone(),
            outcomes: self.outcomes().map(|it| it.proto() as i32).collect(),
            producers: self.producer.clone(),
            actor: one("--actor", self.actor.as_deref())?,
            subject: one("--subject", self.subject.as_deref())?,
            device: one("--device", self.device.as_deref())?,
            correlation_id: one("--correlation-id", self.correlation_id.as_deref())?,
            occurred: range("", self.since.as_deref(), self.until.as_deref(), now)?,
            received: range(
                "received-",
                self.received_since.as_deref(),
                self.received_until.as_deref(),
                now,
            )?,
            attributes: self
                .attribute
                .iter()
                .map(|(name, value)| AttributeMatch { name: name.clone(), value: value.clone() })
                .collect(),
            text: one("--text", self.text.as_deref())?,
        })
    }

    /// The expression of `--where`, which the server joins to the filter; empty for none.
    pub fn expression(&self) -> Result<String, Failure> {
        one("--where", self.expression.as_deref().map(str::trim))
    }

    fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        let failures: &[Outcome] = if self.failures { &[Outcome::Failure, Outcome::Denied] } else { &[] };
        self.outcome.iter().chain(failures).copied()
    }
}

/// In the contract an empty value means "any". `--device ""`, often an unset shell variable, must not
/// silently match every event.
fn one(flag: &str, value: Option<&str>) -> Result<String, Failure> {
    match value {
        Some("") => Err(Failure::Usage(format!("{flag} is empty; leave it out to match any"))),
        Some(value) => Ok(value.to_owned()),
        None => Ok(String::new()),
    }
}

fn range(
    prefix: &str,
    since: Option<&str>,
    until: Option<&str>,
    now: Timestamp,
) -> Result<Option<TimeRange>, Failure> {
    let parse = |flag: &str, text: Option<&str>| {
        text.map(|text| time::instant(text, now))
            .transpose()
            .map_err(|error| Failure::Usage(format!("--{prefix}{flag}: {error}")))
    };
    let (start, end) = (parse("since", since)?, parse("until", until)?);
    if let (Some(start), Some(end)) = (start, end)
        && end <= start
    {
        return Err(Failure::Usage(format!("--{prefix}until {end} is not after --{prefix}since {start}")));
    }
    let present = start.is_some() || end.is_some();
    Ok(present.then(|| TimeRange { start: start.map(time::proto), end: end.map(time::proto) }))
}

fn attribute(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        filter: FilterArgs,
    }

    fn filter(flags: &[&str]) -> Result<EventFilter, String> {
        let flags = std::iter::once(&"test").chain(flags);
        let args = Flags::try_parse_from(flags).map_err(|error| error.to_string())?;
        let now = Timestamp::new(1_800_000_000, 0).map_err(|error| error.to_string())?;
        args.filter.filter(now).map_err(|failure| failure.to_string())
    }

    #[test]
    fn no_flags_match_everything() {
        assert_eq!(filter(&[]), Ok(EventFilter::default()));
    }

    #[test]
    fn flags_land_in_their_fields() {
        let flags = [
            "--family",
            "cms-audit",
            "--family",
            "as-audit",
            "--code",
            "20151,20152",
            "--outcome",
            "denied",
            "--attribute",
            "device_policy=a=b",
            "--device",
            "D1",
            "--since",
            "1h",
        ];
        let expected = EventFilter {
            families: vec![1, 3],
            codes: vec!["20151".to_owned(), "20152".to_owned()],
            outcomes: vec![4],
            attributes: vec![AttributeMatch { name: "device_policy".to_owned(), value: "a=b".to_owned() }],
            device: "D1".to_owned(),
            occurred: Some(TimeRange {
                start: Some(pbjson_types::Timestamp { seconds: 1_799_996_400, nanos: 0 }),
                end: None,
            }),
            ..EventFilter::default()
        };
        assert_eq!(filter(&flags), Ok(expected));
    }

    #[test]
    fn an_unset_shell_variable_does_not_match_everything() {
        assert!(filter(&["--device", ""]).is_err());
        let args = FilterArgs { expression: Some("  ".to_owned()), ..FilterArgs::default() };
        assert!(args.expression().is_err());
    }

    #[test]
    fn failures_are_two_outcomes_and_go_with_no_others() {
        let expected = EventFilter { outcomes: vec![3, 4], ..EventFilter::default() };
        assert_eq!(filter(&["--failures"]), Ok(expected));
        assert!(filter(&["--failures", "--outcome", "denied"]).is_err());
    }

    #[test]
    fn a_range_that_ends_before_it_begins_is_refused() {
        assert!(filter(&["--since", "1h", "--until", "2h"]).is_err());
        assert!(filter(&["--received-since", "x"]).is_err_and(|error| error.contains("--received-since")));
    }
}
