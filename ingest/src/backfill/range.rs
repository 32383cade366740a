//! A source that reads a span of each partition and then has an end: around Kafka, or around files.

use super::pace::Pace;
use super::progress::Progress;
use crate::clock::Clock;
use crate::source::{Polled, Source, SourceError, SourceEvent, SourceRecord};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tidewatch_engine::backfill::Span;
use tidewatch_engine::commit::TopicPartition;

/// See the module page.
pub(super) struct RangeSource {
    inner: Box<dyn Source>,
    spans: BTreeMap<TopicPartition, Reading>,
    pace: Pace,
    progress: Arc<Progress>,
    clock: Arc<dyn Clock>,
    is_announced: bool,
}

#[derive(Debug)]
struct Reading {
    span: Span,
    /// Last offset that was passed.
    at: i64,
    is_done: bool,
}

impl Reading {
    /// Offsets that are filled by going on to `offset`; those before the span are read for their ids.
    fn passed_by(&self, offset: i64) -> i64 {
        (offset - self.at.max(self.span.from)).max(0)
    }
}

impl RangeSource {
    /// Reads `spans` of the partitions that `inner` announces, at most `rate` records per second.
    pub fn new(
        inner: Box<dyn Source>,
        spans: &[Span],
        rate: Option<f64>,
        progress: Arc<Progress>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let reading = |span: &Span| Reading { at: span.from, is_done: span.is_empty(), span: span.clone() };
        let spans = spans.iter().map(|span| (span.partition.clone(), reading(span))).collect();
        Self { inner, spans, pace: Pace::new(rate), progress, clock, is_announced: false }
    }

    fn is_done(&self) -> bool {
        self.spans.values().all(|r| r.is_done)
    }

    /// Hands on what belongs to a span; the partitions whose end came.
    fn poll_inner(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<(Polled, Vec<TopicPartition>), SourceError> {
        let (spans, progress) = (&mut self.spans, &self.progress);
        let (mut ended, mut passed, mut filling) = (Vec::new(), 0, 0);
        let polled = self.inner.poll(records_max, timeout, &mut |record| {
            let Some(reading) = spans.get_mut(record.partition).filter(|r| !r.is_done) else { return };
            if record.offset <= reading.span.to {
                if reading.at == reading.span.from && reading.span.deleted > 0 {
                    progress.note_first(&record.raw, record.partition);
                }
                passed += reading.passed_by(record.offset);
                reading.at = record.offset;
                filling += u64::from(record.offset > reading.span.from);
                sink(record);
            }
            if record.offset >= reading.span.to {
                passed += reading.passed_by(reading.span.to);
                (reading.at, reading.is_done) = (reading.span.to, true);
                ended.push(record.partition.clone());
            }
        });
        progress.note(filling, passed);
        Ok((polled?, ended))
    }

    fn finish(&mut self) {
        for reading in self.spans.values_mut() {
            self.progress.note(0, reading.passed_by(reading.span.to));
            (reading.at, reading.is_done) = (reading.span.to, true);
        }
    }
}

impl Source for RangeSource {
    fn poll(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(&SourceRecord<'_>),
    ) -> Result<Polled, SourceError> {
        if self.is_announced && self.is_done() {
            return Ok(Polled::Event(SourceEvent::Finished));
        }
        let allowed = self.pace.allowed(records_max, self.clock.monotonic());
        if allowed == 0 {
            std::thread::sleep(timeout);
            return Ok(Polled::Records(0));
        }
        let (polled, ended) = self.poll_inner(allowed, timeout, sink)?;
        if !ended.is_empty() {
            self.inner.release(&ended)?;
        }
        match polled {
            Polled::Records(records) => {
                self.pace.used(records);
                Ok(Polled::Records(records))
            }
            Polled::Event(SourceEvent::Assigned(partitions)) => {
                self.is_announced = true;
                // What is not to be read is not the worker's.
                let ours = partitions.into_iter().filter(|p| self.spans.contains_key(p)).collect();
                Ok(Polled::Event(SourceEvent::Assigned(ours)))
            }
            Polled::Event(SourceEvent::Finished) => {
                // No record is left before the end of any span: what is missing was compacted or deleted.
                self.finish();
                Ok(Polled::Event(SourceEvent::Finished))
            }
            event => Ok(event),
        }
    }

    fn start_after(&mut self, positions: &BTreeMap<TopicPartition, i64>) -> Result<(), SourceError> {
        let (mut starts, mut done) = (BTreeMap::new(), Vec::new());
        for (partition, &position) in positions {
            let Some(reading) = self.spans.get_mut(partition) else { continue };
            reading.at = position.max(reading.span.ids_from);
            reading.is_done = reading.at >= reading.span.to || reading.span.is_empty();
            if reading.is_done {
                reading.at = reading.span.to;
            }
            if reading.is_done {
                done.push(partition.clone());
            } else {
                starts.insert(partition.clone(), reading.at);
            }
        }
        self.inner.start_after(&starts)?;
        if done.is_empty() { Ok(()) } else { self.inner.release(&done) }
    }

    fn release(&mut self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.inner.release(partitions)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.inner.pause()
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.inner.resume()
    }

    /// The group's offsets are those of the live path.
    fn publish_progress(&mut self, _positions: &BTreeMap<TopicPartition, i64>) {}

    /// A span that was read to its end covers it, whether or not its last offset was a record.
    fn covered(&self) -> BTreeMap<TopicPartition, i64> {
        let mut covered = self.inner.covered();
        for (partition, reading) in &self.spans {
            let passed = covered.get(partition).copied().unwrap_or(reading.at).min(reading.span.to);
            covered.insert(partition.clone(), if reading.is_done { reading.span.to } else { passed });
        }
        covered.retain(|p, _| self.spans.contains_key(p));
        covered
    }

    fn end_offsets(&self) -> BTreeMap<TopicPartition, i64> {
        self.spans.iter().map(|(p, reading)| (p.clone(), reading.span.to)).collect()
    }

    fn close(&mut self) {
        self.inner.close();
    }
}

#[cfg(test)]
mod tests;
