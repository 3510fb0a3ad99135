//! The `sluice` command: arguments → settings → logs → command → exit code.

use std::process::ExitCode;

use clap::Parser;
use sluice::cli::{Cli, run};

fn main() -> ExitCode {
    sluice::plugins::link();
    run(Cli::parse())
}
