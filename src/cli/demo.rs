//! x
use clap::Args;
use std::process::ExitCode;
#[derive(Debug, Args)]
pub(super) struct DemoArgs {}
pub(super) async fn run(_: DemoArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
