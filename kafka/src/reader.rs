//! Walks over responses record by record, on the worker's thread.

use crate::aborted::Aborted;
use crate::batch::{Batch, BatchError, Record, Records, first};
use crate::compression::{Codec, Unpacker};
use crate::fetcher::{ErrorCode, FetchSettings, Leaders, Part, Partition, Response, Shared};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;
use thiserror::Error;

/// Why reading cannot go on.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The wanted offset is not there: it was deleted, or the log was cut off behind a lost leader.
    #[error("{partition}: offset {wanted} is not there")]
    OutOfRange {
        /// Of which partition.
        partition: Partition,
        /// The offset.
        wanted: i64,
        /// Nothing was read yet since the partition was started.
        is_start: bool,
    },
    /// The broker refuses.
    #[error("{partition}: the broker says {error}")]
    Refused {
        /// Which partition.
        partition: Partition,
        /// Why.
        error: ErrorCode,
    },
    /// A batch cannot be read.
    #[error("{partition}: the batch at offset {offset}: {error}")]
    Batch {
        /// Of which partition.
        partition: Partition,
        /// Its first offset.
        offset: i64,
        /// What is wrong with it.
        error: BatchError,
    },
}

/// Reads partitions that come and go, each from an offset on.
pub struct Reader {
    shared: Arc<Shared>,
    responses: Receiver<Response>,
    places: Vec<Place>,
    current: Option<Current>,
    unpacker: Unpacker,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("places", &self.places).finish_non_exhaustive()
    }
}

/// How far a partition was read.
#[derive(Debug, Clone)]
struct Place {
    partition: Partition,
    generation: u64,
    is_read: bool,
    start: i64,
    next: i64,
    /// High watermark, and the offset up to which records may be read.
    ends: Option<(i64, i64)>,
}

/// A response that is being walked over.
#[derive(Debug)]
struct Current {
    response: Response,
    part: usize,
    /// Where the next batch of the part begins.
    at: usize,
    aborted: Aborted,
    open: Option<Open>,
}

/// A batch that is being walked over.
#[derive(Debug)]
struct Open {
    records: Records,
    /// Where its records lie in the response; `None` is in the unpacker.
    plain: Option<Range<usize>>,
    base_offset: i64,
    last_offset: i64,
}

