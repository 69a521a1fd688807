//! What the process does not tell of what it holds: requests hold secrets until the policy has dropped them.
//!
//! Called by `app::serve`, before anything is received.
use std::{any::Any, panic};

/// Switches core dumps off, and panic messages that may hold a value.
pub fn protect() {
    no_core_dumps();
    panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, message = message(info.payload()), "a defect: panicked");
    }));
}

/// A message that is a literal of the source. One that was put together may quote what the panic is about: a text that is
/// cut inside a letter is printed as a whole.
fn message(payload: &dyn Any) -> &str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or("(left out: it may hold values)")
}

#[cfg(target_os = "linux")]
fn no_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    // The limit is for cores that become files; a core that is piped to a program is only kept back by the other one,
    // which also keeps processes of the same user from reading this one's memory.
    let limit = Rlimit { current: Some(0), maximum: Some(0) };
    let switched =
        setrlimit(Resource::Core, limit).and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = switched {
        tracing::warn!(%error, "core dumps cannot be switched off: they would hold secrets of requests");
    }
}

#[cfg(not(target_os = "linux"))]
const fn no_core_dumps() {}

#[cfg(test)]
mod tests {
    use super::message;

    /// Panics with what it was given, as a defect would.
    fn payload(defect: impl FnOnce() + std::panic::UnwindSafe) -> Box<dyn std::any::Any + Send> {
        std::panic::catch_unwind(defect).expect_err("a panic")
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_cannot_be_dumped() {
        use rustix::process::{
            DumpableBehavior, Resource, dumpable_behavior, getrlimit, set_dumpable_behavior,
        };
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::Dumpable), "as every process is");
        super::no_core_dumps();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        // For the sake of whoever looks at the other tests with a debugger.
        set_dumpable_behavior(DumpableBehavior::Dumpable).expect("a process of our own");
    }

    #[test]
    fn a_panic_tells_nothing_of_what_it_is_about() {
        let secret = std::hint::black_box("CANARY-\u{e9}").to_owned();
        let cut = secret.clone();
        let sliced = payload(move || drop(std::hint::black_box(cut[..8].to_owned())));
        let told = sliced.downcast_ref::<String>().expect("a message that was put together");
        assert!(told.contains("CANARY"), "the message alone would tell it: {told}");
        assert!(!message(sliced.as_ref()).contains("CANARY"));
        let unwrapped = payload(move || std::hint::black_box(Err::<(), _>(secret)).expect("a number"));
        assert!(!message(unwrapped.as_ref()).contains("CANARY"));
        let literal = payload(|| panic!("no head of the log"));
        assert_eq!(message(literal.as_ref()), "no head of the log");
    }
}
