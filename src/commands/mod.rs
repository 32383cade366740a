//! One file per command.

mod check;
mod demo;
mod run;
mod simulate;
mod sql;

use crate::cli::{Cli, Command};
use anyhow::Result;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

/// How long tasks that nobody waits for may take to end.
const RUNTIME_END: Duration = Duration::from_secs(1);

pub fn execute(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Demo(options) => block_on(demo::demo(options)),
        Command::Run(options) => block_on(run::run(options)),
        Command::Check(options) => check::check(&options),
        Command::Sql(options) => block_on(sql::sql(options)),
        Command::Simulate(options) => simulate::simulate(&options),
    }
}

fn block_on(command: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(command);
    runtime.shutdown_timeout(RUNTIME_END);
    result
}
