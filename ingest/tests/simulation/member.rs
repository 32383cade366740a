//! A real worker on its thread and its real committer, each of which goes on only when the simulation lets it.
//!
//! The worker asks its source for records and waits there until it is told what it gets: between two such moments it
//! works alone, and the simulation waits. Its requests to the committer pass through here and stay until their turn has
//! come; the committer is a future that nobody else polls.

use crate::clock::FakeClock;
use crate::events::{Events, TABLES, catalog};
use crate::store::FailingStore;
use futures::FutureExt;
use futures::future::{BoxFuture, poll_fn};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::dedupe::DedupeSettings;
use tidewatch_engine::live::Piece;
use tidewatch_engine::time::{DAY_US, HOUR_US, MINUTE_US, SECOND_US};
use tidewatch_engine::watermark::WatermarkSettings;
use tidewatch_ingest::committer::{Answer, Committer, Request};
use tidewatch_ingest::decode::{DecodeLimits, NoHeaders, RawRecord};
use tidewatch_ingest::metrics::IngestMetrics;
use tidewatch_ingest::personal::HashKey;
use tidewatch_ingest::source::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use tidewatch_ingest::worker::{CommitterLink, View, Worker, WorkerError, WorkerHandle, WorkerSettings};
use tidewatch_storage::StorageError;
use tokio::sync::mpsc;

/// Commits are due after this time.
pub const FLUSH_US: i64 = 10 * SECOND_US;
/// Longer than any simulation: nothing ends by a time-out.
const NEVER: Duration = Duration::from_secs(1 << 32);

fn settings() -> WorkerSettings {
    let decode =
        DecodeLimits { record_bytes_max: 10_000, string_bytes_max: 100, explode_max: 100, future_max_us: HOUR_US };
    WorkerSettings {
        flush_interval: Duration::from_micros(FLUSH_US.unsigned_abs()),
        flush_rows: usize::MAX / 4,
        flush_bytes: usize::MAX / 4,
        drain_timeout: NEVER,
        dead_letter_bytes_max: 1000,
        series_max: 0,
        decode,
        dedupe: DedupeSettings { horizon_us: DAY_US, ids_max: 1_000_000 },
        hash_key: HashKey::default(),
        watermark: WatermarkSettings { disorder_us: 5 * SECOND_US, idle_after_us: MINUTE_US },
    }
}

/// What a worker gets from its source.
#[derive(Debug)]
enum Order {
    /// So many records of a partition.
    Give(usize, usize),
    Tell(SourceEvent),
}

/// A source that waits for orders.
struct Feed {
    events: Arc<Events>,
    polls: mpsc::Sender<()>,
    orders: Receiver<Order>,
    /// Offset of the next record.
    next: BTreeMap<TopicPartition, usize>,
}

impl Source for Feed {
    fn poll(
        &mut self,
        _records_max: usize,
        _timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        // Whoever is hung up on is dead: it ends with whatever error, and commits nothing.
        self.polls.blocking_send(()).map_err(|_| SourceError::OffsetsMoved)?;
        let (slot, count) = match self.orders.recv().map_err(|_| SourceError::OffsetsMoved)? {
            Order::Give(slot, count) => (slot, count),
            Order::Tell(event) => return Ok(Polled::Event(event)),
        };
        let partition = &self.events.partitions[slot];
        let Some(next) = self.next.get_mut(&partition.name) else { return Ok(Polled::Records(0)) };
        let given = partition.records.iter().enumerate().skip(*next).take(count);
        for (offset, record) in given.clone() {
            let (payload, timestamp_us) = (record.payload.as_bytes(), Some(record.arrival_us));
            let raw = RawRecord { topic: Some(&partition.name.topic), payload, timestamp_us, headers: &NoHeaders };
            sink(&SourceRecord { slot, partition: &partition.name, offset: offset as i64, raw });
        }
        let count = given.count();
        *next += count;
        Ok(Polled::Records(count))
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        self.next.extend(positions.iter().map(|(partition, position)| (partition.clone(), (position + 1) as usize)));
        Ok(())
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.next.retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        Ok(())
    }

