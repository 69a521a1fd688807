//! A server that comes and goes, and how its producers find it.
use std::time::Duration;

use tokio::sync::watch;

use crate::harness::{Kind, TestStore, server::Server};

/// A server on a store, and where producers find it.
pub struct Site {
    pub server: Server,
    /// What the server is told to connect to.
    pub store: TestStore,
    pub address: watch::Sender<String>,
}

impl Site {
    /// Starts a server on the store that this URL names.
    pub fn start(kind: Kind, url: String) -> Self {
        Self::start_under(kind, url, &[])
    }

    /// Starts a server as the arguments of another command.
    pub fn start_under(kind: Kind, url: String, wrapper: &[&str]) -> Self {
        Self::new(kind, url, wrapper, &[])
    }

    /// Starts a server with further flags, which its successors do not have.
    pub fn start_with(kind: Kind, url: String, flags: &[&str]) -> Self {
        Self::new(kind, url, &[], flags)
    }

    fn new(kind: Kind, url: String, wrapper: &[&str], flags: &[&str]) -> Self {
        let store = TestStore { kind, url, folder: tempfile::tempdir().expect("a temporary folder") };
        let server = Server::start_under(&store, wrapper, flags);
        let address = watch::channel(server.address.clone()).0;
        Self { server, store, address }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.server.signal("KILL");
        self.server.wait(Duration::from_secs(10));
    }

    /// A new server, at another address.
    pub fn restart(&mut self) {
        self.server = Server::start(&self.store);
        self.address.send_replace(self.server.address.clone());
    }
}
