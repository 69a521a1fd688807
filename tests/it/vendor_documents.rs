//! The committed facts are those of the vendor documents, and no sentence was taken over. The documents
//! are not part of the project: without them there is nothing to compare with, and one line says so.
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::Path,
};

use chancery::proto::v1::{EventFamily, EventType};

use crate::{
    harness::{Kind, TestStore, block_on, server::Server, types},
    seeds::{self, as_audit, cms_audit, cms_notification, token_server},
};

const AS_AUDIT: &str = "activid-as-audit-events.txt";
const CMS_AUDIT: &str = "cms-audit-event-tables.txt";
const CMS_AUTHENTICATION: &str = "cms-authentication-events.txt";
const CMS_NOTIFICATION: &str = "cms-notification-events.txt";
const TOKEN_SERVER: &str = "token-server-audit-events.txt";

/// Words in a row that a summary may share with a document.
const MOST_SHARED_WORDS: usize = 7;

fn text(folder: &Path, name: &str) -> String {
    let path = folder.join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn catalog() -> Vec<EventType> {
    let store = TestStore::new(Kind::Sqlite);
    let server = Server::start(&store);
    block_on(async { types::all(&mut server.catalog().await, &[], 1000).await })
}

#[test]
fn cms_audit_facts_are_the_documents() {
    let Some(folder) = seeds::documents() else { return };
    let rows = cms_audit::extract(&text(folder, CMS_AUDIT));
    assert_eq!(cms_audit::to_tsv(&rows), seeds::committed("cms_audit.tsv"));
    // Every row has the six fields of its kind of table: none was lost on the way.
    for row in rows.iter().filter(|row| row.severity.is_some()) {
        assert_eq!(row.used.len() + row.unused.len(), 6, "{} {:?}", row.code, row.severity);
    }
}

#[test]
fn cms_notification_facts_are_the_documents() {
    let Some(folder) = seeds::documents() else { return };
    let page = text(folder, CMS_NOTIFICATION);
    let events = cms_notification::extract(&page);
    assert_eq!(cms_notification::to_tsv(&events), seeds::committed("cms_notification.tsv"));
    // The page of authentication events repeats two of them in full.
    let again = cms_notification::extract_authentication(&text(folder, CMS_AUTHENTICATION));
    assert_eq!(again.iter().map(|event| event.code.as_str()).collect::<Vec<_>>(), ["50001", "50002"]);
    for event in &again {
        assert!(events.contains(event), "{event:?}");
    }
}

#[test]
fn as_audit_facts_are_the_documents() {
    let Some(folder) = seeds::documents() else { return };
    let page = text(folder, AS_AUDIT);
    assert_eq!(as_audit::to_tsv(&page), seeds::committed("as_audit.tsv"));
    let codes: String = as_audit::parameter_codes(&page).iter().map(|code| format!("{code}\n")).collect();
    assert_eq!(codes, seeds::committed("as_audit_codes.txt"));
    assert_eq!(as_audit::raw_lines(&page).len(), 134);
}

#[test]
fn token_server_facts_are_the_documents() {
    let Some(folder) = seeds::documents() else { return };
    let names = token_server::extract(&text(folder, TOKEN_SERVER));
    assert_eq!(token_server::to_lines(&names), seeds::committed("token_server.txt"));
}

#[test]
fn the_examples_hold_every_raw_line_of_the_document() {
    let Some(folder) = seeds::documents() else { return };
    let file = crate::harness::root().join("examples/as_audit.ndjson");
    let mut examples: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(file).expect("the examples").lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let raw = event["asAudit"]["rawParameters"].as_str().unwrap_or_default();
        *examples.entry(raw.to_owned()).or_default() += 1;
    }
    for raw in as_audit::raw_lines(&text(folder, AS_AUDIT)) {
        let left = examples.get_mut(&raw).filter(|left| **left > 0);
        *left.unwrap_or_else(|| panic!("no example is {raw}")) -= 1;
    }
}

#[test]
fn every_action_lists_the_parameter_codes_of_its_samples() {
    let Some(folder) = seeds::documents() else { return };
    let mut samples: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for block in as_audit::extract(&text(folder, AS_AUDIT)) {
        let raw = block.raw.clone().unwrap_or_default();
        let codes = as_audit::parameter_codes(&format!("Description |\n|\nParameters |\n{raw} |\n"));
        samples.entry(block.event().to_owned()).or_default().extend(codes);
    }
    for each in catalog().iter().filter(|each| each.family() == EventFamily::AsAudit) {
        let fields = each.shapes.iter().flat_map(|shape| &shape.fields);
        let listed: BTreeSet<String> =
            fields.map(|field| field.field.replace("parameters[", "").replace(']', "")).collect();
        let sampled = samples.remove(&each.code).unwrap_or_default();
        assert_eq!(listed, sampled, "{}", each.code);
    }
    assert!(samples.is_empty(), "not in the catalog: {samples:?}");
}

