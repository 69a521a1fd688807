//! The `chancery` binary: allocator, arguments, run time. Everything else is in the library.
use std::process::ExitCode;

use clap::Parser as _;

// A third more events per second on decode-heavy paths than with the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    chancery::cli::run(chancery::cli::Cli::parse()).await
}
