//! The `chancery` binary: allocator, arguments, run time. Everything else is in the library.
use std::{process::ExitCode, time::Duration};

// A third more events per second on decode-heavy paths than with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For what blocks a thread when the command has ended, such as a disk that hangs: it is not to hold up the end.
const LEFTOVERS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = chancery::cli::read().unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("chancery: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(chancery::cli::run(cli));
    runtime.shutdown_timeout(LEFTOVERS);
    code
}
