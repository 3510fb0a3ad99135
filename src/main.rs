//! The `sluice` command: arguments → settings → logs → command → exit code.

use std::process::ExitCode;

use clap::Parser;
use sluice::cli::{Cli, run};

/// Gives memory back to the system, and is as fast with musl as with glibc. Its settings are in .cargo/config.toml.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sluice::plugins::link();
    run(Cli::parse())
}
