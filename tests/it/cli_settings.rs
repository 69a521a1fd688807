//! A setting comes from its flag, else from the environment, else from the configuration file, else it
//! has its default; a wrong one is refused before anything starts.
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Command, Stdio},
};

use crate::harness::{
    Kind, TestStore,
    cli::run,
    server::{Server, chancery},
};

/// A `serve` command on a store, with free ports unless the caller says otherwise.
fn serve(store: &TestStore) -> Command {
    let mut command = chancery();
    command.current_dir(store.folder.path()).arg("serve");
    command
}

/// Starts a server, reads its first log line, ends it.
fn first_line(command: &mut Command) -> String {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut line = String::new();
    BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let _ = child.kill();
    let _ = child.wait();
    line
}

/// An address that is free now.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").to_string()
}

#[test]
fn the_flag_wins_over_the_environment_and_that_over_the_file() {
    let store = TestStore::new(Kind::Sqlite);
    let [flag, environment, file] = [free(), free(), free()];
    let text = format!(
        "listen = {file:?}\nadmin_listen = \"127.0.0.1:0\"\nstore = {:?}\nlog_format = \"json\"\n",
        store.url
    );
    fs::write(store.folder.path().join("chancery.toml"), text).expect("a file");
    let shown = |command: &mut Command| -> (String, String) {
        let line = first_line(command.args(["--config", "chancery.toml"]));
        let entry: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(entry["message"], "serving", "{line}");
        (
            entry["grpc"].as_str().unwrap_or_default().to_owned(),
            entry["store"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(shown(&mut serve(&store)), (file, store.url.clone()));
    assert_eq!(shown(serve(&store).env("CHANCERY_LISTEN", &environment)).0, environment);
    let mut all = serve(&store);
    assert_eq!(shown(all.env("CHANCERY_LISTEN", &environment).args(["--listen", &flag])).0, flag);
    // The file itself can be named by the environment.
    let line =
        first_line(serve(&store).env("CHANCERY_CONFIG", "chancery.toml").env("CHANCERY_LOG_FORMAT", "text"));
    assert!(line.contains(" INFO ") && line.contains("serving"), "{line}");
}

#[test]
fn a_list_in_the_environment_or_the_file_is_taken_whole() {
    let store = TestStore::new(Kind::Sqlite);
    let base = "listen = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\nstore = \"sqlite:list.db\"\n";
    let type_ = |code: &str| {
        format!(
            "[[token_server.event]]\ncode = \"{code}\"\ncategory = \"Site\"\nsummary = \"One.\"\noutcome = \"success\"\n"
        )
    };
    for name in ["one", "two"] {
        fs::write(store.folder.path().join(format!("{name}.toml")), type_(name)).expect("a file");
    }
    fs::write(
        store.folder.path().join("with.toml"),
        format!("{base}catalog = [\"one.toml\", \"two.toml\"]\n"),
    )
    .expect("a file");
    fs::write(store.folder.path().join("without.toml"), base).expect("a file");
    let types = |command: &mut Command| -> u64 {
        let line = first_line(command.args(["--log-format", "json"]));
        let entry: serde_json::Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        entry["event_types"].as_u64().expect("a number")
    };
    assert_eq!(types(serve(&store).args(["--config", "without.toml"])), 510);
    assert_eq!(types(serve(&store).args(["--config", "with.toml"])), 512);
    let mut environment = serve(&store);
    environment.env("CHANCERY_CATALOG", "one.toml,two.toml");
    assert_eq!(types(environment.args(["--config", "without.toml"])), 512);
    // A flag replaces the file's list.
    assert_eq!(types(serve(&store).args(["--config", "with.toml", "--catalog", "one.toml"])), 511);
}

#[test]
fn a_wrong_configuration_file_is_refused() {
    let store = TestStore::new(Kind::Sqlite);
    let cases = [
        ("listne = \"127.0.0.1:0\"\n", "unknown field `listne`"),
        ("# fine\n\nlisten = 5\n", "line 3"),
        ("[server]\nlisten = \"127.0.0.1:0\"\n", "unknown field `server`"),
        ("drain-seconds = 5\n", "unknown field `drain-seconds`"),
        ("listen = \n", "line 1"),
        ("drain_seconds = \"1m\"\n", "invalid type: a text, expected a whole number"),
        ("min_free_disk = -1\n", "expected a whole number"),
        ("catalog = \"one.toml\"\n", "invalid type: a text, expected a list: [\"...\"]"),
        ("drain_seconds = 0\n", "setting drain_seconds: is not between 1 and 3600"),
        ("drain_seconds = -1\n", "line 1"),
        ("store = \"mysql://db\"\n", "setting store: a store is sqlite:PATH or postgres://"),
        ("accept_unknown = [\"cms\"]\n", "setting accept_unknown: unknown family \"cms\""),
        ("log_format = \"xml\"\n", "setting log_format: a log format is text or json"),
        ("trace_ratio = nan\n", "trace_ratio is not a number"),
        ("trace_ratio = 2\n", "setting trace_ratio: is not between 0 and 1"),
        ("[limits]\nevents = 5\n", "unknown field `events`"),
        ("[limits]\nevents_per_second = 0\n", "setting limits: events_per_second is not between 1 and"),
        ("[limits]\nbytes_per_second = 1023\n", "setting limits: bytes_per_second is not between 1024 and"),
        ("[limits]\nburst_events = 2000\n", "setting limits: burst_events needs events_per_second"),
        ("[limits]\nlogs = [\"main\"]\n", "unknown field `logs`"),
        // A batch larger than the burst would be refused for ever.
        (
            "[limits]\nevents_per_second = 10\nburst_events = 999\n",
            "setting limits: burst_events is 999, and the largest request takes 1000: it would never be accepted",
        ),
        (
            "[limits]\nbytes_per_second = 8000000\nburst_bytes = 4194303\n",
            "setting limits: burst_bytes is 4194303, and the largest request takes 4194304",
        ),
        (
            "[limits]\nevents_per_second = 1\nburst_events = 100000\n",
            "setting limits: burst_events is more than events_per_second gives in a day",
        ),
    ];
    for (text, reason) in cases {
        fs::write(store.folder.path().join("chancery.toml"), text).expect("a file");
        let ran = run(serve(&store).args(["--config", "chancery.toml"]), "");
        assert!(ran.code == 2 && ran.err.contains(reason), "{text:?}: {ran:?}");
        assert!(
            reason.starts_with("setting") || ran.err.contains("setting config: chancery.toml: "),
            "{ran:?}"
        );
    }
    let ran = run(serve(&store).args(["--config", "nowhere.toml"]), "");
    assert!(ran.code == 2 && ran.err.contains("nowhere.toml: No such file"), "{ran:?}");
}

#[test]
fn a_wrong_value_is_refused_by_the_name_of_its_setting() {
    let store = TestStore::new(Kind::Sqlite);
    let cases = [
        ("listen", "nonsense", "setting listen: \"nonsense\" is not an address: an IP address and a port"),
        ("listen", "localhost:7610", "such as 127.0.0.1:50051, not the name of a host"),
        ("admin-listen", "127.0.0.1", "setting admin_listen: \"127.0.0.1\" is not an address"),
        ("store", "chancery.db", "setting store: a store is sqlite:PATH"),
        ("store", "sqlite::memory:", "setting store: sqlite: needs the path of a file"),
        ("drain-seconds", "3601", "setting drain_seconds: is not between 1 and 3600"),
        ("drain-seconds", "1m", "tip: seconds, a whole number such as 20\n"),
        ("min-free-disk", "256MiB", "tip: bytes, a whole number such as 268435456\n"),
        ("events-per-second", "many", "tip: events, a whole number\n"),
        ("log-level", "a=b=c", "setting log_level: "),
        // A mistyped level would otherwise be a filter for a module of that name, and the log empty.
        ("log-level", "inof", "setting log_level: "),
        ("log-format", "xml", "setting log_format: a log format is text or json"),
        ("events-per-second", "0", "setting limits: events_per_second is not between 1 and 1000000000000"),
        ("bytes-per-second", "1000", "setting limits: bytes_per_second is not between 1024 and"),
        ("bytes-per-second", "4k", "--bytes-per-second"),
        ("min-free-disk", "1125899906842625", "setting min_free_disk: is more than 1125899906842624"),
        ("min-free-disk", "-1", "--min-free-disk"),
        ("require-sync-replica", "yep", "tip: true or false\n"),
        ("require-sync-replica", "true", "setting require_sync_replica: a SQLite store has no replica"),
        ("otlp-endpoint", "collector:4317", "setting otlp_endpoint: \"collector:4317\" is not a URL such as"),
        (
            "otlp-endpoint",
            "https://ann:hunter2@collector",
            "setting otlp_endpoint: \"https://ann:***@collector\" has a",
        ),
        ("trace-ratio", "1.5", "setting trace_ratio: is not between 0 and 1"),
        ("trace-ratio", "-0.1", "setting trace_ratio: is not between 0 and 1"),
        ("trace-ratio", "nan", "--trace-ratio"),
    ];
    for (setting, value, reason) in cases {
        // With `=`, because some flags can stand alone.
        let flag = format!("--{setting}");
        let ran = run(serve(&store).arg(format!("{flag}={value}")), "");
        assert!(ran.code == 2 && ran.err.contains(reason), "{flag} {value}: {ran:?}");
        let variable = format!("CHANCERY_{}", setting.to_uppercase().replace('-', "_"));
        assert!(!ran.err.contains("variable"), "{ran:?}");
        let ran = run(serve(&store).env(&variable, value), "");
        assert!(ran.code == 2 && ran.err.contains(reason), "{setting} from the environment: {ran:?}");
        assert!(ran.err.contains(&format!("(variable {variable})")), "{ran:?}");
    }
    let made: Vec<_> =
        fs::read_dir(store.folder.path()).expect("a folder").flatten().map(|it| it.file_name()).collect();
    assert!(!made.contains(&"sqlite::memory:".into()), "{made:?}");
}

/// A value is blamed on what it came from, also of a client; a flag that is given hides its variable.
#[test]
fn a_wrong_value_of_a_variable_is_not_blamed_on_a_flag() {
    let cases: [(&[&str], &str, &str, &str); 5] = [
        (
            &["config", "check"],
            "CHANCERY_INSECURE",
            "banana",
            "'--insecure[=<BOOL>] (variable CHANCERY_INSECURE)'",
        ),
        (&["query"], "CHANCERY_SERVER", "localhost:1", "'--server <URL> (variable CHANCERY_SERVER)'"),
        (&["producers", "list"], "CHANCERY_SERVER", "grpc://localhost", "(variable CHANCERY_SERVER)"),
        (&["health"], "CHANCERY_ADMIN", "127.0.0.1:9", "'--admin <URL> (variable CHANCERY_ADMIN)'"),
        (
            &["health", "--admin", "x"],
            "CHANCERY_ADMIN",
            "y",
            "invalid value 'x' for '--admin <URL>': an admin URL",
        ),
    ];
    for (command, variable, value, said) in cases {
        let ran = run(chancery().args(command).env(variable, value), "");
        assert!(ran.code == 2 && ran.err.contains(said) && ran.out.is_empty(), "{command:?}: {ran:?}");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let store = TestStore::new(Kind::Sqlite);
    let other = TestStore::new(Kind::Sqlite);
    let running = Server::start(&store);
    let cases = [
        ("listen", running.address.clone(), "127.0.0.1:0".to_owned(), running.address.clone()),
        ("admin_listen", "127.0.0.1:0".to_owned(), running.admin.clone(), running.admin.clone()),
    ];
    for (setting, listen, admin, taken) in cases {
        let flags = ["--listen", &listen, "--admin-listen", &admin, "--store", &other.url];
        let ran = run(serve(&other).args(flags), "");
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(
            ran.err.contains(&format!("cannot listen on {taken}: Address already in use"))
                && ran.err.contains(&format!("chancery: setting {setting}: "))
                && ran.err.contains(&format!("(flag --{})", setting.replace('_', "-"))),
            "{ran:?}"
        );
    }
}
