//! `chancery token` makes what `chancery serve` takes, and `chancery access` shows what a file says.
use std::fs;

use serde_json::json;

use super::heard;
use crate::harness::{Kind, TestStore, access, block_on, cli::run, server::chancery};

#[test]
fn a_token_that_was_made_is_let_in_by_the_lines_that_came_with_it() {
    let store = TestStore::new(Kind::Sqlite);
    let made = run(chancery().args(["token", "ann@example.org", "--expires", "1h"]), "");
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let (token, lines) = made.out.split_once("\n\n").expect("a token and lines");
    assert!(token.starts_with("chy_") && token.len() == 47 && !lines.contains(&token[4..]), "{made:?}");
    let reader = "[reader.\"ann@example.org\"]\nlogs = [\"main\"]\nfamilies = [\"*\"]\n";
    let server = access::server(&store, &format!("{reader}\n{lines}"), "");
    block_on(heard(&server, token)).expect("ann reads");
    // None like the other, and in a file that only its owner reads.
    let path = store.folder.path().join("token");
    let other = run(chancery().args(["token", "ann@example.org", "--out"]).arg(&path), "");
    assert_eq!(other.code, 0, "{other:?}");
    let written = fs::read_to_string(&path).expect("a token");
    assert!(written.trim_end() != token && !other.out.contains(written.trim_end()), "{other:?}");
    assert!(!other.out.contains("expires"), "{other:?}");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    let again = run(chancery().args(["token", "ann@example.org", "--out"]).arg(&path), "");
    assert!(again.code != 0 && fs::read_to_string(&path).expect("a token") == written, "{again:?}");
    // All of it in the access file would be a secret in it, and is refused.
    let all = store.folder.path().join("all.toml");
    fs::write(&all, format!("{reader}\n{}", made.out)).expect("a file");
    assert_eq!(run(chancery().arg("access").arg(&all), "").code, 2);
}

