//! An issuer of signed tokens: its keys, its tokens, and the page where its public keys are.
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chancery::clock::{Clock as _, SystemClock};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// What issuers of tests are called, and whom their tokens are for.
pub const ISSUER: &str = "https://id.example.org";
pub const AUDIENCE: &str = "chancery";

/// A key of the issuer.
pub struct Signer {
    key: KeyPair,
    pub algorithm: Algorithm,
    pub kid: String,
}

impl Signer {
    /// A key for ES256.
    pub fn new(kid: &str) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        Self { key, algorithm: Algorithm::ES256, kid: kid.to_owned() }
    }

    /// A key of RSA for one of its algorithms.
    pub fn rsa(kid: &str, algorithm: Algorithm) -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        Self { key, algorithm, kid: kid.to_owned() }
    }

    fn private(&self) -> EncodingKey {
        let der = self.key.serialize_der();
        match self.algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_der(&der),
            // Behind the 26 bytes that say that it is RSA comes the key itself.
            _ => EncodingKey::from_rsa_der(&der[26..]),
        }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        let key = Jwk::from_encoding_key(&self.private(), self.algorithm).expect("a key");
        let mut key = serde_json::to_value(key).expect("JSON");
        key["kid"] = json!(self.kid);
        key
    }

    /// The public half as an encoded key, which everybody has.
    pub fn public(&self) -> Vec<u8> {
        self.key.public_key_pem().into_bytes()
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        self.sign_under(&header, claims)
    }

    /// A token with this header.
    pub fn sign_under(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.private()).expect("a token")
    }

    /// A token of somebody, for an hour.
    pub fn token(&self, name: &str) -> String {
        self.sign(&claims(name))
    }
}

/// Seconds since 1970.
pub fn now() -> i64 {
    SystemClock.now_micros() / 1_000_000
}

/// What a good token says, for an hour.
pub fn claims(name: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": name, "exp": now() + 3600})
}

/// The same with another claim.
pub fn with(name: &str, claim: &str, value: Value) -> Value {
    let mut claims = claims(name);
    claims[claim] = value;
    claims
}

/// Base64 as tokens have it.
pub fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A set of public keys.
pub fn set(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// `[jwt]` with keys from here, and further lines.
pub fn settings(jwks: &str, more: &str) -> String {
    format!(
        "[jwt]\njwks = {jwks:?}\nissuer = {ISSUER:?}\naudience = {AUDIENCE:?}\nalgorithms = [\"ES256\", \"RS256\"]\n{more}\n"
    )
}

/// The page with the keys. It answers as it is told to, until it is dropped.
pub struct Page {
    pub address: SocketAddr,
    answer: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Page {
    /// A page that answers with this body.
    pub fn new(body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (answer, asked) = (Arc::new(Mutex::new(String::new())), Arc::<AtomicUsize>::default());
        let page = Self { address, answer, asked, ended: Arc::default() };
        page.answers("200 OK", "", body);
        let (answer, asked, ended) =
            (Arc::clone(&page.answer), Arc::clone(&page.asked), Arc::clone(&page.ended));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                asked.fetch_add(1, Ordering::Relaxed);
                let answer = answer.lock().expect("an answer").clone();
                give(stream, &answer);
            }
        });
        page
    }

    /// From now on it answers like this.
    pub fn answers(&self, status: &str, header: &str, body: &str) {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\n{header}content-length: {length}\r\n\r\n{body}"
        );
        *self.answer.lock().expect("an answer") = text;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It waits for somebody to call.
        let _ = TcpStream::connect(self.address);
    }
}

fn give(mut stream: TcpStream, answer: &str) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return,
        }
    }
    // A client that has heard enough may go away.
    let _ = stream.write_all(answer.as_bytes());
}
