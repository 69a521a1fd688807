//! Token Server events: the type decides outcome and who the user is; details are named by their keys.
use super::{
    Draft, FamilyCatalog,
    model::{Class, EventType, Role, TokenUser},
    reading::{Origin, Reading, not_null, unlisted_name, warning},
};
use crate::proto::v1::TokenServerEvent;

/// The form in which types are compared: the product writes `CONSENT_GIVEN`, `CONSENT GIVEN` and
/// `Consent given`.
pub fn fold_type(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for word in text.split(|each: char| each == '_' || each.is_whitespace()).filter(|word| !word.is_empty()) {
        if !folded.is_empty() {
            folded.push('_');
        }
        folded.extend(word.chars().map(|each| each.to_ascii_uppercase()));
    }
    folded
}

/// The form in which keys of `details` are compared: letters and digits only, without case, so that
/// `access_token`, `accessToken` and `access-token` are one key and none of them slips past the
/// secret policy.
pub fn fold_key(key: &str) -> String {
    key.chars().filter(char::is_ascii_alphanumeric).map(|each| each.to_ascii_lowercase()).collect()
}

/// Whether a key that the catalog does not have sounds like that of a secret. Details are free-form, so
/// a list of known names is never complete; losing a harmless value costs less than keeping a password.
pub fn sounds_secret(key: &str) -> bool {
    const PARTS: [&str; 16] = [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "secret",
        "token",
        "pin",
        "otp",
        "jwt",
        "bearer",
        "apikey",
        "credential",
        "authcode",
        "privatekey",
        "cookie",
        "assertion",
    ];
    let key = fold_key(key);
    PARTS.iter().any(|part| key.contains(part))
}

/// The field that names the user.
const USER: Origin = Origin::Column("user_id");

/// Reads an event whose type is `event_type`.
pub fn read(catalog: &FamilyCatalog, event_type: &EventType, event: &TokenServerEvent) -> Draft {
    let mut reading = read_any(catalog, event);
    if let Some(user) = event.user_id.as_deref().and_then(not_null) {
        reading.fill(Role::Subject, user, &USER);
        if event_type.user == TokenUser::Actor && reading.actor.is_empty() {
            reading.fill(Role::Actor, user, &USER);
        }
    }
    Draft { reading, outcome: event_type.outcome, variant: String::new(), severity: None }
}

/// Names what an event of any type holds.
pub fn read_any(catalog: &FamilyCatalog, event: &TokenServerEvent) -> Reading {
    let mut reading = Reading::default();
    let fields = [
        ("client_id", &event.client_id),
        ("user_id", &event.user_id),
        ("client_ip", &event.client_ip),
        ("user_agent", &event.user_agent),
        ("transaction_id", &event.transaction_id),
    ];
    for (name, value) in fields {
        let Some(value) = value.as_deref().and_then(not_null) else { continue };
        match catalog.attributes.get(name) {
            Some(attribute) => {
                reading.take(attribute, value, || format!("token_server.{name}"), || Origin::Column(name));
            }
            None => reading.take_unlisted(name.to_owned(), value, Origin::Column(name)),
        }
    }
    for (key, value) in &event.details {
        let path = || format!("token_server.details[{key}]");
        let known = catalog.details.get(&fold_key(key));
        if let Some(secret) = known.filter(|attribute| attribute.class == Class::Secret) {
            reading.dropped(&secret.name);
            continue;
        }
        let value = match not_null(value) {
            Some(value) => value,
            None if known.is_none() && sounds_secret(key) => "",
            None => continue,
        };
        match known {
            Some(attribute) => reading.take(attribute, value, path, || Origin::Key(key.clone())),
            None if sounds_secret(key) => {
                reading.dropped(&unlisted_name("detail", key));
                let description =
                    "the catalog does not know this key; it sounds like a secret's, so its value was dropped";
                reading.warn(warning::UNKNOWN_KEY, path(), description);
            }
            None => {
                reading.warn(warning::UNKNOWN_KEY, path(), "the catalog does not know this key");
                reading.take_unlisted(unlisted_name("detail", key), value, Origin::Key(key.clone()));
            }
        }
    }
    reading
}
