//! Events with a secret in every place where one can be.
use chancery::proto::v1::{
    AppendResult::{self, Accepted, Quarantined, Rejected},
    AsAuditEvent, AsParameter, CmsAuditEvent, CmsNotificationEvent, NewEvent, TokenServerEvent,
    new_event::Family,
};

use super::{CANARY, CONTROL};
use crate::harness::events;

/// An event with a secret in it.
pub struct Place {
    pub name: String,
    pub event: NewEvent,
    pub fate: AppendResult,
    /// Names of the attributes that must be marked as dropped, in order.
    pub dropped: Vec<&'static str>,
}

fn place(name: &str, event: NewEvent, fate: AppendResult, dropped: &[&'static str]) -> Place {
    Place { name: name.to_owned(), event, fate, dropped: dropped.to_vec() }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// A CMS audit row whose Char2 is the challenge of a blocked device.
pub fn unlock_challenge(code: &str, severity: u32, challenge: &str) -> NewEvent {
    events::event(Family::CmsAudit(CmsAuditEvent {
        code: code.to_owned(),
        severity,
        client_id: text(CONTROL),
        char2: text(challenge),
        ..CmsAuditEvent::default()
    }))
}

fn notification(code: &str, change: impl FnOnce(&mut CmsNotificationEvent)) -> NewEvent {
    let mut event = CmsNotificationEvent { code: code.to_owned(), ..CmsNotificationEvent::default() };
    change(&mut event);
    events::event(Family::CmsNotification(event))
}

pub fn credentials(code: &str, keys: &[&str]) -> NewEvent {
    notification(code, |event| {
        event.credential_values =
            keys.iter().map(|key| ((*key).to_owned(), format!("{CANARY}-{}", key.len()))).collect();
    })
}

pub fn listed(action: &str, parameters: &[(&str, &str)]) -> NewEvent {
    let parameter =
        |(code, value): &(&str, &str)| AsParameter { code: (*code).to_owned(), value: (*value).to_owned() };
    events::event(Family::AsAudit(AsAuditEvent {
        action: action.to_owned(),
        parameters: parameters.iter().map(parameter).collect(),
        ..AsAuditEvent::default()
    }))
}

pub fn raw(raw_parameters: &str) -> NewEvent {
    events::event(Family::AsAudit(AsAuditEvent {
        raw_parameters: raw_parameters.to_owned(),
        ..AsAuditEvent::default()
    }))
}

pub fn details(r#type: &str, key: &str) -> NewEvent {
    events::event(Family::TokenServer(TokenServerEvent {
        r#type: r#type.to_owned(),
        details: [(key.to_owned(), format!("{CANARY}-token"))].into(),
        ..TokenServerEvent::default()
    }))
}

fn cms() -> Vec<Place> {
    let challenge = |code, severity| unlock_challenge(code, severity, "CANARY-challenge");
    let misfiled = notification("20011", |event| event.char2 = text("CANARY-misfiled"));
    let synchronized = |status| {
        notification("20010", |event| {
            event.status = status;
            event.num2 = Some(1);
            event.char3 = text("CANARY-synchronization");
        })
    };
    let keys = [
        "SyncDesKey",
        "syncAuthenticationCounterValue",
        "syncDeviceOffset",
        "asyncDesKey",
        "asyncLastChallenge",
        "EmergencyPasswordValue",
    ];
    let names = [
        "async_des_key",
        "async_last_challenge",
        "emergency_password_value",
        "sync_authentication_counter_value",
        "sync_des_key",
        "sync_device_offset",
    ];
    vec![
        place("challenge", challenge("20011", 100), Accepted, &["challenge_code"]),
        place("challenge of a failure", challenge("20011", 301), Accepted, &["challenge_code"]),
        place("challenge, code with blanks", challenge(" 20011 ", 100), Accepted, &["challenge_code"]),
        place("challenge, wrong severity", challenge("20011", 500), Quarantined, &[]),
        place("challenge under the other family", misfiled, Quarantined, &[]),
        place("synchronization value", synchronized(0), Accepted, &["synchronization_value"]),
        place("synchronization value of a failure", synchronized(1), Accepted, &["synchronization_value"]),
        place("synchronization value, wrong status", synchronized(2), Quarantined, &[]),
        place("keys", credentials("10012", &keys), Accepted, &names),
        place("keys, other case", credentials("10012", &["SYNCDESKEY"]), Accepted, &["sync_des_key"]),
        place("unknown key", credentials("10012", &["newKey"]), Accepted, &["credential_newkey"]),
        place("keys, unknown code", credentials("99999", &keys), Quarantined, &[]),
    ]
}

fn authentication_server() -> Vec<Place> {
    const CODE: [&str; 1] = ["session_transfer_code"];
    let both = {
        let mut event = listed("createUser", &[("TRA", "CANARY-listed")]);
        let Some(Family::AsAudit(record)) = &mut event.family else { return Vec::new() };
        record.raw_parameters = "TRA=\"CANARY-raw\"".to_owned();
        event
    };
    let twice = listed("createUser", &[("TRA", "CANARY-1"), ("USN", "ann"), ("TRA", "CANARY-2")]);
    let twice_names = ["session_transfer_code", "session_transfer_code"];
    vec![
        place("in the list", twice, Accepted, &twice_names),
        place(
            "session id in the list",
            listed("createUser", &[("ALS", "CANARY-id")]),
            Accepted,
            &["session_id"],
        ),
        place("hidden in the list", listed("createUser", &[("FAC", "told TRA=\"CANARY-h\"")]), Accepted, &[]),
        place("other case in the list", listed("createUser", &[("tra", "CANARY-low")]), Accepted, &CODE),
        place("blanks in the list", listed("createUser", &[(" TRA ", "CANARY-b")]), Accepted, &CODE),
        place("unknown action", listed("noSuchAction", &[("TRA", "CANARY-unknown")]), Quarantined, &[]),
        place("raw", raw("USN=\"ann\" TRA=\"CANARY-raw\"Action=createUser"), Accepted, &CODE),
        place("raw and bare", raw("TRA=CANARY-bare Action=createUser"), Accepted, &CODE),
        place("raw, other case", raw("Tra=CANARY-low Action=createUser"), Accepted, &CODE),
        place("raw, hidden", raw("FAC=\"told TRA=\"CANARY-hidden\"\"Action=createUser"), Accepted, &[]),
        place("raw, hidden and bare", raw("FAC=TRA=CANARY-hidden Action=createUser"), Accepted, &[]),
        place("raw, unknown action", raw("TRA=\"CANARY-raw\"Action=noSuchAction"), Quarantined, &[]),
        place("JSON", raw(r#"{"TRA":"CANARY-json","Action":"createUser"}"#), Accepted, &CODE),
        place("JSON, escaped", raw(r#"{"T\u0052A":"CANARY-json","Action":"createUser"}"#), Accepted, &CODE),
        place("JSON, hidden", raw(r#"{"FAC":"told TR\u0041=CANARY","Action":"createUser"}"#), Accepted, &[]),
        place("no parameters", raw("TRA=\"CANARY-broken"), Rejected, &[]),
        place("list and raw", both, Rejected, &[]),
    ]
}

fn token_server() -> Vec<Place> {
    let known =
        |key, dropped| place(&format!("detail {key}"), details("CONSENT_GIVEN", key), Accepted, &[dropped]);
    vec![
        known("access_token", "access_token"),
        known("accessToken", "access_token"),
        known("Access-Token", "access_token"),
        known("refresh token", "refresh_token"),
        known("password", "password"),
        known("PIN", "pin"),
        place("detail of an unknown type", details("NO_SUCH_TYPE", "accessToken"), Quarantined, &[]),
    ]
}

/// Every place.
pub fn all() -> Vec<Place> {
    cms().into_iter().chain(authentication_server()).chain(token_server()).collect()
}
