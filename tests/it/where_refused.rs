//! What is no expression is refused at the byte at fault, with what was expected, whatever is sent.
use chancery::{
    proto::v1::{CountEventsRequest, EventFilter, QueryRequest},
    query::predicate::{FilterFault, Predicate},
};
use proptest::prelude::*;
use tonic::Code;

use crate::harness::{
    KINDS, TestStore, block_on,
    calls::{Refusal, query},
    server::Server,
};

/// Expressions with the byte at fault and a part of what is said.
fn table() -> Vec<(String, usize, &'static str)> {
    let own = |text: &str| text.to_owned();
    let terms = |count: usize| vec!["code = 1"; count].join(" AND ");
    // NOT and OR alternate, so that each parenthesis is two levels.
    let levels = |count: usize| format!("{}a{}", "NOT (b OR ".repeat(count), ")".repeat(count));
    vec![
        // Syntax.
        (own("code ="), 6, "expected a value"),
        (own("code = 1 AND"), 9, "unexpected keyword AND"),
        (own("AND code = 1"), 0, "unexpected keyword AND"),
        (own("code = 1 OR OR code = 2"), 12, "unexpected keyword OR"),
        (own("(code = 1"), 9, "expected ')'"),
        (own("code = 1)"), 8, "was never opened"),
        (own("()"), 1, "expected a value"),
        (own("code = \"1"), 7, "the quote that ends it is missing"),
        (own("code = '1\\'"), 7, "the quote that ends it is missing"),
        (own("code = = 1"), 7, "expected a value"),
        (own("code == 1"), 6, "expected a value"),
        (own("code ! 1"), 5, "expected a value"),
        (own("code = 1, 2"), 8, "stands in quotes"),
        (own("occurred_at >= 2026-05-28T20:26:40Z"), 28, "such as a time, stands in quotes"),
        (own("producer = a:b"), 12, "stands in quotes"),
        (own("NOT NOT actor = a"), 4, "unexpected keyword NOT"),
        (own("NOT"), 0, "unexpected keyword NOT"),
        (own("- actor = a"), 1, "expected a value"),
        (own("actor. = a"), 6, "expected a value"),
        // Characters.
        (own("code = \"a\0b\""), 9, "NUL"),
        (own("\0"), 0, "NUL"),
        (own("code = \u{1}"), 7, "U+0001"),
        (own("\u{9b}"), 0, "U+009B"),
        // Fields.
        (own("actr = a"), 0, "did you mean actor?"),
        (own("code = 1 AND (Outcom = x)"), 14, "did you mean outcome?"),
        (own("attribute.scope = a"), 0, "did you mean attributes?"),
        (own("nothing_like_it = a"), 0, "expected one of family, outcome, code"),
        (own("Code = 1"), 0, "did you mean code?"),
        (own("\"code\" = 1"), 0, "a field is not quoted"),
        (own("actor.name = a"), 6, "actor has no fields"),
        (own("family.x = a"), 7, "family has no fields"),
        (own("attributes = a"), 10, "expected the name of an attribute"),
        (own("attributes:*"), 10, "expected the name of an attribute"),
        (own("attributes.\"\" = a"), 13, "expected the name of an attribute"),
        (own("attributes.a.b = c"), 13, "an attribute has no fields"),
        // Functions and lists.
        (own("regex(actor, \"a\")"), 0, "there are no functions"),
        (own("code = 1 OR -now()"), 13, "there are no functions"),
        (own("occurred_at > now()"), 14, "there are no functions"),
        (own("code = (1 OR 2)"), 7, "(code = a OR code = b)"),
        (own("attributes.scope:(a b)"), 17, "expected one value"),
        // Wildcards.
        (own("actor = a*b"), 9, "at the end of a value only"),
        (own("actor = \"*a\""), 9, "at the end of a value only"),
        (own("actor = \"a**\""), 10, "at the end of a value only"),
        (own("actor = \"\\\"*a*\""), 11, "at the end of a value only"),
        (own("attributes.scope != \"ä*b\""), 23, "at the end of a value only"),
        (own("actor = *"), 8, "asks :*"),
        (own("actor:a*"), 7, "finds a text anywhere"),
        (own("prod*"), 4, "without *"),
        (own("*"), 0, "without *"),
        // Texts.
        (own("actor:\"\""), 6, "an empty text"),
        (own("\"\""), 0, "an empty text"),
        (own("code = 1 and actor = a"), 9, "AND is written in capitals"),
        (own("not actor = a"), 0, "NOT is written in capitals"),
        (own("actor = a.\"b\""), 10, "quoted as a whole"),
        (own("\"a\".b"), 0, "quoted as a whole"),
        // Operators.
        (own("actor < a"), 6, "severity, position, occurred_at, received_at"),
        (own("code >= 1"), 5, "needs an order"),
        (own("attributes.scope > a"), 17, "needs an order"),
        (own("family > CMS_AUDIT"), 7, "needs an order"),
        (own("outcome <= FAILURE"), 8, "needs an order"),
        (own("severity:500"), 8, "severity holds no text"),
        (own("occurred_at:2026"), 11, "occurred_at holds no text"),
        // Values.
        (own("family = CMS"), 9, "one of CMS_AUDIT, CMS_NOTIFICATION, AS_AUDIT, TOKEN_SERVER, CHANCERY"),
        (own("family = UNSPECIFIED"), 9, "one of CMS_AUDIT"),
        (own("outcome != 3"), 11, "one of STARTED, SUCCESS, FAILURE, DENIED, UNKNOWN"),
        (own("outcome = FAIL*"), 10, "one of STARTED"),
        (own("severity = high"), 11, "expected a whole number"),
        (own("severity = 5.5"), 11, "expected a whole number"),
        (own("severity = 0x10"), 11, "expected a whole number"),
        (own("severity = 5*"), 11, "expected a whole number"),
        (own("position > -"), 11, "expected a whole number"),
        (own("position = \"\""), 11, "expected a whole number"),
        (own("occurred_at > yesterday"), 14, "expected a time"),
        (own("occurred_at > 2026-13-01"), 14, "expected a time"),
        (own("occurred_at > 2026"), 14, "expected a time"),
        (own("occurred_at > \"2026-05-28T20:26:40\""), 14, "expected a time"),
        (own("occurred_at > \"2026-05-28T20:26:40.1234567890Z\""), 14, "expected a time"),
        (own("occurred_at > \"2026-05-28T20:26:40+02:00[Europe/Paris]\""), 14, "expected a time"),
        (own("received_at > \"2026-05-28 20:26:40Z\""), 14, "expected a time"),
        (own("received_at > \"+002026-05-28T20:26:40Z\""), 14, "expected a time"),
        // Limits.
        ("(".repeat(1000), 32, "deeper than 32 levels"),
        (format!("{}a{}", "(".repeat(33), ")".repeat(33)), 32, "deeper than 32 levels"),
        (levels(16), 155, "deeper than 32 levels"),
        (terms(101), 1300, "more than 100 conditions"),
        (format!("actor = \"{}\"", "a".repeat(100_000)), 8192, "at most 8192"),
        ("a ".repeat(50_000), 8192, "at most 8192"),
        ("(".repeat(100_000), 8192, "at most 8192"),
    ]
}

