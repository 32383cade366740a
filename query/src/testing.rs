//! A small rollup, rows for it, and a store, for the tests of this crate.

use crate::definitions::{DeclaredTable, Definitions};
use crate::live::{LiveError, LiveStates, LiveView};
use crate::session::Now;
use crate::snapshot::Snapshots;
use crate::sql::{SqlEngine, SqlLimits};
use arrow::array::{ArrayRef, BinaryArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewatch_engine::commit::{OffsetRange, TopicPartition};
use tidewatch_engine::live::{LiveProgress, Piece};
use tidewatch_engine::rollup::{Dimension, DimensionType, Measure, MeasureKind, RollupSchema, ValueType};
use tidewatch_engine::sketch::distinct::hash_value;
use tidewatch_engine::sketch::{DistinctSketch, HdrSketch};
use tidewatch_storage::{Rows, Store, Table};

/// What `now()` gives: 2026-03-14T12:00:00Z.
pub const NOW_US: i64 = 1_773_489_600_000_000;

/// One partial: window, api, durations, users.
pub struct Partial(pub i64, pub Option<&'static str>, pub &'static [u64], pub &'static [&'static str]);

pub fn rollup() -> RollupSchema {
    let measure = |name: &str, kind| Measure { name: name.to_owned(), kind };
    RollupSchema {
        name: "calls".to_owned(),
        sources: vec!["call".to_owned()],
        pane_us: Some(10_000_000),
        dimensions: vec![Dimension { name: "api".to_owned(), value: DimensionType::Utf8 }],
        measures: vec![
            measure("requests", MeasureKind::Count),
            measure("cost", MeasureKind::Sum { scale: 2 }),
            measure("slowest", MeasureKind::Max { value: ValueType::Int64 }),
            measure("mean", MeasureKind::Avg { scale: 0 }),
            measure("duration_ms", MeasureKind::Hdr { digits: 3 }),
            measure("users", MeasureKind::Distinct),
        ],
        definition: "from call".to_owned(),
        tiers: Vec::new(),
        retain_us: None,
    }
}

/// The small rollup as packs declare it.
pub fn declared() -> Definitions {
    let table = DeclaredTable { schema: rollup().arrow_schema(), rollup: Some(rollup()) };
    Definitions::default().with_table("calls", table)
}

pub fn hdr(values: &[u64]) -> Option<Vec<u8>> {
    let mut sketch = HdrSketch::new(3);
    values.iter().for_each(|&v| sketch.record_n(v, 1));
    (!values.is_empty()).then(|| sketch.to_v2())
}

pub fn distinct(values: &[&str]) -> Option<Vec<u8>> {
    let mut sketch = DistinctSketch::new();
    values.iter().for_each(|v| sketch.insert_hash(hash_value(v.as_bytes())));
    (!values.is_empty()).then(|| sketch.to_bytes())
}

/// Each duration is a request that costs as many cents.
pub fn batch(partials: &[Partial]) -> RecordBatch {
    let sums: Vec<i128> = partials.iter().map(|p| p.2.iter().map(|&v| i128::from(v)).sum()).collect();
    let counts: Vec<i64> = partials.iter().map(|p| p.2.len() as i64).collect();
    let decimal = |scale| Decimal128Array::from(sums.clone()).with_precision_and_scale(38, scale).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            TimestampMicrosecondArray::from_iter_values(partials.iter().map(|p| p.0 * 1_000_000)).with_timezone("UTC"),
        ),
        Arc::new(StringArray::from_iter(partials.iter().map(|p| p.1))),
        Arc::new(Int64Array::from(counts.clone())),
        Arc::new(decimal(2)),
        Arc::new(Int64Array::from_iter(partials.iter().map(|p| p.2.iter().max().map(|&v| v as i64)))),
        Arc::new(decimal(0)),
        Arc::new(Int64Array::from(counts)),
        Arc::new(BinaryArray::from_iter(partials.iter().map(|p| hdr(p.2)))),
        Arc::new(BinaryArray::from_iter(partials.iter().map(|p| distinct(p.3)))),
    ];
    RecordBatch::try_new(rollup().arrow_schema(), columns).unwrap()
}

