//! The bytes of a connection, with a switch that ends it at once.
//!
//! Does: reads and writes through TLS or not; ends a connection that hyper would keep. hyper has no limit on the
//! time before the HTTP/2 preface, and it stops reading when a client takes nothing, so a connection can only be
//! ended from below. Called by: tonic, by way of `connection`.
use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use futures::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::Connected;

use super::{Peer, handshake::Measured, places::Place};

/// What carries the bytes.
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<Measured>>),
}

/// An open connection.
pub struct Io {
    transport: Transport,
    peer: Peer,
    switch: Switch,
    _place: Place,
    /// Tells the connection's task that it is closed.
    _closed: DropGuard,
}

/// Ends a connection.
#[derive(Clone, Default)]
pub struct Switch(Arc<State>);

#[derive(Default)]
struct State {
    is_off: AtomicBool,
    /// Of the one task that reads and writes.
    waker: AtomicWaker,
}

impl Switch {
    /// Ends the connection, whatever it is doing.
    pub fn off(&self) {
        self.0.is_off.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    fn check(&self) -> io::Result<()> {
        match self.0.is_off.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(io::Error::new(ErrorKind::TimedOut, "the server ends the connection")),
        }
    }

    /// What a read or write answers that has nothing to do but wait.
    fn wait<T>(&self, context: &Context<'_>) -> Poll<io::Result<T>> {
        self.0.waker.register(context.waker());
        // It may have been used just before.
        match self.check() {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Io {
    pub fn new(transport: Transport, peer: Peer, place: Place, closed: CancellationToken) -> (Self, Switch) {
        let switch = Switch::default();
        let io =
            Self { transport, peer, switch: switch.clone(), _place: place, _closed: closed.drop_guard() };
        (io, switch)
    }

    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        of_plain: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
        of_tls: impl FnOnce(Pin<&mut TlsStream<Measured>>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.switch.check()?;
        let done = match &mut self.transport {
            Transport::Plain(stream) => of_plain(Pin::new(stream), context),
            Transport::Tls(stream) => of_tls(Pin::new(stream.as_mut()), context),
        };
        match done {
            Poll::Pending => self.switch.wait(context),
            done => done,
        }
    }
}

impl Connected for Io {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.switch.check()?;
        let done = match &mut this.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        };
        match done {
            Poll::Pending => this.switch.wait(context),
            done => done,
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll(context, |it, cx| it.poll_write(cx, bytes), |it, cx| it.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll(
            context,
            |it, cx| it.poll_write_vectored(cx, parts),
            |it, cx| it.poll_write_vectored(cx, parts),
        )
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll(context, |it, cx| it.poll_flush(cx), |it, cx| it.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll(context, |it, cx| it.poll_shutdown(cx), |it, cx| it.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{
        server::listener::places::{Limits, Places},
        telemetry::Metrics,
    };

    async fn pair() -> (Io, Switch, TcpStream, CancellationToken) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).await.expect("connected");
        let (stream, address) = listener.accept().await.expect("accepted");
        let places = Places::new(Limits::DEFAULT, Arc::new(Metrics::default()));
        let place = places.take(address.ip()).expect("a place");
        let peer = Peer::new(address, None, tokio::time::Instant::now());
        let closed = CancellationToken::new();
        let (io, switch) = Io::new(Transport::Plain(stream), peer, place, closed.clone());
        (io, switch, client, closed)
    }

    #[tokio::test]
    async fn the_switch_ends_a_read_that_waits_and_a_write_that_nobody_takes() {
        let (mut io, switch, client, closed) = pair().await;
        let reading = tokio::spawn(async move { (io.read_u8().await, io) });
        tokio::task::yield_now().await;
        switch.off();
        let (read, mut io) = reading.await.expect("a task");
        assert_eq!(read.expect_err("ended").kind(), ErrorKind::TimedOut);
        assert_eq!(io.write_all(b"x").await.expect_err("ended").kind(), ErrorKind::TimedOut);
        assert!(!closed.is_cancelled());
        drop(io);
        assert!(closed.is_cancelled());

        let (mut io, switch, _deaf, _) = pair().await;
        let writing = tokio::spawn(async move { io.write_all(&vec![0; 64 << 20]).await });
        tokio::task::yield_now().await;
        switch.off();
        assert_eq!(writing.await.expect("a task").expect_err("ended").kind(), ErrorKind::TimedOut);
        drop(client);
    }
}
