//! The TLS handshake of one connection, bounded in time, memory and number.
//!
//! A client that sends nothing costs a socket and a timer: nothing is made for it until its first bytes are there,
//! and it takes no part in the number of handshakes before its hello is complete. One that has sent it holds one of
//! the places for handshakes until it is done or too late, and those of one address hold a part of them only.
use std::{
    collections::HashMap,
    io::{self, ErrorKind, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_rustls::{
    LazyConfigAcceptor,
    rustls::{self, server::Acceptor},
    server::TlsStream,
};

use super::places::household;
use crate::{auth::Certificate, grpc::status, server::tls::Tls};

/// From the moment when a connection is accepted, the time that it may wait for a place included.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes at once. Each takes some 64 KiB, certificates included: 16 MiB.
const HANDSHAKES: usize = 256;
/// Handshakes of one address at once: with answers that take 50 ms there and back, 1,280 a second.
const OF_ADDRESS: usize = 64;
/// Bytes in which a hello must be complete. With keys for after quantum computers it has some 2 KiB. So much may be
/// buffered for each connection that is in no handshake yet: 64 MiB over 8192.
const HELLO_BYTES: usize = 8 << 10;
/// The protocol by its name in ALPN: HTTP/2, and no other.
pub const H2: &[u8] = b"h2";
/// A fatal alert that no protocol suits, as it is written before there are keys.
const NO_PROTOCOL: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 120];
/// How long, and for how many bytes, a client that is refused is listened to, so that it can read why: closing a
/// socket with unread bytes would take the answer back.
const FAREWELL: (Duration, u64) = (Duration::from_secs(1), 64 << 10);

/// The places for handshakes.
pub struct Handshakes {
    all: Arc<Semaphore>,
    /// Those of addresses that have any handshake now.
    by_address: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The client was too slow, or there was no place for so long.
    #[error("it took longer than {HANDSHAKE:?}")]
    Late,
    /// The client went away before it said anything.
    #[error("the client closed the connection")]
    Gone,
    /// The client does not speak HTTP/2.
    #[error("the client offers no HTTP/2 (ALPN h2)")]
    NoProtocol,
    /// The handshake itself.
    #[error("{0}")]
    Tls(io::Error),
    /// A certificate that was verified, but cannot be read.
    #[error("{0}")]
    Certificate(#[from] crate::auth::Unreadable),
}

impl Failed {
    /// What the client's certificate lacks, as the self-audit tells it, when it is that.
    pub fn denial(&self) -> Option<&'static str> {
        match self {
            Self::Certificate(_) => Some(status::CREDENTIAL_REFUSED),
            Self::Tls(error) => match error.get_ref()?.downcast_ref()? {
                rustls::Error::NoCertificatesPresented => Some(status::NO_CREDENTIAL),
                rustls::Error::InvalidCertificate(_) => Some(status::CREDENTIAL_REFUSED),
                _ => None,
            },
            Self::Late | Self::Gone | Self::NoProtocol => None,
        }
    }
}

impl Handshakes {
    pub fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(HANDSHAKES)), by_address: Mutex::default() }
    }

    /// Makes a connection of a socket. The configuration is the one of this moment.
    ///
    /// # Errors
    /// Why not, and the socket when the client may still read what it was told.
    pub async fn accept(
        &self,
        tls: &Tls,
        stream: TcpStream,
        address: IpAddr,
    ) -> Result<(Box<TlsStream<Measured>>, Option<Certificate>), (Failed, Option<TcpStream>)> {
        let shaken = timeout(HANDSHAKE, self.shake(tls, stream, address)).await;
        let stream = shaken.unwrap_or(Err((Failed::Late, None)))?;
        let certificate = match stream.get_ref().1.peer_certificates() {
            Some([leaf, ..]) => Some(Certificate::read(leaf).map_err(|error| (error.into(), None))?),
            _ => None,
        };
        Ok((stream, certificate))
    }

    async fn shake(
        &self,
        tls: &Tls,
        stream: TcpStream,
        address: IpAddr,
    ) -> Result<Box<TlsStream<Measured>>, (Failed, Option<TcpStream>)> {
        stream.readable().await.map_err(|error| (Failed::Tls(error), None))?;
        let io = Measured { stream, left: Some(HELLO_BYTES) };
        let mut hello = Box::pin(LazyConfigAcceptor::new(Acceptor::default(), io));
        let mut start = match hello.as_mut().await {
            Ok(start) => start,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err((Failed::Gone, None)),
            Err(error) => return Err((Failed::Tls(error), hello.take_io().map(|io| io.stream))),
        };
        drop(hello);
        start.io.left = None;
        let offers_h2 = start.client_hello().alpn().is_some_and(|mut names| names.any(|name| name == H2));
        if !offers_h2 {
            let mut stream = start.io.stream;
            // Whether it hears it or not, it is refused.
            let _ = stream.write_all(&NO_PROTOCOL).await;
            return Err((Failed::NoProtocol, Some(stream)));
        }
        let _place = self.place(address).await.map_err(|failed| (failed, None))?;
        match start.into_stream(tls.current()).into_fallible().await {
            Ok(stream) => Ok(Box::new(stream)),
            Err((error, io)) => Err((Failed::Tls(error), Some(io.stream))),
        }
    }

    /// Waits for a place. Whoever waits for one of its address holds none of all.
    async fn place(&self, address: IpAddr) -> Result<(Share, OwnedSemaphorePermit), Failed> {
        let address = household(address);
        let of_address = {
            let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            by_address.get(&address).and_then(Weak::upgrade).unwrap_or_else(|| {
                // Addresses without handshakes go when the next one comes, so there are never more than connections.
                by_address.retain(|_, of_address| of_address.strong_count() > 0);
                let of_address = Arc::new(Semaphore::new(OF_ADDRESS));
                by_address.insert(address, Arc::downgrade(&of_address));
                of_address
            })
        };
        // They are never closed.
        let closed = |_| Failed::Late;
        let permit = Arc::clone(&of_address).acquire_owned().await.map_err(closed)?;
        let all = Arc::clone(&self.all).acquire_owned().await.map_err(closed)?;
        Ok((Share { _permit: permit, _of_address: of_address }, all))
    }
}

/// A place among those of an address.
struct Share {
    _permit: OwnedSemaphorePermit,
    _of_address: Arc<Semaphore>,
}

/// Lets a client that is refused read why.
pub async fn say_goodbye(mut stream: TcpStream) {
    let (time, bytes) = FAREWELL;
    let _ = timeout(time, async {
        let _ = stream.shutdown().await;
        let _ = tokio::io::copy(&mut (&mut stream).take(bytes), &mut tokio::io::sink()).await;
    })
    .await;
}

/// A socket of which only so many bytes are read until more is allowed.
pub struct Measured {
    stream: TcpStream,
    left: Option<usize>,
}

impl AsyncRead for Measured {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(left) = &mut this.left else {
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        };
        if *left == 0 {
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "the hello is too long")));
        }
        let mut bytes = [0; 2048];
        let most = bytes.len().min(*left).min(buffer.remaining());
        let mut part = ReadBuf::new(&mut bytes[..most]);
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        *left -= part.filled().len();
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Measured {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
