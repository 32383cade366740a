//! One file per command.

mod backfill;
mod backup;
mod check;
mod dead_letters;
mod demo;
mod doctor;
mod explain;
mod maintain;
mod rules;
mod run;
mod simulate;
mod sql;
mod test;
mod verify;

use crate::cli::{Cli, Command};
use anyhow::Result;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

/// How long tasks that nobody waits for may take to end.
const RUNTIME_END: Duration = Duration::from_secs(1);

const COMMIT_THREADS: usize = 2;

pub fn execute(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Demo(options) => block_on(|apart| demo::demo(options, apart)),
        Command::Run(options) => block_on(|apart| run::run(options, apart)),
        Command::Backfill(options) => block_on(|apart| backfill::backfill(options, apart.commits)),
        Command::Check(options) => block_on(|_| check::check(options)),
        Command::Doctor(options) => block_on(|_| doctor::doctor(options)),
        Command::Test(options) => block_on(|_| test::test(options)),
        Command::Sql(options) => block_on(|_| sql::sql(options)),
        Command::DeadLetters(command) => block_on(|apart| dead_letters::dead_letters(command, apart.commits)),
        Command::Verify(options) => block_on(|apart| verify::verify(options, apart.commits)),
        Command::Maintain(options) => block_on(|_| maintain::maintain(options)),
        Command::Backup(options) => block_on(|_| backup::backup(options)),
        Command::Restore(options) => block_on(|_| backup::restore(options)),
        Command::Rules(command) => block_on(|_| rules::rules(command)),
        Command::Explain(command) => block_on(|_| explain::explain(command)),
        Command::Simulate(options) => simulate::simulate(&options),
    }
}

/// Runtimes beside the one that a command runs on, so that none of them starves another.
#[derive(Debug, Clone)]
pub struct Apart {
    /// Of commits.
    pub commits: Handle,
    /// Of the operators of queries, as many threads as there are processors. Who waits for them, rules and whatever
    /// answers at once stay on the command's own.
    pub queries: Handle,
}

/// Runs a command.
fn block_on<F: Future<Output = Result<ExitCode>>>(command: impl FnOnce(Apart) -> F) -> Result<ExitCode> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let queries = Builder::new_multi_thread().thread_name("tidewatch-query").enable_all().build()?;
    let commits = Builder::new_multi_thread()
        .worker_threads(COMMIT_THREADS)
        .thread_name("tidewatch-commit")
        .enable_all()
        .build()?;
    let apart = Apart { commits: commits.handle().clone(), queries: queries.handle().clone() };
    let result = runtime.block_on(command(apart));
    runtime.shutdown_timeout(RUNTIME_END);
    queries.shutdown_timeout(RUNTIME_END);
    commits.shutdown_timeout(RUNTIME_END);
    result
}
