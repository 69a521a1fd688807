//! The signals of the server: the only place that handles them.
use tokio::signal::unix::{self, SignalKind, signal};

/// What a signal asks for.
pub enum Signal {
    /// Come to an end.
    End,
    /// Read again what can change.
    Reload,
}

/// SIGTERM, SIGINT and SIGHUP.
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hangup: unix::Signal,
    /// A file has reached the largest size that the process may make one. Handled, it is an error of that write; else it
    /// would end the process.
    _too_large: unix::Signal,
}

impl Signals {
    /// From now on.
    ///
    /// # Errors
    /// The operating system will not have it.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            _too_large: signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()))?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End,
            _ = self.interrupt.recv() => Signal::End,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }

    /// Waits for one that ends the process.
    pub async fn end(&mut self) {
        while let Signal::Reload = self.next().await {}
    }
}
