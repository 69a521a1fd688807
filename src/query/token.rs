//! Resume tokens: where a query stopped, authenticated and bound to what it asked.
//!
//! A token is opaque to clients, valid on any replica and across restarts (the key is shared through
//! the store), useless for another log, filter or order, and grants nothing: whoever presents it is
//! authorised as if it were the first call.
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use super::{Order, predicate::Predicate};
use crate::{event::LogName, store::PageStart};

/// Version, order, position, time, head, bound, and a MAC of 16 bytes over them.
const BODY: usize = 1 + 1 + 8 + 8 + 8 + 8;
const MAC: usize = 16;
const VERSION: u8 = 1;

/// What a token is bound to: log and filter, as a digest. The filter is that of the caller: what it may see is asked at
/// every use, and not of the token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bound([u8; 8]);

impl Bound {
    /// The bound of a query. The printed predicate reads as the same one again, so two that differ print
    /// differently, also in another version of this program.
    pub fn of(log: &LogName, predicate: &Predicate) -> Self {
        let digest = Sha256::digest(format!("{log}\n{predicate}"));
        let mut bound = [0; 8];
        bound.copy_from_slice(&digest[..8]);
        Self(bound)
    }
}

/// A place in a query, between two events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    pub start: PageStart,
    /// The head that the query was bounded by; 0 for ascending queries, which go on to the newest.
    pub head: u64,
}

/// Why a token is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenFault {
    /// Not a token of this service, or damaged.
    Invalid,
    /// A token of another log, filter or order.
    OtherQuery,
}

/// Makes and opens tokens.
#[derive(Clone)]
pub struct Tokens {
    mac: Hmac<Sha256>,
}

impl Tokens {
    /// Tokens under a key, which every replica shares.
    pub fn new(key: &[u8]) -> Self {
        // Unwrap safety: HMAC takes keys of any length.
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::new_from_slice(key).expect("a key of any length");
        Self { mac }
    }

    /// A token for `cursor`.
    pub fn issue(&self, bound: Bound, cursor: Cursor) -> String {
        let (order, position, occurred_at) = match cursor.start {
            PageStart::From(position) => (Order::PositionAsc, position, 0),
            PageStart::Below(position) => (Order::PositionDesc, position, 0),
            PageStart::Earlier { occurred_at, position } => (Order::OccurredDesc, position, occurred_at),
        };
        let mut bytes = Vec::with_capacity(BODY + MAC);
        bytes.push(VERSION);
        bytes.push(order as u8);
        bytes.extend(position.to_be_bytes());
        bytes.extend(occurred_at.to_be_bytes());
        bytes.extend(cursor.head.to_be_bytes());
        bytes.extend(bound.0);
        let mut mac = self.mac.clone();
        mac.update(&bytes);
        bytes.extend(&mac.finalize().into_bytes()[..MAC]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The cursor of a token.
    ///
    /// # Errors
    /// The token is not one of this service's, or belongs to another query.
    pub fn open(&self, bound: Bound, order: Order, token: &str) -> Result<Cursor, TokenFault> {
        // A token has 67 characters; nothing longer is worth decoding.
        let bytes = (token.len() <= 128).then(|| URL_SAFE_NO_PAD.decode(token).ok()).flatten();
        let bytes = bytes.filter(|bytes| bytes.len() == BODY + MAC).ok_or(TokenFault::Invalid)?;
        let (body, tag) = bytes.split_at(BODY);
        let mut mac = self.mac.clone();
        mac.update(body);
        mac.verify_truncated_left(tag).map_err(|_| TokenFault::Invalid)?;
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&body[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        if body[0] != VERSION {
            return Err(TokenFault::Invalid);
        }
        if body[1] != order as u8 || body[BODY - 8..] != bound.0 {
            return Err(TokenFault::OtherQuery);
        }
        let position = number(2);
        let start = match order {
            Order::PositionAsc => PageStart::From(position),
            Order::PositionDesc => PageStart::Below(position),
            Order::OccurredDesc => PageStart::Earlier { occurred_at: number(10).cast_signed(), position },
        };
        Ok(Cursor { start, head: number(18) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(log: &str) -> Bound {
        Bound::of(&LogName::parse(log).expect("a log"), &Predicate::All(Vec::new()))
    }

    #[test]
    fn a_token_opens_to_its_cursor() {
        let tokens = Tokens::new(b"key");
        for (order, start) in [
            (Order::PositionAsc, PageStart::From(7)),
            (Order::PositionDesc, PageStart::Below(u64::MAX)),
            (Order::OccurredDesc, PageStart::Earlier { occurred_at: -5, position: 9 }),
        ] {
            let cursor = Cursor { start, head: 11 };
            let token = tokens.issue(bound("main"), cursor);
            assert_eq!(tokens.open(bound("main"), order, &token), Ok(cursor));
        }
    }

    #[test]
    fn a_token_of_another_query_or_key_is_refused() {
        let tokens = Tokens::new(b"key");
        let token = tokens.issue(bound("main"), Cursor { start: PageStart::From(7), head: 0 });
        assert_eq!(tokens.open(bound("other"), Order::PositionAsc, &token), Err(TokenFault::OtherQuery));
        assert_eq!(tokens.open(bound("main"), Order::PositionDesc, &token), Err(TokenFault::OtherQuery));
        assert_eq!(
            Tokens::new(b"another").open(bound("main"), Order::PositionAsc, &token),
            Err(TokenFault::Invalid)
        );
        for at in 0..token.len() {
            let mut damaged = token.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).expect("ASCII");
            assert!(tokens.open(bound("main"), Order::PositionAsc, &damaged).is_err(), "character {at}");
        }
        for wrong in ["", "x", &"A".repeat(1000), "????"] {
            assert_eq!(tokens.open(bound("main"), Order::PositionAsc, wrong), Err(TokenFault::Invalid));
        }
    }
}
