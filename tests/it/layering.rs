//! The layers of DESIGN section 8 and the doors of STYLE hold: read off the sources, so that they do not
//! rot.
use std::{
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

use crate::harness::root;

/// Lines of a source file at most; a data file may be longer.
const MOST_LINES: usize = 500;

struct Source {
    /// Relative to `src`, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(&format!("{folder}/")) || self.path == format!("{folder}.rs")
    }

    /// The text without its unit tests, which stand at the end.
    fn without_tests(&self) -> &str {
        self.text.split("\n#[cfg(test)]\n").next().unwrap_or_default()
    }

    /// Number and text of every line of code, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The top-level modules that the file names, as `crate::x`, in a `use crate::{...}` group, or by as
    /// many `super::` as lead to the root.
    fn modules(&self) -> Vec<String> {
        let code: String = self.code().map(|(_, line)| format!("{line}\n")).collect();
        let mut named = Vec::new();
        for (at, _) in code.match_indices("crate::") {
            named.extend(first_names(&code[at + "crate::".len()..]));
        }
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        let up = "super::".repeat(path.split('/').count());
        for (at, _) in code.match_indices(&up) {
            if !code[..at].ends_with("super::") && !code[at + up.len()..].starts_with("super::") {
                named.extend(first_names(&code[at + up.len()..]));
            }
        }
        // `use super::*` of a unit test names nothing.
        named.retain(|name| !name.is_empty());
        named
    }
}

/// The first name of a path, or of every path of a `{...}` group.
fn first_names(text: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|each| each.is_alphanumeric() || *each == '_').collect()
    };
    let Some(group) = text.strip_prefix('{') else { return vec![name(text)] };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, each) in group.char_indices() {
        match each {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                names.push(name(&group[start..at]));
                start = at + 1;
                if each == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    names
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    found.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(&src).expect("below src").display().to_string(),
        text: fs::read_to_string(path).expect("a source"),
    };
    let sources: Vec<_> = found.iter().map(read).collect();
    assert!(sources.len() > 50, "{} sources", sources.len());
    sources
}

/// Fails with every line of code that matches, in files that are not excepted.
fn nowhere(pattern: &str, what: &str, excepted: fn(&Source) -> bool) {
    let pattern = Regex::new(pattern).expect("a pattern");
    let mut found = Vec::new();
    let mut at_home = 0;
    for source in sources() {
        let lines = source.code().filter(|(_, line)| pattern.is_match(line));
        let lines: Vec<_> = lines.map(|(at, line)| format!("src/{}:{at}: {line}", source.path)).collect();
        if excepted(&source) { at_home += lines.len() } else { found.extend(lines) }
    }
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
    assert!(at_home > 0, "{what}: the pattern matches nothing where it should");
}

#[test]
fn a_group_of_imports_is_read_by_its_first_names() {
    assert_eq!(first_names("{a::{b, c::d}, e, f::{g}};"), ["a", "e", "f"]);
    assert_eq!(first_names("grpc::status;"), ["grpc"]);
    let text =
        "use crate::{\n    event::X,\n};\n// crate::no\nuse super::super::store::Y;\nsuper::z();".to_owned();
    let source = Source { path: "grpc/append.rs".to_owned(), text };
    assert_eq!(source.modules(), ["event", "store"]);
}

