//! TLS: who may connect, with what, and how certificates change while connections are open.
mod age;
mod alpn;
mod clients;
mod reload;
mod round_trip;
mod start;
mod warnings;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::harness::{
    TestStore,
    certificates::{Authority, Issued, write},
    server::{Server, Trust},
};

/// A server with certificates in files, and who issues them.
struct Site<'a> {
    store: &'a TestStore,
    authority: Authority,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
}

impl<'a> Site<'a> {
    fn new(store: &'a TestStore) -> Self {
        let authority = Authority::new();
        let folder = store.folder.path();
        let (certificate, key) = authority.server(&["localhost", "127.0.0.1"]).write(folder, "server");
        let client_ca = folder.join("clients.crt");
        write(&client_ca, &authority.pem());
        Self { store, authority, certificate, key, client_ca }
    }

    fn flags(&self) -> Vec<&str> {
        vec!["--tls-certificate", path(&self.certificate), "--tls-key", path(&self.key)]
    }

    fn mutual(&self) -> Vec<&str> {
        [self.flags(), vec!["--tls-client-ca", path(&self.client_ca)]].concat()
    }

    /// A server that asks clients for nothing.
    fn start(&self) -> Server {
        Server::start_with(self.store, &self.flags()).trusting(self.trust())
    }

    /// A server that asks clients for certificates of the same authority; calls are made with this one.
    fn start_mutual(&self, client: Issued) -> Server {
        let trust = Trust { identity: Some(client), ..self.trust() };
        Server::start_with(self.store, &self.mutual()).trusting(trust)
    }

    fn trust(&self) -> Trust {
        Trust { ca: self.authority.pem(), identity: None }
    }
}

fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Waits until a line of the server's log has this in it.
fn logged(server: &Server, text: &str) {
    let began = std::time::Instant::now();
    while !server.log().contains(text) {
        assert!(began.elapsed() < Duration::from_secs(60), "{text:?} is not in the log:\n{}", server.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}
