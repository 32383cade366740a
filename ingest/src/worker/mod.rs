//! One worker: poll → decode → count → freeze → commit. The only writer of its open states.
//!
//! It runs on a thread of its own. Commits happen beside it, one at a time; while one is under way it
//! goes on counting, and pauses reading only when the states in memory reach their bound. Readers ask
//! it for a view and get the pieces that no commit covers yet.

mod counting;
mod handle;
mod heartbeat;

pub use counting::BATCH_ROWS;
pub use handle::{View, ViewError, WorkerHandle};
pub use heartbeat::Pulse;

use crate::clock::Clock;
use crate::committer::{Answer, Positions, Request};
use crate::decode::DecodeLimits;
use crate::metrics::IngestMetrics;
use crate::news::News;
use crate::personal::HashKey;
use crate::piece::WorkerPiece;
use crate::source::{Polled, Source, SourceError, SourceEvent};
use crate::staleness::Uncommitted;
use counting::Counting;
use handle::{Recent, ViewRequest};
use heartbeat::Heartbeat;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;
use thiserror::Error;
use tidewatch_engine::commit::TopicPartition;
use tidewatch_engine::dedupe::DedupeSettings;
use tidewatch_engine::open::CountError;
use tidewatch_engine::rollup::Catalog;
use tidewatch_engine::watermark::WatermarkSettings;
use tokio::sync::mpsc;

/// Records taken from the source between two looks at everything else.
const POLL_RECORDS: usize = 4096;
/// How long a poll waits for the first record, and so how long a view may wait.
const POLL_WAIT: Duration = Duration::from_millis(5);
const POLL_WAIT_BUSY: Duration = Duration::from_millis(2);
/// Views within this time share one freeze, so that many readers do not cut the states to pieces: those that ask
/// sooner for what was counted since wait for it.
const FREEZE_SPACING: Duration = Duration::from_millis(20);
/// How often the size of the open states and the lag are measured.
const MEASURE_SPACING: Duration = Duration::from_secs(1);
/// Views that may wait at the same time; more are refused.
const COMMANDS_MAX: usize = 256;

/// When states are written, and what is accepted.
#[derive(Debug, Clone, Copy)]
pub struct WorkerSettings {
    /// Commit at least this often while events arrive.
    pub flush_interval: Duration,
    /// Commit when so many rows of partials are open.
    pub flush_rows: usize,
    /// Commit when the open states take so much memory; at twice that, reading pauses.
    pub flush_bytes: usize,
    /// How long the last commit before leaving may take.
    pub drain_timeout: Duration,
    /// Longer payloads of dead letters are cut off.
    pub dead_letter_bytes_max: usize,
    /// Series that a tenant may have per rollup and day; more are folded. 0: no limit.
    pub series_max: usize,
    /// Bounds of events.
    pub decode: DecodeLimits,
    /// How copies of events are known.
    pub dedupe: DedupeSettings,
    /// What personal values are hashed with.
    pub hash_key: HashKey,
    /// Watermarks.
    pub watermark: WatermarkSettings,
}

/// Why a worker stopped.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The source cannot go on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A bug: planning promised something else.
    #[error(transparent)]
    Count(#[from] CountError),
    /// A bug: columns do not fit their types.
    #[error(transparent)]
    Arrow(#[from] arrow::error::ArrowError),
    /// A table does not take rows of this worker any more.
    #[error("{0}")]
    Refused(String),
    /// The committer is gone.
    #[error("the committer stopped")]
    CommitterGone,
    /// A bug: its thread ended without a result.
    #[error("an ingest worker panicked; what it said stands above. Its uncommitted events will be read again")]
    Panicked,
    /// The store did not take the last commit in time. Nothing is lost: the events will be replayed.
    #[error("the last commit did not finish within {0:?}; its events will be read again")]
    DrainTimeout(Duration),
}

/// Everything a worker works with.
pub struct Worker {
    source: Box<dyn Source>,
    settings: WorkerSettings,
    clock: Arc<dyn Clock>,
    metrics: IngestMetrics,
    news: News,
    counting: Counting,
    requests: mpsc::Sender<Request>,
    answers: Receiver<Answer>,
    commands: Receiver<ViewRequest>,
    /// Readers that wait for the next freeze, at most [`COMMANDS_MAX`].
    waiting: Vec<ViewRequest>,
    recent: Recent,
    /// Something was counted since the last freeze.
    is_fresh: bool,
    /// Frozen, not handed to the committer yet.
    pending: Vec<Arc<WorkerPiece>>,
    /// With the committer.
    in_flight: Vec<Arc<WorkerPiece>>,
    last_flush: Duration,
    last_freeze: Duration,
    last_measure: Duration,
    open_bytes: usize,
    paused: bool,
    stop: Arc<AtomicBool>,
    heartbeat: Arc<Heartbeat>,
    shown: Shown,
    /// How long what was counted waits for its commit.
    uncommitted: Uncommitted,
}

/// What this worker has added to gauges that all workers of the process share.
#[derive(Debug, Default)]
struct Shown {
    open_rows: i64,
    open_bytes: i64,
    paused: i64,
    partitions: i64,
    remembered: i64,
    remembered_bytes: i64,
}

fn show(gauge: &prometheus::IntGauge, shown: &mut i64, value: i64) {
    gauge.add(value - *shown);
    *shown = value;
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("settings", &self.settings).field("paused", &self.paused).finish_non_exhaustive()
    }
}

