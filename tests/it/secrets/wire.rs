//! What comes back over the wire, byte for byte, and calls that are cut off half-way.
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tonic::{
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::{Service as _, ServiceExt as _};

use crate::harness::{server::Server, stalled::Stalled};

/// A way to a server that remembers what the server sends.
pub struct Tee {
    address: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tee {
    /// Opens a way to a server.
    pub async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (target, heard) = (server.address.clone(), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&target).await.expect("the server");
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut bytes = vec![0; 1 << 16];
                    while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
                        kept.lock().expect("the bytes").extend(&bytes[..read]);
                        if to_client.write_all(&bytes[..read]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, heard }
    }

    /// A connection through it.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("a URL");
        endpoint.connect().await.expect("a connection")
    }

    /// All that the server has sent.
    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().expect("the bytes").clone()
    }
}

/// Sends so many bytes of a message, and resets the call.
pub async fn cut_off(server: &Server, rpc: &str, message: &[u8], bytes: usize) {
    let length = u32::try_from(message.len()).expect("a length");
    let whole = [&[0], length.to_be_bytes().as_slice(), message].concat();
    let request = http::Request::post(format!("{}/chancery.v1.AuditService/{rpc}", server.url()))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(Stalled::after(Bytes::copy_from_slice(&whole[..bytes.min(whole.len())]))))
        .expect("a request");
    let mut channel = server.channel().await;
    let call = channel.ready().await.expect("a connection").call(request);
    // The bytes are with the server, which waits for more or for the end.
    drop(timeout(Duration::from_millis(20), call).await);
}
