//! A site's catalog file. It is refused with its name, one of its lines and a reason, or what it adds obeys what the
//! rest of the crate takes for granted, leaves what was there as it was, and reads events without failing.
use std::{collections::BTreeSet, sync::LazyLock};

use chancery::{
    catalog::{
        Catalog, Embedded, Suggestions,
        model::{Attribute, Class, EventType, Family, Field, FieldSpec},
        secret,
    },
    proto::v1::{
        AsAuditEvent, AsParameter, CmsAuditEvent, CmsNotificationEvent, NewEvent, TokenServerEvent,
        new_event::Family as Source,
    },
};

const FILE: &str = "site.toml";

static EMBEDDED: LazyLock<(Embedded, Catalog)> = LazyLock::new(|| {
    let embedded = Embedded::load().expect("the embedded files");
    let catalog = embedded.clone().with([], BTreeSet::new()).expect("the embedded catalog");
    (embedded, catalog)
});

/// One file, which must be text.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (embedded, before) = &*EMBEDDED;
    let catalog = match embedded.clone().with([(FILE, text)], BTreeSet::new()) {
        Ok(catalog) => catalog,
        Err(error) => {
            assert_eq!(error.file, FILE);
            let lines = 1 + text.matches('\n').count();
            assert!((1..=lines).contains(&error.line), "line {} of {lines} in {text:?}", error.line);
            assert!(!error.reason.trim().is_empty(), "nothing said about {text:?}");
            return;
        }
    };
    assert_ne!(catalog.version(), before.version(), "{text:?}");
    for family in Family::ALL {
        let (old, new) = (&before.family(family).types, &catalog.family(family).types);
        assert!(old.iter().zip(new).all(|(old, new)| same(old, new)) && old.len() <= new.len());
        for (name, attribute) in &before.family(family).attributes {
            let kept = catalog.family(family).attributes.get(name);
            assert!(kept.is_some_and(|kept| same(attribute, kept)), "{name} of {family} is another one");
        }
        family_holds(&catalog, family);
        for (number, added) in new[old.len()..].iter().enumerate() {
            type_holds(&catalog, added);
            // Reading has nothing new to say after a few.
            if number < 4 {
                reads(&catalog, added);
            }
        }
    }
    let own = |catalog: &Catalog| catalog.family(Family::Chancery).types.len();
    assert_eq!(own(&catalog), own(before), "a site adds nothing to the server's own family");
}

/// Whether what a file adds has left this alone: it is shared, not made again.
fn same<T>(old: &std::sync::Arc<T>, new: &std::sync::Arc<T>) -> bool {
    std::sync::Arc::ptr_eq(old, new)
}

fn attribute_holds(attribute: &Attribute) {
    let name = &attribute.name;
    assert!(name.len() <= 64 && name.starts_with(|each: char| each.is_ascii_lowercase()), "{name:?}");
    let snake = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    assert!(name.bytes().all(snake), "{name:?}");
    assert!(!attribute.closed || !attribute.values.is_empty(), "{name} can have no value");
}

fn family_holds(catalog: &Catalog, family: Family) {
    let known = catalog.family(family);
    for (name, attribute) in &known.attributes {
        assert_eq!(*name, attribute.name);
        attribute_holds(attribute);
    }
    let keyed = known.parameters.values().chain(known.details.values());
    for attribute in keyed.chain(known.credential_values.values().map(|known| &known.attribute)) {
        let listed = known.attributes.get(&attribute.name);
        assert!(listed.is_some_and(|listed| same(listed, attribute)), "{} is no attribute", attribute.name);
    }
    // Whatever the spelling, a secret is one.
    for (code, attribute) in &known.parameters {
        for spelling in [code.to_ascii_lowercase(), code.to_ascii_uppercase(), format!(" {code}\t")] {
            let found = known.parameter(&spelling);
            assert!(found.is_some_and(|found| same(found, attribute)), "{spelling:?} is not {code:?}");
        }
    }
    for (at, operation) in known.operations.iter().enumerate() {
        assert!(known.operations[..at].iter().all(|other| !other.overlaps(operation)), "{operation:?}");
    }
}

