//! Runs the binary to its end, bounded in time.
use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A command that takes longer than this hangs.
const MOST: Duration = Duration::from_secs(60);

/// What a finished command left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; -1 for a signal.
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Lines of standard output.
    pub fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }

    /// Standard output as one JSON value.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output as one JSON value a line.
    pub fn ndjson(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// Runs a command whose output nobody reads behind its first line; its exit code and what it says to that.
pub fn run_into_closed_pipe(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary");
    let mut out = BufReader::with_capacity(1, child.stdout.take().expect("a pipe"));
    let mut first = String::new();
    out.read_line(&mut first).expect("a line");
    drop(out);
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
    (child.wait().expect("the child").code(), err)
}

/// Runs a command with this standard input.
pub fn run(command: &mut Command, input: &str) -> Ran {
    run_for(command, input, MOST).unwrap_or_else(|err| panic!("{command:?} did not end; it printed\n{err}"))
}

/// Runs a command for at most this long; what it printed on standard error when it did not end.
pub fn run_for(command: &mut Command, input: &str, most: Duration) -> Result<Ran, String> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // A command may end without reading its input.
    thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let out = collect(child.stdout.take().expect("a pipe"));
    let err = collect(child.stderr.take().expect("a pipe"));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child") {
            break status;
        }
        if began.elapsed() > most {
            let _ = child.kill();
            let _ = child.wait();
            return Err(err.join().expect("a reader"));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let (out, err) = (out.join().expect("a reader"), err.join().expect("a reader"));
    Ok(Ran { code: status.code().unwrap_or(-1), out, err })
}

fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).expect("a pipe");
        String::from_utf8(bytes).expect("UTF-8")
    })
}
