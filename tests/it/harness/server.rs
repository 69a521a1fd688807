//! The real binary as a child process, on ports that the operating system chooses.
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chancery::proto::v1::{
    audit_service_client::AuditServiceClient, catalog_service_client::CatalogServiceClient,
    producer_service_client::ProducerServiceClient, proof_service_client::ProofServiceClient,
    quarantine_service_client::QuarantineServiceClient,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::{
    TestStore,
    certificates::{self, Issued},
};

/// A command that runs the binary under test, without the caller's settings.
pub fn chancery() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    for (name, _) in std::env::vars() {
        if name.starts_with("CHANCERY_") || name.starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    command
}

/// By what a test's clients trust a server, and how they prove who they are.
#[derive(Clone)]
pub struct Trust {
    /// PEM.
    pub ca: String,
    pub identity: Option<Issued>,
}

impl Trust {
    /// Where to connect.
    pub fn endpoint(&self, url: &str) -> Endpoint {
        let mut config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca));
        if let Some(Issued { certificate, key }) = &self.identity {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL").tls_config(config);
        endpoint.expect("certificates").connect_timeout(Duration::from_secs(5))
    }
}

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    /// None: without TLS.
    trust: Option<Trust>,
    files: tempfile::TempDir,
    pub address: String,
    pub admin: String,
    log: Arc<Mutex<String>>,
    /// Ends with the log.
    reader: std::thread::JoinHandle<()>,
}

impl Server {
    /// Starts a server on a store and waits until it serves.
    pub fn start(store: &TestStore) -> Self {
        Self::start_with(store, &[])
    }

    /// Starts a server with a configuration file of this text.
    pub fn configured(store: &TestStore, text: &str) -> Self {
        let path = store.folder.path().join("chancery.toml");
        std::fs::write(&path, text).expect("a file");
        Self::start_with(store, &["--config", path.to_str().expect("a path")])
    }

    /// Starts a server with further flags.
    pub fn start_with(store: &TestStore, flags: &[&str]) -> Self {
        Self::start_under(store, &[], flags)
    }

    /// Starts a server as the arguments of another command, which must become the server.
    pub fn start_under(store: &TestStore, wrapper: &[&str], flags: &[&str]) -> Self {
        let mut command = chancery();
        if let [program, arguments @ ..] = wrapper {
            let mut wrapped = Command::new(program);
            wrapped.args(arguments).arg(command.get_program());
            for (name, _) in command.get_envs() {
                wrapped.env_remove(name);
            }
            command = wrapped;
        }
        let mut child = command
            .current_dir(store.folder.path())
            .args(["serve", "--admin-listen", "127.0.0.1:0"])
            .args(if flags.contains(&"--listen") { [].as_slice() } else { &["--listen", "127.0.0.1:0"] })
            .args(["--store", &store.url])
            .args(if flags.contains(&"--log-format") { [].as_slice() } else { &["--log-format", "json"] })
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server's binary");
        let lines = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, receiver) = std::sync::mpsc::channel();
        let kept = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut kept = kept.lock().expect("the log");
                kept.push_str(&line);
                kept.push('\n');
                if let Ok(entry) = serde_json::from_str::<serde_json::Value>(&line)
                    && entry["message"] == "serving"
                {
                    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                    let _ = sender.send((text("grpc"), text("admin")));
                } else if let Some((_, fields)) = line.split_once(" serving grpc=") {
                    // A log for people.
                    let mut words = fields.split(' ');
                    let grpc = words.next().unwrap_or_default().to_owned();
                    let admin = words.next().unwrap_or_default().trim_start_matches("admin=").to_owned();
                    let _ = sender.send((grpc, admin));
                }
            }
        });
        match receiver.recv_timeout(Duration::from_secs(30)) {
            Ok((address, admin)) => {
                let files = tempfile::tempdir().expect("a folder");
                Self { child, trust: None, files, address, admin, log, reader }
            }
            Err(_) => {
                let _ = child.kill();
                panic!("the server did not start:\n{}", log.lock().expect("the log"));
            }
        }
    }

    /// The same server, called over TLS.
    pub fn trusting(mut self, trust: Trust) -> Self {
        certificates::write(&self.files.path().join("ca.crt"), &trust.ca);
        if let Some(identity) = &trust.identity {
            identity.write(self.files.path(), "client");
        }
        self.trust = Some(trust);
        self
    }

    /// Everything the server has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// The server's gRPC address as a URL.
    pub fn url(&self) -> String {
        let scheme = if self.trust.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// A connection.
    pub async fn channel(&self) -> Channel {
        let endpoint = match &self.trust {
            Some(trust) => trust.endpoint(&self.url()),
            None => Endpoint::from_shared(self.url()).expect("a URL").connect_timeout(Duration::from_secs(5)),
        };
        endpoint.connect().await.expect("a connection")
    }

    /// An `AuditService` client that takes answers of any size.
    pub async fn audit(&self) -> AuditServiceClient<Channel> {
        AuditServiceClient::new(self.channel().await)
            .max_decoding_message_size(usize::MAX)
            .max_encoding_message_size(usize::MAX)
    }

    /// A `CatalogService` client.
    pub async fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel().await).max_decoding_message_size(usize::MAX)
    }

    /// A `ProducerService` client.
    pub async fn producers(&self) -> ProducerServiceClient<Channel> {
        ProducerServiceClient::new(self.channel().await).max_decoding_message_size(usize::MAX)
    }

    /// A `ProofService` client.
    pub async fn proofs(&self) -> ProofServiceClient<Channel> {
        ProofServiceClient::new(self.channel().await)
    }

    /// A `QuarantineService` client.
    pub async fn quarantine(&self) -> QuarantineServiceClient<Channel> {
        QuarantineServiceClient::new(self.channel().await).max_decoding_message_size(usize::MAX)
    }

    /// The CLI, pointed at this server.
    pub fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = chancery();
        command.env("CHANCERY_SERVER", self.url()).args(arguments);
        if let Some(trust) = &self.trust {
            command.env("CHANCERY_CA", self.files.path().join("ca.crt"));
            if trust.identity.is_some() {
                command.env("CHANCERY_CERTIFICATE", self.files.path().join("client.crt"));
                command.env("CHANCERY_CERTIFICATE_KEY", self.files.path().join("client.key"));
            }
        }
        command
    }

    /// GET on the admin port: status and body.
    pub async fn admin_get(&self, path: &str) -> (u16, String) {
        self.admin_get_as(path, "*/*").await
    }

    /// The same, as one who reads such media types.
    pub async fn admin_get_as(&self, path: &str, accept: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(&self.admin).await.expect("the admin port");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status, body)
    }

    /// The most memory that the server has had so far, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        peak.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// The memory that the server has now, in KiB.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let now = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        now.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, for example "TERM".
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "kill -{name}");
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self, most: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            // Its last lines may still be on their way.
            if let Some(status) = self.child.try_wait().expect("the child")
                && self.reader.is_finished()
            {
                return status;
            }
            assert!(began.elapsed() < most, "the server did not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
