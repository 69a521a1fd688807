//! `chancery query --follow` against the real server: nothing is missed or repeated over any way to end.
use std::time::Duration;

use crate::harness::{
    KINDS, TestStore, block_on, cli::run, events::hold, live::Live, log::append, server::Server,
};

fn add(server: &Server, devices: std::ops::Range<u32>) {
    let events = devices.map(|at| hold(&format!("device-{at}"))).collect();
    block_on(async { append(&mut server.audit().await, events).await });
}

fn position(line: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(line).expect("an event");
    value["position"].as_str().expect("a position").parse().expect("a number")
}

/// The flags of a printed command, without the address of a server that may be gone.
fn flags(command: &str) -> Vec<String> {
    let flags = command.split(' ').filter(|flag| !flag.starts_with("--server="));
    flags.skip_while(|flag| !flag.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn what_is_committed_shows_and_ctrl_c_loses_nothing() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        add(&server, 0..3);
        let live = Live::start(&mut server.cli(&["query", "--follow"]));
        let mut read: Vec<_> = (0..3).map(|_| position(&live.line())).collect();
        live.notice("caught up: all 3 positions");
        for next in 3..6 {
            add(&server, next..next + 1);
            read.push(position(&live.line()));
        }
        live.signal("INT");
        let (code, out, err) = live.ended();
        assert_eq!((code, out.len()), (0, 0), "{err:?}");
        let more = err.iter().find_map(|line| line.strip_prefix("more: ")).expect("a command");
        add(&server, 6..8);
        let live = Live::start(server.cli(&["query"]).args(flags(more)));
        read.extend([position(&live.line()), position(&live.line())]);
        live.notice("caught up: all 8 positions");
        assert_eq!(read, (0..8).collect::<Vec<_>>(), "{kind:?}");
    }
}

#[test]
fn a_limit_or_a_time_ends_it() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let server = Server::start(&store);
        add(&server, 0..1);
        let live = Live::start(&mut server.cli(&["query", "--follow", "--limit=2"]));
        live.notice("caught up");
        add(&server, 1..3);
        let (code, out, err) = live.ended();
        assert_eq!((code, out.len()), (0, 2), "{err:?}");
        assert!(err[0].starts_with("2 events, the limit; there may be more"), "{err:?}");
        let ran = run(&mut server.cli(&["query", "--follow", "--for=300ms"]), "");
        assert_eq!((ran.code, ran.lines().len()), (0, 3), "{ran:?}");
        assert!(ran.err.contains("3 events, the time is up; there may be more"), "{ran:?}");
    }
}

#[test]
fn a_server_on_its_way_out_says_how_to_continue() {
    for kind in KINDS {
        let store = TestStore::new(kind);
        let mut server = Server::start(&store);
        add(&server, 0..2);
        let live = Live::start(&mut server.cli(&["query", "--follow"]));
        let mut read = vec![position(&live.line()), position(&live.line())];
        live.notice("caught up");
        server.signal("TERM");
        let (code, _, err) = live.ended();
        assert_eq!(code, 5, "{err:?}");
        assert!(err.iter().any(|line| line.ends_with("the server is shutting down")), "{err:?}");
        let command = err.iter().find_map(|line| line.strip_prefix("continue with: ")).expect("a command");
        server.wait(Duration::from_secs(30));
        let server = Server::start(&store);
        add(&server, 2..3);
        let live = Live::start(server.cli(&["query"]).args(flags(command)));
        read.push(position(&live.line()));
        assert_eq!(read, [0, 1, 2], "{kind:?}");
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    add(&server, 0..1);
    let script = format!("'{}' query --follow | head -1", env!("CARGO_BIN_EXE_chancery"));
    let mut command = std::process::Command::new("sh");
    let live = Live::start(command.args(["-c", &script]).env("CHANCERY_SERVER", server.url()));
    assert_eq!(position(&live.line()), 0);
    live.notice("caught up");
    // The shell waits for both; the next event finds no reader.
    add(&server, 1..2);
    let (code, out, err) = live.ended();
    assert_eq!((code, out.len(), err.len()), (0, 0, 0), "{err:?}");
}
