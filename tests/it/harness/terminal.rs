//! Runs the binary on a pseudo terminal, as a person does.
use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    process::{Command, Stdio},
    thread,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use super::cli::Ran;

/// Runs a command whose standard output is a terminal of so many columns, and which ends by itself.
pub fn run_on_terminal(command: &mut Command, columns: u16) -> Ran {
    run_typing(command, columns, None)
}

/// The same with somebody at the terminal, who types this.
pub fn run_typing(command: &mut Command, columns: u16, typed: Option<&str>) -> Ran {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&master).expect("its other end");
    unlockpt(&master).expect("its other end");
    tcsetwinsize(&master, Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
        .expect("a size");
    let path = ptsname(&master, Vec::new()).expect("its name");
    let path = std::ffi::OsStr::from_bytes(path.as_bytes());
    let slave = OpenOptions::new().read(true).write(true).open(path).expect("its other end");
    let keyboard = match typed {
        Some(_) => Stdio::from(slave.try_clone().expect("its other end")),
        None => Stdio::null(),
    };
    let command = command.stdin(keyboard).stdout(Stdio::from(slave)).stderr(Stdio::piped());
    let mut child = command.env("TERM", "xterm").spawn().expect("the binary");
    // The last copy of that end goes with the child, which ends the reading below.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut master = File::from(master);
    master.write_all(typed.unwrap_or_default().as_bytes()).expect("a keyboard");
    let out = thread::spawn(move || {
        let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
        // A terminal that nobody writes to any more fails with EIO.
        while let Ok(bytes @ 1..) = master.read(&mut buffer) {
            read.extend_from_slice(&buffer[..bytes]);
        }
        String::from_utf8(read).expect("UTF-8").replace("\r\n", "\n")
    });
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("UTF-8");
    let status = child.wait().expect("the child");
    Ran { code: status.code().unwrap_or(-1), out: out.join().expect("a reader"), err }
}
