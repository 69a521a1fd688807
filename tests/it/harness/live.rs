//! A command that runs until it is told to end: its lines as they come.
use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

/// A line or an end that takes longer than this never comes.
const MOST: Duration = Duration::from_secs(30);

/// A running command. Killed when dropped.
pub struct Live {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Live {
    /// Starts a command.
    pub fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary");
        let out = lines(child.stdout.take().expect("a pipe"));
        let err = lines(child.stderr.take().expect("a pipe"));
        Self { child, out, err }
    }

    /// The next line of standard output.
    pub fn line(&self) -> String {
        self.out.recv_timeout(MOST).expect("a line of standard output")
    }

    /// The next line of standard error that begins like this.
    pub fn notice(&self, beginning: &str) -> String {
        loop {
            let line = self.err.recv_timeout(MOST);
            let line = line.unwrap_or_else(|_| panic!("no line that begins with {beginning:?}"));
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// Sends a signal by name, for example "INT".
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "kill -{name}");
    }

    /// Waits for its end: the exit code, and what is left of both outputs.
    pub fn ended(mut self) -> (i32, Vec<String>, Vec<String>) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("the child") {
                break status;
            }
            assert!(began.elapsed() < MOST, "the command does not end");
            thread::sleep(Duration::from_millis(5));
        };
        (status.code().unwrap_or(-1), self.out.iter().collect(), self.err.iter().collect())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}
