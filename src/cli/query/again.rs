//! The command line that continues a query.
//!
//! Does: print flags with absolute times, because a resume token holds for the same filter only and
//! `--since 2h` means another filter a minute later. Called by: `query`.
use std::{borrow::Cow, fmt::Write as _};

use clap::ValueEnum as _;

use super::QueryArgs;
use crate::{
    cli::{connect::DEFAULT_SERVER, names, time},
    proto::v1::{EventFilter, TimeRange},
};

/// A command for a POSIX shell. `limit` 0 means all.
pub fn command(args: &QueryArgs, filter: &EventFilter, token: &str, limit: u64) -> String {
    let mut line = Line(String::from("chancery query"));
    if args.connect.server != DEFAULT_SERVER {
        line.flag("server", &args.connect.server);
    }
    let tls = &args.connect.tls;
    for (flag, file) in
        [("ca", &tls.ca), ("certificate", &tls.certificate), ("certificate-key", &tls.certificate_key)]
    {
        // A path that is no text cannot be printed either: whoever has one knows it.
        line.flags(flag, file.as_deref().and_then(std::path::Path::to_str));
    }
    line.flags("as", args.connect.identity.as_deref());
    line.flag("log", &args.filter.log);
    line.flags("family", filter.families.iter().map(|it| names::family(*it)));
    line.flags("code", filter.codes.iter().map(String::as_str));
    line.flags("category", filter.categories.iter().map(String::as_str));
    line.flags("outcome", filter.outcomes.iter().map(|it| names::outcome(*it)));
    line.flags("producer", filter.producers.iter().map(String::as_str));
    line.text("actor", &filter.actor);
    line.text("subject", &filter.subject);
    line.text("device", &filter.device);
    line.text("correlation-id", &filter.correlation_id);
    line.range("", filter.occurred.as_ref());
    line.range("received-", filter.received.as_ref());
    for it in &filter.attributes {
        line.flag("attribute", &format!("{}={}", it.name, it.value));
    }
    line.text("text", &filter.text);
    line.text("where", args.filter.expression.as_deref().unwrap_or_default());
    if let Some(order) = args.order.to_possible_value() {
        line.flag("order", order.get_name());
    }
    if limit > 0 {
        line.flag("limit", &limit.to_string());
    }
    if args.follow {
        line.0.push_str(" --follow");
    }
    if let Some(lasting) = args.lasting {
        line.flag("for", &format!("{}ms", lasting.as_millis()));
    }
    if let Some(format) = args.output.and_then(|it| it.to_possible_value()) {
        line.flag("output", format.get_name());
    }
    line.flag("resume-token", token);
    line.0
}

struct Line(String);

impl Line {
    /// `--name=value` is one word, so that a value may begin with a dash.
    fn flag(&mut self, name: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, " --{name}={}", quoted(value));
    }

    fn flags<'a>(&mut self, name: &str, values: impl IntoIterator<Item = &'a str>) {
        for value in values {
            self.flag(name, value);
        }
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.flag(name, value);
        }
    }

    fn range(&mut self, prefix: &str, range: Option<&TimeRange>) {
        let Some(range) = range else { return };
        self.text(&format!("{prefix}since"), &time::rfc3339(range.start.as_ref()));
        self.text(&format!("{prefix}until"), &time::rfc3339(range.end.as_ref()));
    }
}

fn quoted(value: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=@%+,".contains(&byte);
    if !value.is_empty() && value.bytes().all(plain) {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(format!("'{}'", value.replace('\'', "'\\''")))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        query: QueryArgs,
    }

    fn again(flags: &[&str]) -> Result<String, String> {
        let flags = std::iter::once(&"test").chain(flags);
        let args = Flags::try_parse_from(flags).map(|it| it.query).map_err(|error| error.to_string())?;
        let now = jiff::Timestamp::new(7200, 0).map_err(|error| error.to_string())?;
        let filter = args.filter.filter(now).map_err(|failure| failure.to_string())?;
        Ok(command(&args, &filter, "t=", 5))
    }

    #[test]
    fn relative_times_become_absolute_and_words_are_quoted() {
        let flags = ["--since=1h", "--actor=it's me", "--code=A,B", "--order=occurred-desc"];
        assert_eq!(
            again(&flags).as_deref(),
            Ok(
                "chancery query --log=main --code=A --code=B --actor='it'\\''s me' --since=1970-01-01T01:00:00Z \
                --order=occurred-desc --limit=5 --resume-token=t="
            )
        );
    }

    #[test]
    fn an_expression_and_the_way_of_reading_are_carried_on() {
        let flags = ["--failures", "--where=code = 1 AND NOT actor:*", "-f", "--for=1m30s", "-o=csv"];
        assert_eq!(
            again(&flags).as_deref(),
            Ok(
                "chancery query --log=main --outcome=failure --outcome=denied --where='code = 1 AND NOT actor:*' \
                --order=position-asc --limit=5 --follow --for=90000ms --output=csv --resume-token=t="
            )
        );
    }
}