    fn publish_progress(&mut self, _positions: &BTreeMap<TopicPartition, i64>) {}

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        BTreeMap::new()
    }

    fn close(&mut self) {}
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// It asks its source for records.
    Poll,
    /// It waits for an answer of its committer.
    Answer,
    /// It has stopped.
    End,
}

/// See the module page.
pub struct Member {
    pub who: usize,
    /// The partitions that it believes to own, by their index.
    pub owns: BTreeSet<usize>,
    pub at: At,
    /// It commits everything before it goes on.
    drains: bool,
    handle: WorkerHandle,
    thread: Option<JoinHandle<Result<(), WorkerError>>>,
    orders: SyncSender<Order>,
    polls: mpsc::Receiver<()>,
    requests: mpsc::Receiver<Request>,
    answers: SyncSender<Answer>,
    /// A request that waits for its turn.
    asked: Option<Request>,
    committing: Committing,
}

impl Member {
    /// A new process with nothing in its memory.
    pub async fn start(
        who: usize,
        store: &FailingStore,
        events: Arc<Events>,
        clock: Arc<FakeClock>,
    ) -> Result<Self, StorageError> {
        let (files, catalog, settings) = (store.of(who), catalog(), settings());
        let (tables, metrics) = (files.tables(), IngestMetrics::register(&prometheus::Registry::new()).unwrap());
        let disorder_us = settings.watermark.disorder_us;
        let committer = Committer::open(&tables, &catalog, disorder_us, metrics.clone(), clock.clone()).await?;
        let committer = committer.with_event_ids(&tables, settings.dedupe).await?;
        let (poll_sender, polls) = mpsc::channel(1);
        let (orders, order_receiver) = sync_channel(1);
        let feed = Feed { events, polls: poll_sender, orders: order_receiver, next: BTreeMap::new() };
        let (request_sender, requests) = mpsc::channel(1);
        let (answers, answer_receiver) = sync_channel(1);
        let link = CommitterLink { requests: request_sender, answers: answer_receiver };
        let (worker, handle) = Worker::new(Box::new(feed), &catalog, settings, link, metrics.clone(), clock);
        let thread = std::thread::spawn(move || worker.run());
        let mut member = Self {
            who,
            owns: BTreeSet::new(),
            at: At::Poll,
            drains: false,
            handle,
            thread: Some(thread),
            orders,
            polls,
            requests,
            answers,
            asked: None,
            committing: Committing::new(committer, files, metrics),
        };
        member.settle().await;
        Ok(member)
    }

    /// Is there a request that was not answered?
    pub fn asks(&self) -> bool {
        self.asked.is_some() || self.committing.is_busy()
    }

    /// Hands out records of a partition, while it polls.
    pub async fn give(&mut self, partition: usize, count: usize) {
        self.orders.send(Order::Give(partition, count)).unwrap();
        self.settle().await;
    }

    /// Tells of a change of the assignment, while it polls.
    pub async fn tell(&mut self, event: SourceEvent) {
        self.drains = matches!(event, SourceEvent::Revoked(_));
        self.orders.send(Order::Tell(event)).unwrap();
        self.settle_unless_it_waits().await;
    }

    /// Asks it to commit everything and to stop, while it polls.
    pub async fn stop(&mut self) {
        self.drains = true;
        self.handle.drain();
        self.orders.send(Order::Give(0, 0)).unwrap();
        self.settle_unless_it_waits().await;
    }

    /// What it holds that is not committed, while it polls.
    pub async fn view(&mut self, clock: &FakeClock) -> View {
        let handle = self.handle.clone();
        let mut view = Box::pin(handle.view());
        assert!(futures::poll!(&mut view).is_pending());
        // Views are not made more often than that.
        clock.advance(SECOND_US);
        self.give(0, 0).await;
        view.await.unwrap()
    }

    /// Lets its committer work until it has answered, or waits for nothing but slow writes: then there is no answer.
    pub async fn commit(&mut self) -> Option<Answer> {
        if !self.committing.is_busy()
            && let Some(request) = self.asked.take()
        {
            self.committing.begin(request);
        }
        self.committing.go_on().await
    }

