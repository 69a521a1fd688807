//! A wrong site file is refused as a whole: exit code 2, the file's name, the line and the reason.
use std::{fs, time::Duration};

use crate::harness::{Kind, TestStore, cli::run_for, server::chancery};

/// A Token Server type, up to its summary: four lines.
const TYPE: &str = "[[token_server.event]]\ncode = \"NEW_TYPE\"\ncategory = \"New\"\nsummary = \"New.\"\n";
/// A CMS audit event without rows: five lines.
const CMS: &str =
    "[[cms_audit.event]]\ncode = \"90001\"\nname = \"New\"\ncategory = \"New\"\nsummary = \"New.\"\n";
/// A CMS notification event without rows: five lines.
const NOTE: &str =
    "[[cms_notification.event]]\ncode = \"90001\"\nname = \"New\"\ncategory = \"New\"\nsummary = \"New.\"\n";

struct Wrong {
    what: &'static str,
    text: String,
    line: usize,
    reason: &'static str,
}

fn wrong(what: &'static str, text: &str, line: usize, reason: &'static str) -> Wrong {
    Wrong { what, text: text.to_owned(), line, reason }
}

fn cases() -> Vec<Wrong> {
    let row = |rest: &str| format!("{CMS}[[cms_audit.event.row]]\n{rest}");
    let note = |rest: &str| format!("{NOTE}[[cms_notification.event.row]]\n{rest}");
    vec![
        wrong("no TOML", "# fine\ncode = \n", 2, "string values must be quoted"),
        wrong("an open table", "\n\n[token_server", 3, "unclosed table"),
        wrong("an unknown family", "# one\n[[smart_card.event]]\n", 2, "unknown field `smart_card`"),
        wrong(
            "the server's own family",
            "\n[[chancery.event]]\ncode = \"X\"\nname = \"X\"\ncategory = \"c\"\nsummary = \"S.\"\noutcome = \"success\"\ndetails = []\n",
            2,
            "a site adds nothing to it",
        ),
        wrong("an unknown table", "[[token_server.even]]\n", 1, "unknown field `even`"),
        wrong(
            "an unknown key",
            &format!("{TYPE}outcome = \"success\"\ncolour = \"red\"\n"),
            6,
            "unknown field `colour`",
        ),
        wrong(
            "an outcome of AS",
            "[[as_audit.event]]\ncode = \"a\"\ncategory = \"c\"\nsummary = \"S.\"\noutcome = \"success\"\n",
            5,
            "unknown field `outcome`",
        ),
        wrong(
            "an unknown key of a row",
            &row("severity = 100\noutcome = \"success\"\nnum3 = \"x\"\n"),
            9,
            "unknown field `num3`",
        ),
        wrong("a bad outcome", &format!("{TYPE}outcome = \"perhaps\"\n"), 5, "unknown variant `perhaps`"),
        wrong("no outcome", TYPE, 1, "missing field `outcome`"),
        wrong("a number for a text", "[[token_server.event]]\ncode = 7\n", 2, "invalid type: integer `7`"),
        wrong(
            "no code",
            "\n[[token_server.event]]\ncode = \" \"\ncategory = \"c\"\nsummary = \"S.\"\noutcome = \"success\"\n",
            2,
            "needs a `code`",
        ),
        wrong(
            "no summary",
            "[[token_server.event]]\ncode = \"X\"\ncategory = \"c\"\nsummary = \" \"\noutcome = \"success\"\n",
            1,
            "needs a `summary`",
        ),
        wrong(
            "a code twice",
            &format!("{TYPE}outcome = \"success\"\n{TYPE}outcome = \"failure\"\n"),
            6,
            "\"NEW_TYPE\" of token_server is defined twice",
        ),
        wrong(
            "a code twice in two spellings",
            &format!(
                "{TYPE}outcome = \"success\"\n{}outcome = \"failure\"\n",
                TYPE.replace("NEW_TYPE", "new type")
            ),
            6,
            "\"NEW_TYPE\" of token_server is defined twice",
        ),
        wrong(
            "an embedded code",
            &TYPE.replace("NEW_TYPE", "Consent given").replace("summary", "outcome = \"success\"\nsummary"),
            1,
            "\"CONSENT_GIVEN\" of token_server is defined twice",
        ),
        wrong(
            "an embedded alias",
            &note("num1 = \"temporary\"\n").replace("90001", "100121"),
            1,
            "\"100121\" of cms_notification is defined twice",
        ),
        wrong(
            "an alias of an embedded code",
            &format!("{TYPE}outcome = \"success\"\naliases = [{{ code = \"CONSENT GIVEN\" }}]\n"),
            1,
            "defined twice",
        ),
        wrong("no row", &format!("# one\n{CMS}"), 2, "event 90001 needs at least one row"),
        wrong("no row of a notification", NOTE, 1, "event 90001 needs at least one row"),
        wrong(
            "a bad severity",
            &row("severity = 200\noutcome = \"success\"\n"),
            6,
            "severity 200 is none of 100, 301, 500, 601",
        ),
        wrong("a bad status", &note("status = [0, 2]\n"), 6, "`status` lists 0, 1 or both"),
        wrong("no status", &note("status = []\n"), 6, "`status` lists 0, 1 or both"),
        wrong(
            "a bad interface",
            &row("severity = 100\noutcome = \"success\"\ninterfaces = [\"gui\", \"soap\"]\n"),
            6,
            "\"soap\" is no interface; one of gui, ccm_api, rest_api",
        ),
        wrong(
            "an unknown attribute",
            &row("severity = 100\noutcome = \"success\"\nchar1 = \"shoe_size\"\n"),
            6,
            "attribute \"shoe_size\" has no [cms_audit.attribute.shoe_size]",
        ),
        wrong(
            "an unknown part",
            &row("severity = 100\noutcome = \"success\"\nchar1 = \"device_type;shoe_size\"\n"),
            6,
            "attribute \"shoe_size\" has no",
        ),
        wrong(
            "a field that is a number",
            &row("severity = 100\noutcome = \"success\"\nchar1 = 5\n"),
            9,
            "a field is text such as",
        ),
        wrong(
            "a constant in a composite",
            &row("severity = 100\noutcome = \"success\"\nchar1 = \"device_type;request_reason=LOST\"\n"),
            6,
            "a part of a composite cannot be a constant",
        ),
        wrong(
            "a closed attribute without values",
            "\n[cms_audit.attribute.shoe_size]\nclosed = true\n",
            2,
            "attribute \"shoe_size\" is closed but lists no values",
        ),
        wrong(
            "a closed field without values",
            &row(
                "severity = 100\noutcome = \"success\"\nchar1 = { attribute = \"device_type\", values = [], closed = true }\n",
            ),
            6,
            "device_type is closed but lists no values",
        ),
        wrong(
            "an attribute name in capitals",
            "[cms_audit.attribute.ShoeSize]\n",
            1,
            "attribute name \"ShoeSize\" is not snake_case",
        ),
        wrong(
            "an unknown class",
            "[cms_audit.attribute.shoe_size]\nclass = \"top_secret\"\n",
            2,
            "unknown variant `top_secret`",
        ),
        wrong(
            "an embedded attribute",
            "[cms_audit.attribute.device_type]\nclass = \"secret\"\n",
            1,
            "attribute \"device_type\" of cms_audit is defined twice",
        ),
        wrong(
            "an embedded parameter",
            "[as_audit.parameter.TRA]\nattribute = \"tra\"\nclass = \"public\"\n",
            1,
            "parameter code \"TRA\" is defined twice",
        ),
        wrong(
            "an embedded detail",
            "[token_server.detail.accessToken]\nattribute = \"mine\"\n",
            1,
            "detail key \"accessToken\" is defined twice",
        ),
        wrong(
            "an embedded credential value",
            "[cms_notification.credential_value.syncdeskey]\nattribute = \"mine\"\nobject = \"ski_credential\"\n",
            1,
            "\"syncdeskey\" is defined twice",
        ),
        wrong(
            "a credential value of no object",
            "[cms_notification.credential_value.shoe]\nattribute = \"shoe_size\"\n",
            1,
            "needs an `object`",
        ),
        wrong(
            "an unknown object",
            &note("credential_values = [\"wallet\"]\n"),
            6,
            "no credential value belongs to the object \"wallet\"",
        ),
        wrong(
            "an unknown parameter code",
            "[[as_audit.event]]\ncode = \"a\"\ncategory = \"c\"\nsummary = \"S.\"\ncodes = [\"ZZZ\"]\n",
            1,
            "\"ZZZ\" has no [as_audit.parameter.ZZZ]",
        ),
        wrong(
            "an embedded operation",
            "[[cms_audit.operation]]\nrequest_type = 64\nrequest_reasons = [\"STOLEN\"]\noperation_type = \"Mine\"\n",
            1,
            "request type 64",
        ),
        wrong(
            "an operation for any reason",
            "[[cms_audit.operation]]\nrequest_type = 8\nrequest_reasons = [\"LOST\"]\noperation_type = \"Mine\"\n",
            1,
            "request type 8",
        ),
    ]
}

#[test]
fn a_wrong_file_is_refused_with_name_line_and_reason() {
    let store = TestStore::new(Kind::Sqlite);
    let path = store.folder.path().join("site.toml");
    let mut failures = Vec::new();
    for case in cases() {
        fs::write(&path, &case.text).expect("a site file");
        let mut command = chancery();
        command.current_dir(store.folder.path()).args(["serve", "--store", &store.url]);
        command.args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--catalog", "site.toml"]);
        // A file that is not refused makes the server run on.
        let (code, err) = match run_for(&mut command, "", Duration::from_secs(10)) {
            Ok(ran) => (ran.code, ran.err),
            Err(err) => (0, err),
        };
        let expected = format!("chancery: catalog file site.toml, line {}: ", case.line);
        if code != 2 || !err.starts_with(&expected) || !err.contains(case.reason) {
            failures.push(format!("{}: not {expected}...{}... but {code} {err}", case.what, case.reason));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
