//! A table that gets a commit a minute, with maintenance beside it as a running system would do it.

use super::*;
use crate::clock::SystemClock;
use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange, TopicPartition};
use tidewatch_engine::life_cycle::{boundary, tiers_of};
use tidewatch_engine::rollup::{Dimension, DimensionType, Measure, MeasureKind, Tier, UPDATED_AT, ValueType};
use tidewatch_engine::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US, window_start};
use tidewatch_storage::{AppendOutcome, DataFile, Rows, Table};

const APIS: [&str; 3] = ["carts", "orders", "products"];

/// How long, and how often something is committed, in minutes. The environment may say otherwise, as in
/// TIDEWATCH_LIFE_HOURS=72 TIDEWATCH_LIFE_SPACING=1.
#[derive(Debug, Clone, Copy)]
struct Plan {
    minutes: i64,
    spacing: i64,
}

impl Plan {
    fn hours(hours: i64, spacing: i64) -> Self {
        let or = |name: &str, value| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(value);
        Self { minutes: or("TIDEWATCH_LIFE_HOURS", hours) * 60, spacing: or("TIDEWATCH_LIFE_SPACING", spacing) }
    }
}

#[derive(Debug)]
struct FakeClock(AtomicI64);

impl Clock for FakeClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.now_us().unsigned_abs())
    }
}

fn schema() -> RollupSchema {
    let tier = |pane_us, days| Tier { pane_us, retain_us: Some(days * DAY_US) };
    RollupSchema {
        name: "calls".into(),
        sources: vec!["call".into()],
        pane_us: Some(10 * SECOND_US),
        dimensions: vec![Dimension { name: "api".into(), value: DimensionType::Utf8 }],
        measures: vec![Measure { name: "requests".into(), kind: MeasureKind::Count }],
        definition: "from call".into(),
        tiers: vec![tier(10 * SECOND_US, 2), tier(MINUTE_US, 20), tier(HOUR_US, 400), tier(DAY_US, 1830)],
        retain_us: None,
    }
}

fn batch(schema: &RollupSchema, rows: &[(i64, &str, i64)]) -> RecordBatch {
    let starts = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|r| r.0)).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(starts),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.1))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.2))),
    ];
    RecordBatch::try_new(schema.arrow_schema(), columns).unwrap()
}

fn partition() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// The same numbers every time (Marsaglia's xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    clock: Arc<FakeClock>,
    maintenance: Maintenance,
}

fn world(schema: &RollupSchema, fake_now: i64) -> World {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), HashMap::new()).unwrap();
    // The file system's clock stands still, compared to ours.
    let store = store.keep_removed_files(Duration::from_secs(1));
    let clock = Arc::new(FakeClock(AtomicI64::new(fake_now)));
    let settings = MaintenanceSettings { file_grace: Duration::ZERO, ..MaintenanceSettings::default() };
    let metrics = MaintenanceMetrics::register(&prometheus::Registry::new()).unwrap();
    let mut maintenance = Maintenance::new(store.clone(), None, settings, metrics, clock.clone());
    maintenance.schemas.insert(schema.name.clone(), schema.clone());
    World { _folder: folder, store, clock, maintenance }
}

/// Files that a query of one width over a stretch of time reads.
fn touched(files: &[DataFile], tier: usize, from: i64, to: i64) -> usize {
    let names: Vec<String> = schema().tiers.iter().map(Tier::name).collect();
    let of = |f: &DataFile| names.iter().position(|n| Some(n) == f.tier.as_ref()).unwrap();
    let counts = |f: &&DataFile| of(f) == tier || (of(f) < tier && !f.rolled_up);
    files.iter().filter(counts).filter(|f| f.times.is_some_and(|(least, most)| least < to && most >= from)).count()
}

