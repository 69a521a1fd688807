//! Misprinted ids and names of CMS events are accepted and flagged, and the credential type chooses the
//! variant that names the fields.
use chancery::proto::v1::{CmsAuditEvent, CmsNotificationEvent, Event, NewEvent, Outcome, new_event::Family};

use crate::harness::{
    KINDS, TestStore, block_on,
    events::event,
    log::{judged, stored, values, warned},
    server::Server,
};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn notification(code: &str, description: &str) -> NewEvent {
    event(Family::CmsNotification(CmsNotificationEvent {
        code: code.to_owned(),
        description: description.to_owned(),
        client_id: some("5000000000148213"),
        operator_id: some("CN=Anna Meier"),
        ..CmsNotificationEvent::default()
    }))
}

/// What both stores give back for these events.
fn read(events: &[NewEvent]) -> Vec<Vec<Event>> {
    KINDS
        .map(|kind| {
            let store = TestStore::new(kind);
            let server = Server::start(&store);
            block_on(async { stored(&mut server.audit().await, events.to_vec()).await })
        })
        .into()
}

#[test]
fn the_id_with_the_footnote_mark_is_10012() {
    let events = [notification("10012", "SynchronizeDevice"), notification("100121", "SynchronizeDevice")];
    for read in read(&events) {
        for event in &read {
            assert_eq!((event.code.as_str(), event.name.as_str()), ("10012", "SynchronizeDevice"));
        }
        assert!(warned(&read[0]).is_empty());
        assert_eq!(warned(&read[1]), ["OLD_SPELLING"]);
        assert_eq!(read[1].warnings[0].field, "cms_notification.code");
        assert!(read[1].warnings[0].description.contains("10012"), "{:?}", read[1].warnings);
    }
}

#[test]
fn misprinted_names_are_accepted_as_old_spellings() {
    // Code, name as sent, name as stored, warning.
    let cases = [
        ("20008", "CredentialRequest", "CredentialIssued", Some("OLD_SPELLING")),
        ("21011", "CredProvProcessCredential", "CredProvCredentialCreated", Some("OLD_SPELLING")),
        ("21013", "CredProvCredentialUpdated", "CredProvCredentialProcessed", Some("OLD_SPELLING")),
        ("20008", "CredentialIssued", "CredentialIssued", None),
        // Angle brackets are the documents', and no name is no contradiction.
        ("20008", "<CredentialIssued>", "CredentialIssued", None),
        ("21011", "", "CredProvCredentialCreated", None),
        // Another event's name is neither.
        ("21011", "CardIssuance", "CredProvCredentialCreated", Some("NAME_DIFFERS")),
    ];
    let events = cases.map(|(code, name, _, _)| notification(code, name));
    for read in read(&events) {
        for (event, (code, sent, name, warning)) in read.iter().zip(cases) {
            assert_eq!((event.code.as_str(), event.name.as_str()), (code, name), "{code} {sent}");
            assert_eq!(warned(event), Vec::from_iter(warning), "{code} {sent}");
        }
    }
}

