//! Which personal values of an event are a person's: what an erasure takes and what it leaves.
//!
//! Of an event about the person, every personal value, but for those that name somebody else who acted. Of an event
//! in which the person only acted, the values that name them. Pure. Caller: `ingest::erasure`.
use super::{
    Columns,
    personal::{self, NotAnEvent, RECORD_VERSION},
    words::{holds, texts},
};
use crate::{
    catalog::{
        Catalog,
        model::{Family, Role},
    },
    proto::v1,
};

/// An event without the values of a person.
pub struct Without {
    /// What lies beside the record from now on; `None`: there is nothing to erase.
    pub personal: Option<Vec<u8>>,
    /// Values that are erased.
    pub values: u64,
    /// What the event is found by, before and after.
    pub before: Columns,
    pub after: Columns,
    /// Whether it still names the person: its record itself does.
    pub still_named: bool,
    pub producer: String,
    pub event_id: String,
}

/// Takes a person's values out of an event.
///
/// # Errors
/// The stored bytes are no event.
pub fn without(catalog: &Catalog, record: &[u8], beside: &[u8], person: &str) -> Result<Without, NotAnEvent> {
    let event = personal::decode(record, beside)?;
    let before = Columns::of(&event);
    let mut left = Without {
        personal: None,
        values: 0,
        after: before.clone(),
        before,
        still_named: false,
        producer: event.producer.clone(),
        event_id: event.event_id.clone(),
    };
    if event.record_version >= RECORD_VERSION {
        let about = About::new(catalog, &event, person);
        // The words by which a field that holds several values is known to hold one of those that go.
        let mut words = Vec::new();
        for fragment in personal::fragments(beside)? {
            if about.takes(&fragment) {
                words.extend(fragment.attributes.into_iter().map(|each| each.value));
            }
        }
        // Where no value is theirs, a field that holds their name as a word holds somebody else's value.
        if about.is_subject || about.is_actor || !words.is_empty() {
            words.push(person.to_owned());
        }
        let goes = |fragment: &v1::Event| match fragment.attributes.is_empty() {
            true => about.takes_field(fragment, &words),
            false => about.takes(fragment),
        };
        if let Some(erasure) = personal::erase(beside, goes)? {
            left.after = Columns::of(&personal::decode(record, &erasure.personal)?);
            left.values = erasure.values;
            left.personal = Some(erasure.personal);
        }
    }
    let fixed = event.record_version < RECORD_VERSION;
    left.still_named = left.after.subject == person
        || left.after.actor == person
        || fixed && event.attributes.iter().any(|each| each.value == person);
    Ok(left)
}

/// How an event is about a person.
struct About<'a> {
    catalog: &'a Catalog,
    family: Option<Family>,
    person: &'a str,
    is_subject: bool,
    is_actor: bool,
}

impl<'a> About<'a> {
    fn new(catalog: &'a Catalog, event: &v1::Event, person: &'a str) -> Self {
        Self {
            catalog,
            family: Family::from_proto(event.family),
            person,
            is_subject: event.subject == person,
            is_actor: event.actor == person,
        }
    }

    /// Whether a fragment with attributes goes.
    fn takes(&self, fragment: &v1::Event) -> bool {
        let roles = [&fragment.actor, &fragment.subject, &fragment.device].into_iter();
        // The server writes conditions, in which people are named among others.
        let own = self.family == Some(Family::Chancery);
        let mut values = fragment.attributes.iter().map(|each| &each.value);
        let names = roles.filter(|role| !role.is_empty()).any(|role| role == self.person)
            || values.any(|value| value == self.person || own && holds(value, self.person));
        // Whoever else acted is another person, whose values stay.
        names || self.is_subject && (self.is_actor || !self.is_of_actor(fragment))
    }

    /// Whether it names who acted: it fills that column, or would if another field did not.
    fn is_of_actor(&self, fragment: &v1::Event) -> bool {
        let declared = |name: &str| {
            let known = self.family.and_then(|family| self.catalog.family(family).attributes.get(name));
            known.is_some_and(|it| it.roles.contains(&Role::Actor) && !it.roles.contains(&Role::Subject))
        };
        let fills = !fragment.actor.is_empty() && fragment.subject.is_empty();
        fills || fragment.attributes.iter().any(|each| declared(&each.name))
    }

    /// Whether a field that holds several values goes.
    fn takes_field(&self, fragment: &v1::Event, words: &[String]) -> bool {
        let family = fragment.source.as_ref().and_then(|source| source.family.as_ref());
        let texts = family.map(texts).unwrap_or_default();
        self.is_subject || texts.iter().any(|text| words.iter().any(|word| holds(text, word)))
    }
}