async fn rows_of(table: &Table, path: &str, schema: &RollupSchema) -> Vec<(i64, String, i64)> {
    let mut rows = Vec::new();
    for batch in table.read(path, schema.arrow_schema()).await.unwrap() {
        let starts = batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        let counts = batch.column(2).as_primitive::<Int64Type>().values().to_vec();
        let apis = batch.column(1).as_string::<i32>().iter().map(|a| a.unwrap().to_owned());
        rows.extend(starts.into_iter().zip(apis).zip(counts).map(|((s, a), c)| (s, a, c)));
    }
    rows
}

type Counts = BTreeMap<(i64, String), i64>;

/// What readers see of every tier, beside what was counted.
async fn assert_exact(table: &mut Table, schema: &RollupSchema, counted: &Counts) {
    let files = table.files(None).unwrap();
    let tiers = tiers_of(schema);
    let mut rows = Vec::new();
    for file in &files {
        let tier = tiers.iter().position(|t| Some(t.name()) == file.tier).unwrap();
        for row in rows_of(table, &file.path, schema).await {
            rows.push((tier, file.rolled_up, row));
        }
    }
    for (index, tier) in tiers.iter().enumerate() {
        let from = table.retained(&tier.name()).await.unwrap().unwrap_or(i64::MIN);
        let mut seen = Counts::new();
        for (of, rolled_up, (start, api, count)) in &rows {
            if *start >= from && (*of == index || (*of < index && !rolled_up)) {
                *seen.entry((window_start(*start, tier.pane_us), api.clone())).or_default() += count;
            }
        }
        let mut expected = Counts::new();
        for ((start, api), count) in counted.iter().filter(|((start, _), _)| *start >= from) {
            *expected.entry((window_start(*start, tier.pane_us), api.clone())).or_default() += count;
        }
        assert!(seen == expected, "{}: {} windows, expected {}", tier.name(), seen.len(), expected.len());
    }
}

