//! `chancery witness` as a child process, and a log that it witnesses without a server.
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::Duration,
};

use chancery::{
    event::LogName,
    note::{Cosigner, Key, Submission, VerifierKey},
    tree::{Hash, TreeHead},
};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::Sha256;

use super::server::chancery;

/// A running witness. Killed when dropped.
pub struct Witness {
    child: Child,
    pub url: String,
    pub key: VerifierKey,
}

/// Makes the key of a witness in a folder, when there is none.
pub fn key(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join("witness.key");
    if !path.exists() {
        let made = chancery().args(["keys", "generate", name, "--witness", "--out"]).arg(&path).output();
        assert!(made.expect("chancery keys generate").status.success());
    }
    path
}

impl Witness {
    /// Starts a witness of these logs, with all it has in a folder.
    pub fn start(folder: &Path, logs: &[VerifierKey]) -> Self {
        Self::named(folder, "witness.example.com/w1", "127.0.0.1:0", logs)
    }

    /// Starts a witness with a key of this name, on an address.
    pub fn named(folder: &Path, name: &str, listen: &str, logs: &[VerifierKey]) -> Self {
        let path = key(folder, name);
        let text = std::fs::read_to_string(&path).expect("a key");
        let key = Cosigner::parse(text.trim_end()).expect("a key").verifier();
        let mut command = chancery();
        command.arg("witness").arg("--key").arg(&path).arg("--state").arg(folder.join("witness"));
        command.args(["--listen", listen, "--log-format", "json"]);
        for log in logs {
            command.args(["--log", &log.to_string()]);
        }
        let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).spawn().expect("the binary");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        // The pipe must not fill up.
        std::thread::spawn(move || lines.for_each(drop));
        let entry: serde_json::Value = serde_json::from_str(&first).unwrap_or_else(|_| panic!("{first}"));
        assert_eq!(entry["message"], "witnessing", "{first}");
        let url = format!("http://{}", entry["http"].as_str().expect("an address"));
        Self { child, url, key }
    }

    /// What would verify the cosignatures of a witness that does not run.
    pub fn key_of(folder: &Path, name: &str) -> VerifierKey {
        let inner = tempfile::tempdir_in(folder).expect("a folder");
        let text = std::fs::read_to_string(key(inner.path(), name)).expect("a key");
        Cosigner::parse(text.trim_end()).expect("a key").verifier()
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Sends a submission; status, content type and body.
    pub async fn submit(&self, body: impl Into<reqwest::Body>) -> (u16, String, String) {
        let request = reqwest::Client::new().post(format!("{}/add-checkpoint", self.url)).body(body);
        let answer = request.timeout(Duration::from_secs(60)).send().await.expect("an answer");
        let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let (status, kind) = (answer.status().as_u16(), kind.unwrap_or_default().to_owned());
        (status, kind, answer.text().await.expect("a body"))
    }

    /// Ends it by a signal; its exit code.
    pub fn end(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args([&format!("-{signal}"), &pid])
                .status()
                .expect("kill")
                .success()
        );
        self.child.wait().expect("the child").code()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A log of numbers, built by the library that Chancery does not prove with.
pub struct Log {
    pub key: Key,
    pub name: LogName,
    pub leaf: fn(u64) -> u64,
}

impl Log {
    /// A log whose leaves are their positions.
    pub fn new(name: &str) -> Self {
        let key = Key::new("audit.example.com/test", &[7; 32]).expect("a key");
        Self { key, name: LogName::parse(name).expect("a name"), leaf: |position| position }
    }

    /// The same log with other leaves from position 5 on.
    pub fn forked(&self) -> Self {
        let key = Key::parse(&self.key.private_text()).expect("a key");
        Self { key, name: self.name.clone(), leaf: |position| position + 1000 * u64::from(position >= 5) }
    }

    /// What verifies its checkpoints.
    pub fn verifier(&self) -> VerifierKey {
        self.key.verifier(&self.name)
    }

    fn built(&self, size: u64) -> MemoryBackedTree<Sha256, Vec<u8>> {
        let mut tree = MemoryBackedTree::new();
        (0..size).for_each(|leaf| tree.push((self.leaf)(leaf).to_be_bytes().to_vec()));
        tree
    }

    /// Its signed head.
    pub fn note(&self, size: u64) -> String {
        let root: Hash = (*self.built(size).root().as_bytes()).into();
        self.key.sign(&self.name, &TreeHead { size, root })
    }

    /// What asks for a cosignature.
    pub fn submission(&self, old: u64, size: u64) -> Submission {
        let proof = match old {
            0 => Vec::new(),
            old if old >= size => Vec::new(),
            old => {
                let added = usize::try_from(size - old).expect("a small tree");
                self.built(size).prove_consistency(added).as_bytes().as_chunks().0.to_vec()
            }
        };
        Submission { old, proof, note: self.note(size) }
    }
}
