//! Runs tests: each in all its ways, all of them side by side.

use super::counted::{Counted, DecodedEvents};
use super::file::{Case, Query};
use super::rows;
use super::ways::ways;
use crate::packs::Packs;
use crate::settings::Settings;
use anyhow::Result;
use arrow::row::{RowConverter, SortField};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidewatch_engine::live::Piece;
use tidewatch_engine::rollup::Catalog;
use tidewatch_ingest::clock::{Clock, SystemClock};
use tidewatch_ingest::decode::Decoder;
use tidewatch_query::{Definitions, Now, Snapshots, SqlEngine, SqlLimits};
use tidewatch_storage::Store;

/// What all tests of some packs share. Made once: planning definitions is the slow part.
#[derive(Debug)]
pub struct Bench {
    catalog: Catalog,
    definitions: Arc<Definitions>,
    decoder: Mutex<Decoder>,
    /// Nothing is ever committed to it.
    store: Store,
    limits: SqlLimits,
    /// Knows the definitions and no events.
    idle: SqlEngine,
    clock: SystemClock,
}

/// What became of a test.
#[derive(Debug)]
pub struct Report {
    pub name: String,
    pub place: String,
    pub events: usize,
    /// In so many ways did the events come together, and that many different states did they leave.
    pub ways: usize,
    pub states: usize,
    pub took: Duration,
    /// Why it failed.
    pub failure: Option<String>,
}

impl Bench {
    /// Makes ready for the tests of packs.
    pub fn new(packs: Packs) -> Result<Self> {
        let settings = Settings::default();
        let store = Store::open("memory:///", HashMap::new())?;
        let decoder = Mutex::new(Decoder::new(&packs.catalog, settings.worker().decode));
        let definitions = Arc::new(packs.definitions);
        let limits = settings.sql_limits();
        let idle = engine(&store, &definitions, limits, Vec::new(), 0);
        Ok(Self { catalog: packs.catalog, definitions, decoder, store, limits, idle, clock: SystemClock::new() })
    }

    /// Runs one test.
    pub async fn run(&self, case: &Case) -> Report {
        let started = self.clock.monotonic();
        let mut report = Report {
            name: case.name.clone(),
            place: case.place.clone(),
            events: case.events.len(),
            ways: 0,
            states: 0,
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
        let mut tables = BTreeSet::new();
        for query in &case.queries {
            tables.extend(self.idle.tables_of(&query.sql).map_err(|e| in_query(query, &e))?);
        }
        let mut seen = HashSet::new();
        for way in ways(case.events.len()) {
            report.ways += 1;
            let pieces = decoded.count(&self.catalog.sources, &way)?;
            // The same rows give the same answers: what was asked once is not asked again.
            if !seen.insert(fingerprint(&pieces, &tables)?) {
                continue;
            }
            report.states += 1;
            let engine = engine(&self.store, &self.definitions, self.limits, pieces, now_us);
            let mut failures = String::new();
            for query in &case.queries {
                let answer = engine.query(&query.sql).await.map_err(|e| in_query(query, &e))?;
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

/// An engine that sees these pieces and nothing else.
fn engine(
    store: &Store,
    definitions: &Arc<Definitions>,
    limits: SqlLimits,
    pieces: Vec<Arc<dyn Piece>>,
    now_us: i64,
) -> SqlEngine {
    let snapshots = Snapshots::new(store.clone(), Arc::new(Counted { pieces, watermark_us: now_us }));
    snapshots.define(Arc::clone(definitions));
    SqlEngine::new(snapshots, limits, Now::fixed(now_us))
}

fn in_query(query: &Query, error: &tidewatch_query::SqlError) -> anyhow::Error {
    let hint = error.hint().map(|h| format!("\n  hint: {h}")).unwrap_or_default();
    anyhow::anyhow!("{}: {error}{hint}", query.place)
}

fn one_line(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rows of the tables, in an order that does not depend on theirs.
fn fingerprint(pieces: &[Arc<dyn Piece>], tables: &BTreeSet<String>) -> Result<Vec<Vec<Vec<u8>>>> {
    let mut fingerprint = Vec::new();
    for table in tables {
        let mut rows: Vec<Vec<u8>> = Vec::new();
        for batch in pieces.iter().filter_map(|p| p.batch(table)) {
            let fields = batch.schema().fields().iter().map(|f| SortField::new(f.data_type().clone())).collect();
            let converted = RowConverter::new(fields)?.convert_columns(batch.columns())?;
            rows.extend(converted.iter().map(|row| row.as_ref().to_vec()));
        }
        rows.sort_unstable();
        fingerprint.push(rows);
    }
    Ok(fingerprint)
}
