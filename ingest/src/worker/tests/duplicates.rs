//! Copies of events count once: in one life of a worker, and across crashes that leave the tables at
//! different offsets, over a real store.

use super::*;
use crate::committer::Committer;
use crate::event_ids::EVENT_IDS;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::prelude::SessionContext;
use std::collections::{BTreeMap, BTreeSet};
use tidewatch_engine::dedupe::PANE_US;
use tidewatch_storage::{AppendOutcome, Rows, Store, Table};

const DEDUPE: DedupeSettings = DedupeSettings { horizon_us: 24 * PANE_US, ids_max: 1_000_000 };
pub(super) const NOW_US: i64 = 1_800_000_000_000_000;

#[test]
fn copies_do_not_count_but_their_offsets_are_covered() {
    let mut bench = Bench::start(250, |s| s.dedupe = DEDUPE);
    bench.script.0.lock().unwrap().ids = |offset| offset % 100;
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.wait_for_offset(249);
    bench.handle.drain();
    let Some(Request::Commit { pieces, .. }) = bench.requests.blocking_recv() else { panic!("expected a commit") };
    assert_eq!(describe(&pieces), [("clicks", range(-1, 249), 100), ("all_clicks", range(-1, 249), 100)]);
    assert_eq!(pieces.iter().map(|p| p.event_ids().iter().map(|new| new.ids.len()).sum::<usize>()).sum::<usize>(), 100);
    bench.answers.send(Answer::Committed).unwrap();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn without_a_horizon_every_copy_counts() {
    let mut bench = Bench::start(250, |_| {});
    bench.script.0.lock().unwrap().ids = |offset| offset % 100;
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.wait_for_events(250);
    bench.handle.drain();
    bench.commit();
    bench.answers.send(Answer::Committed).unwrap();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn beyond_the_bound_the_oldest_are_forgotten_and_that_is_counted() {
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
    let settings = WorkerSettings { dedupe: DedupeSettings { ids_max: 10, ..DEDUPE }, ..settings() };
    let mut counting = Counting::new(&catalog(), &settings, metrics.clone());
    counting.assign(&Positions { tables: at(-1), ..Positions::default() }, NOW_US);
    for (offset, (id, hour)) in [("a", 0), ("b", 1), ("c", 1), ("a", 1), ("b", 2)].into_iter().enumerate() {
        let filler = (0..8).map(|n| (format!("{id}{n}"), hour));
        for (n, (id, hour)) in std::iter::once((id.to_owned(), hour)).chain(filler).enumerate() {
            counting.begin_poll(NOW_US);
            take(&mut counting, (offset * 10 + n) as i64, &event(&id), hour * PANE_US);
            counting.end_poll().unwrap();
        }
    }
    assert_eq!(
        metrics.duplicates.with_label_values(&["click"]).get(),
        0,
        "all were forgotten in time for their copies"
    );
    assert!(metrics.remembered_evicted.get() >= 30);
    assert!(counting.remembered().0 <= 10);
}

/// A record: an event by its id, or a broken one.
pub(super) fn event(id: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"t","type":"test.click","time":"2026-01-01T00:00:00Z","tenantkind":"creator","tenantid":"c","data":{{"page":"{id}"}}}}"#
    )
}

pub(super) fn take(counting: &mut Counting, offset: i64, payload: &str, timestamp_us: i64) {
    let (payload, timestamp_us) = (payload.as_bytes(), Some(timestamp_us));
    let raw = RawRecord { topic: Some("clicks"), payload, timestamp_us, headers: &NoHeaders };
    counting.take(&SourceRecord { slot: 0, partition: &partition(), offset, raw });
}

pub(super) fn catalog() -> Catalog {
    Catalog::parse(&[("s".to_owned(), SOURCES.to_owned())], &[("r".to_owned(), ROLLUPS.to_owned())]).unwrap()
}

const TABLES: [&str; 4] = ["clicks", "all_clicks", "dead_letters", EVENT_IDS];

fn at(position: i64) -> BTreeMap<String, BTreeMap<TopicPartition, i64>> {
    TABLES.iter().map(|table| ((*table).to_owned(), [(partition(), position)].into())).collect()
}

