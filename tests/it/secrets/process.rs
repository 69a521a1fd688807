//! The memory of a server, which holds secrets for a moment, is not written to disk when it dies.
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    process::Command,
};

use crate::harness::{KINDS, TestStore, server::Server};

/// A user who owns nothing.
const NOBODY: u32 = 65534;

#[test]
fn a_server_leaves_no_core() {
    let store = TestStore::new(KINDS[0]);
    let server = Server::start(&store);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).expect("/proc");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit");
    let values: Vec<_> = core.split_whitespace().skip(4).collect();
    assert_eq!(values, ["0", "0", "bytes"], "{core}");
}

/// Whose a file of a process is.
fn owner(pid: u32) -> u32 {
    fs::metadata(format!("/proc/{pid}/environ")).expect("/proc").uid()
}

/// What /proc has of a process belongs to its user, or to root when the process may not be dumped. So neither may be
/// run by root: what root starts becomes nobody's.
#[test]
fn others_of_its_user_do_not_read_the_memory_of_a_server() {
    let store = TestStore::new(KINDS[0]);
    let is_root = fs::metadata("/proc/self/environ").expect("/proc").uid() == 0;
    let become_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let wrapper = if is_root { &become_nobody[..] } else { &[] };
    if is_root {
        for file in fs::read_dir(store.folder.path()).expect("a folder").flatten() {
            chown(file.path(), Some(NOBODY), Some(NOBODY)).expect("a file for nobody");
        }
        chown(store.folder.path(), Some(NOBODY), Some(NOBODY)).expect("a folder for nobody");
    }
    let server = Server::start_under(&store, wrapper, &[]);
    assert_eq!(owner(server.pid()), 0);
    let words = [wrapper, &["sh", "-c", "echo; read wait"]].concat();
    let mut other = Command::new(words[0]);
    let pipes =
        other.args(&words[1..]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut other = pipes.spawn().expect("a process");
    // It is itself once it has said something.
    std::io::Read::read_exact(&mut other.stdout.take().expect("a pipe"), &mut [0]).expect("a line");
    assert_ne!(owner(other.id()), 0, "another process of that user can be read");
    drop(other.stdin.take());
    other.wait().expect("its end");
}
