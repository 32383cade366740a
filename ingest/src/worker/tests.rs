//! A worker between a scripted source and a test that plays the committer.

mod duplicates;
mod personal;
mod series;

use super::*;
use crate::decode::{NoHeaders, RawRecord};
use crate::source::SourceRecord;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use tidewatch_engine::commit::{BEFORE_FIRST, OffsetRange};
use tidewatch_engine::live::Piece;

const SOURCES: &str =
    "sources:\n  - name: click\n    topic: clicks\n    type: test.click\n    fields: { page: string }\n";
const ROLLUPS: &str = "CREATE ROLLUP clicks AS SELECT page, count(*) AS n FROM click GROUP BY tumble(INTERVAL '10 seconds'), page;
                       CREATE ROLLUP all_clicks AS SELECT count(*) AS n FROM click GROUP BY tumble(INTERVAL '10 seconds');";
const LONG: Duration = Duration::from_secs(3600);
const WAIT: Duration = Duration::from_secs(10);

/// What happens to the source, as the worker saw to it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    StartAfter(i64),
    Release,
    Pause,
    Resume,
    Publish(i64),
    Close,
}

#[derive(Debug)]
struct State {
    calls: Vec<Call>,
    events: Vec<SourceEvent>,
    /// Offsets that exist: 0 up to here.
    end: i64,
    next: i64,
    is_paused: bool,
    /// Id of the event at an offset.
    ids: fn(i64) -> i64,
}

/// One partition; the page of an event is its offset.
#[derive(Debug, Clone)]
struct Script(Arc<Mutex<State>>);

impl Script {
    fn new(end: i64) -> Self {
        let events = vec![SourceEvent::Assigned(vec![partition()])];
        Self(Arc::new(Mutex::new(State {
            calls: Vec::new(),
            events,
            end,
            next: i64::MAX,
            is_paused: false,
            ids: |offset| offset,
        })))
    }

    fn happens(&self, event: SourceEvent) {
        self.0.lock().unwrap().events.push(event);
    }

    fn grow(&self, end: i64) {
        self.0.lock().unwrap().end = end;
    }

    /// Waits until the worker has made this call.
    fn wait_for(&self, call: Call) {
        for _ in 0..1000 {
            if self.0.lock().unwrap().calls.contains(&call) {
                return;
            }
            std::thread::sleep(WAIT / 1000);
        }
        panic!("no {call:?} among {:?}", self.0.lock().unwrap().calls);
    }

    fn has(&self, call: &Call) -> bool {
        self.0.lock().unwrap().calls.contains(call)
    }
}

impl Source for Script {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        let mut state = self.0.lock().unwrap();
        if !state.events.is_empty() {
            return Ok(Polled::Event(state.events.remove(0)));
        }
        let mut count = 0;
        while !state.is_paused && state.next < state.end && count < records_max.min(100) {
            let offset = state.next;
            let id = (state.ids)(offset);
            let payload = format!(
                r#"{{"specversion":"1.0","id":"{id}","source":"t","type":"test.click","time":"2026-01-01T00:00:00Z","tenantkind":"creator","tenantid":"c","data":{{"page":"{offset}"}}}}"#
            );
            let raw = RawRecord {
                topic: Some("clicks"),
                payload: payload.as_bytes(),
                timestamp_us: None,
                headers: &NoHeaders,
            };
            sink(&SourceRecord { slot: 0, partition: &partition(), offset, raw });
            state.next += 1;
            count += 1;
        }
        drop(state);
        if count == 0 {
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
        }
        Ok(Polled::Records(count))
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        let mut state = self.0.lock().unwrap();
        for &position in positions.values() {
            state.next = position + 1;
            state.calls.push(Call::StartAfter(position));
        }
        Ok(())
    }

    fn release(&mut self, _: &[TopicPartition]) -> Result<(), SourceError> {
        let mut state = self.0.lock().unwrap();
        state.next = i64::MAX;
        state.calls.push(Call::Release);
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        let mut state = self.0.lock().unwrap();
        state.is_paused = true;
        state.calls.push(Call::Pause);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        let mut state = self.0.lock().unwrap();
        state.is_paused = false;
        state.calls.push(Call::Resume);
        Ok(())
    }

    fn publish_progress(&mut self, positions: &BTreeMap<TopicPartition, i64>) {
        let mut state = self.0.lock().unwrap();
        state.calls.extend(positions.values().map(|&p| Call::Publish(p)));
    }

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        BTreeMap::new()
    }

    fn close(&mut self) {
        self.0.lock().unwrap().calls.push(Call::Close);
    }
}