/// The same numbers for the same seed.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Events with copies soon after and long after; every tenth is broken, and comes again repaired.
fn records(random: &mut Random, count: usize) -> Vec<(String, i64)> {
    let mut ids: Vec<String> = Vec::new();
    let mut broken: Vec<String> = Vec::new();
    let record = |offset: usize| {
        let arrival_us = NOW_US - 10 * PANE_US + offset as i64 * PANE_US / 40;
        let payload = match random.below(10) {
            0 => {
                let id = format!("b{offset}");
                broken.push(id.clone());
                event(&id).replace("\"page\":\"", "\"page\":[\"")
            }
            1 if !broken.is_empty() => {
                let id = broken[random.below(broken.len() as u64) as usize].clone();
                ids.push(id.clone());
                event(&id)
            }
            2..=4 if !ids.is_empty() => event(&ids[random.below(ids.len() as u64) as usize]),
            _ => {
                ids.push(format!("e{offset}"));
                event(&format!("e{offset}"))
            }
        };
        (payload, arrival_us)
    };
    (0..count).map(record).collect()
}

/// One life of a worker: it starts where the tables say, counts some records, and commits to some of the
/// tables, one after the other, before it dies. Returns how far the tables are, at least.
async fn live_and_die(store: &Store, records: &[(String, i64)], random: &mut Random, dies: bool) -> i64 {
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
    let (catalog, settings) = (catalog(), WorkerSettings { dedupe: DEDUPE, ..settings() });
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
    let committer = Committer::open(store, &catalog, 0, metrics.clone(), clock).await.unwrap();
    let mut committer = committer.with_event_ids(store, DEDUPE).await.unwrap();
    let positions = committer.try_positions(&[partition()]).await.unwrap();
    let mut counting = Counting::new(&catalog, &settings, metrics);
    let starts = counting.assign(&positions, NOW_US);
    assert_eq!(starts, positions.starts());
    let mut next = starts[&partition()] + 1;
    for _ in 0..if dies { 1 + random.below(2) } else { 3 } {
        let end = if dies { next + 1 + random.below(40) as i64 } else { records.len() as i64 };
        let mut pieces = Vec::new();
        for offset in next..end.min(records.len() as i64) {
            counting.begin_poll(NOW_US);
            let (payload, arrival_us) = &records[offset as usize];
            take(&mut counting, offset, payload, *arrival_us);
            counting.end_poll().unwrap();
            if random.below(9) == 0 {
                pieces.extend(counting.freeze().unwrap().map(Arc::new));
            }
        }
        next = end.min(records.len() as i64);
        pieces.extend(counting.freeze().unwrap().map(Arc::new));
        let mut tables = TABLES.to_vec();
        (0..tables.len()).for_each(|i| tables.swap(i, random.below(4) as usize));
        let committed = if dies { random.below(5) as usize } else { 4 };
        for table in &tables[..committed] {
            commit(store, table, &pieces).await;
        }
        if committed < 4 {
            break;
        }
    }
    committer.try_positions(&[partition()]).await.unwrap().starts()[&partition()]
}

pub(super) async fn commit(store: &Store, name: &str, pieces: &[Arc<WorkerPiece>]) {
    let mut table: Table = store.table(name).await.unwrap().unwrap();
    for piece in pieces {
        let rows = Rows {
            batch: piece.try_batch(name).unwrap(),
            ranges: piece.ranges(name).clone(),
            watermarks: BTreeMap::new(),
        };
        if !rows.ranges.is_empty() {
            let outcome = table.append(&rows).await.unwrap();
            assert!(matches!(outcome, AppendOutcome::Committed { .. }), "{name}: {outcome:?}");
        }
    }
}

pub(super) async fn column(store: &Store, table: &str, query: &str) -> Vec<String> {
    let context = SessionContext::new();
    let provider = store.table(table).await.unwrap().unwrap().provider().unwrap();
    context.register_table("t", provider).unwrap();
    let batches = context.sql(query).await.unwrap().collect().await.unwrap();
    let cell =
        |column: &dyn arrow::array::Array, row| arrow::util::display::array_value_to_string(column, row).unwrap();
    batches.iter().flat_map(|b| (0..b.num_rows()).map(|row| cell(b.column(0), row)).collect::<Vec<_>>()).collect()
}

