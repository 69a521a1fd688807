//! The protobuf JSON mapping as this client prints it.
//!
//! Does: write one message compactly; spell instants with `Z`, as the mapping asks, where pbjson writes
//! `+00:00`; keep control and direction characters escaped, so that JSON on a terminal is as harmless as
//! a table. Does not: change any value: both spellings parse to the same.
//! Called by: `output::Sink`, `count.rs`, `catalog/`.
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::escape::is_unsafe;

/// Fields that hold an instant, by their JSON name. At most two objects deep they are the contract's
/// own; deeper (in maps like `details`) the same name may be anybody's text.
const INSTANTS: [&str; 7] =
    ["occurredAt", "receivedAt", "bucketStart", "discardedAt", "firstSeen", "lastSeen", "seenAt"];
const INSTANT_DEPTH: usize = 2;

/// Writes one value on one line, without a line end.
pub fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    Ok(value.serialize(&mut Serializer::with_formatter(out, Mapping::default()))?)
}

#[derive(Default)]
struct Mapping {
    depth: usize,
    in_key: bool,
    /// The string being written is the value of an instant field.
    instant: bool,
}

impl Formatter for Mapping {
    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.instant = false;
        out.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        out.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.in_key = true;
        self.instant = false;
        if first { Ok(()) } else { out.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.in_key = false;
        Ok(())
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        if self.in_key {
            self.instant = self.depth <= INSTANT_DEPTH && INSTANTS.contains(&text);
        } else if self.instant
            && let Some(instant) = text.strip_suffix("+00:00")
        {
            out.write_all(instant.as_bytes())?;
            return out.write_all(b"Z");
        }
        // serde_json has taken out C0; what is left of the unsafe characters is DEL and non-ASCII.
        if text.bytes().all(|byte| byte < 0x7f) {
            return out.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (plain, tail) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut letters = tail.chars();
            if let Some(letter) = letters.next() {
                // All of them lie below U+10000: one escape each.
                write!(out, "\\u{:04x}", u32::from(letter))?;
            }
            rest = letters.as_str();
        }
        out.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{Event, NewEvent, TokenServerEvent, new_event::Family};

    fn text(value: &impl Serialize) -> Result<String, String> {
        let mut out = Vec::new();
        write(&mut out, value).map_err(|error| error.to_string())?;
        String::from_utf8(out).map_err(|error| error.to_string())
    }

    #[test]
    fn instants_end_in_z_and_text_that_looks_like_one_is_left_alone() {
        let at = Some(pbjson_types::Timestamp { seconds: 0, nanos: 0 });
        let details = [("occurredAt".to_owned(), "1970-01-01T00:00:00+00:00".to_owned())];
        let source = NewEvent {
            occurred_at: at,
            family: Some(Family::TokenServer(TokenServerEvent {
                details: details.into(),
                ..TokenServerEvent::default()
            })),
            ..NewEvent::default()
        };
        let event = Event { occurred_at: at, source: Some(source), ..Event::default() };
        assert_eq!(
            text(&event).as_deref(),
            Ok(
                "{\"occurredAt\":\"1970-01-01T00:00:00Z\",\"source\":{\"occurredAt\":\"1970-01-01T00:00:00Z\",\
                \"tokenServer\":{\"details\":{\"occurredAt\":\"1970-01-01T00:00:00+00:00\"}}}}"
            )
        );
    }

    #[test]
    fn json_on_a_terminal_is_harmless_and_reads_back_the_same() {
        let event = Event { actor: "a\u{9b}2J\u{7f}é\u{202e}\n".to_owned(), ..Event::default() };
        let written = text(&event);
        assert_eq!(written.as_deref(), Ok("{\"actor\":\"a\\u009b2J\\u007fé\\u202e\\n\"}"));
        let read: Option<Event> = written.ok().and_then(|it| serde_json::from_str(&it).ok());
        assert_eq!(read, Some(event));
    }
}
