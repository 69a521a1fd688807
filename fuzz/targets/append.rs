//! What a producer sends, through everything that Append does before the sequencer: the count on the wire, decoding,
//! the checks, the secret policy, the catalog, the seal. What is refused names a field; what is accepted is stored as
//! it was hashed, opens to the whole event, and holds no secret, wherever one was put.
//!
//! The first byte chooses: a batch, a batch of a stream, an event, or an event as JSON.
use chancery::{
    catalog::{
        model::{Class, Family, Field},
        token_server,
    },
    event::{Columns, RefusedEvent, SealedEvent, leaf_hash, personal},
    proto::v1::{AppendRequest, AppendStreamRequest, NewEvent, new_event::Family as Source},
    server::codec::events_on_the_wire,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::common::sealed::{CATALOG, Still, admitted, wire};

/// A secret, and the same where only a number fits. Made of the event, so that the fuzzer does not learn to put it
/// where it is none.
struct Canary {
    text: String,
    number: i32,
}

impl Canary {
    fn of(event: &NewEvent) -> Self {
        let hash = Sha256::digest(event.encode_to_vec());
        let mut number = [0; 4];
        number.copy_from_slice(&hash[8..12]);
        Self {
            text: hash[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
            number: i32::from_be_bytes(number) | 1 << 30,
        }
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        bytes.windows(self.text.len()).any(|window| window == self.text.as_bytes())
    }
}
/// Where in an event something may be wrong.
const ROOTS: [&str; 10] = [
    "event_id",
    "occurred_at",
    "producer_sequence",
    "producer_epoch",
    "correlation_id",
    "family",
    "cms_audit",
    "cms_notification",
    "as_audit",
    "token_server",
];

/// A choice and a message.
pub fn run(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let events = match choice % 4 {
        0 => batch(data, |batch: AppendRequest| batch.events),
        1 => batch(data, |batch: AppendStreamRequest| batch.events),
        2 => NewEvent::decode(data).into_iter().collect(),
        _ => serde_json::from_slice(data).into_iter().collect(),
    };
    // A batch is its events, one by one.
    for event in events.into_iter().take(4) {
        let canary = Canary::of(&event);
        one(&event, &canary);
        one(&with_canaries(event, &canary), &canary);
    }
}

fn batch<U>(data: &[u8], events: impl FnOnce(U) -> Vec<NewEvent>) -> Vec<NewEvent>
where
    U: prost::Message + Default + 'static,
{
    let counted = events_on_the_wire::<U>(data).expect("a batch");
    let Ok(batch) = U::decode(data) else { return Vec::new() };
    let events = events(batch);
    assert_eq!(counted, events.len(), "events on the wire and decoded");
    events
}

fn one(event: &NewEvent, canary: &Canary) {
    let ended = admitted(event.clone(), &Still::new());
    let again = admitted(event.clone(), &Still::new());
    let (rejection, bytes, hash) = match &ended {
        Err(rejection) => (Some(rejection), Vec::new(), None),
        Ok(Err(refused)) => (Some(&refused.rejection), kept(refused, canary), Some(refused.content_hash)),
        Ok(Ok(sealed)) => (None, stored(sealed, canary), Some(*sealed.content_hash())),
    };
    if let Some(rejection) = rejection {
        assert!(!rejection.violations.is_empty(), "{event:?} is refused for nothing");
        for each in &rejection.violations {
            let root = each.field.split(['.', '[']).next().unwrap_or_default();
            let whole = root.is_empty() && rejection.reason.as_str() == "EVENT_TOO_LARGE";
            let own = root == "chancery" && rejection.reason.as_str() == "FAMILY_NOT_ALLOWED";
            assert!(whole || own || ROOTS.contains(&root), "{each:?}");
            assert!(!each.description.is_empty(), "{each:?}");
        }
        let said = rejection.message() + &rejection.nearest.join(" ");
        let echoed = canary.is_in(said.as_bytes()) || said.contains(&canary.number.to_string());
        assert!(!echoed, "a secret is echoed: {said}");
    }
    assert!(!canary.is_in(&bytes), "a secret is kept of {event:?}");
    let hash_again = match again {
        Err(_) => None,
        Ok(Err(refused)) => Some(refused.content_hash),
        Ok(Ok(sealed)) => Some(*sealed.content_hash()),
    };
    assert_eq!(hash, hash_again, "the same content, another hash: {event:?}");
}

/// What the quarantine keeps of an event: it is what was hashed, and goes through the policy again as it is.
fn kept(refused: &RefusedEvent, canary: &Canary) -> Vec<u8> {
    assert_eq!(refused.content_hash, <[u8; 32]>::from(Sha256::digest(&refused.submitted)));
    let event = NewEvent::decode(&refused.submitted[..]).expect("what was encoded");
    assert!(!numbers(&event).contains(&canary.number), "a secret number is kept of {event:?}");
    refused.submitted.clone()
}

/// What the store keeps of an event, and all that is said of it.
fn stored(sealed: &SealedEvent, canary: &Canary) -> Vec<u8> {
    let (record, beside) = (sealed.record(), sealed.personal());
    assert_eq!(leaf_hash(record), *sealed.leaf_hash());
    let whole = personal::decode(record, beside).expect("an event");
    assert_eq!(format!("{:?}", Columns::of(&whole)), format!("{:?}", sealed.columns()));
    let source = whole.source.as_ref().expect("the event as submitted");
    assert_eq!(<[u8; 32]>::from(Sha256::digest(source.encode_to_vec())), *sealed.content_hash(), "{whole:?}");
    assert!(!numbers(source).contains(&canary.number), "a secret number is kept of {whole:?}");
    assert!(whole.attributes.iter().all(|each| !each.dropped || each.value.is_empty()), "{whole:?}");
    let sent = wire(record, beside, 7);
    let parts = personal::open(&sent).expect("an event as it is sent");
    assert_eq!(parts.record, record);
    assert!(parts.values.iter().all(|each| each.value == personal::Value::Valid), "{:?}", parts.values);
    let columns = format!("{:?}", sealed.columns());
    [record, beside, columns.as_bytes()].concat()
}

fn numbers(event: &NewEvent) -> Vec<i32> {
    let numbers = match &event.family {
        Some(Source::CmsAudit(event)) => vec![event.num1, event.num2, event.error_number],
        Some(Source::CmsNotification(event)) => vec![event.num1, event.num2],
        _ => Vec::new(),
    };
    numbers.into_iter().flatten().collect()
}

/// The event with a secret in every place that the catalog says may hold one.
fn with_canaries(mut event: NewEvent, canary: &Canary) -> NewEvent {
    let secret = &canary.text;
    let some = || Some(secret.clone());
    match &mut event.family {
        Some(Source::CmsAudit(event)) => {
            for field in secret_fields(Family::CmsAudit, &event.code) {
                match field {
                    Field::ClientId => event.client_id = some(),
                    Field::OperatorId => event.operator_id = some(),
                    Field::Char1 => event.char1 = some(),
                    Field::Char2 => event.char2 = some(),
                    Field::ErrorMessage => event.error_message = some(),
                    Field::Num1 => event.num1 = Some(canary.number),
                    Field::Num2 => event.num2 = Some(canary.number),
                    Field::ErrorNumber => event.error_number = Some(canary.number),
                    Field::Char3 => {}
                }
            }
        }
        Some(Source::CmsNotification(event)) => {
            for field in secret_fields(Family::CmsNotification, &event.code) {
                match field {
                    Field::ClientId => event.client_id = some(),
                    Field::OperatorId => event.operator_id = some(),
                    Field::Char1 => event.char1 = some(),
                    Field::Char2 => event.char2 = some(),
                    Field::Char3 => event.char3 = some(),
                    Field::Num1 => event.num1 = Some(canary.number),
                    Field::Num2 => event.num2 = Some(canary.number),
                    Field::ErrorNumber | Field::ErrorMessage => {}
                }
            }
            let known = &CATALOG.family(Family::CmsNotification).credential_values;
            let named = known.iter().filter(|(_, known)| known.attribute.class == Class::Secret);
            let keys = named.map(|(key, _)| key.clone()).chain(["NEW OBJECT/KEY".to_owned()]);
            event.credential_values.extend(keys.map(|key| (key, secret.clone())));
        }
        Some(Source::AsAudit(event)) => {
            let code = secret_parameter();
            let hidden = format!(" {code}=\"{secret}\"");
            for each in &mut event.parameters {
                each.value.push_str(&hidden);
            }
            let columns = [&mut event.domain, &mut event.user_id, &mut event.message, &mut event.status];
            for column in columns.into_iter().flatten() {
                column.push_str(&hidden);
            }
            if let Some(object) = event.raw_parameters.trim_end().strip_suffix('}') {
                event.raw_parameters = format!("{object},\"{code}\":\"{secret}\"}}");
            } else {
                event.raw_parameters.push_str(&hidden);
            }
        }
        Some(Source::TokenServer(event)) => {
            for value in event.details.values_mut() {
                value.push_str(&format!(" access_token={secret}"));
            }
            let known = &CATALOG.family(Family::TokenServer).details;
            let named = known.iter().filter(|(_, known)| known.class == Class::Secret);
            let keys = named.map(|(key, _)| key.clone()).chain(["newPassword".to_owned()]);
            event.details.extend(keys.map(|key| (key, secret.clone())));
            let listed = |key: &str| known.contains_key(&token_server::fold_key(key));
            let sounds =
                event.details.iter_mut().filter(|(key, _)| !listed(key) && token_server::sounds_secret(key));
            sounds.for_each(|(_, value)| secret.clone_into(value));
        }
        Some(Source::Chancery(_)) | None => {}
    }
    event
}

/// By any row of the code, in its own family or, where that does not know it, in the other of the product.
fn secret_fields(family: Family, code: &str) -> Vec<Field> {
    let other = if family == Family::CmsAudit { Family::CmsNotification } else { Family::CmsAudit };
    let found = CATALOG.find(family, code).or_else(|| CATALOG.find(other, code));
    found.map(|(known, _)| known.secret_fields.iter().map(|(field, _)| *field).collect()).unwrap_or_default()
}

fn secret_parameter() -> &'static str {
    let known = &CATALOG.family(Family::AsAudit).parameters;
    let secret = known.iter().find(|(_, attribute)| attribute.class == Class::Secret);
    secret.map(|(code, _)| code.as_str()).expect("a secret parameter")
}
