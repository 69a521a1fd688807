//! A listener with so many connections at a time, each for so long. Called by: `http`.
use std::{
    future::Future as _,
    io::{self, ErrorKind},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

/// The listener. Those for whom there is no place wait in the system's queue.
pub struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
    life: Duration,
}

impl Bounded {
    /// With so many connections, that last so long.
    pub fn new(listener: TcpListener, most: usize, life: Duration) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(most)), life }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Nobody closes it.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Connection { stream, ends: Box::pin(sleep(self.life)), _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection in its place.
pub struct Connection {
    stream: TcpStream,
    /// When nothing is read any more.
    ends: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.ends.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(ErrorKind::TimedOut.into())),
            Poll::Pending => Pin::new(&mut self.stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn there_are_so_many_connections_and_each_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut bounded = Bounded::new(listener, 1, Duration::from_millis(10));
        let _clients = [TcpStream::connect(address).await, TcpStream::connect(address).await];
        let (mut first, _) = bounded.accept().await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
            assert!(bounded.accept().now_or_never().is_none(), "there is no place");
        }
        // The client sends nothing.
        let ended = first.read_u8().await.expect_err("its time is up");
        assert_eq!(ended.kind(), ErrorKind::TimedOut);
        drop(first);
        bounded.accept().await;
    }
}
