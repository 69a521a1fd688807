//! `chancery token`: makes a token for a caller, and the lines that let an access file know it.
//!
//! Does: 256 random bits, printed once. Does not: keep the token, or change a file that is there: what the server keeps
//! is its SHA-256, from which nobody finds it. Called by: `cli::run`.
use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Exit, ambient, failure::Failure, time};
use crate::{app, event::Producer, files};

/// Begins every token, so that scanners for secrets that were left lying about can find it.
const PREFIX: &str = "chy_";

/// Flags of `chancery token`.
#[derive(Args, Clone, Debug)]
pub struct TokenArgs {
    /// Whose token it is: a name of the access file.
    name: String,
    /// When it ends: RFC 3339, a date (its first instant in UTC), or a span from now like 90d. Default: never.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// File to write the token to instead, which only its owner may read (mode 0600). Never overwritten.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &TokenArgs) -> Result<Exit, Failure> {
    let refused = |reason: &str| Failure::Usage(format!("{:?}: {reason}", args.name));
    let name = Producer::parse(&args.name).map_err(refused)?;
    if name.as_str() == Producer::OWN {
        return Err(refused("is the server's own name"));
    }
    if name.as_str().starts_with("group:") {
        return Err(refused("a token is one caller's, and not a group's"));
    }
    let expires = args.expires.as_deref().map(|text| end(text, ambient::now())).transpose();
    let expires = expires.map_err(|reason| Failure::Usage(format!("--expires: {reason}")))?;
    let seed = app::seed().map_err(|error| Failure::Files(format!("no randomness: {error}")))?;
    let token = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(seed));
    let mut lines = format!("[[token]]\nname = \"{}\"\nsha256 = \"", name.as_str());
    for byte in Sha256::digest(&token) {
        // Writing to a String cannot fail.
        let _ = write!(lines, "{byte:02x}");
    }
    lines.push_str("\"\n");
    if let Some(expires) = expires {
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "expires = {expires}");
    }
    let shown = match &args.out {
        Some(path) => {
            files::write_private(path, &format!("{token}\n")).map_err(Failure::Files)?;
            lines
        }
        // Not as a comment: an access file that all of it went into is refused, and no secret stays in it.
        None => format!("{token}\n\n{lines}"),
    };
    std::io::stdout().write_all(shown.as_bytes())?;
    Ok(Exit::Done)
}

/// The end of a token: an instant to come, in whole seconds.
fn end(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("'{text}' is no time: write RFC 3339, a date, or a span from now like 90d");
    let end = match time::span(text) {
        Ok(span) => {
            let span = SignedDuration::try_from(span).map_err(|_| wrong())?;
            now.checked_add(span).map_err(|_| wrong())?
        }
        Err(_) => time::instant(text, now).map_err(|_| wrong())?,
    };
    if end <= now {
        return Err(format!("'{text}' is over"));
    }
    Timestamp::from_second(end.as_second()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_in_the_future_or_never() {
        let now: Timestamp = "2026-05-01T12:00:00.5Z".parse().expect("a time");
        for (text, told) in [
            ("90d", "2026-07-30T12:00:00Z"),
            ("2027-01-01", "2027-01-01T00:00:00Z"),
            ("2026-05-01T14:00:01.7+01:00", "2026-05-01T13:00:01Z"),
        ] {
            assert_eq!(end(text, now).expect("a time").to_string(), told, "{text}");
        }
        for text in ["", "today", "2026-05-01", "2026-05-01T12:00:00Z", "soon", "0s", "99999999999w"] {
            assert!(end(text, now).is_err(), "{text}");
        }
    }
}