#[test]
fn crashes_between_the_tables_count_no_event_twice_and_lose_none() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in 1..=2 {
        let mut random = Random(seed);
        let records = records(&mut random, 400);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap(), Default::default()).unwrap();
        let lives = runtime.block_on(async {
            let mut lives = 1;
            while live_and_die(&store, &records, &mut random, true).await < records.len() as i64 * 3 / 4 && lives < 60 {
                lives += 1;
            }
            live_and_die(&store, &records, &mut random, false).await;
            lives
        });
        assert!(lives > 5, "{lives}");
        // By plain reading: every id of a whole event, once.
        let whole = records.iter().filter(|(payload, _)| !payload.contains(":[\""));
        let expected: BTreeSet<String> =
            whole.map(|(p, _)| p.split("\"page\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect();
        runtime.block_on(async {
            let pages = column(&store, "clicks", "SELECT page FROM t ORDER BY page").await;
            assert_eq!(pages, expected.iter().cloned().collect::<Vec<_>>(), "seed {seed}, {lives} lives");
            for table in ["clicks", "all_clicks"] {
                let sum = column(&store, table, "SELECT sum(n) FROM t").await;
                assert_eq!(sum, [expected.len().to_string()], "{table}, seed {seed}, {lives} lives");
            }
            let broken = records.len() - records.iter().filter(|(p, _)| !p.contains(":[\"")).count();
            assert_eq!(column(&store, "dead_letters", "SELECT count(*) FROM t").await, [broken.to_string()]);
            // Every id is stored once, whatever was replayed.
            let ids = column(&store, EVENT_IDS, "SELECT ids FROM t").await;
            // Shown as hexadecimal digits, two a byte.
            assert_eq!(ids.iter().map(|ids| ids.len() / 32).sum::<usize>(), expected.len());
        });
    }
}

#[test]
fn a_partition_that_moves_takes_its_ids_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().to_str().unwrap(), Default::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
        let (catalog, settings) = (catalog(), WorkerSettings { dedupe: DEDUPE, ..settings() });
        let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock::new());
        let committer = Committer::open(&store, &catalog, 0, metrics.clone(), clock).await.unwrap();
        let mut committer = committer.with_event_ids(&store, DEDUPE).await.unwrap();
        let mut members = [(); 2].map(|()| Counting::new(&catalog, &settings, metrics.clone()));
        let mut next = 0;
        // The same ten events in each stay; the partition goes back and forth.
        for stay in 0..4 {
            let member = &mut members[stay % 2];
            member.assign(&committer.try_positions(&[partition()]).await.unwrap(), NOW_US);
            assert_eq!(member.remembered().0, if stay == 0 { 0 } else { 10 });
            member.begin_poll(NOW_US);
            for id in 0..10 {
                take(member, next, &event(&id.to_string()), NOW_US);
                next += 1;
            }
            member.end_poll().unwrap();
            let piece = Arc::new(member.freeze().unwrap().unwrap());
            for table in TABLES {
                commit(&store, table, &[Arc::clone(&piece)]).await;
            }
            member.revoke(&[partition()]);
            assert_eq!(member.remembered(), (0, 0));
        }
        assert_eq!(column(&store, "all_clicks", "SELECT sum(n) FROM t").await, ["10"]);
        assert_eq!(metrics.duplicates.with_label_values(&["click"]).get(), 30);
    });
}

#[test]
fn a_replay_restores_what_was_committed_and_no_more() {
    let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
    let settings = WorkerSettings { dedupe: DEDUPE, ..settings() };
    let mut counting = Counting::new(&catalog(), &settings, metrics);
    counting.assign(&Positions { tables: at(-1), ..Positions::default() }, NOW_US);
    let read = |counting: &mut Counting, offsets: std::ops::Range<i64>| {
        counting.begin_poll(NOW_US);
        offsets.for_each(|offset| take(counting, offset, &event(&(offset % 20).to_string()), NOW_US));
        counting.end_poll().unwrap();
        let piece = counting.freeze().unwrap().unwrap();
        let batch = piece.try_batch("all_clicks").unwrap();
        let n = batch.map_or(0, |b| arrow::compute::sum(b.column(1).as_primitive::<Int64Type>()).unwrap());
        (n, piece.event_ids().iter().flat_map(|new| new.ids.clone()).map(|id| id.hash).collect::<Vec<_>>())
    };
    let (count, hashes) = read(&mut counting, 0..15);
    assert_eq!(count, 15);
    assert_eq!(read(&mut counting, 15..30).0, 5);
    // Only the first piece was committed.
    let remembered = crate::event_ids::RememberedIds { pane_start_us: NOW_US, hashes };
    let remembered = [(partition(), vec![remembered])].into();
    counting.restart(&Positions { tables: at(14), remembered, ..Positions::default() }, NOW_US);
    let (count, hashes) = read(&mut counting, 15..30);
    assert_eq!((count, hashes.len()), (5, 5));
}
