//! `chancery config show` says what holds and where it came from: for every setting that there is the flag wins over the
//! variable, that over the file, and that over the default. What it prints is a file that says the same.
use std::{fmt::Write as _, fs, process::Command};

use serde_json::{Value, json};

use crate::{
    docs_configuration::{Setting, settings},
    harness::{
        cli::{Ran, run},
        server::chancery,
    },
};

/// A value of the setting, another one for each of three turns.
fn value(setting: &Setting, turn: usize) -> Value {
    let one = match setting.unit.as_str() {
        "SECONDS" | "CONNECTIONS" | "EVENTS" | "BYTES" => return json!(100 + turn),
        "SHARE" => return json!(0.25 * (turn + 1) as f64),
        "BOOL" => return json!(turn.is_multiple_of(2)),
        _ => format!("value-{turn}"),
    };
    if setting.is_list { json!([format!("{one}-a"), format!("{one}-b")]) } else { json!(one) }
}

/// How a flag or a variable says it.
fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(texts) => texts.iter().map(words).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn show(arguments: impl FnOnce(&mut Command)) -> Ran {
    let mut command = chancery();
    command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT").args(["config", "show"]);
    arguments(&mut command);
    let ran = run(&mut command, "");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    ran
}

/// What is shown without where it came from.
fn bare(text: &str) -> Vec<String> {
    let line = |line: &str| line.rsplit_once("  # ").map_or(line, |(line, _)| line).to_owned();
    text.lines().filter(|line| !line.starts_with("# ")).map(line).collect()
}

/// A file of the first value of each of these.
fn file(settings: &[&Setting]) -> String {
    let (mut top, mut limits) = (String::new(), "[limits]\n".to_owned());
    for setting in settings {
        let (key, is_limit) = setting.key();
        let part = if is_limit { &mut limits } else { &mut top };
        writeln!(part, "{key} = {}", value(setting, 0)).expect("a text");
    }
    top + &limits
}

#[test]
fn the_default_the_file_the_variable_and_the_flag_win_in_this_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chancery.toml");
    let shown_path = path.display().to_string();
    let all = settings();
    // The store is named once, so that it takes two rounds.
    for without in ["--store", "--store-file"] {
        let some: Vec<_> =
            all.iter().filter(|it| !["--config", without].contains(&it.flag.as_str())).collect();
        fs::write(&path, file(&some)).expect("a file");
        let nothing = show(|_| ());
        let of_file = show(|command| {
            command.args(["--config", &shown_path]);
        });
        let variables = |command: &mut Command| {
            command.args(["--config", &shown_path]);
            command.envs(some.iter().map(|it| (it.variable.clone(), words(&value(it, 1)))));
        };
        let of_variables = show(variables);
        let of_flags = show(|command| {
            variables(command);
            command.args(some.iter().map(|it| format!("{}={}", it.flag, words(&value(it, 2)))));
        });
        for setting in &some {
            let (key, _) = setting.key();
            let has = |ran: &Ran, turn, origin: &str| {
                let line = format!("{key} = {}  # {origin}", value(setting, turn));
                assert!(ran.lines().contains(&line.as_str()), "{line}: {ran:?}");
            };
            let default = setting.default.as_deref().unwrap_or("none");
            let lines = nothing.lines();
            let line = lines.iter().find(|line| line.trim_start_matches("# ").starts_with(&key));
            assert!(
                line.map_or(default == "none", |line| line.contains(default) && line.contains("default")),
                "{key}: {default}: {nothing:?}"
            );
            has(&of_file, 0, &format!("file {shown_path}"));
            has(&of_variables, 1, &format!("variable {}", setting.variable));
            has(&of_flags, 2, &format!("flag {}", setting.flag));
        }
    }
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second] = ["first.toml", "second.toml"].map(|name| folder.path().join(name));
    let some = settings();
    let some: Vec<_> =
        some.iter().filter(|it| !["--config", "--store-file"].contains(&it.flag.as_str())).collect();
    let further = "burst_events = 2000\n\n[jwt]\njwks = \"keys.json\"\nissuer = \"i\"\naudience = [\"a\", \"b\"]\nalgorithms = [\"ES256\"]\n\n\
        [retention.cards]\nkeep_days = 10\n\n[retention.cards.families]\ntoken_server = 4\n\n[retention.\"a.b \\u0022\\u007f\"]\n\n[retention.last.families]\nas_audit = 1\n";
    fs::write(&first, file(&some) + further).expect("a file");
    let shown = show(|command| {
        command.arg("--config").arg(&first).args(["--redacted", "--log-level", "a\"\\b\u{7f}\n"]);
    });
    for line in [
        "log_level = \"a\\\"\\\\b\\u007f\\n\"",
        "[jwt]",
        "audience = [\"a\",\"b\"]",
        "[retention.cards.families]",
        "token_server = 4",
        "[retention.\"a.b \\\"\\u007f\"]",
        "burst_events = 2000",
    ] {
        assert!(bare(&shown.out).contains(&line.to_owned()), "{line}: {shown:?}");
    }
    fs::write(&second, &shown.out).expect("a file");
    let again = show(|command| {
        command.arg("--config").arg(&second);
    });
    assert_eq!(bare(&again.out), bare(&shown.out));
    let from = format!("  # file {}", second.display());
    assert!(
        again.lines().iter().filter(|line| line.contains(" = ")).all(|line| line.ends_with(&from)),
        "{again:?}"
    );
}

#[test]
fn the_endpoint_of_telemetry_can_come_from_opentelemetrys_own_variable() {
    let own = |command: &mut Command| {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://own:4317");
    };
    let line = "otlp_endpoint = \"http://own:4317\"  # variable OTEL_EXPORTER_OTLP_ENDPOINT";
    assert!(show(own).lines().contains(&line));
    let given = show(|command| {
        own(command);
        command.env("CHANCERY_OTLP_ENDPOINT", "http://given:4317");
    });
    let line = "otlp_endpoint = \"http://given:4317\"  # variable CHANCERY_OTLP_ENDPOINT";
    assert!(given.lines().contains(&line), "{given:?}");
}

#[test]
fn a_mistyped_key_is_refused_with_the_one_that_was_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("chancery.toml");
    for (text, said) in [
        ("lisetn = \"127.0.0.1:0\"\n", "line 1, column 1: unknown field `lisetn`, did you mean `listen`?"),
        (
            "\ndrain-seconds = 3\n",
            "line 2, column 1: unknown field `drain-seconds`, did you mean `drain_seconds`?",
        ),
        (
            "[limits]\nevent_per_second = 3\n",
            "unknown field `event_per_second`, did you mean `events_per_second`?",
        ),
        ("[retention.cards]\nkept_days = 3\n", "unknown field `kept_days`, did you mean `keep_days`?"),
        ("[jwt]\nisuer = \"i\"\n", "unknown field `isuer`, did you mean `issuer`?"),
        ("zzzzzzzzz = 3\n", "unknown field `zzzzzzzzz`, expected one of `listen`, `admin_listen`"),
    ] {
        fs::write(&path, text).expect("a file");
        let ran = run(chancery().args(["config", "show", "--config"]).arg(&path), "");
        assert!(ran.code == 2 && ran.err.contains(said), "{text}: {ran:?}");
    }
}