/// Lives for some time and returns the median time of a commit in its first and in its last part: a day each,
/// or a third.
async fn live(plan: Plan) -> (Duration, Duration) {
    let schema = schema();
    let wall = SystemClock::new();
    // Ahead of the file system's clock: log entries are old as soon as they are written.
    let first = window_start(wall.now_us(), DAY_US) + 2 * DAY_US;
    let World { _folder, store, clock, mut maintenance } = world(&schema, first);
    let mut worker = Table::open_rollup(&store, &schema).await.unwrap();
    let (mut chance, mut counted, mut position) = (Chance(88_172_645_463_325_252), Counts::new(), BEFORE_FIRST);
    let (mut commits, mut passes): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    let (mut most_files, mut most_touched, mut tasks) = (0, [0; 4], BTreeMap::<&str, usize>::new());
    for minute in (0..plan.minutes).step_by(plan.spacing as usize) {
        let now = first + minute * MINUTE_US;
        clock.0.store(now + plan.spacing * MINUTE_US, Ordering::Relaxed);
        let mut rows: Counts = Counts::new();
        for pane in 0..6 {
            for api in APIS {
                rows.insert((now + pane * 10 * SECOND_US, api.to_owned()), 1 + chance.below(100) as i64);
            }
        }
        if chance.below(10) == 0 {
            let late = now - chance.below(3 * 8640) as i64 * 10 * SECOND_US;
            *rows.entry((late, APIS[0].to_owned())).or_default() += 1;
        }
        let list: Vec<(i64, &str, i64)> = rows.iter().map(|((s, a), c)| (*s, a.as_str(), *c)).collect();
        let ranges = [(partition(), OffsetRange { from: position, to: position + 100 })].into();
        let watermarks = [(partition(), now)].into();
        let append = Rows { batch: Some(batch(&schema, &list)), ranges, watermarks };
        let started = wall.monotonic();
        let outcome = worker.append(&append).await.unwrap();
        commits.push(wall.monotonic() - started);
        assert!(matches!(outcome, AppendOutcome::Committed { .. }));
        position += 100;
        rows.into_iter().for_each(|(key, count)| *counted.entry(key).or_default() += count);

        let started = wall.monotonic();
        maintenance.maintain("calls", &mut |done| *tasks.entry(done.kind).or_default() += 1).await.unwrap();
        passes.push(wall.monotonic() - started);
        let is_last = minute + plan.spacing >= plan.minutes;
        if minute % 60 + plan.spacing >= 60 || is_last {
            let mut table = store.table("calls").await.unwrap().unwrap();
            let files = table.files(Some(WINDOW_START)).unwrap();
            most_files = most_files.max(files.len());
            assert!(files.len() < 200, "{} files", files.len());
            let today = window_start(now, DAY_US);
            for (tier, most) in most_touched.iter_mut().enumerate().skip(1) {
                *most = touched(&files, tier, today, today + DAY_US).max(*most);
                assert!(*most < 20, "a query of width {tier} reads {most} files");
            }
            if minute % (10 * 1440) + plan.spacing >= 10 * 1440 || is_last {
                assert_exact(&mut table, &schema, &counted).await;
            }
        }
    }
    let mut table = store.table("calls").await.unwrap().unwrap();
    assert_eq!(table.positions(&[partition()]).await.unwrap()[&partition()], position);
    assert_eq!(table.watermark(&partition()).await.unwrap(), Some(clock.now_us() - plan.spacing * MINUTE_US));
    for (index, tier) in schema.tiers.iter().enumerate() {
        let due = boundary(&schema.tiers, index, clock.now_us() - plan.spacing * MINUTE_US).filter(|b| *b > first);
        let recorded = table.retained(&tier.name()).await.unwrap();
        assert!(recorded >= due, "{} is cut at {recorded:?}, due {due:?}", tier.name());
    }
    let median = |times: &[Duration]| {
        let mut times = times.to_vec();
        times.sort();
        times[times.len() / 2]
    };
    let part = usize::try_from(1440 / plan.spacing).unwrap().min(commits.len() / 3);
    let (day_one, last_day) = (median(&commits[..part]), median(&commits[commits.len() - part..]));
    let log = std::fs::read_dir(_folder.path().join("calls/_delta_log")).unwrap().count();
    println!(
        "{plan:?}: at most {most_files} files, {most_touched:?} read for a day by width, {} live at the end, {log} log \
         entries; commit median {day_one:?} at first, {last_day:?} at last, p99 {:?}; pass median {:?}; tasks {tasks:?}",
        table.file_count(),
        {
            let mut all = commits.clone();
            all.sort();
            all[all.len() * 99 / 100]
        },
        median(&passes),
    );
    (day_one, last_day)
}

