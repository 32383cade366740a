//! Commands for those who run it.

use super::{Config, ReportFormat};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub config: Config,
    /// How long each look may take.
    #[arg(long, default_value = "5s", value_parser = humantime_serde::re::humantime::parse_duration, value_name = "DURATION")]
    pub timeout: Duration,
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = ReportFormat::Table)]
    pub format: ReportFormat,
}

#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    pub config: Config,
    /// Folder or URL; empty, or that of an earlier backup, of which only what is missing is copied.
    #[arg(long, value_name = "LOCATION")]
    pub to: String,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Folder or URL of a backup.
    #[arg(long, value_name = "LOCATION")]
    pub from: String,
    /// Folder or URL of the tables; there must be nothing.
    #[arg(long, value_name = "LOCATION")]
    pub to: String,
    /// Settings file: its storage.options open both, and push.path and alerting.path say where the log and the
    /// states of alerts go [default: beside the tables, when these are in a folder].
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}
