//! The memory of a server, which holds secrets for a moment, is not written to disk when it dies.
use crate::harness::{KINDS, TestStore, server::Server};

#[test]
fn a_server_leaves_no_core() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("/proc");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    let values: Vec<_> = core.split_whitespace().skip(4).collect();
    assert_eq!(values, ["0", "0", "bytes"], "{core}");
}
