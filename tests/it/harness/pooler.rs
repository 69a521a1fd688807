//! pgbouncer in front of a cluster.
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use super::{
    cluster::{Cluster, signal},
    guarded::Guarded,
    postgres::{as_server_user, is_root},
};

/// A running pgbouncer. Gone when dropped.
pub struct Pooler {
    guarded: Guarded,
    port: u16,
    pid: u32,
    cluster: PathBuf,
}

impl Pooler {
    /// Starts one with these settings on top of its own defaults.
    pub fn start(cluster: &Cluster, settings: &str) -> Self {
        let program = program();
        let guarded = Guarded::new(None, |folder| {
            // It does not run as root, either. Where ./test.sh unpacks it that user may see nothing.
            let mut command = as_server_user(&program);
            if is_root() && !program.starts_with("/usr") {
                command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
                command.args(["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]).arg(&program);
            }
            command.arg("-q").arg(folder.join("pgbouncer.ini"));
            command
        });
        if is_root() {
            let owned = Command::new("chown").arg("postgres").arg(&guarded.folder).status().expect("chown");
            assert!(owned.success(), "the user postgres is needed to run pgbouncer as");
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut pooler = Self { guarded, port, pid: 0, cluster: cluster.folder().to_owned() };
        pooler.run(settings);
        pooler
    }

    /// Ends it and starts it anew, with other settings, at the same port.
    pub fn restart(&mut self, settings: &str) {
        signal("KILL", &[self.pid]);
        self.run(settings);
    }

    fn run(&mut self, settings: &str) {
        let ini = format!(
            "[databases]\n* = host={} port=5432 user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {}\nunix_socket_dir =\nauth_type = any\n{settings}\n",
            self.cluster.display(),
            self.port
        );
        let path = self.guarded.folder.join("pgbouncer.ini");
        std::fs::write(path, ini).expect("a file");
        self.pid = self.guarded.run();
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "no start:\n{}", self.guarded.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// URL of a database behind it.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

/// From `CHANCERY_TEST_PGBOUNCER`, the PATH, or where Debian puts it.
fn program() -> PathBuf {
    if let Ok(path) = std::env::var("CHANCERY_TEST_PGBOUNCER") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_owned()])
        .map(|folder| folder.join("pgbouncer"))
        .find(|path| path.exists())
        .expect("no pgbouncer found: install it (./test.sh does) or set CHANCERY_TEST_PGBOUNCER")
}