use tidewatch_engine::rollup::WINDOW_START;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_table_stays_small_fast_and_exact() {
    live(Plan::hours(6, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "43,200 commits; run with -- --ignored"]
async fn a_month_of_a_busy_table() {
    let (first, last) = live(Plan::hours(30 * 24, 1)).await;
    assert!(last <= first * 2, "a commit took {first:?} on the first day and {last:?} on the last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_may_maintain_one_store() {
    let schema = schema();
    let now = 20_000 * DAY_US;
    let World { _folder, store, clock, mut maintenance } = world(&schema, now);
    let settings = MaintenanceSettings { file_grace: Duration::from_secs(3600), ..MaintenanceSettings::default() };
    maintenance.settings = settings.clone();
    let metrics = MaintenanceMetrics::register(&prometheus::Registry::new()).unwrap();
    let mut other = Maintenance::new(store.clone(), None, settings, metrics, clock.clone());
    other.schemas = maintenance.schemas.clone();
    let mut worker = Table::open_rollup(&store, &schema).await.unwrap();
    let mut counted = Counts::new();
    for commit in 0..120 {
        let start = now - (120 - commit) * MINUTE_US;
        counted.insert((start, "orders".to_owned()), commit + 1);
        let ranges = [(partition(), OffsetRange { from: commit - 1, to: commit })].into();
        let rows = Rows { batch: Some(batch(&schema, &[(start, "orders", commit + 1)])), ranges, ..Rows::default() };
        worker.append(&rows).await.unwrap();
        if commit % 20 == 19 {
            let (one, two) = tokio::join!(maintenance.pass(|_| ()), other.pass(|_| ()));
            assert_eq!((one, two), (PassEnd::Finished, PassEnd::Finished));
        }
    }
    let mut table = store.table("calls").await.unwrap().unwrap();
    assert!(table.file_count() < 20, "{} files", table.file_count());
    assert_exact(&mut table, &schema, &counted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_with_much_to_do_leaves_the_others_their_turn() {
    let now = 20_000 * DAY_US;
    let World { _folder, store, clock: _, mut maintenance } = world(&schema(), now);
    // A task for every file.
    maintenance.settings.limits.task_rows = 1;
    let other = RollupSchema { name: "other_calls".into(), ..schema() };
    maintenance.schemas.insert(other.name.clone(), other.clone());
    let days = 4 * table::TASKS_IN_A_ROW as i64;
    for schema in [schema(), other] {
        let mut worker = Table::open_rollup(&store, &schema).await.unwrap();
        for commit in 0..days {
            let start = now - (days - commit) * DAY_US;
            let ranges = [(partition(), OffsetRange { from: commit - 1, to: commit })].into();
            let batch = Some(batch(&schema, &[(start, "orders", 1)]));
            worker.append(&Rows { batch, ranges, ..Rows::default() }).await.unwrap();
        }
    }
    let mut done = Vec::new();
    let end = maintenance.pass(|one| done.push((one.table.clone(), one.kind))).await;
    assert_eq!(end, PassEnd::Finished);
    let tasks: Vec<_> = done.iter().filter(|(_, kind)| !["checkpoint", "vacuum"].contains(kind)).collect();
    let second = tasks.iter().position(|(table, _)| table == "other_calls");
    assert_eq!(second, Some(table::TASKS_IN_A_ROW), "{tasks:?}");
    let cared_for = done.iter().position(|one| *one == ("calls".to_owned(), "vacuum"));
    assert!(cared_for < done.iter().position(|(table, _)| table == "other_calls"), "{done:?}");
    for name in ["calls", "other_calls"] {
        let files = store.table(name).await.unwrap().unwrap().files(None).unwrap();
        let mut rows = 0;
        for file in files.iter().filter(|file| !file.rolled_up) {
            rows += file.rows;
        }
        assert_eq!(rows, days.unsigned_abs(), "{name}: every event is in one row that is not rolled up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_merged_and_forgotten() {
    let kind = MeasureKind::Max { value: ValueType::Timestamp };
    let schema = RollupSchema {
        name: "orders".into(),
        pane_us: None,
        measures: vec![
            Measure { name: "events".into(), kind: MeasureKind::Count },
            Measure { name: UPDATED_AT.into(), kind },
        ],
        tiers: Vec::new(),
        retain_us: Some(10 * DAY_US),
        ..schema()
    };
    let first = 20_000 * DAY_US;
    let World { _folder, store, clock, mut maintenance } = world(&schema, first);
    let mut worker = Table::open_rollup(&store, &schema).await.unwrap();
    for commit in 0..40i64 {
        let at = first + commit * DAY_US;
        clock.0.store(at, Ordering::Relaxed);
        let keys = [format!("order {commit}"), "always".to_owned()];
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(&keys)),
            Arc::new(Int64Array::from(vec![1, 1])),
            Arc::new(TimestampMicrosecondArray::from(vec![at, at]).with_timezone("UTC")),
        ];
        let rows = RecordBatch::try_new(schema.arrow_schema(), columns).unwrap();
        let ranges = [(partition(), OffsetRange { from: commit - 1, to: commit })].into();
        worker.append(&Rows { batch: Some(rows), ranges, ..Rows::default() }).await.unwrap();
        assert_eq!(maintenance.pass(|_| ()).await, PassEnd::Finished);
    }
    let table = store.table("orders").await.unwrap().unwrap();
    let files = table.files(None).unwrap();
    assert_eq!(files.len(), 1, "{files:?}");
    let rows = table.read(&files[0].path, schema.arrow_schema()).await.unwrap().remove(0);
    let counts = rows.column(1).as_primitive::<Int64Type>();
    let named = rows.column(0).as_string::<i32>().iter().map(Option::unwrap).zip(counts.values());
    let always: Vec<_> = named.filter(|(name, _)| *name == "always").map(|(_, n)| *n).collect();
    assert_eq!((rows.num_rows(), always), (12, vec![40]), "eleven young orders, and the one that goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_joined_and_deleted_by_age() {
    use arrow::datatypes::{DataType, Field, Schema};
    use tidewatch_engine::rollup::timestamp_type;
    let letters = Schema::new(vec![
        Field::new("arrival_time", timestamp_type(), false),
        Field::new("payload", DataType::Int64, false),
    ]);
    let first = 20_000 * DAY_US;
    let World { _folder, store, clock, mut maintenance } = world(&schema(), first);
    let mut table = Table::open_or_create(&store, DEAD_LETTERS, &letters, &[]).await.unwrap();
    for day in 0..150i64 {
        let at = first + day * DAY_US;
        clock.0.store(at, Ordering::Relaxed);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC")),
            Arc::new(Int64Array::from(vec![day])),
        ];
        let rows = RecordBatch::try_new(Arc::new(letters.clone()), columns).unwrap();
        let ranges = [(partition(), OffsetRange { from: day - 1, to: day })].into();
        table.append(&Rows { batch: Some(rows), ranges, ..Rows::default() }).await.unwrap();
        maintenance.maintain(DEAD_LETTERS, &mut |_| ()).await.unwrap();
    }
    table.refresh().await.unwrap();
    let rows: u64 = table.files(None).unwrap().iter().map(|f| f.rows).sum();
    assert!(table.file_count() < 16, "{} files", table.file_count());
    // Rows that are too old go when the youngest in their file is.
    assert!((91..=91 + 12).contains(&rows), "{rows} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_ids_are_forgotten_partition_by_partition() {
    use crate::event_ids::event_ids_schema;
    use arrow::array::{BinaryArray, Int32Array};
    let day = 20_000 * DAY_US;
    let World { _folder, store, mut maintenance, .. } = world(&schema(), day);
    let mut table = Table::open_or_create(&store, EVENT_IDS, &event_ids_schema(), &[]).await.unwrap();
    // Partition 0 is up to date and was there before, partition 1 is read from a month ago.
    for (commit, (partition, at)) in [(0, day - 9 * DAY_US), (1, day - 30 * DAY_US), (0, day)].into_iter().enumerate() {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["t"])),
            Arc::new(Int32Array::from(vec![partition])),
            Arc::new(TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC")),
            Arc::new(Int64Array::from(vec![0])),
            Arc::new(Int64Array::from(vec![1])),
            Arc::new(BinaryArray::from_iter_values([[0u8; 16]])),
            Arc::new(BinaryArray::from_iter_values([[0u8; 4]])),
        ];
        let rows = RecordBatch::try_new(event_ids_schema(), columns).unwrap();
        let commit = commit as i64;
        let ranges = [(TopicPartition::new("t", 9), OffsetRange { from: commit - 1, to: commit })].into();
        table.append(&Rows { batch: Some(rows), ranges, ..Rows::default() }).await.unwrap();
    }
    maintenance.maintain(EVENT_IDS, &mut |_| ()).await.unwrap();
    table.refresh().await.unwrap();
    let mut left: Vec<i64> =
        table.files(Some(PANE_START)).unwrap().iter().map(|f| (day - f.times.unwrap().0) / DAY_US).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 30], "days ago");
}