impl Reader {
    /// Reads nothing until told.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn new(leaders: Arc<dyn Leaders>, settings: FetchSettings) -> std::io::Result<Self> {
        let (shared, responses) = Shared::start(leaders, settings)?;
        Ok(Self { shared, responses, places: Vec::new(), current: None, unpacker: Unpacker::default() })
    }

    /// Reads a partition from an offset on, or goes to that offset. Slots are numbered from 0, and stay with their
    /// partitions.
    pub fn start(&mut self, slot: usize, partition: &Partition, offset: i64) {
        let generation = self.shared.want(slot, partition, Some(offset));
        let place =
            Place { partition: partition.clone(), generation, is_read: true, start: offset, next: offset, ends: None };
        if slot >= self.places.len() {
            self.places.resize(slot + 1, Place { is_read: false, ..place.clone() });
        }
        self.places[slot] = place;
    }

    /// Reads a partition no more.
    pub fn stop(&mut self, slot: usize) {
        if let Some(place) = self.places.get_mut(slot) {
            place.generation = self.shared.want(slot, &place.partition, None);
            place.is_read = false;
        }
    }

    /// Connects anew to all brokers.
    pub fn reconnect(&self) {
        self.shared.reconnect();
    }

    /// Is this partition read?
    pub fn is_reading(&self, slot: usize) -> bool {
        self.places.get(slot).is_some_and(|place| place.is_read)
    }

    /// The next offset of a partition that is read, once anything of it has come since it was started.
    pub fn position(&self, slot: usize) -> Option<i64> {
        let place = self.places.get(slot).filter(|place| place.is_read)?;
        (place.next > place.start).then_some(place.next)
    }

    /// The offset after the last record of a partition that is read, as last heard.
    pub fn high_watermark(&self, slot: usize) -> Option<i64> {
        self.places.get(slot).filter(|place| place.is_read)?.ends.map(|(high, _)| high)
    }

    /// Is everything that could be read of this partition read?
    pub fn is_at_end(&self, slot: usize) -> bool {
        self.places.get(slot).is_some_and(|place| place.ends.is_some_and(|(_, end)| place.next >= end))
    }

    /// Hands at most `records_max` records and their slots to `sink`, waiting up to `timeout` for the first
    /// response.
    ///
    /// # Errors
    ///
    /// When a partition cannot be read on: it is not, until it is started anew.
    pub fn read(
        &mut self,
        records_max: usize,
        timeout: Duration,
        sink: &mut dyn FnMut(usize, &Record<'_>),
    ) -> Result<usize, ReadError> {
        let mut count = 0;
        if self.current.is_none() {
            self.current = self.responses.recv_timeout(timeout).ok().map(Current::new);
        }
        while let Some(current) = &mut self.current {
            if !current.walk(&mut self.places, &mut self.unpacker, &self.shared, records_max, &mut count, sink)? {
                break;
            }
            let done = self.current.take();
            done.into_iter().for_each(|done| self.shared.give_buffer(done.response.buffer));
            self.current = self.responses.try_recv().ok().map(Current::new);
        }
        Ok(count)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Current {
    fn new(response: Response) -> Self {
        let mut current = Self { response, part: 0, at: 0, aborted: Aborted::default(), open: None };
        current.enter();
        current
    }

    /// Begins with the part.
    fn enter(&mut self) {
        self.open = None;
        if let Some(part) = self.response.parts.get(self.part) {
            self.at = part.records.start;
            self.aborted = Aborted::new(&part.aborted);
        }
    }

    fn skip_part(&mut self) {
        self.part += 1;
        self.enter();
    }

    /// Walks on until `records_max` records were handed out in all; says whether the end was reached.
    fn walk(
        &mut self,
        places: &mut [Place],
        unpacker: &mut Unpacker,
        shared: &Shared,
        records_max: usize,
        count: &mut usize,
        sink: &mut dyn FnMut(usize, &Record<'_>),
    ) -> Result<bool, ReadError> {
        while let Some(part) = self.response.parts.get(self.part) {
            let slot = part.slot;
            let Some(place) = places.get_mut(slot).filter(|place| place.is_read && place.generation == part.generation)
            else {
                self.skip_part();
                continue;
            };
            let read = self.walk_part(place, unpacker, shared, records_max, count, &mut |record| sink(slot, record));
            match read {
                Ok(true) => self.skip_part(),
                Ok(false) => return Ok(false),
                Err(error) => {
                    place.is_read = false;
                    self.skip_part();
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn walk_part(
        &mut self,
        place: &mut Place,
        unpacker: &mut Unpacker,
        shared: &Shared,
        records_max: usize,
        count: &mut usize,
        sink: &mut dyn FnMut(&Record<'_>),
    ) -> Result<bool, ReadError> {
        let Response { buffer, parts } = &self.response;
        let Some(part) = parts.get(self.part) else { return Ok(true) };
        note(place, part, shared.settings.read_committed)?;
        loop {
            if let Some(open) = &mut self.open {
                let body = open.plain.as_ref().map_or(unpacker.unpacked(), |range| &buffer[range.clone()]);
                while *count < records_max
                    && let Some(record) = open.records.next(body)
                {
                    let record = record.map_err(|error| bad(place, open.base_offset, error.into()))?;
                    // A batch may begin before the offset that was wanted.
                    if record.offset >= place.next {
                        sink(&record);
                        place.next = record.offset.saturating_add(1);
                        *count += 1;
                    }
                }
                if *count >= records_max && !open.records.is_done() {
                    return Ok(false);
                }
                // Records at the end of a batch may be gone.
                place.next = place.next.max(open.last_offset.saturating_add(1));
                self.open = None;
            }
            let Some((length, _)) = first(&buffer[self.at..part.records.end]) else { return Ok(true) };
            let bytes = self.at..self.at + length;
            self.at = bytes.end;
            let batch = Batch::read(&buffer[bytes.clone()]);
            let batch = batch.map_err(|error| bad(place, place.next, error))?;
            if !self.aborted.counts(&batch) {
                place.next = place.next.max(batch.last_offset.saturating_add(1));
                continue;
            }
            let plain = match batch.codec {
                Some(Codec::Plain) => Some(bytes.end - batch.body.len()..bytes.end),
                Some(codec) => {
                    let unpacked = unpacker.unpack(codec, batch.body);
                    unpacked.map_err(|error| bad(place, batch.base_offset, BatchError::Compression(error)))?;
                    None
                }
                None => {
                    let error = BatchError::Compression("it is compressed as nobody knows".to_owned());
                    return Err(bad(place, batch.base_offset, error));
                }
            };
            let Batch { base_offset, last_offset, .. } = batch;
            self.open = Some(Open { records: batch.records(), plain, base_offset, last_offset });
        }
    }
}

/// Notes what the broker says of a partition as a whole.
fn note(place: &mut Place, part: &Part, read_committed: bool) -> Result<(), ReadError> {
    let partition = || place.partition.clone();
    match ErrorCode(part.error) {
        ErrorCode(0) => {}
        ErrorCode::OFFSET_OUT_OF_RANGE => {
            let (wanted, is_start) = (place.next, place.next == place.start);
            return Err(ReadError::OutOfRange { partition: partition(), wanted, is_start });
        }
        error => return Err(ReadError::Refused { partition: partition(), error }),
    }
    let end = if read_committed { part.last_stable } else { part.high_watermark };
    place.ends = Some((part.high_watermark, end));
    Ok(())
}

fn bad(place: &Place, offset: i64, error: BatchError) -> ReadError {
    ReadError::Batch { partition: place.partition.clone(), offset, error }
}

#[cfg(test)]
mod tests;