#[test]
fn layers_import_downwards_only() {
    // Folder, and the modules that it must not name.
    let forbidden: [(&str, &[&str]); 18] = [
        // It knows who may do what, and nothing of how.
        (
            "auth",
            &["grpc", "store", "server", "cli", "query", "proof", "retention", "app", "config", "telemetry"],
        ),
        (
            "catalog",
            &["event", "grpc", "store", "server", "cli", "ingest", "query", "app", "config", "telemetry"],
        ),
        ("event", &["grpc", "store", "server", "cli", "ingest", "query", "app", "config", "telemetry"]),
        ("index", &["grpc", "store", "server", "cli", "ingest", "query", "app", "config", "telemetry"]),
        ("tree", &["grpc", "store", "server", "cli", "ingest", "query", "app", "config", "telemetry"]),
        (
            // What an auditor trusts stands on nothing of the server.
            "verify",
            &[
                "catalog",
                "clock",
                "index",
                "grpc",
                "store",
                "server",
                "cli",
                "ingest",
                "query",
                "app",
                "config",
                "telemetry",
            ],
        ),
        (
            "note",
            &[
                "catalog",
                "grpc",
                "store",
                "server",
                "cli",
                "ingest",
                "query",
                "app",
                "config",
                "telemetry",
                "clock",
            ],
        ),
        (
            "witness",
            &[
                "catalog", "grpc", "store", "server", "cli", "ingest", "query", "app", "config", "proof",
                "event",
            ],
        ),
        ("files", &["note", "event", "store", "proof", "witness", "app", "config"]),
        ("proof", &["grpc", "server", "cli", "app", "config", "ingest", "query", "catalog", "index"]),
        ("retention", &["grpc", "server", "cli", "app", "config", "query", "index", "proof"]),
        (
            "journal",
            &["grpc", "server", "cli", "app", "config", "query", "index", "proof", "store", "retention"],
        ),
        ("ingest", &["grpc", "server", "cli", "app", "config", "journal"]),
        ("query", &["grpc", "server", "cli", "app", "config", "ingest"]),
        ("store", &["grpc", "server", "cli", "app", "config"]),
        ("grpc", &["server", "cli", "app", "config"]),
        ("server", &["cli", "app", "config"]),
        ("telemetry", &["grpc", "store", "server", "cli", "ingest", "query", "app", "config"]),
    ];
    let sources = sources();
    for (folder, names) in forbidden {
        let inside: Vec<_> = sources.iter().filter(|source| source.is_in(folder)).collect();
        assert!(!inside.is_empty(), "src/{folder} is gone");
        for source in inside {
            for module in source.modules() {
                assert!(!names.contains(&module.as_str()), "src/{} names crate::{module}", source.path);
            }
        }
    }
}

/// Who calls and what is told of it is decided where calls come in; what is below knows nothing of callers.
#[test]
fn callers_and_the_self_audit_are_known_where_calls_come_in() {
    let sources = sources();
    for (module, known) in [
        ("auth", &["auth", "query", "grpc", "server", "config", "app"][..]),
        ("journal", &["journal", "grpc", "server", "app"]),
    ] {
        let mut named = 0;
        for source in sources.iter().filter(|source| source.path != "lib.rs") {
            let names = source.modules().iter().any(|name| name == module);
            assert!(
                !names || known.iter().any(|folder| source.is_in(folder)),
                "src/{}: {module}",
                source.path
            );
            named += usize::from(names);
        }
        assert!(named > 3, "{module} is named {named} times");
    }
}

#[test]
fn the_command_line_is_a_client_and_sees_nothing_of_the_server() {
    let sources = sources();
    let mut named = 0;
    for source in sources.iter().filter(|source| source.is_in("cli")) {
        for module in source.modules() {
            let allowed = match module.as_str() {
                "cli" | "proto" | "clock" | "verify" => true,
                // The dispatch to `serve` and `migrate`, and the measures that look below the service.
                "app" | "config" => [
                    "cli/mod.rs",
                    "cli/keys.rs",
                    "cli/token.rs",
                    "cli/access.rs",
                    "cli/config.rs",
                    "cli/bench/ceiling.rs",
                    "cli/bench/query.rs",
                ]
                .contains(&source.path.as_str()),
                // Keys and tokens are made without a server.
                "note" => source.path == "cli/keys.rs",
                "files" | "event" => ["cli/keys.rs", "cli/token.rs"].contains(&source.path.as_str()),
                _ => false,
            };
            assert!(allowed, "src/{} names crate::{module}", source.path);
            named += 1;
        }
    }
    assert!(named > 20, "only {named} names");
}

#[test]
fn sqlx_is_used_in_the_store_only() {
    nowhere(r"\bsqlx\b", "sqlx outside of src/store", |source| source.is_in("store"));
}

#[test]
fn signatures_are_made_and_checked_in_one_place() {
    nowhere(r"\b(signed_note|ed25519_dalek)::", "signatures outside of src/note", |source| {
        source.is_in("note")
    });
}

