//! `chancery bench connect`: how many connections a server takes in a second.
//!
//! Does: connect, shake hands by TLS from the beginning each time, and wait for the first words of HTTP/2, which a
//! server says to those only whom it has accepted; then hang up and begin again. Does not: call anything.
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use hdrhistogram::Histogram;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use super::{
    load::Seen,
    report::{Report, ReportArgs},
};
use crate::cli::{ambient, connect::ConnectArgs, exit::Exit, failure::Failure, time, tls};

/// Flags of `chancery bench connect`.
#[derive(Args, Clone, Debug)]
pub struct BenchConnectArgs {
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Connections that are made at a time.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=4096))]
    in_flight: u16,
    /// How long it goes on.
    #[arg(long = "for", value_name = "SPAN", default_value = "10s", value_parser = time::span)]
    lasting: Duration,
}

/// What a client of HTTP/2 says first: the preface, and settings of which there are none.
const FIRST_WORDS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Bytes of a frame's head; the fourth is its kind.
const HEAD: usize = 9;
const SETTINGS: u8 = 4;

/// Where to connect, and how.
struct Target {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    patience: Duration,
}

/// What one of those that connect has seen.
struct Made {
    latencies: Histogram<u64>,
    failed: u64,
    first_error: Option<String>,
}

/// Runs the command.
pub async fn run(args: BenchConnectArgs) -> Result<Exit, Failure> {
    let target = Arc::new(target(&args.connect).await?);
    let start = ambient::start();
    let until = start + args.lasting;
    let mut callers = JoinSet::new();
    for _ in 0..args.in_flight {
        let target = Arc::clone(&target);
        callers.spawn(async move { target.connect_until(until).await });
    }
    let mut all = Made { latencies: Seen::new().latencies, failed: 0, first_error: None };
    for made in callers.join_all().await {
        // It grows with its values, so nothing is out of range.
        let _ = all.latencies.add(made.latencies);
        all.failed += made.failed;
        all.first_error = all.first_error.or(made.first_error);
    }
    let took = start.elapsed();
    let mut report = Report::default();
    report.number("connections_per_second", all.latencies.len() as f64 / took.as_secs_f64(), 0);
    report.latencies(&all.latencies);
    report.set("connections", all.latencies.len());
    report.set("failed", all.failed);
    report.set("tls", target.tls.is_some());
    report.set("in_flight", args.in_flight);
    report.number("seconds", took.as_secs_f64(), 1);
    report.print(args.report)?;
    match all.first_error {
        Some(cause) if all.latencies.is_empty() => Err(Failure::Unreachable(args.connect.server, cause)),
        _ => Ok(Exit::Done),
    }
}

async fn target(connect: &ConnectArgs) -> Result<Target, Failure> {
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
    Ok(Target { address, tls, patience: connect.timeout })
}

impl Target {
    async fn connect_until(&self, until: Instant) -> Made {
        let mut made = Made { latencies: Seen::new().latencies, failed: 0, first_error: None };
        loop {
            let start = ambient::start();
            if start >= until {
                return made;
            }
            let connected = timeout(self.patience, self.connect()).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(()) => {
                    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
                    // It grows with its values, so nothing is out of range.
                    let _ = made.latencies.record(micros);
                }
                Err(error) => {
                    made.failed += 1;
                    made.first_error
                        .get_or_insert_with(|| tls::explained(&error).unwrap_or_else(|| error.to_string()));
                }
            }
        }
    }

    /// One connection, from nothing to the server's first words.
    async fn connect(&self) -> io::Result<()> {
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
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    match head[3] {
        SETTINGS => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP/2")),
    }
}
