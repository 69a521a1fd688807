//! docs/tls.md: its commands make certificates by which a server and the command line understand each other, and its
//! figures are those of the server.
use std::process::Command;

use crate::{
    documents::blocks,
    harness::{
        KINDS, TestStore,
        certificates::write,
        cli::run,
        server::{Server, Trust},
    },
};

const PAGE: &str = "docs/tls.md";

/// The shell commands of the page that make certificates, as one script.
fn script() -> String {
    let made = blocks(PAGE).into_iter().filter(|block| block.language == "sh");
    let script: String = made.map(|block| block.text + "\n").collect();
    assert!(script.matches("openssl ").count() >= 5, "{script}");
    script
}

#[test]
fn its_commands_make_what_it_says() {
    let store = TestStore::new(KINDS[0]);
    let folder = store.folder.path();
    let ran = run(Command::new("sh").args(["-euc", &script()]).current_dir(folder), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    let flags =
        ["--tls-certificate", "server.crt", "--tls-key", "server.key", "--tls-client-ca", "clients-ca.crt"];
    let server = Server::start_with(&store, &flags);
    let trust = Trust { ca: text("servers-ca.crt"), identity: None };
    write(&folder.join("ca.crt"), &trust.ca);
    let server = server.trusting(trust);
    let mut command = server.cli(&["query", "--certificate", "cms.crt", "--certificate-key", "cms.key"]);
    let ran = run(command.current_dir(folder), "");
    assert_eq!(ran.code, 0, "{ran:?}");
    let ran = run(server.cli(&["query"]).current_dir(folder), "");
    assert_eq!(ran.code, 4, "{ran:?}");
    // The subject as openssl prints it is the one that the server reads.
    let mut openssl = Command::new("openssl");
    openssl.args(["x509", "-noout", "-subject", "-nameopt", "RFC2253,-esc_msb", "-in", "cms.crt"]);
    let ran = run(openssl.current_dir(folder), "");
    let der = {
        use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
        CertificateDer::from_pem_slice(text("cms.crt").as_bytes()).expect("a certificate")
    };
    let read = chancery::auth::Certificate::read(&der).expect("a certificate");
    assert_eq!(ran.out.trim(), format!("subject={}", read.subject));
    assert_eq!(read.uris, ["spiffe://example.com/cms"]);
}