/// The ends that connect a worker to its committer.
#[derive(Debug)]
pub struct CommitterLink {
    /// To the committer; one request at a time is under way.
    pub requests: mpsc::Sender<Request>,
    /// From the committer.
    pub answers: Receiver<Answer>,
}

impl Worker {
    /// A worker and the handle by which others reach it.
    pub fn new(
        source: Box<dyn Source>,
        catalog: &Catalog,
        settings: WorkerSettings,
        link: CommitterLink,
        metrics: IngestMetrics,
        clock: Arc<dyn Clock>,
    ) -> (Self, WorkerHandle) {
        let (sender, commands) = sync_channel(COMMANDS_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let now = clock.monotonic();
        let recent = Recent::new(Arc::clone(&clock));
        let heartbeat = Arc::<Heartbeat>::default();
        heartbeat.beat(now);
        let worker = Self {
            source,
            settings,
            counting: Counting::new(catalog, &settings, metrics.clone()),
            uncommitted: metrics.staleness.worker(settings.flush_interval),
            clock,
            metrics,
            news: News::default(),
            requests: link.requests,
            answers: link.answers,
            commands,
            waiting: Vec::new(),
            recent: recent.clone(),
            is_fresh: false,
            pending: Vec::new(),
            in_flight: Vec::new(),
            last_flush: now,
            last_freeze: now,
            last_measure: now,
            open_bytes: 0,
            paused: false,
            stop: Arc::clone(&stop),
            heartbeat: Arc::clone(&heartbeat),
            shown: Shown::default(),
        };
        (worker, WorkerHandle::new(sender, recent, stop, heartbeat))
    }

    /// Tells of what is counted there.
    #[must_use]
    pub fn with_news(self, news: News) -> Self {
        Self { news, ..self }
    }

    /// Works until told to drain, or until a source with an end is finished; commits everything first.
    pub fn run(mut self) -> Result<(), WorkerError> {
        let result = self.work();
        self.recent.hide();
        // The gauges are shared: what this worker has added to them goes with it.
        show(&self.metrics.open_bytes, &mut self.shown.open_bytes, 0);
        show(&self.metrics.open_rows, &mut self.shown.open_rows, 0);
        show(&self.metrics.paused, &mut self.shown.paused, 0);
        show(&self.metrics.partitions, &mut self.shown.partitions, 0);
        self.source.close();
        self.heartbeat.end();
        result
    }

    fn work(&mut self) -> Result<(), WorkerError> {
        let mut had_records = false;
        loop {
            self.heartbeat.turn(self.clock.monotonic(), !self.in_flight.is_empty());
            if self.obey()? == Flow::Stop {
                return self.drain();
            }
            self.take_answer()?;
            let now_us = self.clock.now_us();
            let counting = &mut self.counting;
            counting.begin_poll(now_us);
            // Whoever hears of what was counted asks for it at once.
            let wait = if had_records || !self.waiting.is_empty() { POLL_WAIT_BUSY } else { POLL_WAIT };
            had_records = false;
            match self.source.poll(POLL_RECORDS, wait, &mut |record| counting.take(record))? {
                Polled::Records(count) => {
                    self.counting.end_poll()?;
                    had_records = count > 0;
                    if had_records {
                        self.is_fresh = true;
                        self.news.note();
                    }
                }
                Polled::Event(event) => {
                    self.is_fresh = true;
                    self.counting.end_poll()?;
                    if self.answer(event)? == Flow::Stop {
                        return self.drain();
                    }
                }
            }
            self.measure();
            if self.is_flush_due() {
                self.flush()?;
            }
        }
    }

    fn answer(&mut self, event: SourceEvent) -> Result<Flow, WorkerError> {
        // Who counts what may change: what was seen before may be counted again elsewhere.
        self.recent.hide();
        match event {
            SourceEvent::Assigned(partitions) => {
                tracing::info!(count = partitions.len(), "partitions assigned");
                let positions = self.look_up(partitions)?;
                let starts = self.counting.assign(&positions, self.clock.now_us());
                self.source.start_after(&starts)?;
            }
            SourceEvent::Revoked(partitions) => {
                tracing::info!(count = partitions.len(), "partitions revoked");
                let drained = self.drain();
                self.counting.revoke(&partitions);
                self.source.release(&partitions)?;
                match drained {
                    Ok(()) => {}
                    // A commit that still comes through and that of the next owner fence each other.
                    Err(WorkerError::DrainTimeout(after)) => {
                        tracing::error!(?after, "partitions went uncommitted; their next owner reads the events again");
                        self.replay()?;
                    }
                    Err(other) => return Err(other),
                }
            }
            SourceEvent::Lost(partitions) => {
                tracing::warn!(
                    count = partitions.len(),
                    "partitions lost; their next owner reads the uncommitted events again"
                );
                self.counting.revoke(&partitions);
                self.source.release(&partitions)?;
                self.replay()?;
            }
            SourceEvent::Finished => return Ok(Flow::Stop),
        }
        let partitions = self.counting.partitions().len();
        self.heartbeat.own(partitions);
        show(&self.metrics.partitions, &mut self.shown.partitions, partitions as i64);
        Ok(Flow::Go)
    }

    /// Serves waiting readers; says whether to stop.
    fn obey(&mut self) -> Result<Flow, WorkerError> {
        let flow = loop {
            if self.waiting.len() >= COMMANDS_MAX {
                break Flow::Go;
            }
            match self.commands.try_recv() {
                Ok(request) => self.waiting.push(request),
                Err(TryRecvError::Empty) if self.stop.load(Ordering::Acquire) => break Flow::Stop,
                Err(TryRecvError::Empty) => break Flow::Go,
                Err(TryRecvError::Disconnected) => break Flow::Stop,
            }
        };
        if self.waiting.is_empty() {
            return Ok(flow);
        }
        let is_time = flow == Flow::Stop || self.clock.monotonic() - self.last_freeze >= FREEZE_SPACING;
        if self.is_fresh && is_time {
            self.freeze()?;
        }
        if !self.is_fresh {
            let progress = self.counting.progress(self.clock.now_us());
            let view = View { pieces: self.in_flight.iter().chain(&self.pending).cloned().collect(), progress };
            // Before anybody has it: whoever asks next may have been told by those who have.
            self.recent.show(self.clock.monotonic(), view.clone());
            for ViewRequest(reply) in self.waiting.drain(..) {
                // A reader that gave up waiting is no concern of ours.
                let _ = reply.send(view.clone());
            }
        }
        Ok(flow)
    }

    fn freeze(&mut self) -> Result<(), WorkerError> {
        self.last_freeze = self.clock.monotonic();
        self.is_fresh = false;
        self.counting.pass(&self.source.covered());
        if let Some(piece) = self.counting.freeze()? {
            self.pending.push(Arc::new(piece));
            self.open_bytes = 0;
        }
        Ok(())
    }

    fn is_flush_due(&self) -> bool {
        self.in_flight.is_empty()
            && (self.clock.monotonic() - self.last_flush >= self.settings.flush_interval
                || self.counting.row_count() >= self.settings.flush_rows
                || self.open_bytes >= self.settings.flush_bytes)
    }

    /// Hands everything to the committer, if it is free and there is anything.
    fn flush(&mut self) -> Result<(), WorkerError> {
        self.last_flush = self.clock.monotonic();
        self.freeze()?;
        if self.pending.is_empty() || !self.in_flight.is_empty() {
            return Ok(());
        }
        self.in_flight = std::mem::take(&mut self.pending);
        let request = Request::Commit { pieces: self.in_flight.clone(), watermarks: self.counting.watermarks() };
        self.request(request)
    }

    fn request(&self, request: Request) -> Result<(), WorkerError> {
        self.requests.blocking_send(request).map_err(|_| WorkerError::CommitterGone)
    }

    /// Looks for the outcome of the commit under way.
    fn take_answer(&mut self) -> Result<(), WorkerError> {
        if self.in_flight.is_empty() {
            return Ok(());
        }
        match self.answers.try_recv() {
            Ok(answer) => self.settle(answer),
            Err(TryRecvError::Empty) => Ok(()),
            Err(TryRecvError::Disconnected) => Err(WorkerError::CommitterGone),
        }
    }

    fn settle(&mut self, answer: Answer) -> Result<(), WorkerError> {
        // Committed pieces are not kept in memory for readers that may never come.
        self.recent.hide();
        match answer {
            Answer::Committed => {
                let positions = self.counting.committed(&self.in_flight);
                self.in_flight.clear();
                self.uncommitted.committed(self.last_flush);
                self.source.publish_progress(&positions);
                Ok(())
            }
            Answer::MustReplay => {
                self.in_flight.clear();
                self.replay()
            }
            Answer::Refused(reason) => Err(WorkerError::Refused(reason)),
            Answer::Positions(_) => Ok(()),
        }
    }

    /// Throws away what is not committed and goes back to the committed positions.
    fn replay(&mut self) -> Result<(), WorkerError> {
        self.metrics.replays.inc();
        self.recent.hide();
        // A commit under way is settled first: what it wrote counts, whatever it answers.
        if !self.in_flight.is_empty() {
            self.wait_for_answer(None)?;
        }
        self.in_flight.clear();
        self.pending.clear();
        self.uncommitted.forget();
        self.open_bytes = 0;
        let partitions = self.counting.partitions();
        let positions = self.look_up(partitions)?;
        let starts = self.counting.restart(&positions, self.clock.now_us());
        self.source.start_after(&starts)?;
        Ok(())
    }

    fn look_up(&mut self, partitions: Vec<TopicPartition>) -> Result<Positions, WorkerError> {
        while !self.in_flight.is_empty() {
            let answer = self.wait_for_answer(None)?;
            self.settle(answer)?;
        }
        self.request(Request::Positions(partitions))?;
        match self.wait_for_answer(None)? {
            Answer::Positions(positions) => Ok(positions),
            // Answers come in the order of requests, and no other one was under way.
            Answer::Committed | Answer::MustReplay | Answer::Refused(_) => Err(WorkerError::CommitterGone),
        }
    }

    /// Without a limit it waits as long as the store takes, but for the drain time-out once a stop is asked.
    fn wait_for_answer(&self, mut until: Option<Duration>) -> Result<Answer, WorkerError> {
        loop {
            let step = Duration::from_millis(100);
            // Who waits for the store is not stuck: a restart would wait as well.
            self.heartbeat.beat(self.clock.monotonic());
            if until.is_none() && self.stop.load(Ordering::Acquire) {
                until = Some(self.clock.monotonic() + self.settings.drain_timeout);
            }
            match self.answers.recv_timeout(step) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Disconnected) => return Err(WorkerError::CommitterGone),
                Err(RecvTimeoutError::Timeout) if until.is_some_and(|u| self.clock.monotonic() >= u) => {
                    return Err(WorkerError::DrainTimeout(self.settings.drain_timeout));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Commits everything that was read.
    fn drain(&mut self) -> Result<(), WorkerError> {
        let until = self.clock.monotonic() + self.settings.drain_timeout;
        loop {
            if !self.in_flight.is_empty() {
                let answer = self.wait_for_answer(Some(until))?;
                let is_replay = matches!(answer, Answer::MustReplay);
                self.settle(answer)?;
                if is_replay {
                    // Nothing of ours is uncommitted any more; the events will be read again.
                    return Ok(());
                }
            }
            self.flush()?;
            if self.in_flight.is_empty() {
                return Ok(());
            }
        }
    }

    /// Measures memory and lag now and then, and pauses or resumes reading by it.
    fn measure(&mut self) {
        let now = self.clock.monotonic();
        if now - self.last_measure < MEASURE_SPACING {
            return;
        }
        self.last_measure = now;
        self.open_bytes = self.counting.size_bytes();
        // Readers freeze states, too: what is frozen and not committed counts as well.
        let frozen = || self.in_flight.iter().chain(&self.pending);
        let frozen_rows: usize = frozen().map(|p| p.row_count()).sum();
        let frozen_bytes: usize = frozen().map(|p| p.size_bytes()).sum();
        show(&self.metrics.open_bytes, &mut self.shown.open_bytes, (self.open_bytes + frozen_bytes) as i64);
        let rows = self.counting.row_count() + frozen_rows;
        show(&self.metrics.open_rows, &mut self.shown.open_rows, rows as i64);
        self.uncommitted.seen(rows, now);
        let (remembered, remembered_bytes) = self.counting.remembered();
        show(&self.metrics.remembered, &mut self.shown.remembered, remembered as i64);
        show(&self.metrics.remembered_bytes, &mut self.shown.remembered_bytes, remembered_bytes as i64);
        self.heartbeat.lag(self.counting.report(&self.source.end_offsets()));
        let over = !self.in_flight.is_empty()
            && (self.open_bytes + frozen_bytes >= 2 * self.settings.flush_bytes
                || self.counting.row_count() + frozen_rows >= 2 * self.settings.flush_rows);
        if over != self.paused {
            tracing::warn!(paused = over, "commits do not keep up with reading");
            let result = if over { self.source.pause() } else { self.source.resume() };
            match result {
                Ok(()) => self.paused = over,
                Err(error) => tracing::warn!(%error, "pausing or resuming"),
            }
            show(&self.metrics.paused, &mut self.shown.paused, i64::from(self.paused));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Flow {
    Go,
    Stop,
}

#[cfg(test)]
mod tests;
