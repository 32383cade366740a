//! `tidewatch maintain`: every table of a store, once, until nothing is left to do.

use super::sql::open;
use crate::app::start_log;
use crate::cli::Maintain;
use crate::packs;
use anyhow::{Result, bail};
use std::process::ExitCode;
use std::sync::Arc;
use tidewatch_ingest::clock::SystemClock;
use tidewatch_ingest::maintenance::{Done, Maintenance, MaintenanceMetrics, PassEnd};

pub async fn maintain(options: Maintain) -> Result<ExitCode> {
    let (settings, store, _) = open(options.config.as_deref(), options.data.as_deref())?;
    start_log(&settings)?;
    // Without settings the tables say themselves how long they keep what.
    let catalog = match options.config {
        Some(_) => Some(packs::load(&settings.packs, tidewatch_query::Checking::Names).await?.catalog),
        None => None,
    };
    let metrics = MaintenanceMetrics::register(&prometheus::Registry::new())?;
    let clock = Arc::new(SystemClock::new());
    eprintln!("maintaining {}", store.url());
    let mut maintenance = Maintenance::new(store, catalog.as_ref(), settings.maintenance(), metrics, clock);
    let mut tasks = 0;
    let end = maintenance
        .pass(|done| {
            tasks += 1;
            eprintln!("  {}", line(done));
        })
        .await;
    match end {
        PassEnd::Finished => {
            eprintln!("nothing is left to do ({tasks} tasks)");
            Ok(ExitCode::SUCCESS)
        }
        PassEnd::Failed(tables) => bail!("{tables} tables could not be maintained, see above\n  hint: run it again"),
    }
}

fn line(done: &Done) -> String {
    let tier = if done.tier.is_empty() { String::new() } else { format!(" {}", done.tier) };
    match done.kind {
        "checkpoint" => format!("{}: checkpoint of the log", done.table),
        "vacuum" => format!("{}: {} files deleted", done.table, done.files),
        kind => format!("{}{tier}: {kind} of {} files", done.table, done.files),
    }
}
