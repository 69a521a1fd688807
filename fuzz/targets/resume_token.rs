//! Resume tokens: made up, issued and then damaged, and signed with the right key over any bytes. None opens
//! but those that say what was asked. The first byte chooses order and query; the rest is the token, or what one
//! is made of.
use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery::{
    event::LogName,
    query::{
        Order,
        predicate::Predicate,
        token::{Bound, Cursor, TokenFault, Tokens},
    },
    store::PageStart,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

const KEY: &[u8] = b"no key of a server";
const ORDERS: [Order; 3] = [Order::PositionAsc, Order::PositionDesc, Order::OccurredDesc];
/// Bytes of a token before its MAC, and of that.
const BODY: usize = 34;
const MAC: usize = 16;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| Tokens::new(KEY));
/// Of two queries.
static SCOPES: LazyLock<[Bound; 2]> = LazyLock::new(|| {
    [("main", ""), ("other", "outcome = FAILURE")].map(|(log, expression)| {
        let predicate = Predicate::of(None, expression).expect("an expression");
        Bound::of(&LogName::parse(log).expect("a log"), &predicate)
    })
});

/// A choice and a token.
pub fn run(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let order = usize::from(*choice) % ORDERS.len();
    let query = usize::from(*choice) / ORDERS.len() % SCOPES.len();
    let made_up = TOKENS.open(SCOPES[query], ORDERS[order], &String::from_utf8_lossy(rest));
    assert_eq!(made_up, Err(TokenFault::Invalid), "{rest:?}");

    let mut body = [0; BODY];
    let known = rest.len().min(BODY);
    body[..known].copy_from_slice(&rest[..known]);
    issued(&body, order, query);
    signed(&body, order, query);
}

fn number(body: &[u8; BODY], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&body[at..at + 8]);
    u64::from_be_bytes(bytes)
}

/// A cursor of this order.
fn cursor(body: &[u8; BODY], order: Order) -> Cursor {
    let position = number(body, 2);
    let start = match order {
        Order::PositionAsc => PageStart::From(position),
        Order::PositionDesc => PageStart::Below(position),
        Order::OccurredDesc => PageStart::Earlier { occurred_at: number(body, 10).cast_signed(), position },
    };
    Cursor { start, head: number(body, 18) }
}

/// A token of the service opens to what it was made of, for its own query, as it is.
fn issued(body: &[u8; BODY], order: usize, query: usize) {
    let (bound, wanted) = (SCOPES[query], ORDERS[order]);
    let cursor = cursor(body, wanted);
    let token = TOKENS.issue(bound, cursor);
    assert_eq!(TOKENS.open(bound, wanted, &token), Ok(cursor), "{token}");
    assert_eq!(TOKENS.open(SCOPES[1 - query], wanted, &token), Err(TokenFault::OtherQuery), "{token}");
    let other = ORDERS[(order + 1) % ORDERS.len()];
    assert_eq!(TOKENS.open(bound, other, &token), Err(TokenFault::OtherQuery), "{token}");

    // Seven bits, so that every damaged byte is still a character.
    let bit = usize::from(u16::from_be_bytes([body[0], body[1]])) % (token.len() * 7);
    let mut damaged = token.clone().into_bytes();
    damaged[bit / 7] ^= 1 << (bit % 7);
    let damaged = String::from_utf8(damaged).expect("ASCII");
    let (longer, shorter) = (format!("{token}A"), &token[..token.len() - 1]);
    for damaged in [damaged.as_str(), &longer, shorter] {
        assert_eq!(TOKENS.open(bound, wanted, damaged), Err(TokenFault::Invalid), "{damaged} of {token}");
    }
}

/// With the key, as an older or newer server may have it, a token opens only if it is of this version, this
/// order and this query.
fn signed(body: &[u8; BODY], order: usize, query: usize) {
    let (bound, wanted) = (SCOPES[query], ORDERS[order]);
    let model = URL_SAFE_NO_PAD.decode(TOKENS.issue(bound, cursor(body, wanted))).expect("a token");
    let mut body = *body;
    // Eight equal bytes are not found by chance.
    if body[BODY - 1].is_multiple_of(2) {
        body[BODY - 8..].copy_from_slice(&model[BODY - 8..BODY]);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key of any length");
    mac.update(&body);
    let mut bytes = body.to_vec();
    bytes.extend(&mac.finalize().into_bytes()[..MAC]);
    let opened = TOKENS.open(bound, wanted, &URL_SAFE_NO_PAD.encode(bytes));
    let expected = match body[0] == model[0] {
        false => Err(TokenFault::Invalid),
        true if body[1] != model[1] || body[BODY - 8..] != model[BODY - 8..BODY] => {
            Err(TokenFault::OtherQuery)
        }
        true => Ok(cursor(&body, wanted)),
    };
    assert_eq!(opened, expected, "{body:?}");
}
