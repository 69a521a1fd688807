//! Handshakes that never end hold nothing that others need.
use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use super::{from, honest, refused, until};
use crate::harness::{
    KINDS, TestStore, block_on,
    certificates::Authority,
    server::{Server, Trust},
};

fn secure(store: &TestStore) -> (Server, String) {
    let authority = Authority::new();
    let (certificate, key) =
        authority.server(&["localhost", "127.0.0.1"]).write(store.folder.path(), "server");
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().expect("UTF-8"));
    let server = Server::start_with(store, &["--tls-certificate", certificate, "--tls-key", key]);
    let ca = authority.pem();
    (server.trusting(Trust { ca: ca.clone(), identity: None }), ca)
}

/// What a client says first in a handshake.
fn hello(ca: &str) -> Vec<u8> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM")).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).expect("a hello");
    bytes
}

/// Waits for the server to close it.
async fn closed(mut stream: TcpStream) {
    let end = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(Duration::from_secs(30), end).await.expect("the server closes it");
}

#[test]
fn clients_that_send_nothing_or_a_byte_at_a_time_or_stop_half_way_are_closed_and_delay_nobody() {
    let store = TestStore::new(KINDS[0]);
    let (server, ca) = secure(&store);
    block_on(async {
        let hello = hello(&ca);
        let mut silent = Vec::new();
        // From the honest client's own address, and more than there are handshakes at a time.
        for _ in 0..300 {
            silent.push(TcpStream::connect(&server.address).await.expect("connected"));
        }
        honest(&server, "silent").await;

        let mut trickling = Vec::new();
        for _ in 0..300 {
            let mut stream = TcpStream::connect(&server.address).await.expect("connected");
            let hello = hello.clone();
            trickling.push(tokio::spawn(async move {
                for byte in hello {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                panic!("nobody has that much patience");
            }));
        }
        honest(&server, "trickling").await;

        // A whole hello, and nothing after it: these hold a place each, and those of their address only.
        let mut half_way = Vec::new();
        for _ in 0..300 {
            let mut stream = from(Ipv4Addr::new(127, 0, 0, 2), &server.address).await.expect("connected");
            stream.write_all(&hello).await.expect("written");
            half_way.push(stream);
        }
        honest(&server, "half-way").await;

        for stream in silent.into_iter().chain(half_way) {
            closed(stream).await;
        }
        for task in trickling {
            task.await.expect("it is closed before its end");
        }
        until(&server, &refused("handshake_timeout"), |count| count >= 900.0).await;
        until(&server, super::OPEN, |count| count <= 3.0).await;
        honest(&server, "after").await;
    });
}

#[test]
fn what_is_no_handshake_is_refused_and_buffered_only_so_far() {
    let store = TestStore::new(KINDS[0]);
    let (server, ca) = secure(&store);
    block_on(async {
        // The head of a handshake message that claims to be 60,000 bytes long, in records of 4,000.
        let mut endless = Vec::new();
        for at in 0..15_u8 {
            endless.extend([0x16, 3, 1, 0x0f, 0xa0]);
            let mut record = vec![0; 4000];
            if at == 0 {
                record[..4].copy_from_slice(&[1, 0, 0xea, 0x60]);
            }
            endless.extend(record);
        }
        let mut altered = hello(&ca);
        altered[5] = 0x7f;
        let plain = super::FIRST_WORDS.to_vec();
        let words = [endless, altered, plain, b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0; 20_000]];
        let count = words.len();
        for words in words {
            let mut stream = TcpStream::connect(&server.address).await.expect("connected");
            // The server may close it before all is said.
            let _ = stream.write_all(&words).await;
            closed(stream).await;
        }
        until(&server, &refused("handshake_failed"), |failed| failed == count as f64).await;
        honest(&server, "after").await;
    });
}