fn type_holds(catalog: &Catalog, added: &EventType) {
    let EventType { family, code, .. } = added;
    let known = catalog.family(*family);
    for text in [code, &added.category, &added.summary] {
        assert!(!text.trim().is_empty(), "{added:?}");
    }
    let spellings = added.aliases.iter().map(|alias| &alias.code).chain([code]);
    for spelling in spellings {
        let found = catalog.find(*family, spelling).map(|(found, _)| &found.code);
        assert_eq!(found, Some(code), "{spelling:?}");
    }
    assert_eq!(catalog.find(*family, code).map(|(_, alias)| alias), Some(false), "{code:?}");
    let cms = matches!(family, Family::CmsAudit | Family::CmsNotification);
    assert!(added.rows.is_empty() || cms);
    assert!(!added.rows.is_empty() || !cms || added.reserved.is_some(), "{code:?} cannot happen");
    for row in &added.rows {
        let fields: Vec<_> = row.fields.iter().map(|(field, _)| *field).collect();
        assert_eq!(fields, Field::of(*family), "{code:?}");
        match family {
            Family::CmsAudit => {
                assert!(matches!(row.severity, Some(100 | 301 | 500 | 601)) && row.statuses.is_empty());
            }
            _ => {
                assert!(row.severity.is_none() && !row.statuses.is_empty());
                assert!(row.statuses.iter().all(|status| *status <= 1), "{:?}", row.statuses);
            }
        }
        for object in &row.credential_objects {
            assert!(known.credential_values.values().any(|each| each.object == *object), "{object:?}");
        }
        for (field, spec) in &row.fields {
            for each in spec.uses() {
                attribute_holds(&each.attribute);
                assert!(known.attributes.contains_key(&each.attribute.name), "{}", each.attribute.name);
                let secret = added.secret_fields.iter().any(|(secret, _)| secret == field);
                assert!(secret || each.attribute.class != Class::Secret, "{field:?} of {code} is secret");
            }
            if let FieldSpec::Composite { parts, .. } = spec {
                assert!(parts.len() > 1 && parts.iter().all(|part| part.constant.is_none()), "{code:?}");
            }
        }
    }
    let listed = |code: &String| known.parameters.contains_key(code);
    assert!(*family != Family::AsAudit || added.parameter_codes.iter().all(listed), "{code:?}");
}

/// Events of a type, some of which it may refuse: by a field, for a reason.
fn reads(catalog: &Catalog, added: &EventType) {
    const TEXTS: [Option<&str>; 4] = [None, Some("5"), Some("a;b,c:d"), Some("CN=x;null")];
    for text in TEXTS {
        for (severity, status) in [(100, 0), (301, 1), (500, 0), (601, 1)] {
            let family = event(added, text.map(str::to_owned), severity, status);
            let mut event = NewEvent { family: Some(family), ..NewEvent::default() };
            let parameters = secret::drop_secrets(catalog, &mut event);
            match catalog.classify(&event, parameters.as_ref(), &mut Suggestions::default()) {
                Ok(classified) => assert_eq!(classified.code, added.code),
                Err(refused) => {
                    assert!(!refused.violations.is_empty(), "{event:?}");
                    assert!(refused.violations.iter().all(|each| !each.field.is_empty()), "{refused:?}");
                }
            }
        }
    }
}

fn event(added: &EventType, text: Option<String>, severity: u32, status: u32) -> Source {
    let code = added.code.clone();
    let number = text.as_ref().map(|text| i32::try_from(text.len()).expect("a short text"));
    match added.family {
        Family::CmsAudit => Source::CmsAudit(CmsAuditEvent {
            code,
            severity,
            client_id: text.clone(),
            operator_id: text.clone(),
            num1: number,
            num2: number,
            char1: text.clone(),
            char2: text.clone(),
            error_number: number,
            error_message: text,
            ..CmsAuditEvent::default()
        }),
        Family::CmsNotification => Source::CmsNotification(CmsNotificationEvent {
            code,
            status,
            client_id: text.clone(),
            operator_id: text.clone(),
            num1: number,
            num2: number,
            char1: text.clone(),
            char2: text.clone(),
            char3: text,
            ..CmsNotificationEvent::default()
        }),
        Family::AsAudit => {
            let value = text.clone().unwrap_or_default();
            let pair = |code: &String| AsParameter { code: code.clone(), value: value.clone() };
            let parameters = added.parameter_codes.iter().take(8).map(pair).collect();
            Source::AsAudit(AsAuditEvent {
                action: code,
                parameters,
                status: text,
                ..AsAuditEvent::default()
            })
        }
        Family::TokenServer | Family::Chancery => Source::TokenServer(TokenServerEvent {
            r#type: code,
            client_id: text.clone(),
            user_id: text.clone(),
            details: text.map(|text| ("key".to_owned(), text)).into_iter().collect(),
            ..TokenServerEvent::default()
        }),
    }
}