/// The tables that say how a credential type fills the fields, in the documents' order: code, variant, the
/// fields printed as used, and the catalog's where they differ. The documents put the AAA server's name of
/// two variants into Num1, an integer, and leave the row of Char1 out (source-formats.md, 001-7).
const VARIANTS: [(&str, &str, &str, Option<&str>); 11] = [
    ("20002", "pki", "num1,char1,char2,char3", None),
    ("20002", "ski", "char1,char2,char3", None),
    ("20003", "pki", "num1,char1,char2,char3", None),
    ("20003", "ski", "num1,char2,char3", Some("char1,char2,char3")),
    ("20004", "pki", "num1,char1,char2,char3", None),
    ("20004", "ski", "num1,char2,char3", Some("char1,char2,char3")),
    ("20007", "pki", "num1,char1,char2,char3", None),
    ("20007", "ski", "char1,char2", None),
    ("20008", "pki", "num1,char1,char2,char3", None),
    ("20008", "ski", "char1,char2", None),
    ("20008", "emergency_password", "char1,char2,char3", None),
];

#[test]
fn credential_variants_and_keys_are_the_documents() {
    let Some(folder) = seeds::documents() else { return };
    let page = text(folder, CMS_NOTIFICATION);
    let printed: Vec<String> =
        cms_notification::extract_variants(&page).iter().map(|variant| variant.used.join(",")).collect();
    assert_eq!(printed, VARIANTS.map(|(_, _, used, _)| used));

    let catalog = catalog();
    let mut shown = BTreeSet::new();
    for (code, variant, printed, corrected) in VARIANTS {
        let found = catalog
            .iter()
            .filter(|each| each.family() == EventFamily::CmsNotification && each.code == code)
            .flat_map(|each| &each.shapes)
            .find(|shape| shape.variant == variant);
        let shape = found.unwrap_or_else(|| panic!("{code} has no variant {variant}"));
        let mut used = Vec::new();
        for field in shape.fields.iter().filter(|field| !field.unused) {
            let key = field.field.strip_prefix("credential_values[").and_then(|key| key.strip_suffix(']'));
            match (key, field.field.as_str()) {
                (Some(key), _) => drop(shown.insert(key.to_owned())),
                // The tables leave out what they share: who, on what, and the credential type itself.
                (None, "client_id" | "operator_id" | "num2") => {}
                (None, name) => used.push(name),
            }
        }
        assert_eq!(used.join(","), corrected.unwrap_or(printed), "{code} {variant}");
    }
    let keys = cms_notification::extract_hashtable_keys(&page);
    assert_eq!(keys.len(), 20);
    assert_eq!(shown, keys.iter().map(|key| key.to_lowercase()).collect());
}

/// A run of words as compared: letters and digits only, without case.
fn words(text: &str) -> Vec<String> {
    let split = text.split(|each: char| !each.is_alphanumeric());
    split.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[test]
fn no_summary_shares_a_run_of_eight_words_with_a_document() {
    let Some(folder) = seeds::documents() else { return };
    let run = MOST_SHARED_WORDS + 1;
    let mut theirs: HashSet<String> = HashSet::new();
    for name in [AS_AUDIT, CMS_AUDIT, CMS_AUTHENTICATION, CMS_NOTIFICATION, TOKEN_SERVER] {
        theirs.extend(words(&text(folder, name)).windows(run).map(|run| run.join(" ")));
    }
    assert!(theirs.len() > 10_000, "the documents have {} runs of words", theirs.len());
    let mut compared = 0;
    for each in catalog() {
        let shapes = each.shapes.iter().flat_map(|shape| {
            let attributes = shape.fields.iter().flat_map(|field| &field.attributes);
            let values = attributes.clone().flat_map(|attribute| &attribute.allowed_values);
            let meanings = values.map(|value| &value.meaning);
            std::iter::once(&shape.summary)
                .chain(attributes.map(|attribute| &attribute.summary))
                .chain(meanings)
        });
        for sentence in std::iter::once(&each.summary).chain([&each.reserved_reason]).chain(shapes) {
            compared += 1;
            for ours in words(sentence).windows(run) {
                let ours = ours.join(" ");
                assert!(
                    !theirs.contains(&ours),
                    "{}: {sentence:?} is taken from a document: {ours:?}",
                    each.code
                );
            }
        }
    }
    assert!(compared > 1000, "only {compared} sentences were compared");
}
