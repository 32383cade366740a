//! What counting costs as rollups and series grow, beside one hash-map update per event in the same run.
//!
//! ```text
//! cargo bench --bench rollups
//! cargo bench --bench rollups -- --tiny        a few events, to see that it runs
//! ```
//!
//! Decoded events in, committed files out: 1, 4, 16 and 40 rollups of one source with a thousand series each,
//! then four rollups with 1,000, 50,000 and 1,000,000 series each. Processor time per event, bytes per row of a
//! flush in memory and on disk. A slope says what ten times as many cost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a bench measures, and fails by panicking"
)]

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use nix::sys::resource::{UsageWho, getrusage};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::cardinality::Admissions;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_engine::open::{EventBatch, OpenStates};
use tidewatch_engine::rollup::{Catalog, SourcePlan};
use tidewatch_storage::{Rows, Store, Table};

const SOURCES: &str = "
sources:
  - name: call
    topic: calls
    type: call
    fields: {shop: string, api: string, outcome: string, ms: int64, cost: int64}
";

/// Events of one batch, as a poll brings them.
const BATCH: usize = 4096;

fn main() {
    let is_tiny = std::env::args().any(|a| a == "--tiny");
    let events = if is_tiny { 20_000 } else { 4_000_000 };
    let reference = reference(events, 1000);
    println!("{events} events; reference: one hash-map update per event, {:.0} ns", reference * 1e9);
    println!("\nrollups  series   ns/event  × reference  bytes/row in memory  on disk");
    let mut costs = Vec::new();
    for rollups in [1, 4, 16, 40] {
        costs.push((rollups as f64, measure(rollups, 1000.min(events), events, reference)));
    }
    let per_rollup = (costs[3].1 - costs[0].1) / (costs[3].0 - costs[0].0);
    println!("slope: {:.0} ns per event and rollup more", per_rollup * 1e9);
    println!();
    let mut costs = Vec::new();
    for series in [1000, 50_000, 1_000_000] {
        costs.push(measure(4, series.min(events), events.max(2 * series.min(events)), reference));
    }
    println!("slope: {:.2} × for 50 ×, {:.2} × for 1000 × the series", costs[1] / costs[0], costs[2] / costs[0]);
}

fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let micros = |t: nix::sys::time::TimeVal| Duration::new(t.tv_sec() as u64, t.tv_usec() as u32 * 1000);
    micros(usage.user_time()) + micros(usage.system_time())
}

/// Series of an event: all of them in a shuffled order, again and again.
fn series_of(event: usize, series: usize) -> usize {
    (event.wrapping_mul(0x9e37_79b1) >> 3) % series
}

fn reference(events: usize, series: usize) -> f64 {
    let names: Vec<String> = (0..series).map(|s| format!("shop_{s}")).collect();
    let started = cpu();
    let mut counts: HashMap<&str, (u64, u64)> = HashMap::new();
    for event in 0..events {
        let count = counts.entry(&names[series_of(event, series)]).or_default();
        count.0 += 1;
        count.1 += event as u64;
    }
    assert_eq!(counts.values().map(|c| c.0).sum::<u64>(), events as u64);
    (cpu() - started).as_secs_f64() / events as f64
}

fn plan(rollups: usize) -> Arc<SourcePlan> {
    let rollups: String = (0..rollups)
        .map(|i| {
            format!(
                "CREATE ROLLUP r{i} AS SELECT shop, api, count(*) AS requests, count(*) FILTER (WHERE outcome <> 'success') AS errors,
                 sum(cost + {i}) AS cost, max(ms) AS slowest, hdr(ms) AS ms
                 FROM call GROUP BY tumble(INTERVAL '10 seconds'), shop, api;"
            )
        })
        .collect();
    let named = |text: &str| vec![("bench".to_owned(), text.to_owned())];
    let catalog = Catalog::parse(&named(SOURCES), &named(&rollups)).unwrap_or_else(|e| panic!("{}", e[0]));
    Arc::clone(&catalog.sources[0])
}

fn batch(plan: &SourcePlan, first: usize, count: usize, series: usize) -> EventBatch {
    let events = || first..first + count;
    let column = |name: &str| -> ArrayRef {
        match name {
            "shop" => {
                Arc::new(StringArray::from_iter_values(events().map(|e| format!("shop_{}", series_of(e, series)))))
            }
            "api" => Arc::new(StringArray::from_iter_values(events().map(|_| "orders"))),
            "outcome" => Arc::new(StringArray::from_iter_values(
                events().map(|e| if e % 50 == 0 { "timeout" } else { "success" }),
            )),
            "ms" => Arc::new(Int64Array::from_iter_values(events().map(|e| 20 + (e % 97) as i64 * (e % 7) as i64))),
            _ => Arc::new(Int64Array::from_iter_values(events().map(|e| (e % 300) as i64))),
        }
    };
    let columns = plan.columns.fields().iter().map(|f| column(f.name())).collect();
    EventBatch {
        columns: RecordBatch::try_new(Arc::clone(&plan.columns), columns).unwrap(),
        event_time_us: vec![1_773_511_200_000_000; count],
    }
}

/// Seconds of processor time per event.
fn measure(rollups: usize, series: usize, events: usize, reference: f64) -> f64 {
    let plan = plan(rollups);
    let mut open = OpenStates::new(Arc::clone(&plan));
    let mut admissions = Admissions::unlimited();
    let mut spent = Duration::ZERO;
    for first in (0..events).step_by(BATCH) {
        let batch = batch(&plan, first, BATCH.min(events - first), series);
        let started = cpu();
        open.count(&batch, &mut admissions, |_| None).unwrap();
        spent += cpu() - started;
    }
    let (rows, bytes) = (open.row_count(), open.size_bytes());
    let frozen = open.freeze();
    let stored = stored_bytes(&plan, &frozen);
    let cost = spent.as_secs_f64() / events as f64;
    println!(
        "{rollups:>7} {series:>7} {:>10.0} {:>12.1} {:>20.0} {:>8.1}",
        cost * 1e9,
        cost / reference,
        bytes as f64 / rows as f64,
        stored as f64 / (rows / rollups) as f64
    );
    cost
}

/// Size of the file that a commit makes of the first rollup.
fn stored_bytes(plan: &SourcePlan, frozen: &tidewatch_engine::open::FrozenStates) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut table = Table::open_rollup(&store, &plan.rollups[0].schema).await.unwrap();
        let ranges = [(TopicPartition::new("calls", 0), OffsetRange { from: -1, to: 0 })].into();
        table
            .append(&Rows { batch: Some(frozen.batch(0).unwrap()), ranges, watermarks: Default::default() })
            .await
            .unwrap();
    });
    size_of_files(folder.path())
}

fn size_of_files(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    entries
        .map(|e| match e.file_type().unwrap().is_dir() {
            true => size_of_files(&e.path()),
            false if e.path().extension().is_some_and(|x| x == "parquet") => e.metadata().unwrap().len(),
            false => 0,
        })
        .sum()
}