#[test]
fn each_fault_has_its_byte_and_its_words() {
    let mut wrong = Vec::new();
    for (expression, offset, said) in table() {
        let shown: String = expression.chars().take(80).collect();
        match Predicate::of(None, &expression) {
            Err(FilterFault::Where { offset: at, description })
                if at == offset && description.contains(said) => {}
            other => wrong.push(format!("{shown:?}: expected {offset} {said:?}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_expression_is_refused_at_the_byte_at_fault() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for (expression, offset, said) in table() {
                let shown: String = expression.chars().take(80).collect();
                let request = QueryRequest { r#where: expression.clone(), ..QueryRequest::default() };
                let refused = audit.query(request).await.map(drop).expect_err(&shown);
                let request =
                    CountEventsRequest { r#where: expression.clone(), ..CountEventsRequest::default() };
                let uncounted = audit.count_events(request).await.map(drop).expect_err(&shown);
                for refusal in [Refusal::of(&refused), Refusal::of(&uncounted)] {
                    assert_eq!(refusal.code, Code::InvalidArgument, "{shown}");
                    assert_eq!(refusal.reason, "INVALID_WHERE", "{shown}");
                    assert_eq!(refusal.fields(), ["where"], "{shown}");
                    assert!(refusal.message.contains(said), "{shown}: {}", refusal.message);
                    assert_eq!(
                        refusal.metadata["offset"],
                        offset.to_string(),
                        "{shown}: {}",
                        refusal.message
                    );
                    assert!(refusal.message.contains(&format!("at byte {offset}: ")), "{}", refusal.message);
                }
            }
        });
    }
}

#[test]
fn the_limits_themselves_are_accepted() {
    let values = |count: usize| EventFilter { codes: vec!["x".to_owned(); count], ..EventFilter::default() };
    let terms = |count: usize| vec!["code = 1"; count].join(" OR ");
    let accepted = [
        format!("{}a{}", "(".repeat(32), ")".repeat(32)),
        format!("{}a{}", "NOT (b OR ".repeat(15), ")".repeat(15)),
        vec!["actor = x"; 100].join(" AND "),
        terms(100),
        format!("actor = \"{}\"", "a".repeat(8192 - 10)),
        vec!["attributes.scope:a"; 100].join(" AND "),
        vec!["NOT attributes.scope:a"; 100].join(" OR "),
    ];
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        block_on(async {
            let mut audit = server.audit().await;
            for expression in &accepted {
                let request = QueryRequest { r#where: expression.clone(), ..QueryRequest::default() };
                assert!(query(&mut audit, request).await.events.is_empty());
            }
            // As many values as there may be, all of them conditions of their own.
            let attribute =
                chancery::proto::v1::AttributeMatch { name: "a".to_owned(), value: "b".to_owned() };
            let most = EventFilter { attributes: vec![attribute; 900], ..EventFilter::default() };
            let request = QueryRequest {
                filter: Some(most),
                r#where: vec!["attributes.scope:a"; 100].join(" "),
                ..QueryRequest::default()
            };
            assert!(query(&mut audit, request).await.events.is_empty());
            let request =
                QueryRequest { filter: Some(values(901)), r#where: terms(100), ..QueryRequest::default() };
            let refusal = Refusal::of(&audit.query(request).await.map(drop).expect_err("too many values"));
            assert_eq!((refusal.reason.as_str(), refusal.fields()), ("INVALID_FILTER", vec!["filter"]));
        });
    }
}

/// A token of a query continues that query only, whichever part of its condition differs.
#[test]
fn a_token_is_bound_to_the_whole_expression() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    block_on(async {
        let mut audit = server.audit().await;
        let request =
            |expression: &str| QueryRequest { r#where: expression.to_owned(), ..QueryRequest::default() };
        let expressions = [
            "",
            "actor = a",
            "actor != a",
            "actor = a*",
            "actor = \"a\\*\"",
            "actor:a",
            "actor:*",
            "actor = \"\"",
            "subject = a",
            "a",
            "\"actor = a\"",
            "actor = a AND subject = b",
            "actor = a OR subject = b",
            "actor = \"a\\\" AND subject = \\\"b\"",
            "actor = \"a\\\", \\\"b\"",
            "actor = a OR actor = b",
            "attributes.actor = a",
            "attributes.actor:a",
            "severity = 1",
            "position = 1",
            "NOT (actor = a AND subject = b)",
            "NOT actor = a AND subject = b",
        ];
        for one in expressions {
            let token = query(&mut audit, request(one)).await.last_token;
            for other in expressions {
                let again = QueryRequest { resume_token: token.clone(), ..request(other) };
                match audit.query(again).await {
                    Ok(_) => assert_eq!(one, other),
                    Err(status) => {
                        assert_ne!(one, other);
                        assert_eq!(Refusal::of(&status).reason, "RESUME_TOKEN_OF_ANOTHER_QUERY");
                    }
                }
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is sent is a condition, which its own print says again, or refused at a byte of it.
    #[test]
    fn any_text_is_understood_or_refused(
        text in prop_oneof![
            ".{0,60}",
            r#"((code|actor|severity|position|occurred_at|family|attributes\.[a-z"]{1,3})( ?(=|!=|<=|>|:) ?)("[^"]{0,4}"|'a\\*b'|[0-9]{1,3}|2026-05-28|a\*|\*|AS_AUDIT)|NOT|-|AND|OR|\(|\)| | |[a-z*"'.,!]){0,12}"#,
        ]
    ) {
        match Predicate::of(None, &text) {
            Ok(predicate) => {
                let printed = predicate.to_string();
                prop_assert_eq!(Predicate::of(None, &printed).map(|again| again.to_string()), Ok(printed));
            }
            Err(FilterFault::Where { offset, description }) => {
                prop_assert!(text.is_char_boundary(offset), "{offset} {description}");
                prop_assert!(!description.is_empty());
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
