//! Callers with tokens, and servers with an access file that knows them.
use std::{fmt::Write as _, fs};

use sha2::{Digest as _, Sha256};
use tonic::Request;

use super::{TestStore, server::Server};

/// The token of a caller.
pub fn token(name: &str) -> String {
    format!("token-of-{name}")
}

/// An access file: `lines`, and a token for each of `names`.
pub fn file(lines: &str, names: &[&str]) -> String {
    let mut text = lines.to_owned();
    for name in names {
        let digest = Sha256::digest(token(name));
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(text, "\n[[token]]\nname = {name:?}\nsha256 = {digest:?}\n").expect("a text");
    }
    text
}

/// A request that brings the token of a caller.
pub fn by<T>(name: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {}", token(name)).parse().expect("a header value");
    request.metadata_mut().insert("authorization", value);
    request
}

/// A server with an access file and a configuration file.
pub fn server(store: &TestStore, access: &str, configuration: &str) -> Server {
    let path = store.folder.path().join("access.toml");
    fs::write(&path, access).expect("a file");
    Server::configured(store, &format!("access = {path:?}\n{configuration}"))
}
