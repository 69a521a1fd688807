//! What `/livez` and `/readyz` say: the parts of the process that must go on, and what must hold for the server to take
//! calls. Data only; `app` keeps it true, and `admin` shows it.
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::{event::LogName, telemetry::Pulse};

/// Logs that are named in one answer; the log and the metrics have the rest.
const MOST_NAMED: usize = 16;
/// Bytes of what is said of one check: a database may have a lot to say.
const MOST_SAID: usize = 400;

/// A part of the process that must go on.
pub struct Part {
    pub name: &'static str,
    pub pulse: Arc<Pulse>,
    /// Silence that means that it is stuck.
    pub limit: Duration,
}

/// The parts that must go on. A database is none of them: no restart brings one back.
#[derive(Default)]
pub struct Liveness(Mutex<Vec<Part>>);

impl Liveness {
    /// Watches one more part.
    pub fn watch(&self, part: Part) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    /// The body of `/livez`, and whether every part goes on.
    pub fn page(&self, verbose: bool) -> (bool, String) {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stuck = |part: &&Part| part.pulse.silence() > part.limit;
        let alive = !parts.iter().any(|part| stuck(&part));
        let mut page = if alive { "ok\n" } else { "not alive\n" }.to_owned();
        for part in parts.iter() {
            // Writing to a String cannot fail.
            let _ = match stuck(&part) {
                true => writeln!(
                    page,
                    "{}: no sign of life for {} s, of at most {} s: restart the process",
                    part.name,
                    part.pulse.silence().as_secs(),
                    part.limit.as_secs()
                ),
                false if verbose => writeln!(page, "{}: ok", part.name),
                false => Ok(()),
            };
        }
        (alive, page)
    }
}

/// What must hold for the server to take calls.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Check {
    /// The server has come to where it can serve.
    Start,
    /// The store answers and has the right schema.
    Store,
    /// The disk of the store has room.
    Disk,
    /// The server is not going away.
    Drain,
}

impl Check {
    const ALL: [Self; 4] = [Self::Start, Self::Store, Self::Disk, Self::Drain];

    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Store => "store",
            Self::Disk => "disk",
            Self::Drain => "drain",
        }
    }
}

/// Which checks fail, and why.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Readiness {
    /// What is wrong and what to do about it, in one line.
    faults: BTreeMap<Check, String>,
    /// Logs that are no longer signed. Appends go on, so the server is ready all the same.
    pub halted: Vec<LogName>,
}

impl Readiness {
    /// Sets a check. Whether it holds now and did not before, or the other way round.
    pub fn set(&mut self, check: Check, fault: Option<String>) -> bool {
        let failed = self.faults.contains_key(&check);
        let fails = fault.is_some();
        match fault {
            Some(fault) => self.faults.insert(check, one_line(&fault)),
            None => self.faults.remove(&check),
        };
        failed != fails
    }

    /// Sets a check of a server, and tells those who watch if that changed anything. Returns what [`Self::set`] does.
    pub fn tell(server: &watch::Sender<Self>, check: Check, fault: Option<String>) -> bool {
        let mut turned = false;
        server.send_if_modified(|readiness| {
            let before = readiness.clone();
            turned = readiness.set(check, fault);
            *readiness != before
        });
        turned
    }

    /// Whether every check holds.
    pub fn is_ready(&self) -> bool {
        self.faults.is_empty()
    }

    /// Whether what is stored can be read: every check holds, but perhaps that of the disk.
    pub fn reads(&self) -> bool {
        self.faults.keys().all(|check| *check == Check::Disk)
    }

    /// The body of `/readyz`.
    pub fn page(&self, verbose: bool) -> String {
        let mut page = if self.is_ready() { "ok\n" } else { "not ready\n" }.to_owned();
        for check in Check::ALL {
            // Writing to a String cannot fail.
            let _ = match self.faults.get(&check) {
                Some(fault) => writeln!(page, "{}: {fault}", check.name()),
                None if verbose => writeln!(page, "{}: ok", check.name()),
                None => Ok(()),
            };
        }
        page.push_str(&of_halted(&self.halted));
        page
    }
}

/// A line that names the first of the logs that are halted.
fn of_halted(logs: &[LogName]) -> String {
    let named: Vec<_> = logs.iter().take(MOST_NAMED).map(LogName::as_str).collect();
    match logs.len().saturating_sub(named.len()) {
        _ if logs.is_empty() => String::new(),
        0 => format!("signing has stopped: {}\n", named.join(", ")),
        more => format!("signing has stopped: {} and {more} more\n", named.join(", ")),
    }
}

fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().map(|(at, _)| at).find(|at| *at >= MOST_SAID) {
        Some(end) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_that_fails_has_a_line() {
        let mut readiness = Readiness::default();
        assert_eq!(readiness.page(false), "ok\n");
        assert_eq!(readiness.page(true), "ok\nstart: ok\nstore: ok\ndisk: ok\ndrain: ok\n");
        assert!(readiness.set(Check::Disk, Some("full:\nmake room".to_owned())));
        assert!(readiness.reads() && !readiness.is_ready());
        assert!(readiness.set(Check::Store, Some("away".to_owned())));
        assert!(!readiness.set(Check::Store, Some("still away".to_owned())), "as before");
        assert!(!readiness.reads());
        assert_eq!(readiness.page(false), "not ready\nstore: still away\ndisk: full: make room\n");
        assert!(readiness.set(Check::Store, None) && readiness.set(Check::Disk, None));
        assert!(readiness.is_ready());
        readiness.halted = vec![LogName::audit()];
        assert_eq!(readiness.page(false), "ok\nsigning has stopped: audit\n");
    }

    #[test]
    fn what_a_database_says_is_cut_between_letters() {
        let said = one_line(&"\u{e9}".repeat(MOST_SAID));
        assert!(said.len() <= MOST_SAID + 4 && said.ends_with("\u{e9}..."), "{said}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_part_that_is_stuck_is_named() {
        let liveness = Liveness::default();
        let limit = Duration::from_secs(30);
        let [good, stuck] = [Pulse::steady(), Pulse::steady()];
        liveness.watch(Part { name: "runtime", pulse: Arc::clone(&good), limit });
        liveness.watch(Part { name: "sequencers", pulse: Arc::clone(&stuck), limit });
        tokio::time::advance(limit).await;
        assert_eq!(liveness.page(true), (true, "ok\nruntime: ok\nsequencers: ok\n".to_owned()));
        tokio::time::advance(Duration::from_secs(1)).await;
        good.beat();
        let told = "not alive\nsequencers: no sign of life for 31 s, of at most 30 s: restart the process\n";
        assert_eq!(liveness.page(false), (false, told.to_owned()));
        stuck.beat();
        assert!(liveness.page(false).0);
    }
}
