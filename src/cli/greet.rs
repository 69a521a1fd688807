//! The first words of a connection, without any call: does the server take this client?
//!
//! In TLS 1.3 a client's handshake ends before the server has looked at its certificate, and what the server says to
//! that is lost when a call is under way. Here it is waited for. Called by: `connect.rs`, to say why a call failed;
//! `bench/connect.rs`.
use std::{io, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{connect::ConnectArgs, failure::Failure};

/// What a client of HTTP/2 says first: the preface, and settings of which there are none.
const FIRST_WORDS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Bytes of a frame's head; the fourth is its kind.
const HEAD: usize = 9;
const SETTINGS: u8 = 4;

/// Where to connect, and how.
pub struct Target {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    /// The server of these flags.
    pub async fn of(connect: &ConnectArgs) -> Result<Self, Failure> {
        let wrong = |reason: &str| Failure::Usage(format!("--server {}: {reason}", connect.server));
        let url: http::Uri = connect.server.parse().map_err(|_| wrong("is no URL"))?;
        let host = url.host().ok_or_else(|| wrong("has no host"))?.trim_matches(['[', ']']);
        let secure = match url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("begins with neither http:// nor https://")),
        };
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let unreachable = |cause: String| Failure::Unreachable(connect.server.clone(), cause);
        let mut found =
            tokio::net::lookup_host((host, port)).await.map_err(|error| unreachable(error.to_string()))?;
        let address = found.next().ok_or_else(|| unreachable("the host has no address".to_owned()))?;
        let tls = match secure {
            false => None,
            true => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong("has no host"))?;
                Some((TlsConnector::from(Arc::new(connect.tls.rustls()?)), name))
            }
        };
        Ok(Self { address, tls })
    }

    /// Whether it is reached by TLS.
    pub const fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// One connection, from nothing to the server's first words.
    pub async fn greet(&self) -> io::Result<()> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        // It is reset at its end. One that is closed in order keeps its port for a minute, and there are 28,000.
        stream.set_zero_linger()?;
        match &self.tls {
            None => greet(stream).await,
            Some((connector, name)) => greet(connector.connect(name.clone(), stream).await?).await,
        }
    }
}

async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(FIRST_WORDS).await?;
    stream.flush().await?;
    let mut head = Vec::with_capacity(HEAD);
    // Others may say less than a frame's head: an alert of TLS has seven bytes.
    (&mut stream).take(HEAD as u64).read_to_end(&mut head).await?;
    match head.get(3) {
        Some(&SETTINGS) if head.len() == HEAD => Ok(()),
        None if head.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP/2")),
    }
}
