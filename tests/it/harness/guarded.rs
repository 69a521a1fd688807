//! A folder, perhaps on a small disk of its own, and a program that runs on it again and again: both are
//! gone when the test process is, however it ends.
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// Each line on standard input starts the program (once more); its pid goes to standard output. `read`
/// fails when the test process is gone. SIGQUIT, because the data is thrown away, SIGTERM for programs that know no such
/// thing, and SIGCONT for those that were stopped. Signals for the terminal's whole group must not end the supervisor
/// before it has cleaned up.
const SUPERVISOR: &str = r#"
trap '' INT TERM HUP
program=
while read -r _; do
  if [ -n "$program" ]; then wait "$program"; fi
  "$@" >>"$LOG" 2>&1 &
  program=$!
  echo "$program"
done
if [ -n "$program" ]; then kill -QUIT "$program"; kill -TERM "$program"; kill -CONT "$program"; wait "$program"; fi
if [ -n "$MOUNTED" ]; then umount "$FOLDER"; fi
rm -rf "$FOLDER" "$LOG"
"#;

/// A folder with its supervisor.
pub struct Guarded {
    supervisor: Child,
    starts: Option<ChildStdin>,
    pids: BufReader<ChildStdout>,
    pub folder: PathBuf,
}

impl Guarded {
    /// A folder on which this program can be run. `disk` is the size in MiB of a file system of its own,
    /// which takes root.
    pub fn new(disk: Option<u32>, program: impl FnOnce(&PathBuf) -> Command) -> Self {
        let folder = tempfile::Builder::new().prefix("chancery-test-").tempdir().expect("a folder").keep();
        if let Some(mib) = disk {
            let mounted = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
                .arg(&folder)
                .output()
                .expect("mount");
            assert!(mounted.status.success(), "mount: {}", String::from_utf8_lossy(&mounted.stderr));
        }
        let program = program(&folder);
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(program.get_program())
            .args(program.get_args())
            // Beside the folder's contents and not on its disk, which may be full.
            .env("LOG", folder.with_extension("log"))
            .env("FOLDER", &folder)
            .env("MOUNTED", if disk.is_some() { "yes" } else { "" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let pids = BufReader::new(supervisor.stdout.take().expect("a pipe"));
        Self { starts: supervisor.stdin.take(), supervisor, pids, folder }
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
