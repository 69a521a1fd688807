//! How an expression is understood: what binds to what, what each operator means on each field, and that the
//! printed form is the same condition.
use chancery::query::predicate::Predicate;

/// How the server prints an expression. Printed again, it must be the same.
fn understood(expression: &str) -> String {
    let predicate = Predicate::of(None, expression).unwrap_or_else(|fault| panic!("{expression}: {fault:?}"));
    let printed = predicate.to_string();
    let again = Predicate::of(None, &printed).unwrap_or_else(|fault| panic!("{printed}: {fault:?}"));
    assert_eq!(again.to_string(), printed, "{expression}");
    printed
}

#[test]
fn or_binds_tighter_than_and() {
    for (expression, printed) in [
        ("", ""),
        ("  \t\n", ""),
        ("code = 1", r#"code = "1""#),
        (r#"actor = a AND device = b OR subject = c"#, r#"actor = "a" AND (device = "b" OR subject = "c")"#),
        (r#"actor = a OR device = b AND subject = c"#, r#"(actor = "a" OR device = "b") AND subject = "c""#),
        (
            r#"(actor = a AND device = b) OR subject = c"#,
            r#"((actor = "a" AND device = "b") OR subject = "c")"#,
        ),
        (r#"actor = a device = b"#, r#"actor = "a" AND device = "b""#),
        (
            r#"actor = a device = b OR subject = c AND code = 1"#,
            r#"actor = "a" AND (device = "b" OR subject = "c") AND code = "1""#,
        ),
        (r#"NOT actor = a OR device = b"#, r#"(actor != "a" OR device = "b")"#),
        (r#"NOT (actor = a OR device = b)"#, r#"NOT (actor = "a" OR device = "b")"#),
        (r#"-(actor = a AND device = b)"#, r#"NOT (actor = "a" AND device = "b")"#),
        (r#"-actor = a"#, r#"actor != "a""#),
        (r#"NOT (NOT severity > 5)"#, r#"NOT (NOT severity >= 6)"#),
        (r#"((((actor = a))))"#, r#"actor = "a""#),
        (
            r#"actor = a OR (device = b OR (subject = c OR code = 1))"#,
            r#"(actor = "a" OR device = "b" OR subject = "c" OR code = "1")"#,
        ),
        (
            r#"actor = a AND (device = b AND (subject = c AND code = 1))"#,
            r#"actor = "a" AND device = "b" AND subject = "c" AND code = "1""#,
        ),
    ] {
        assert_eq!(understood(expression), printed, "{expression}");
    }
}

#[test]
fn each_operator_on_each_kind_of_field() {
    for (expression, printed) in [
        // Texts.
        (r#"device = "5000*""#, r#"device = "5000*""#),
        (r#"device = 5000*"#, r#"device = "5000*""#),
        (r#"device != 5000*"#, r#"device != "5000*""#),
        (r#"device = "5000\*""#, r#"device = "5000\*""#),
        (r#"name:"PIN reset""#, r#"name:"PIN reset""#),
        (r#"actor:*"#, r#"actor != """#),
        (r#"NOT actor:*"#, r#"NOT actor != """#),
        (r#"actor = """#, r#"actor = """#),
        (r#"actor:"\*""#, r#"actor:"\*""#),
        (r#"subject = j.larsen@example.com"#, r#"subject = "j.larsen@example.com""#),
        (r#"subject = 10.0.0.1"#, r#"subject = "10.0.0.1""#),
        (r#"actor = 'it"s'"#, r#"actor = "it\"s""#),
        (r#"actor = "a\nb\tc\rd\\e""#, r#"actor = "a\nb\tc\rd\\e""#),
        ("actor = \"a\nb\"", r#"actor = "a\nb""#),
        ("actor = \"a\u{1}\u{fdd0}b\"", "actor = \"a\u{1}\u{fdd0}b\""),
        (r#"category = Credential OR category = PIN"#, r#"(category = "Credential" OR category = "PIN")"#),
        (r#"producer = x correlation_id = y"#, r#"producer = "x" AND correlation_id = "y""#),
        // Values of one column become one list, and doubles go.
        (
            r#"code = 1 OR actor = a OR code = 2 OR code = 1"#,
            r#"((code = "1" OR code = "2") OR actor = "a")"#,
        ),
        // Enums.
        ("family = CMS_AUDIT", "family = EVENT_FAMILY_CMS_AUDIT"),
        ("family = event_family_token_server", "family = EVENT_FAMILY_TOKEN_SERVER"),
        ("family:as_audit", "family = EVENT_FAMILY_AS_AUDIT"),
        ("outcome != Failure", "outcome != OUTCOME_FAILURE"),
        (
            "outcome = FAILURE OR outcome = \"OUTCOME_DENIED\"",
            "(outcome = OUTCOME_FAILURE OR outcome = OUTCOME_DENIED)",
        ),
        ("outcome:*", ""),
        // Numbers.
        ("severity = 500", "severity = 500"),
        ("severity != 500", "NOT severity = 500"),
        ("severity > 500", "severity >= 501"),
        ("severity >= \"500\"", "severity >= 500"),
        ("severity < 500", "severity < 500"),
        ("severity <= 500", "severity < 501"),
        ("severity:*", "severity >= 1"),
        ("severity = 500 OR severity = 601", "(severity = 500 OR severity = 601)"),
        ("position > -5", "position >= -4"),
        ("position >= 9223372036854775807", "position >= 9223372036854775807"),
        ("position > 9223372036854775807", "position < 0"),
        ("position < 99999999999999999999999999999999999999999999", ""),
        ("position = 99999999999999999999999999999999999999999999", "position < 0"),
        ("position > -99999999999999999999", ""),
        ("position:*", ""),
        // Times: events have whole microseconds.
        ("occurred_at >= 2026-05-28", "occurred_at >= \"2026-05-28T00:00:00Z\""),
        ("occurred_at < \"2026-05-28T22:26:40+02:00\"", "occurred_at < \"2026-05-28T20:26:40Z\""),
        ("occurred_at <= \"2026-05-28T00:00:00Z\"", "occurred_at < \"2026-05-28T00:00:00.000001Z\""),
        ("occurred_at > \"2026-05-28t00:00:00z\"", "occurred_at >= \"2026-05-28T00:00:00.000001Z\""),
        ("received_at = \"2026-05-28T00:00:00.5Z\"", "received_at = \"2026-05-28T00:00:00.5Z\""),
        (
            "received_at >= \"2026-05-28T00:00:00.000000001Z\"",
            "received_at >= \"2026-05-28T00:00:00.000001Z\"",
        ),
        (
            "received_at > \"2026-05-28T00:00:00.000000001Z\"",
            "received_at >= \"2026-05-28T00:00:00.000001Z\"",
        ),
        ("received_at < \"2026-05-28T00:00:00.000000001Z\"", "received_at < \"2026-05-28T00:00:00.000001Z\""),
        (
            "received_at <= \"2026-05-28T00:00:00.000000999Z\"",
            "received_at < \"2026-05-28T00:00:00.000001Z\"",
        ),
        (
            "received_at = \"2026-05-28T00:00:00.000000001Z\"",
            "received_at >= \"2026-05-28T00:00:00.000001Z\" AND received_at < \"2026-05-28T00:00:00.000001Z\"",
        ),
        ("occurred_at <= \"9999-12-30T22:00:00Z\"", "occurred_at < \"9999-12-30T22:00:00.000001Z\""),
        ("occurred_at >= 0000-01-01", "occurred_at >= \"0001-01-01T00:00:00Z\""),
        // Attributes.
        ("attributes.scope = x", r#"attributes.scope = "x""#),
        ("attributes.scope != x*", r#"attributes.scope != "x*""#),
        ("attributes.scope:mail", r#"attributes.scope:"mail""#),
        ("attributes.scope:*", "attributes.scope:*"),
        ("NOT attributes.scope:*", "NOT attributes.scope:*"),
        (r#"attributes."a.b" = """#, r#"attributes."a.b" = """#),
        (r#"attributes."a b":*"#, r#"attributes."a b":*"#),
        (r#"attributes."*" = 1"#, r#"attributes."\*" = "1""#),
        // Anywhere.
        ("prod", r#""prod""#),
        (r#""some text" AND -other"#, r#""some text" AND NOT "other""#),
        ("actor", r#""actor""#),
        ("a.b", r#""a.b""#),
        (r#""and""#, r#""and""#),
    ] {
        assert_eq!(understood(expression), printed, "{expression}");
    }
}
