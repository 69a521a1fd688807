//! A folder, perhaps on a small disk of its own, and a program that runs on it again and again: both are
//! gone when the test process is, however it ends.
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::postgres::is_root;

/// Mounts the disk, and says so with its first line. Then each line on standard input starts the program (once more); its pid goes to standard output. `read`
/// fails when the test process is gone. SIGQUIT, because the data is thrown away, SIGTERM for programs that know no such
/// thing, and SIGCONT for those that were stopped. Signals for the terminal's whole group must not end the supervisor
/// before it has cleaned up.
const SUPERVISOR: &str = r#"
trap '' INT TERM HUP
if [ -n "$MIB" ]; then mount -t tmpfs -o "size=${MIB}m" tmpfs "$FOLDER" || exit 1; fi
echo ready
program=
while read -r _; do
  if [ -n "$program" ]; then wait "$program"; fi
  "$@" >>"$LOG" 2>&1 &
  program=$!
  echo "$program"
done
if [ -n "$program" ]; then kill -QUIT "$program"; kill -TERM "$program"; kill -CONT "$program"; wait "$program"; fi
if [ -n "$MIB" ]; then umount "$FOLDER"; fi
rm -rf "$FOLDER" "$LOG"
"#;

/// A folder with its supervisor.
pub struct Guarded {
    supervisor: Child,
    starts: Option<ChildStdin>,
    pids: BufReader<ChildStdout>,
    /// As the test process sees it.
    pub folder: PathBuf,
    /// Where it lies, for programs that run under `wrapper`.
    pub path: PathBuf,
    /// What puts a program where the disk is mounted, if that is not everywhere.
    pub wrapper: Vec<String>,
}

/// Gives others than root the right to mount, for themselves alone.
const ALONE: [&str; 4] = ["unshare", "--user", "--map-root-user", "--mount"];

impl Guarded {
    /// A folder on which this program can be run. `disk` is the size in MiB of a file system of its own.
    pub fn new(disk: Option<u32>, program: impl FnOnce(&PathBuf) -> Command) -> Self {
        let folder = tempfile::Builder::new().prefix("chancery-test-").tempdir().expect("a folder").keep();
        let alone = disk.is_some() && !is_root();
        let program = program(&folder);
        let shell = ["sh", "-c", SUPERVISOR, "supervisor"];
        let words = [if alone { ALONE.as_slice() } else { &[] }, &shell].concat();
        let mut supervisor = Command::new(words[0])
            .args(&words[1..])
            .arg(program.get_program())
            .args(program.get_args())
            // Beside the folder's contents and not on its disk, which may be full.
            .env("LOG", folder.with_extension("log"))
            .env("FOLDER", &folder)
            .env("MIB", disk.map_or(String::new(), |mib| mib.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(if disk.is_some() { Stdio::inherit() } else { Stdio::null() })
            .spawn()
            .expect("a shell");
        let mut pids = BufReader::new(supervisor.stdout.take().expect("a pipe"));
        let mut ready = String::new();
        pids.read_line(&mut ready).expect("a line");
        assert_eq!(
            ready, "ready\n",
            "a disk of its own takes root, or a kernel that lets users have namespaces"
        );
        let starts = supervisor.stdin.take();
        let pid = supervisor.id();
        let path = folder.clone();
        let (folder, wrapper) = match alone {
            true => (
                PathBuf::from(format!("/proc/{pid}/root{}", folder.display())),
                format!("nsenter --preserve-credentials --user --mount --target {pid}"),
            ),
            false => (folder, String::new()),
        };
        let wrapper = wrapper.split_whitespace().map(str::to_owned).collect();
        Self { supervisor, starts, pids, folder, path, wrapper }
    }

    /// Starts the program, after the end of the one before; its pid.
    pub fn run(&mut self) -> u32 {
        let starts = self.starts.as_mut().expect("a running supervisor");
        starts.write_all(b"start\n").expect("a running supervisor");
        let mut pid = String::new();
        self.pids.read_line(&mut pid).expect("a pid");
        pid.trim().parse().expect("a pid")
    }

    /// What the program has printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.starts.take());
        let _ = self.supervisor.wait();
    }
}