pub fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// Commits rows as the offsets after `from` up to `to`.
pub async fn commit(store: &Store, from: i64, to: i64, partials: &[Partial]) {
    let mut table = Table::open_rollup(store, &rollup()).await.unwrap();
    let ranges = [(partition(), OffsetRange { from, to })].into();
    table.append(&Rows { batch: Some(batch(partials)), ranges, watermarks: BTreeMap::new() }).await.unwrap();
}

/// Rows that are not committed yet.
#[derive(Debug)]
pub struct FakePiece {
    ranges: BTreeMap<TopicPartition, OffsetRange>,
    none: BTreeMap<TopicPartition, OffsetRange>,
    batch: RecordBatch,
}

impl FakePiece {
    pub fn of(from: i64, to: i64, partials: &[Partial]) -> Arc<dyn Piece> {
        let ranges = [(partition(), OffsetRange { from, to })].into();
        Arc::new(Self { ranges, none: BTreeMap::new(), batch: batch(partials) })
    }
}

impl Piece for FakePiece {
    fn ranges(&self, table: &str) -> &BTreeMap<TopicPartition, OffsetRange> {
        if table == "calls" { &self.ranges } else { &self.none }
    }
    fn batch(&self, table: &str) -> Option<RecordBatch> {
        (table == "calls").then(|| self.batch.clone())
    }
}

/// Workers that hold these pieces, with this watermark.
#[derive(Debug, Default)]
pub struct FakeWorkers {
    pub pieces: Mutex<Vec<Arc<dyn Piece>>>,
    pub watermark: Mutex<Option<i64>>,
    pub is_down: Mutex<bool>,
    /// What the next views say about positions.
    pub positions: Mutex<VecDeque<BTreeMap<TopicPartition, i64>>>,
    /// Do the next views never come?
    pub is_stuck: AtomicBool,
    /// How many of those that never come were asked for.
    pub stuck: AtomicUsize,
    /// For how many of them nobody waits any more.
    pub given_up: Arc<AtomicUsize>,
}

/// Counts when it is dropped.
struct GivenUp(Arc<AtomicUsize>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl LiveStates for FakeWorkers {
    fn view(&self, _age_max: Duration) -> BoxFuture<'_, Result<LiveView, LiveError>> {
        if self.is_stuck.load(Ordering::Relaxed) {
            let waiting = GivenUp(Arc::clone(&self.given_up));
            self.stuck.fetch_add(1, Ordering::Relaxed);
            return Box::pin(async move {
                let _waiting = waiting;
                std::future::pending().await
            });
        }
        let watermark = *self.watermark.lock().unwrap();
        let positions = self.positions.lock().unwrap().pop_front().unwrap_or_default();
        let progress = vec![LiveProgress { watermark, positions, ..LiveProgress::default() }];
        let view = LiveView { pieces: self.pieces.lock().unwrap().clone(), progress };
        let is_down = *self.is_down.lock().unwrap();
        Box::pin(async move { if is_down { Err(LiveError("the worker is busy".to_owned())) } else { Ok(view) } })
    }
}

/// Limits that nothing of these tests reaches.
pub fn prom_limits() -> crate::promql::PromLimits {
    let (samples_max, timeout) = (1_000_000, Duration::from_secs(60));
    crate::promql::PromLimits {
        samples_max,
        timeout,
        points_max: 11_000,
        options: Default::default(),
        cache_bytes_max: 1 << 20,
    }
}

/// A store in a folder that lives as long as the first value.
pub fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    (folder, store)
}

pub fn engine(store: &Store, live: Arc<dyn LiveStates>) -> SqlEngine {
    engine_within(store, live, Duration::from_secs(20))
}

/// An engine whose queries have this time.
pub fn engine_within(store: &Store, live: Arc<dyn LiveStates>, timeout: Duration) -> SqlEngine {
    let limits = SqlLimits {
        rows_max: 1000,
        timeout,
        memory_bytes_max: 64 << 20,
        spill_bytes_max: 64 << 20,
        query_bytes_max: 10_000,
        cache_bytes_max: 16 << 20,
    };
    SqlEngine::new(Snapshots::new(store.clone(), live), limits, Now::fixed(NOW_US))
}

/// The answer as CSV without its header.
pub async fn csv(engine: &SqlEngine, sql: &str) -> String {
    let answer = engine.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let bytes = crate::format::Format::Csv.write(&answer).unwrap();
    String::from_utf8(bytes).unwrap().split_once('\n').unwrap().1.to_owned()
}