    /// Gives it the answer of its committer.
    pub async fn hand(&mut self, answer: Answer) {
        self.answers.send(answer).unwrap();
        if self.at == At::Answer {
            self.settle().await;
        }
    }

    /// Drops everything it has in memory; what it was writing may still be written.
    pub fn kill(mut self) {
        let thread = self.thread.take().unwrap();
        // Hung up on by everybody, it ends where it stands.
        drop(self);
        match thread.join().unwrap() {
            Err(WorkerError::Source(_) | WorkerError::CommitterGone) => {}
            other => panic!("a worker that is killed ended with {other:?}"),
        }
    }

    /// How it ended.
    pub fn join(mut self) -> Result<(), WorkerError> {
        self.thread.take().unwrap().join().unwrap()
    }

    /// A worker that has to wait for an answer first says nothing of it.
    async fn settle_unless_it_waits(&mut self) {
        if self.asks() {
            self.at = At::Answer;
        } else {
            self.settle().await;
        }
    }

    /// Waits until the worker can go no further on its own.
    async fn settle(&mut self) {
        loop {
            let request = tokio::select! {
                biased;
                request = self.requests.recv() => request,
                poll = self.polls.recv() => {
                    // What it has asked for before that has come before that.
                    if let Ok(request) = self.requests.try_recv() {
                        self.asked = Some(request);
                    }
                    self.at = if poll.is_some() { At::Poll } else { At::End };
                    self.drains = false;
                    return;
                }
            };
            let Some(request) = request else {
                self.at = At::End;
                return;
            };
            let waits = self.drains || matches!(request, Request::Positions(_));
            self.asked = Some(request);
            if waits {
                self.at = At::Answer;
                return;
            }
        }
    }
}

/// A committer at work.
struct Committing {
    files: FailingStore,
    metrics: IngestMetrics,
    requests: mpsc::Sender<Request>,
    answers: Receiver<Answer>,
    run: BoxFuture<'static, ()>,
    work: Option<Work>,
}

/// One request, as far as one must know when it is stuck.
#[derive(Debug)]
struct Work {
    /// Tables that must come to an outcome; `None` when nothing is written.
    tables: Option<usize>,
    /// Outcomes before.
    outcomes_before: u64,
}

impl Committing {
    fn new(committer: Committer, files: FailingStore, metrics: IngestMetrics) -> Self {
        let (requests, inbox) = mpsc::channel(1);
        let (outbox, answers) = sync_channel(1);
        Self { files, metrics, requests, answers, run: committer.run(inbox, outbox).boxed(), work: None }
    }

    fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    fn begin(&mut self, request: Request) {
        let tables = match &request {
            Request::Positions(_) => None,
            Request::Commit { pieces, .. } => {
                let has_rows = |table: &&&str| pieces.iter().any(|piece| !piece.ranges(table).is_empty());
                Some(TABLES.iter().filter(has_rows).count())
            }
        };
        self.work = Some(Work { tables, outcomes_before: self.outcomes() });
        self.requests.try_send(request).unwrap();
    }

    async fn go_on(&mut self) -> Option<Answer> {
        poll_fn(|context| {
            // It ends when it is hung up on.
            let _ = self.run.poll_unpin(context);
            if let Ok(answer) = self.answers.try_recv() {
                self.work = None;
                return Poll::Ready(Some(answer));
            }
            if self.is_stuck() { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Has each table come to an outcome or to a slow write? Work on the others goes on in threads of the runtime, and
    /// must end before anything else happens: else chance would decide what is first.
    fn is_stuck(&self) -> bool {
        let Some(Work { tables: Some(tables), outcomes_before }) = &self.work else { return self.work.is_none() };
        let slow = self.files.waits_for();
        slow > 0 && (self.outcomes() - outcomes_before) as usize + slow == *tables
    }

    fn outcomes(&self) -> u64 {
        let outcomes = ["committed", "already_committed", "must_replay", "refused"];
        let of = |table| outcomes.map(|outcome| self.metrics.commits.with_label_values(&[table, outcome]).get());
        TABLES.into_iter().flat_map(of).sum()
    }
}