#[test]
fn telemetry_is_made_and_sent_in_one_place() {
    nowhere(r"\bopentelemetry", "OpenTelemetry outside of src/telemetry", |source| source.is_in("telemetry"));
}

/// The errors of the server. The command line makes a few for itself, which never go on a wire.
#[test]
fn errors_of_the_server_are_made_in_one_place() {
    let pattern = r"\bStatus::(new|from_error|with_\w+|ok|cancelled|unknown|invalid_argument|deadline_exceeded|not_found|already_exists|permission_denied|resource_exhausted|failed_precondition|aborted|out_of_range|unimplemented|internal|unavailable|data_loss|unauthenticated)\(";
    nowhere(pattern, "a tonic::Status made outside of src/grpc/status.rs", |source| {
        source.is_in("grpc/status") || source.is_in("cli")
    });
}

#[test]
fn signals_the_clock_and_random_ids_have_one_door_each() {
    nowhere(
        r"tokio::signal|ctrl_c|SignalKind",
        "signals outside of src/app/signals.rs and src/cli/interrupt.rs",
        |source| ["app/signals.rs", "cli/interrupt.rs"].contains(&source.path.as_str()),
    );
    nowhere(
        r"SystemTime::now|Timestamp::now|Zoned::now|Uuid::now_v7",
        "time outside of src/clock.rs",
        |source| source.path == "clock.rs",
    );
    nowhere(
        r"Uuid::new_v4|rand::|getrandom",
        "randomness outside of src/app.rs and src/clock.rs",
        |source| ["app.rs", "clock.rs"].contains(&source.path.as_str()),
    );
}

#[test]
fn files_stay_small() {
    let sources = sources();
    for source in &sources {
        let lines = source.text.lines().count();
        assert!(lines <= MOST_LINES, "src/{} has {lines} lines", source.path);
    }
    let mut lines: Vec<_> = sources.iter().map(|source| source.text.lines().count()).collect();
    lines.sort_unstable();
    let median = lines[lines.len() / 2];
    assert!(median < 150, "the median is {median}");
}

#[test]
fn every_file_begins_with_what_it_does() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "src/{} does not say what it is for", source.path);
    }
}

#[test]
fn nothing_is_left_for_later() {
    let pattern = Regex::new(r"\b(TODO|FIXME|XXX|HACK)\b|\b(todo|unimplemented|dbg)!").expect("a pattern");
    let mut found = Vec::new();
    for folder in ["src", "proto", "migrations"] {
        files(&root().join(folder), &mut found);
    }
    for path in found {
        let text = fs::read_to_string(&path).expect("text");
        for (at, line) in text.lines().enumerate() {
            assert!(!pattern.is_match(line), "{}:{}: {line}", path.display(), at + 1);
        }
    }
}

#[test]
fn unwrap_and_expect_say_why_they_are_safe() {
    let pattern =
        Regex::new(r"\.(unwrap|expect|unwrap_err|expect_err)\(|\b(panic|unreachable)!").expect("a pattern");
    // Unit tests may panic: that is how they fail. Some have a file of their own.
    for source in sources().iter().filter(|source| !source.path.ends_with("_tests.rs")) {
        let lines: Vec<_> = source.without_tests().lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let is_code = !line.trim_start().starts_with("//");
            let near = &lines[at.saturating_sub(4)..at];
            let safe = near.iter().any(|line| line.contains("// Unwrap safety:"));
            assert!(!is_code || !pattern.is_match(line) || safe, "src/{}:{}: {line}", source.path, at + 1);
        }
    }
}

#[test]
fn no_method_of_the_store_does_something_by_itself() {
    // What wraps a store hands every method on. One with a body of its own would compile without being handed on.
    let pattern = Regex::new(r"(?s)\npub trait (\w+)[^{]*\{\n(.*?)\n\}\n").expect("a pattern");
    let mut traits = 0;
    for source in sources().iter().filter(|source| source.is_in("store")) {
        for found in pattern.captures_iter(&source.text) {
            assert!(!found[2].contains('{'), "src/{}: {} has a method with a body", source.path, &found[1]);
            traits += 1;
        }
    }
    assert!(traits > 7, "only {traits} traits");
}
