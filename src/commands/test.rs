//! `tidewatch test`: runs the tests of packs.

use crate::cli::Test;
use crate::pack_tests::{Bench, Case, Report, read_folder};
use crate::packs::{self, BUILTIN, Mistakes};
use crate::settings::Settings;
use anyhow::{Result, bail};
use futures::StreamExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_query::Checking;

pub async fn test(options: Test) -> Result<ExitCode> {
    let clock = SystemClock::new();
    let packs = match options.packs.as_slice() {
        [] => Settings::load(&options.config.config)?.packs,
        named => named.to_vec(),
    };
    let cases = find(&packs, options.filter.as_deref())?;
    // Views are planned where a test asks them; `check` plans all.
    let bench = Arc::new(Bench::new(packs::load(&packs, Checking::Names).await?)?);
    let count = cases.len();
    let prepared = clock.monotonic();
    let run = |case: Case| {
        let bench = Arc::clone(&bench);
        // A task of its own each: they use all cores, and one that panics fails alone.
        tokio::spawn(async move { bench.run(&case).await })
    };
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    let mut reports = futures::stream::iter(cases.into_iter().map(run)).buffered(at_once);
    let mut failed = 0;
    while let Some(report) = reports.next().await {
        let report = report?;
        failed += usize::from(report.failure.is_some());
        print(&report);
    }
    let took = clock.monotonic();
    println!(
        "{} passed, {failed} failed, in {} ({} to read the packs)",
        count - failed,
        seconds(took),
        seconds(prepared)
    );
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All tests of the packs that match the filter; there is at least one.
fn find(packs: &[String], filter: Option<&str>) -> Result<Vec<Case>> {
    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for pack in packs.iter().filter(|p| !p.starts_with(BUILTIN)) {
        match read_folder(Path::new(pack)) {
            Ok(found) => cases.extend(found),
            Err(Mistakes(found)) => mistakes.extend(found),
        }
    }
    if !mistakes.is_empty() {
        bail!("{}", mistakes.join("\n"));
    }
    if cases.is_empty() {
        let hint = "the tests of a pack are the files tests/*.yaml in its folder; those of built-in packs are in the sources of Tidewatch: tidewatch test packs/creatorflow";
        bail!("no tests in {}\n  hint: {hint}", packs.join(", "));
    }
    let count = cases.len();
    if let Some(filter) = filter {
        cases.retain(|c| c.name.contains(filter) || c.place.contains(filter));
        if cases.is_empty() {
            bail!("none of the {count} tests has `{filter}` in its name or file");
        }
    }
    Ok(cases)
}

fn print(report: &Report) {
    let Report { name, place, events, ways, took, failure } = report;
    match failure {
        None => {
            let took = took.as_millis();
            println!("pass | {name} ({place}: {events} events, {ways} ways, {took} ms)");
        }
        Some(reason) => print!("FAIL | {name} ({place})\n{reason}"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