#[test]
fn a_token_of_nobody_is_not_made() {
    for (arguments, why) in [
        (&["chancery"][..], "is the server's own name"),
        (&["group:soc"], "a token is one caller's"),
        (&["a b"], "\"a b\""),
        (&[""], "\"\""),
        (&["ann", "--expires", "yesterday"], "is no time"),
        (&["ann", "--expires", "2020-01-01"], "is over"),
    ] {
        let ran = run(chancery().arg("token").args(arguments), "");
        assert!(ran.code == 2 && ran.out.is_empty() && ran.err.contains(why), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_file_is_shown_as_the_server_would_take_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.toml");
    let lines = "
[producer.cms]
logs = [\"main\", \"cards\"]
families = [\"cms_audit\"]
burst_events = 5000
[reader.ann]
logs = [\"*\"]
families = [\"*\"]
personal = true
[reader.\"group:soc\"]
logs = [\"main\"]
families = []
[auditor.kim]
logs = [\"*\"]
[admin.ann]
logs = []
[[token]]
name = \"ann\"
sha256 = \"1111111111111111111111111111111111111111111111111111111111111111\"
expires = 2020-01-01T00:00:00Z
[subject]
\"CN=idle\" = \"idle\"
";
    let end = "2099-01-01T00:00:00Z";
    fs::write(
        &path,
        access::file(lines, &["ann"]).replace(
            "[subject]",
            &format!(
                "[[token]]\nname = \"ann\"\nsha256 = \"{}\"\nexpires = {end}\n[subject]",
                "2".repeat(64)
            ),
        ),
    )
    .expect("a file");
    // A burst belongs to a rate, which this file leaves to the server's own.
    let ran = run(chancery().arg("access").arg(&path), "");
    assert!(ran.code == 2 && ran.err.contains("burst_events needs events_per_second"), "{ran:?}");
    let configuration = folder.path().join("chancery.toml");
    fs::write(&configuration, "[limits]\nevents_per_second = 1000\n").expect("a file");
    let shown = |format: &str| {
        let mut command = chancery();
        run(command.args(["access", "-o", format, "--config"]).arg(&configuration).arg(&path), "")
    };
    let ran = shown("json");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.err.contains("5 names, 1 expired tokens"), "{ran:?}");
    assert_eq!(
        ran.json(),
        json!([
            {"role": "producer", "name": "cms", "logs": ["cards", "main"], "families": ["cms_audit"], "eventsPerSecond": 1000, "tokens": 0, "expiredTokens": 0, "subjects": []},
            {"role": "reader", "name": "ann", "logs": ["*"], "families": ["*"], "personal": true, "tokens": 2, "expiredTokens": 1, "nextExpiry": end, "subjects": []},
            {"role": "reader", "name": "group:soc", "logs": ["main"], "families": [], "personal": false, "tokens": 0, "expiredTokens": 0, "subjects": []},
            {"role": "auditor", "name": "kim", "logs": ["*"], "families": [], "tokens": 0, "expiredTokens": 0, "subjects": []},
            {"role": "admin", "name": "ann", "logs": [], "families": [], "tokens": 2, "expiredTokens": 1, "nextExpiry": end, "subjects": []},
            {"role": "", "name": "idle", "logs": [], "families": [], "tokens": 0, "expiredTokens": 0, "subjects": ["CN=idle"]},
        ])
    );
    let table = shown("table").out;
    for cell in
        ["producer", "1000 events/s", "withheld", "shown", "2, until 2099-01-01T00:00:00Z, 1 expired", "none"]
    {
        assert!(table.contains(cell), "{cell}:\n{table}");
    }
    assert_eq!(shown("csv").lines().len(), 7);
}

#[test]
fn a_wrong_file_is_told_with_its_place_and_ends_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("access.toml");
    for (text, why) in [
        (
            "[reader.ann]\nlogs = [\"main\"]\nfamilies = [\"cards\"]\n",
            "[reader.\"ann\"]: families: \"cards\" is none of",
        ),
        (
            "[reader.ann]\nlogs = [\"*\", \"audit\"]\nfamilies = []\n",
            "[reader.\"ann\"]: logs: \"*\" stands alone",
        ),
        ("[producer.\"group:x\"]\nlogs = []\nfamilies = []\n", "a group is no producer"),
        ("[reader.ann]\nlogs = []\nfamilies = []\npersnal = true\n", "unknown field `persnal`"),
        (
            "[[token]]\nname = \"ann\"\nsha256 = \"12\"\n",
            "[[token]] of \"ann\": sha256 is not 64 hexadecimal digits",
        ),
        ("[[token]]\nname = \"ann\"\nsha256 = \"\u{1b}[2J\"\n", "invalid basic string"),
    ] {
        fs::write(&path, text).expect("a file");
        let ran = run(chancery().arg("access").arg(&path), "");
        assert!(ran.code == 2 && ran.err.contains(why) && !ran.err.contains('\u{1b}'), "{text}: {ran:?}");
        assert!(ran.err.contains("access.toml") && ran.out.is_empty(), "{ran:?}");
    }
    assert_eq!(run(chancery().args(["access", "/nowhere.toml"]), "").code, 2);
}

#[test]
fn a_token_goes_to_this_machine_or_over_tls() {
    for (server, code) in [
        ("http://192.0.2.1:1", 2),
        ("http://audit.example.org:1", 2),
        ("http://127.0.0.1.example.org:1", 2),
        ("http://127.0.0.1:1", 4),
        ("http://[::1]:1", 4),
        ("http://localhost:1", 4),
    ] {
        let ran = run(chancery().args(["count", "--server", server]).env("CHANCERY_TOKEN", "chy_canary"), "");
        assert_eq!(ran.code, code, "{server}: {ran:?}");
        assert_eq!(ran.err.contains("use https://"), code == 2, "{server}: {ran:?}");
        assert!(!ran.err.contains("canary"), "{ran:?}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said_without_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file.toml");
    for text in [
        "\nstore = \"postgres://ann:canary@db/x",
        "\nstores = \"postgres://ann:canary@db/x\"",
        "\ndrain_seconds = \"postgres://ann:canary@db/x\"",
        "\nchy_canary",
        "\n[[token]] chy_canary",
    ] {
        fs::write(&path, text).expect("a file");
        for ran in [
            run(chancery().arg("access").arg(&path), ""),
            run(chancery().args(["serve", "--config"]).arg(&path), ""),
            run(chancery().args(["serve", "--access"]).arg(&path), ""),
        ] {
            assert!(ran.code == 2 && ran.err.contains("line 2, column "), "{text}: {ran:?}");
            assert!(!ran.err.contains("canary") && !ran.out.contains("canary"), "{text}: {ran:?}");
        }
    }
}