#[test]
fn the_credential_type_chooses_the_variant_of_a_notification() {
    let with = |code: &str, num2: i32, num1: i32, char1: &str, char2: &str, char3: &str| {
        event(Family::CmsNotification(CmsNotificationEvent {
            code: code.to_owned(),
            num1: Some(num1),
            num2: Some(num2),
            char1: some(char1),
            char2: some(char2),
            char3: some(char3),
            ..CmsNotificationEvent::default()
        }))
    };
    let issued = "PIV Card,4F21,2026-01-05,2029-01-05,118";
    let events = [
        with("20002", 0, 1, "CN=Ann", "PIV Card,4F21", "CA 1"),
        with("20002", 1, 0, "aaa-1", "ann", "OTP Token"),
        with("20003", 1, 0, "aaa-1", "ann", "OTP Token"),
        with("20004", 0, 8, "CN=Ann", "PIV Card,4F21", "CA 1"),
        with("20008", 0, 1, "CN=Ann", issued, "CA 1"),
        with("20008", 1, 0, "aaa-1", "ann", ""),
        with("20008", 6, 0, "aaa-1", "ann", "OTP Token"),
    ];
    let (pki, ski, emergency) = ("pki", "ski", "emergency_password");
    // Variant, subject, and an attribute with its value that only this variant has.
    let expected = [
        (pki, "", "certificate_serial_number", "4F21"),
        (ski, "ann", "aaa_server", "aaa-1"),
        (ski, "ann", "device_type", "OTP Token"),
        (pki, "", "certificate_type", "8"),
        (pki, "", "certificate_request_id", "118"),
        (ski, "ann", "aaa_server", "aaa-1"),
        (emergency, "ann", "device_type", "OTP Token"),
    ];
    for read in read(&events) {
        for (at, (event, (variant, subject, name, value))) in read.iter().zip(expected).enumerate() {
            assert_eq!((event.variant.as_str(), event.subject.as_str()), (variant, subject), "{at}");
            assert_eq!(values(event, name), [value], "{at}: {:?}", event.attributes);
            assert!(warned(event).is_empty(), "{at}: {:?}", event.warnings);
        }
    }
}

#[test]
fn a_credential_type_without_a_variant_is_refused() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        for (code, num2) in [("20008", 2), ("20003", 6), ("20009", 0)] {
            let wrong = event(Family::CmsNotification(CmsNotificationEvent {
                code: code.to_owned(),
                num2: Some(num2),
                ..CmsNotificationEvent::default()
            }));
            let error = judged(&mut server.audit().await, wrong).await.error.expect("an error");
            assert!(error.message.contains("cms_notification.num2"), "{code} {num2}: {}", error.message);
        }
    });
}

#[test]
fn a_certificate_issuance_of_the_audit_trail_is_named_by_its_row() {
    let issued = |severity: u32, num1: i32, num2: i32, client: &str, char1: Option<&str>, char2: &str| {
        event(Family::CmsAudit(CmsAuditEvent {
            code: "20110".to_owned(),
            severity,
            client_id: some(client),
            num1: Some(num1),
            num2: Some(num2),
            char1: char1.map(str::to_owned),
            char2: some(char2),
            ..CmsAuditEvent::default()
        }))
    };
    let events = [
        issued(500, 1, 0, "device-1", Some("CN=Ann,OU=Sales"), "PIV Card;4F21"),
        // The second record of a success: common name and organizational unit, no serial number.
        issued(500, 1, 0, "device-1", Some("Ann"), "Sales"),
        issued(500, 0, 1, "ann", Some("OTP Token"), "device-1"),
        issued(100, 1, 0, "device-1", None, "PIV Card"),
        issued(100, 0, 1, "ann", Some("OTP Token"), "device-1"),
        issued(301, 0, 6, "device-1", Some("ann"), "OTP Token"),
    ];
    // Variant, device, subject, outcome, and an attribute with its value.
    let expected = [
        ("pki", "device-1", "", Outcome::Success, "certificate_serial_number", "4F21"),
        ("pki_subject", "device-1", "", Outcome::Success, "certificate_subject_ou", "Sales"),
        ("ski", "device-1", "ann", Outcome::Success, "device_type", "OTP Token"),
        ("pki", "device-1", "", Outcome::Started, "device_type", "PIV Card"),
        ("ski", "device-1", "ann", Outcome::Started, "device_type", "OTP Token"),
        ("ski_temporary_password", "device-1", "ann", Outcome::Failure, "device_type", "OTP Token"),
    ];
    for read in read(&events) {
        for (at, (event, (variant, device, subject, outcome, name, value))) in
            read.iter().zip(expected).enumerate()
        {
            assert_eq!(event.variant, variant, "{at}: {:?}", event.attributes);
            assert_eq!((event.device.as_str(), event.subject.as_str()), (device, subject), "{at}");
            assert_eq!(event.outcome(), outcome, "{at}");
            assert_eq!(values(event, name), [value], "{at}");
            assert!(warned(event).is_empty(), "{at}: {:?}", event.warnings);
        }
    }
}