fn partition() -> TopicPartition {
    TopicPartition::new("clicks", 0)
}

fn settings() -> WorkerSettings {
    WorkerSettings {
        flush_interval: LONG,
        flush_rows: usize::MAX / 4,
        flush_bytes: usize::MAX / 4,
        drain_timeout: LONG,
        dead_letter_bytes_max: 100,
        series_max: 0,
        decode: DecodeLimits {
            record_bytes_max: 10_000,
            string_bytes_max: 100,
            explode_max: 100,
            future_max_us: i64::MAX / 2,
        },
        dedupe: DedupeSettings { horizon_us: 0, ids_max: 1000 },
        hash_key: HashKey::default(),
        watermark: WatermarkSettings { disorder_us: 0, idle_after_us: 1_000_000 },
    }
}

/// The worker on its thread, and the committer's ends of its channels.
struct Bench {
    script: Script,
    metrics: IngestMetrics,
    handle: WorkerHandle,
    requests: mpsc::Receiver<Request>,
    answers: SyncSender<Answer>,
    thread: JoinHandle<Result<(), WorkerError>>,
}

impl Bench {
    fn start(end: i64, change: impl FnOnce(&mut WorkerSettings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let catalog =
            Catalog::parse(&[("s".to_owned(), SOURCES.to_owned())], &[("r".to_owned(), ROLLUPS.to_owned())]).unwrap();
        let metrics = IngestMetrics::register(&prometheus::Registry::new()).unwrap();
        let (request_sender, requests) = mpsc::channel(1);
        let (answers, answer_receiver) = sync_channel(1);
        let link = CommitterLink { requests: request_sender, answers: answer_receiver };
        let script = Script::new(end);
        let clock = Arc::new(crate::clock::SystemClock::new());
        let source = Box::new(script.clone());
        let (worker, handle) = Worker::new(source, &catalog, settings, link, metrics.clone(), clock);
        let thread = std::thread::spawn(move || worker.run());
        Self { script, metrics, handle, requests, answers, thread }
    }

    /// Answers the next request for positions: every table stands at `position`, but for those named.
    fn answer_positions(&mut self, position: i64, others: &[(&str, i64)]) {
        match self.requests.blocking_recv() {
            Some(Request::Positions(partitions)) => {
                assert_eq!(partitions, [partition()]);
                let mut answer = Positions::default();
                for table in ["clicks", "all_clicks", "dead_letters", "event_ids"] {
                    let position = others.iter().find(|o| o.0 == table).map_or(position, |o| o.1);
                    answer.tables.insert(table.to_owned(), [(partition(), position)].into());
                }
                self.answers.send(Answer::Positions(answer)).unwrap();
            }
            other => panic!("expected a request for positions, found {other:?}"),
        }
    }

    /// The next commit: offsets and events per table.
    fn commit(&mut self) -> Vec<(&'static str, OffsetRange, i64)> {
        let Some(Request::Commit { pieces, .. }) = self.requests.blocking_recv() else { panic!("expected a commit") };
        describe(&pieces)
    }

    /// Waits until a view holds so many events of `all_clicks`.
    fn wait_for_events(&self, count: i64) {
        self.wait_for(&format!("{count} events"), |_, n| n == count);
    }

    /// Copies have offsets, too.
    fn wait_for_offset(&self, offset: i64) {
        self.wait_for(&format!("offset {offset}"), |range, _| range.to == offset);
    }

    fn wait_for(&self, what: &str, is_there: impl Fn(OffsetRange, i64) -> bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for _ in 0..1000 {
            let view = runtime.block_on(self.handle.view()).unwrap();
            if describe(&view.pieces).iter().any(|(table, range, n)| *table == "all_clicks" && is_there(*range, *n)) {
                return;
            }
            std::thread::sleep(WAIT / 1000);
        }
        panic!("never {what}");
    }
}

fn describe(pieces: &[Arc<WorkerPiece>]) -> Vec<(&'static str, OffsetRange, i64)> {
    let count = |piece: &WorkerPiece, table: &str| {
        let batch = piece.try_batch(table).unwrap();
        batch.map_or(0, |b| {
            let n = b.column_by_name("n").unwrap();
            arrow::compute::sum(arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(n)).unwrap()
        })
    };
    let of = |table: &'static str| {
        let ranges: Vec<OffsetRange> =
            pieces.iter().filter_map(|p| p.ranges(table).get(&partition()).copied()).collect();
        let (first, last) = (ranges.first()?, ranges.last()?);
        let events = pieces.iter().map(|p| count(p, table)).sum();
        Some((table, OffsetRange { from: first.from, to: last.to }, events))
    };
    ["clicks", "all_clicks"].into_iter().filter_map(of).collect()
}

