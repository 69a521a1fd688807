//! Stands between a server and PostgreSQL, reads the messages of the server, and cuts a connection when
//! a COMMIT goes by. Told to lie, it also weakens what the server asks for.
use std::{
    collections::HashSet,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UnixStream},
    sync::oneshot,
};

use crate::harness::cluster::Cluster;

/// Where a connection is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// The database never sees the COMMIT.
    Before,
    /// The COMMIT is on its way; nobody knows whether it arrives.
    During,
    /// The database has committed; its answer never arrives.
    After,
}

/// What an acked event must not rest on, and as many bytes that ask for the opposite.
const DURABLE: &[u8] = b"synchronous_commit = on";
const WEAK: &[u8] = b"synchronous_commit =off";

#[derive(Default)]
struct Shared {
    /// Taken by the next COMMIT.
    cut: Mutex<Option<Cut>>,
    cuts: AtomicU64,
    /// Where the database listens.
    socket: Mutex<PathBuf>,
    lies: bool,
    lied: AtomicU64,
}

/// A running proxy. Its connections end with it.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

impl Proxy {
    /// A proxy in front of a cluster.
    pub fn start(cluster: &Cluster) -> Self {
        Self::new(cluster, false)
    }

    /// A proxy that lets sessions commit without waiting for the disk, against their will.
    pub fn lying(cluster: &Cluster) -> Self {
        Self::new(cluster, true)
    }

    fn new(cluster: &Cluster, lies: bool) -> Self {
        let shared = Arc::new(Shared { socket: Mutex::new(socket(cluster)), lies, ..Shared::default() });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let (stop, stopped) = oneshot::channel();
        let kept = Arc::clone(&shared);
        // A runtime of its own: a test may block its own one.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = listen(listener, kept) => {}
                }
            });
        });
        Self { port, shared, _stop: stop }
    }

    /// Leads new connections to another cluster.
    pub fn lead_to(&self, cluster: &Cluster) {
        *self.shared.socket.lock().expect("the socket") = socket(cluster);
    }

    /// URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Cuts the connection that commits next, and waits until it has.
    pub async fn cut(&self, cut: Cut) {
        let before = self.shared.cuts.load(Ordering::SeqCst);
        *self.shared.cut.lock().expect("the order") = Some(cut);
        let cut = async {
            while self.shared.cuts.load(Ordering::SeqCst) == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), cut).await.expect("a COMMIT to cut");
    }

    /// How often it has weakened a session.
    pub fn lied(&self) -> u64 {
        self.shared.lied.load(Ordering::SeqCst)
    }
}

fn socket(cluster: &Cluster) -> PathBuf {
    cluster.folder().join(".s.PGSQL.5432")
}

async fn listen(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        // No database: the client is hung up on, as it would be by the database's host.
        let socket = shared.socket.lock().expect("the socket").clone();
        let Ok(database) = UnixStream::connect(&socket).await else { continue };
        // However it ends, both sides are closed by it.
        tokio::spawn(connection(client, database, Arc::clone(&shared)));
    }
}

async fn connection(client: TcpStream, database: UnixStream, shared: Arc<Shared>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_database, mut to_database) = database.into_split();
    let (cutting, last_answer) = (AtomicBool::new(false), AtomicBool::new(false));
    let forward = async {
        let mut commits = Commits::default();
        // The first message has no type.
        to_database.write_all(&message(&mut from_client, false).await?).await?;
        loop {
            let mut message = message(&mut from_client, true).await?;
            if shared.lies && replace(&mut message, DURABLE, WEAK) {
                shared.lied.fetch_add(1, Ordering::SeqCst);
            }
            let cut = match commits.begins_with(&message) {
                true => shared.cut.lock().expect("the order").take(),
                false => None,
            };
            cutting.fetch_or(cut.is_some(), Ordering::SeqCst);
            last_answer.fetch_or(cut == Some(Cut::After), Ordering::SeqCst);
            if cut == Some(Cut::Before) {
                return Ok(());
            }
            to_database.write_all(&message).await?;
            if cut == Some(Cut::During) {
                // A prepared statement runs when its Execute arrives, and Sync is the last of it.
                while !matches!(message[0], b'Q' | b'S') {
                    message = self::message(&mut from_client, true).await?;
                    to_database.write_all(&message).await?;
                }
                return Ok::<_, io::Error>(());
            }
        }
    };
    let back = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from_database.read(&mut buffer).await?;
            // The database answers a COMMIT when it is done.
            if read == 0 || last_answer.load(Ordering::SeqCst) {
                return Ok::<_, io::Error>(());
            }
            to_client.write_all(&buffer[..read]).await?;
        }
    };
    let ended = tokio::select! { ended = forward => ended, ended = back => ended };
    drop((from_client, to_client, from_database, to_database));
    shared.cuts.fetch_add(u64::from(cutting.load(Ordering::SeqCst)), Ordering::SeqCst);
    ended
}

/// One whole message of the client: its type, its length, its body.
async fn message(from: &mut (impl AsyncRead + Unpin), typed: bool) -> io::Result<Vec<u8>> {
    let header = if typed { 5 } else { 4 };
    let mut message = vec![0; header];
    from.read_exact(&mut message).await?;
    let length = u32::from_be_bytes([
        message[header - 4],
        message[header - 3],
        message[header - 2],
        message[header - 1],
    ]);
    message.resize(header - 4 + length as usize, 0);
    from.read_exact(&mut message[header..]).await?;
    Ok(message)
}

/// Recognises a COMMIT, sent as text or as a statement that was prepared before.
#[derive(Default)]
struct Commits {
    prepared: HashSet<Vec<u8>>,
}

impl Commits {
    fn begins_with(&mut self, message: &[u8]) -> bool {
        let mut texts = message[5..].split(|byte| *byte == 0);
        let (first, second) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
        match message[0] {
            b'Q' => first.eq_ignore_ascii_case(b"COMMIT"),
            b'P' if second.eq_ignore_ascii_case(b"COMMIT") => {
                self.prepared.insert(first.to_vec());
                false
            }
            // A portal, and the statement it runs.
            b'B' => self.prepared.contains(second),
            _ => false,
        }
    }
}

fn replace(message: &mut [u8], what: &[u8], by: &[u8]) -> bool {
    let Some(at) = message.windows(what.len()).position(|window| window == what) else { return false };
    message[at..at + what.len()].copy_from_slice(by);
    true
}
