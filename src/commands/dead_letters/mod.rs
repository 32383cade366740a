//! `tidewatch dead-letters`: events that could not be counted.

mod advice;
mod list;
mod pretty;
mod redrive;
mod report;
mod show;
mod which;

pub use which::since_us;

use crate::cli::DeadLetters;
use anyhow::Result;
use std::process::ExitCode;
use tokio::runtime::Handle;

pub async fn dead_letters(command: DeadLetters, commits: Handle) -> Result<ExitCode> {
    match command {
        DeadLetters::List(options) => list::list(options).await,
        DeadLetters::Show(options) => show::show(options).await,
        DeadLetters::Redrive(options) => redrive::redrive(options, commits).await,
    }
}