fn range(from: i64, to: i64) -> OffsetRange {
    OffsetRange { from, to }
}

#[test]
fn a_recent_view_is_shared_until_something_of_it_is_committed() {
    let mut bench = Bench::start(10, |_| {});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let recent =
        |bench: &Bench, age_max| describe(&runtime.block_on(bench.handle.recent_view(age_max)).unwrap().pieces);
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.wait_for_events(10);
    bench.script.grow(40);
    assert_eq!(recent(&bench, LONG)[1], ("all_clicks", range(-1, 9), 10), "nobody asked for more since");
    bench.wait_for_events(40);
    assert_eq!(recent(&bench, LONG)[1], ("all_clicks", range(-1, 39), 40));
    bench.script.happens(SourceEvent::Revoked(vec![partition()]));
    assert_eq!(bench.commit()[1], ("all_clicks", range(-1, 39), 40));
    bench.answers.send(Answer::Committed).unwrap();
    bench.script.wait_for(Call::Release);
    assert_eq!(recent(&bench, LONG), [], "what is committed is no longer in memory");
    bench.handle.drain();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn a_drain_commits_what_was_read_and_publishes_it() {
    let mut bench = Bench::start(250, |_| {});
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.wait_for_events(250);
    bench.handle.drain();
    assert_eq!(bench.commit(), [("clicks", range(-1, 249), 250), ("all_clicks", range(-1, 249), 250)]);
    bench.answers.send(Answer::Committed).unwrap();
    bench.thread.join().unwrap().unwrap();
    assert!(bench.script.has(&Call::Publish(249)) && bench.script.has(&Call::Close));
}

#[test]
fn a_table_that_is_ahead_after_a_crash_gets_only_what_it_misses() {
    let mut bench = Bench::start(20, |_| {});
    bench.answer_positions(4, &[("clicks", 14)]);
    bench.script.wait_for(Call::StartAfter(4));
    bench.wait_for_events(15);
    bench.handle.drain();
    assert_eq!(bench.commit(), [("clicks", range(14, 19), 5), ("all_clicks", range(4, 19), 15)]);
    bench.answers.send(Answer::Committed).unwrap();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn a_fenced_commit_throws_the_states_away_and_replays_from_the_tables() {
    let mut bench = Bench::start(30, |s| s.flush_interval = Duration::from_millis(20));
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.commit();
    bench.answers.send(Answer::MustReplay).unwrap();
    bench.answer_positions(24, &[]);
    bench.script.wait_for(Call::StartAfter(24));
    assert_eq!(bench.commit(), [("clicks", range(24, 29), 5), ("all_clicks", range(24, 29), 5)]);
    bench.answers.send(Answer::Committed).unwrap();
    bench.handle.drain();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn a_revoked_partition_is_committed_before_it_is_released() {
    let mut bench = Bench::start(10, |_| {});
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.wait_for_events(10);
    bench.script.happens(SourceEvent::Revoked(vec![partition()]));
    assert_eq!(bench.commit()[1], ("all_clicks", range(-1, 9), 10));
    assert!(!bench.script.has(&Call::Release), "not before the commit is done");
    bench.answers.send(Answer::Committed).unwrap();
    bench.script.wait_for(Call::Release);
    // It comes back: another member has gone on meanwhile.
    bench.script.grow(40);
    bench.script.happens(SourceEvent::Assigned(vec![partition()]));
    bench.answer_positions(29, &[]);
    bench.wait_for_events(10);
    bench.handle.drain();
    assert_eq!(bench.commit()[1], ("all_clicks", range(29, 39), 10));
    bench.answers.send(Answer::Committed).unwrap();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn a_lost_partition_is_not_committed() {
    let mut bench = Bench::start(10, |_| {});
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.wait_for_events(10);
    bench.script.happens(SourceEvent::Lost(vec![partition()]));
    // Nothing is owned any more; only the positions of nothing are asked for.
    match bench.requests.blocking_recv() {
        Some(Request::Positions(partitions)) if partitions.is_empty() => {
            bench.answers.send(Answer::Positions(Positions::default())).unwrap()
        }
        other => panic!("{other:?}"),
    }
    bench.script.wait_for(Call::Release);
    bench.handle.drain();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn reading_pauses_while_a_store_hangs_and_goes_on_when_it_answers() {
    let mut bench = Bench::start(1_000_000, |s| s.flush_rows = 1000);
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.commit();
    bench.script.wait_for(Call::Pause);
    let read = bench.script.0.lock().unwrap().next;
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(bench.script.0.lock().unwrap().next, read, "nothing is read while paused");
    bench.script.grow(read);
    bench.answers.send(Answer::Committed).unwrap();
    bench.commit();
    bench.answers.send(Answer::Committed).unwrap();
    bench.script.wait_for(Call::Resume);
    bench.handle.drain();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn what_waits_for_its_commit_grows_stale_until_it_is_committed() {
    let mut bench = Bench::start(10, |s| s.flush_interval = Duration::from_millis(100));
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.commit();
    let wait_for = |what: &str, condition: &dyn Fn(f64) -> bool| {
        for _ in 0..1000 {
            if condition(bench.metrics.staleness.intervals()) {
                return;
            }
            std::thread::sleep(WAIT / 1000);
        }
        panic!("never {what}: {}", bench.metrics.staleness.intervals());
    };
    // It is measured every second: the second time ten intervals have passed.
    wait_for("stale", &|intervals| intervals > 3.0);
    bench.answers.send(Answer::Committed).unwrap();
    wait_for("committed", &|intervals| intervals == 0.0);
    bench.handle.drain();
    bench.thread.join().unwrap().unwrap();
}

#[test]
fn a_store_that_never_answers_does_not_hold_the_end_for_ever() {
    let mut bench = Bench::start(10, |s| s.drain_timeout = Duration::from_millis(200));
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.wait_for_events(10);
    bench.handle.drain();
    bench.commit();
    assert!(matches!(bench.thread.join().unwrap(), Err(WorkerError::DrainTimeout(_))));
    assert!(bench.script.has(&Call::Close) && !bench.script.has(&Call::Publish(9)));
}

#[test]
fn the_heartbeat_stands_still_when_the_worker_does() {
    let mut bench = Bench::start(10, |s| s.flush_interval = Duration::from_millis(20));
    bench.answer_positions(BEFORE_FIRST, &[]);
    bench.script.wait_for(Call::StartAfter(BEFORE_FIRST));
    // A commit under way: it turns all the same.
    bench.commit();
    let wait_for = |what: &str, condition: &dyn Fn(&Pulse) -> bool| {
        for _ in 0..1000 {
            if condition(&bench.handle.pulse()) {
                return;
            }
            std::thread::sleep(WAIT / 1000);
        }
        panic!("never {what}: {:?}", bench.handle.pulse());
    };
    wait_for("committing", &|pulse| pulse.is_committing && pulse.partitions == 1);
    let before = bench.handle.pulse();
    wait_for("another turn", &|pulse| pulse.turns > before.turns + 2 && pulse.turned >= before.turned);
    // The source does not come back.
    let held = bench.script.0.lock().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let stuck = bench.handle.pulse();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(bench.handle.pulse(), stuck);
    assert!(stuck.is_committing && !stuck.has_ended, "{stuck:?}");
    drop(held);
    wait_for("going on", &|pulse| pulse.turns > stuck.turns);
    bench.answers.send(Answer::Committed).unwrap();
    bench.handle.drain();
    bench.thread.join().unwrap().unwrap();
    assert!(bench.handle.pulse().has_ended);
}

#[test]
fn who_waits_for_the_store_is_not_stuck() {
    let bench = Bench::start(10, |s| s.drain_timeout = Duration::from_millis(200));
    // Nobody answers its question for positions.
    let first = bench.handle.pulse();
    std::thread::sleep(Duration::from_millis(500));
    let later = bench.handle.pulse();
    assert!(later.turned > first.turned + Duration::from_millis(200), "{first:?} {later:?}");
    bench.handle.drain();
    assert!(matches!(bench.thread.join().unwrap(), Err(WorkerError::DrainTimeout(_))));
}
