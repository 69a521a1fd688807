//! `--help` and the completions are complete: every command, and every setting of the server with its
//! default and unit.
use std::collections::BTreeSet;

use crate::harness::{cli::run, server::chancery};

fn help(command: &[&str]) -> String {
    let ran = run(chancery().args(command).arg("--help"), "");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command:?}");
    ran.out
}

/// Help text with its line breaks taken out.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a line of help begins a flag, and not an item of a list of values.
fn is_flag(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('-') && !line.starts_with("- ")
}

/// The names below `Commands:`.
fn commands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.map(str::to_owned).collect()
}

/// Every command line that leads to a command, groups included.
fn all_commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        for name in commands(&help(&words)) {
            let longer = [path.clone(), vec![name]].concat();
            found.push(longer.clone());
            open.push(longer);
        }
    }
    found
}

#[test]
fn the_commands_are_the_known_ones_and_each_explains_itself() {
    let all = all_commands();
    let names: BTreeSet<_> = all.iter().map(|path| path.join(" ")).collect();
    let known = [
        "serve",
        "migrate",
        "health",
        "doctor",
        "partition",
        "append",
        "query",
        "count",
        "catalog",
        "catalog list",
        "catalog show",
        "retention",
        "retention show",
        "retention apply",
        "retention hold",
        "retention release",
        "producers",
        "producers list",
        "producers show",
        "quarantine",
        "quarantine list",
        "quarantine replay",
        "quarantine discard",
        "export",
        "verify",
        "keys",
        "keys generate",
        "keys show",
        "token",
        "access",
        "config",
        "config show",
        "config check",
        "config reference",
        "witness",
        "erase",
        "completions",
    ];
    assert!(names.is_superset(&known.map(str::to_owned).into()), "{names:?}");
    for path in &all {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let help = help(&words);
        let first = help.lines().next().unwrap_or_default();
        assert!(first.len() > 10 && !first.starts_with("Usage"), "{path:?} begins with {first:?}");
        // Every flag has words of its own: behind it or on the next line.
        let lines: Vec<_> = help.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_flag(line)) {
            let own = line.trim_start().split("  ").nth(1).is_some();
            let next = lines.get(at + 1).is_some_and(|next| next.starts_with("      ") && !is_flag(next));
            assert!(own || next, "{path:?}: {line} says nothing");
        }
    }
}

#[test]
fn serve_lists_every_setting_with_default_unit_and_environment() {
    let help = flowing(&help(&["serve"]));
    // Flag, value, default, and words that give the unit or the allowed values.
    let settings = [
        ("config", "FILE", None, "TOML"),
        ("listen", "ADDRESS", Some("127.0.0.1:50051"), "gRPC"),
        ("admin-listen", "ADDRESS", Some("127.0.0.1:9464"), "HTTP"),
        ("store", "URL", Some("sqlite:chancery.db"), "sqlite:PATH or postgres://"),
        ("store-file", "FILE", Some("none"), "Refused when it is empty"),
        ("catalog", "FILE", Some("none"), "may be repeated"),
        ("accept-unknown", "FAMILY", Some("none"), "cms_audit, cms_notification, as_audit, token_server"),
        ("log-level", "LEVEL", Some("info"), "error, warn, info, debug"),
        ("log-format", "FORMAT", Some("text"), "text or json"),
        ("drain-seconds", "SECONDS", Some("20"), "Seconds"),
        ("tls-certificate", "FILE", Some("none"), "PEM"),
        ("tls-key", "FILE", Some("none"), "others may not use"),
        ("tls-client-ca", "FILE", Some("none"), "PEM"),
        ("insecure", "[=BOOL]", Some("false"), "where other machines can connect"),
        ("max-connections", "CONNECTIONS", Some("8192"), "open at a time"),
        ("max-connections-per-address", "CONNECTIONS", Some("1024"), "from one address"),
        ("signing-key-file", "FILE", Some("none"), "mode 0600"),
        ("signer-state", "FOLDER", Some("chancery-signer"), "not in the store"),
        ("witness", "URL=KEY", Some("none"), "may be repeated"),
        ("access", "FILE", Some("none"), "who may do what"),
        ("min-free-disk", "BYTES", Some("268435456"), "Free bytes"),
        ("require-sync-replica", "[=BOOL]", Some("false"), "synchronous standby"),
        ("otlp-endpoint", "URL", Some("none"), "OTLP over gRPC"),
        ("trace-ratio", "SHARE", Some("1"), "0 to 1"),
        ("events-per-second", "EVENTS", Some("none"), "Events per second"),
        ("bytes-per-second", "BYTES", Some("none"), "Bytes of append requests per second"),
    ];
    let mut rest = help.split_once("Options: ").expect("options").1;
    for (flag, value, default, words) in settings {
        // A value in brackets may be left out.
        let written = match value.strip_prefix("[=").and_then(|value| value.strip_suffix(']')) {
            Some(value) => format!("--{flag}[=<{value}>]"),
            None => format!("--{flag} <{value}>"),
        };
        let (_, after) = rest.split_once(&written).unwrap_or_else(|| panic!("--{flag}: {rest}"));
        let own = after.split(" --").next().unwrap_or_default();
        if let Some(default) = default {
            assert!(own.contains(&format!("[default: {default}]")), "--{flag}: {own}");
        }
        assert!(own.contains(words), "--{flag} says {words:?}: {own}");
        let environment = format!("[env: CHANCERY_{}", flag.to_uppercase().replace('-', "_"));
        assert!(own.contains(&environment), "--{flag}: {own}");
        rest = after;
    }
    // None is missing from the list above.
    assert_eq!(help.matches("[env: CHANCERY_").count(), settings.len());
}

#[test]
fn secrets_of_the_environment_are_not_shown_by_help() {
    for command in ["serve", "migrate"] {
        let mut chancery = chancery();
        chancery.env("CHANCERY_STORE", "postgres://ann:hunter2@db/x").args([command, "--help"]);
        chancery.env("CHANCERY_SIGNING_KEY", "PRIVATE+KEY+hunter2");
        assert!(!run(&mut chancery, "").out.contains("hunter2"), "{command}");
    }
}

#[test]
fn completions_know_every_command_in_every_shell() {
    let all = all_commands();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = run(chancery().args(["completions", shell]), "");
        assert_eq!(ran.code, 0, "{ran:?}");
        for path in &all {
            let name = path.last().expect("a name");
            assert!(ran.out.contains(name.as_str()), "{shell} does not complete {path:?}");
        }
        assert!(ran.out.contains("drain-seconds") && ran.out.contains("resume-token"), "{shell} lacks flags");
    }
    // A shell can read its script.
    let script = run(chancery().args(["completions", "bash"]), "").out;
    let checked = run(std::process::Command::new("bash").args(["-n"]), &script);
    assert_eq!((checked.code, checked.err.as_str()), (0, ""));
}
