//! Where events go, and how fast.
//!
//! [`to_file`] and [`to_kafka`] both drain an iterator of events, at full speed or in step with a clock
//! that the caller hands in, and tell of their progress.

mod file;
mod kafka;
#[cfg(test)]
mod tests;

pub use file::to_file;
pub use kafka::{KafkaTarget, to_kafka};

use crate::event::SimulatedEvent;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Events between two reports of progress at full speed.
const EVENTS_PER_REPORT: u64 = 1000;

/// Longest wait without a look at the clock and the stop flag.
const WAIT_MAX_MS: i64 = 50;

/// How an output runs: its pace, whom it tells of progress, what stops it.
pub struct Run<'a> {
    pace: Pace<'a>,
    progress: Box<dyn FnMut(Progress) + 'a>,
    stop: &'a AtomicBool,
}

/// How fast events are written.
#[derive(Clone, Copy)]
pub enum Pace<'a> {
    /// Without waiting.
    AsFastAsPossible,
    /// Each event at its arrival time by this clock (milliseconds since 1970). Events of a generator
    /// that starts at the clock's "now" are then stamped with the time at which they are sent. After a
    /// pause of the whole process the events missed come at once, as from a producer that buffers.
    RealTime(&'a dyn Fn() -> i64),
}

/// How far an output has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events written so far.
    pub events: u64,
    /// Events in all, if that is known.
    pub total: Option<u64>,
    /// Bytes of their bodies.
    pub bytes: u64,
}

/// What an output has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Events written; in Kafka's case all of them acknowledged.
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Whether the stop flag ended it, before the events did.
    pub is_stopped: bool,
}

/// Why events could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The file cannot be made or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The producer cannot be made from these properties.
    #[error("Kafka producer: {0}; see the librdkafka configuration reference for the names and values of properties")]
    Producer(rdkafka::error::KafkaError),
    /// Acknowledgement by fewer than all replicas would hide losses.
    #[error("Kafka property {name}: expected all (or -1), because events must not be lost silently; found {found:?}")]
    Acks {
        /// The property.
        name: String,
        /// Its value.
        found: String,
    },
    /// The producer did not take an event.
    #[error("topic {topic}, event {event}: the producer refused it: {source}")]
    Send {
        /// Where to.
        topic: &'static str,
        /// Number of the event in this run, from 1.
        event: u64,
        /// Why.
        source: rdkafka::error::KafkaError,
    },
    /// Events were taken by the producer and not acknowledged by the broker.
    #[error("{lost} events were not acknowledged ({delivered} were); the first because: {first}")]
    Delivery {
        /// Events refused by the broker, timed out, or given up.
        lost: u64,
        /// Events acknowledged.
        delivered: u64,
        /// Reason of the first loss.
        first: String,
    },
}

impl<'a> Run<'a> {
    /// At full speed, without reports, until the events end or `stop` is set.
    pub fn new(stop: &'a AtomicBool) -> Self {
        Self { pace: Pace::AsFastAsPossible, progress: Box::new(|_| ()), stop }
    }

    /// At another pace.
    pub fn paced(self, pace: Pace<'a>) -> Self {
        Self { pace, ..self }
    }

    /// Reports every 1000 events and at the end; in real time also whenever it waits, which may be often.
    pub fn on_progress(self, report: impl FnMut(Progress) + 'a) -> Self {
        Self { progress: Box::new(report), ..self }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("pace", &self.pace).field("is_stopped", &self.is_stopped()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Pace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsFastAsPossible => "AsFastAsPossible",
            Self::RealTime(_) => "RealTime",
        })
    }
}

/// Where events go.
trait Sink {
    /// Takes an event; `false` if the output was stopped before it could.
    fn write(&mut self, event: &SimulatedEvent, run: &Run<'_>) -> Result<bool, OutputError>;

    /// Passes the time.
    fn wait(&mut self, time: Duration);
}

/// Writes the events into the sink, until they end or the run is stopped.
fn drain(
    events: impl Iterator<Item = SimulatedEvent>,
    sink: &mut impl Sink,
    run: &mut Run<'_>,
) -> Result<Summary, OutputError> {
    let mut progress = Progress { events: 0, total: events.size_hint().1.map(|total| total as u64), bytes: 0 };
    let mut is_stopped = false;
    for event in events {
        if !wait_for(event.arrival_ms, sink, run, progress) || !sink.write(&event, run)? {
            is_stopped = true;
            break;
        }
        progress.events += 1;
        progress.bytes += event.body.len() as u64;
        if progress.events.is_multiple_of(EVENTS_PER_REPORT) {
            (run.progress)(progress);
        }
    }
    (run.progress)(progress);
    Ok(Summary { events: progress.events, bytes: progress.bytes, is_stopped })
}

/// Waits until it is time for the event; `false` if the run was stopped.
fn wait_for(arrival_ms: i64, sink: &mut impl Sink, run: &mut Run<'_>, progress: Progress) -> bool {
    while !run.is_stopped() {
        let Pace::RealTime(now_ms) = run.pace else { return true };
        let ahead_ms = arrival_ms - now_ms();
        if ahead_ms <= 0 {
            return true;
        }
        (run.progress)(progress);
        sink.wait(Duration::from_millis(ahead_ms.min(WAIT_MAX_MS) as u64));
    }
    false
}
