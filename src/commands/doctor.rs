//! `tidewatch doctor`.

use crate::cli::{Doctor, ReportFormat};
use crate::doctor::{Status, examine};
use anyhow::Result;
use std::process::ExitCode;
use std::sync::Arc;
use tidewatch_ingest::clock::SystemClock;

pub async fn doctor(options: Doctor) -> Result<ExitCode> {
    let findings = examine(&options.config.config, options.timeout, Arc::new(SystemClock::new())).await;
    let of = |status: Status| findings.iter().filter(|finding| finding.status == status).count();
    let failed = of(Status::Failed);
    match options.format {
        ReportFormat::Json => {
            println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "failed": failed, "checks": findings }))?);
        }
        ReportFormat::Table => {
            findings.iter().for_each(|finding| println!("{finding}"));
            println!(
                "{} ok, {} warnings, {failed} failed, {} skipped",
                of(Status::Ok),
                of(Status::Warning),
                of(Status::Skipped)
            );
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
