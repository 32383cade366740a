//! Runs tests: each in all its ways, all of them side by side.

use super::counted::DecodedEvents;
use super::file::{Case, Query};
use super::rows;
use super::ways::ways;
use crate::packs::Packs;
use crate::settings::Settings;
use anyhow::Result;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::decode::Decoder;
use tidewatch_query::{NoLiveStates, Now, Snapshots, SqlEngine, SqlLimits};
use tidewatch_storage::Store;

/// Nobody waits at the other end, and the machine may be busy with a build.
const QUERY_TIMEOUT: Duration = Duration::from_secs(600);

/// What all tests of some packs share. Made once: planning definitions is the slow part.
#[derive(Debug)]
pub struct Bench {
    catalog: Catalog,
    decoder: Mutex<Decoder>,
    engine: SqlEngine,
    clock: SystemClock,
}

/// What became of a test.
#[derive(Debug)]
pub struct Report {
    pub name: String,
    pub place: String,
    pub events: usize,
    /// In so many ways did the events come together.
    pub ways: usize,
    pub took: Duration,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Bench {
    /// Makes ready for the tests of packs.
    pub fn new(packs: Packs) -> Result<Self> {
        let settings = Settings::default();
        let decoder = Mutex::new(Decoder::new(&packs.catalog, settings.worker().decode));
        // Rows come with each question: nothing is ever committed.
        let snapshots = Snapshots::new(Store::open("memory:///", HashMap::new())?, Arc::new(NoLiveStates));
        snapshots.define(packs.definitions);
        let limits = SqlLimits { timeout: QUERY_TIMEOUT, ..settings.sql_limits() };
        let engine = SqlEngine::new(snapshots, limits, Now::fixed(0));
        Ok(Self { catalog: packs.catalog, decoder, engine, clock: SystemClock::new() })
    }

    /// Runs one test.
    pub async fn run(&self, case: &Case) -> Report {
        let started = self.clock.monotonic();
        let mut report = Report {
            name: case.name.clone(),
            place: case.place.clone(),
            events: case.events.len(),
            ways: 0,
            took: Duration::ZERO,
            failure: None,
        };
        if let Err(error) = self.try_run(case, &mut report).await {
            report.failure = Some(format!("  {}\n", format!("{error:#}").replace('\n', "\n  ")));
        }
        report.took = self.clock.monotonic() - started;
        report
    }

    async fn try_run(&self, case: &Case, report: &mut Report) -> Result<()> {
        let decoded = {
            let mut decoder = self.decoder.lock().unwrap_or_else(PoisonError::into_inner);
            DecodedEvents::decode(&self.catalog, &mut decoder, &case.events)?
        };
        let now_us = case.now_us.or(decoded.newest_us).unwrap_or_default();
        let mut prepared = Vec::new();
        for query in &case.queries {
            prepared.push(self.engine.prepare(&query.sql, now_us).await.map_err(|e| in_query(query, &e))?);
        }
        for way in ways(case.events.len()) {
            report.ways += 1;
            let pieces = decoded.count(&self.catalog.sources, &way)?;
            let rows = |table: &str| pieces.iter().filter_map(|p| p.batch(table)).collect();
            let mut failures = String::new();
            for (query, prepared) in case.queries.iter().zip(&mut prepared) {
                let answer = self.engine.ask(prepared, rows).await.map_err(|e| in_query(query, &e))?;
                if let Some(difference) = rows::difference(&rows::expected(&query.rows), &rows::found(&answer)?) {
                    failures += &format!("  {}: {}\n{difference}", query.place, one_line(&query.sql));
                }
            }
            if !failures.is_empty() {
                let when = if report.ways == 1 { String::new() } else { format!("  with the events {}:\n", way.name) };
                report.failure = Some(when + &failures);
                return Ok(());
            }
        }
        Ok(())
    }
}

fn in_query(query: &Query, error: &tidewatch_query::SqlError) -> anyhow::Error {
    let hint = error.hint().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
    anyhow::anyhow!("{}: {error}{hint}", query.place)
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}
